//! The publisher alone against a real Mosquitto, in both versions of MQTT.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use watchfire::publish::{MqttOptions, MqttVersion, Publisher, PublisherState, subscribe};
use watchfire::store::{Message, Store, StoreOptions};

use super::house::{Process, free_port, mosquitto_with};
use super::pki::Pki;

mod limits;

const VERSIONS: [MqttVersion; 2] = [MqttVersion::V5, MqttVersion::V311];

pub fn options(port: u16, version: MqttVersion) -> MqttOptions {
    MqttOptions {
        host: "127.0.0.1".into(),
        port,
        version,
        tls: false,
        username: None,
        password: None,
        ca: None,
        cert: None,
        key: None,
        site: "t".into(),
        box_name: "b".into(),
        home_assistant: false,
        commands: false,
        keep_alive: Duration::from_secs(5),
        backoff_first: Duration::from_millis(100),
        backoff_cap: Duration::from_millis(500),
    }
}

pub fn store(dir: &Path) -> StoreOptions {
    StoreOptions {
        dir: dir.join("state"),
        keep_for: Duration::from_secs(3600),
        outbox_max: 10_000,
        outbox_max_age: Duration::from_secs(3600),
    }
}

/// One publisher, stopped and joined at the end.
pub struct Running(pub Publisher, Option<JoinHandle<()>>);

impl Running {
    fn start(options: MqttOptions, dir: &Path) -> Self {
        let running = Self::spawn(options, dir);
        running.0.all_told();
        running
    }

    /// One that does not know yet all that is true.
    pub fn spawn(options: MqttOptions, dir: &Path) -> Self {
        let (publisher, thread) = Publisher::spawn(options, &store(dir)).unwrap();
        Self(publisher, Some(thread))
    }

    pub fn wait(&self, what: &str, wanted: impl Fn(&PublisherState) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        let look = crossbeam_channel::tick(Duration::from_millis(5));
        while !wanted(self.0.state()) {
            let trouble = self.0.state().trouble();
            assert!(Instant::now() < deadline, "{what} did not come; trouble: {trouble:?}");
            look.recv().unwrap();
        }
    }

    fn wait_trouble(&self, words: &str) {
        self.wait(words, |s| s.trouble().is_some_and(|t| t.contains(words)));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.stop(Duration::from_secs(3));
        let _ = self.1.take().map(JoinHandle::join);
    }
}

fn alerts(from: usize, count: usize) -> Vec<Message> {
    (from..from + count)
        .map(|i| Message {
            alert_id: format!("{i:05}"),
            camera: "yard".into(),
            kind: "siren".into(),
            phase: "start".into(),
            started_utc_ms: i as i64,
            topic: "watchfire/t/camera/yard/alert/siren".into(),
            payload: format!("{i:05}"),
        })
        .collect()
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// A broker whose sessions outlive it, and what it keeps for a reader who is away.
struct KeepingBroker<'a> {
    dir: &'a Path,
    port: u16,
    process: Option<Process>,
}

impl<'a> KeepingBroker<'a> {
    fn new(dir: &'a Path) -> Self {
        Self {
            dir,
            port: free_port(),
            process: None,
        }
    }

    fn start(&mut self) {
        let settings = format!(
            "allow_anonymous true\npersistence true\npersistence_location {}/\nmax_queued_messages 0\n",
            self.dir.display()
        );
        self.process = Some(mosquitto_with(self.dir, self.port, &settings));
    }

    /// It writes down its sessions and goes.
    fn stop(&mut self) {
        let mut process = self.process.take().unwrap();
        process.signal(Signal::SIGTERM);
        assert!(process.ended(Duration::from_secs(10)).is_some());
    }

    fn reader(&self, more: &[&str]) -> String {
        let out = Command::new("mosquitto_sub")
            .args([
                "-h",
                "127.0.0.1",
                "-p",
                &self.port.to_string(),
                "-V",
                "mqttv5",
                "-i",
                "reader",
            ])
            .args(["-c", "-x", "3600", "-q", "1", "-t", "watchfire/t/camera/+/alert/#"])
            .args(more)
            .output()
            .expect("mosquitto_sub is not installed: run `make setup`");
        String::from_utf8_lossy(&out.stdout).into_owned()
    }
}

#[test]
fn what_an_acl_refuses_waits_and_is_told_and_goes_out_once_it_may() {
    let dir = tempfile::tempdir().unwrap();
    let (acl, port) = (dir.path().join("acl"), free_port());
    std::fs::write(
        &acl,
        "topic write watchfire/t/box/#\ntopic write watchfire/t/camera/gate/#\n",
    )
    .unwrap();
    let settings = format!("allow_anonymous true\nacl_file {}\n", acl.display());
    let broker = mosquitto_with(dir.path(), port, &settings);
    let mut outbox = Store::open(&store(dir.path())).unwrap();
    outbox.commit(&alerts(0, 3), now_ms()).unwrap();
    // Behind them one of a topic that may be written.
    let free = Message {
        topic: "watchfire/t/camera/gate/alert/siren".into(),
        ..alerts(3, 1).remove(0)
    };
    outbox.commit(&[free], now_ms()).unwrap();
    let running = Running::start(options(port, MqttVersion::V5), dir.path());
    let truth = "watchfire/t/camera/yard/active/siren";
    running.0.retain(truth.into(), b"OFF".to_vec());
    running.wait_trouble("refuses alerts: not authorized");
    running.wait("the free topic", |s| s.acknowledged.load(Relaxed) == 1);
    assert_eq!(outbox.outbox_depth().unwrap(), 3);
    std::fs::write(&acl, "topic readwrite watchfire/#\n").unwrap();
    broker.signal(Signal::SIGHUP);
    running.wait("the alerts to be taken", |_| outbox.outbox_depth().unwrap() == 0);
    running.wait("the trouble to be over", |s| s.trouble().is_none());
    assert!(running.0.state().alerts_refused.load(Relaxed) >= 3);
    // So it is with what is retained.
    let reader = Command::new("mosquitto_sub")
        .args([
            "-h",
            "127.0.0.1",
            "-p",
            &port.to_string(),
            "-C",
            "1",
            "-W",
            "30",
            "-t",
            truth,
        ])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&reader.stdout).trim(), "OFF");
}

#[test]
fn a_broker_that_stands_still_with_the_connection_open_is_given_up() {
    for version in VERSIONS {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let broker = mosquitto_with(dir.path(), port, "allow_anonymous true\n");
        let running = Running::start(options(port, version), dir.path());
        running.wait("the connection", |s| s.connected.load(Relaxed));
        broker.signal(Signal::SIGSTOP);
        // More than the sockets take.
        for _ in 0..8 {
            running
                .0
                .send_acknowledged("watchfire/t/camera/yard/snapshot/siren".into(), vec![0; 4 << 20]);
        }
        running.wait("the end of the connection", |s| !s.connected.load(Relaxed));
        broker.signal(Signal::SIGCONT);
        running.wait("another connection", |s| s.connects.load(Relaxed) == 2);
    }
}

#[test]
fn a_broker_that_comes_and_goes_loses_no_alert_and_keeps_their_order() {
    const ROUNDS: usize = 4;
    const EACH: usize = 150;
    for version in VERSIONS {
        let dir = tempfile::tempdir().unwrap();
        let mut broker = KeepingBroker::new(dir.path());
        // The reader makes itself known and goes: the broker keeps its messages.
        broker.start();
        broker.reader(&["-E"]);
        broker.stop();

        let mut outbox = Store::open(&store(dir.path())).unwrap();
        // These have waited for a long time.
        outbox.commit(&alerts(0, EACH), now_ms() - 60_000).unwrap();
        let running = Running::start(options(broker.port, version), dir.path());
        running.wait_trouble("refused");
        for round in 0..ROUNDS {
            broker.start();
            let before = running.0.state().acknowledged.load(Relaxed);
            // It goes again in the middle of the flow.
            running.wait("some alerts to be taken", |s| {
                s.acknowledged.load(Relaxed) >= before + 20
            });
            broker.stop();
            running.wait("the loss", |s| s.trouble().is_some());
            outbox.commit(&alerts((round + 1) * EACH, EACH), now_ms()).unwrap();
            running.0.wake();
        }
        broker.start();
        running.wait("the rest", |_| outbox.outbox_depth().unwrap() == 0);
        drop(running);

        let all = (ROUNDS + 1) * EACH;
        let said = broker.reader(&["-W", "2", "-F", "%P %p"]);
        let ids: Vec<&str> = said.lines().filter_map(|l| l.split(' ').next_back()).collect();
        let mut first_seen: Vec<&str> = Vec::new();
        for id in &ids {
            if !first_seen.contains(id) {
                first_seen.push(id);
            }
        }
        let expected: Vec<String> = (0..all).map(|i| format!("{i:05}")).collect();
        assert_eq!(first_seen, expected, "MQTT {version}");
        let repeats = ids.len() - all;
        assert!(repeats <= ROUNDS * 16, "MQTT {version}: {repeats} repeats");
        // What waited says so, where the version has a place for it.
        let late = said.lines().filter(|l| l.starts_with("queued_ms:")).count();
        match version {
            MqttVersion::V5 => assert!(late >= EACH, "{late} of {all} say that they waited"),
            MqttVersion::V311 => assert_eq!(late, 0),
        }
    }
}

#[test]
fn the_retained_truth_is_told_whole_at_every_connect_and_cleared_topics_go() {
    for version in VERSIONS {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let running = Running::start(options(port, version), dir.path());
        // More than the client library holds at once.
        let topic = |i: usize| format!("watchfire/t/camera/c{i:03}/status");
        for i in 0..400 {
            running.0.retain(topic(i), format!("v{i}").into_bytes());
        }
        running.0.retain(topic(7), Vec::new());
        running.0.retain(topic(8), b"newer".to_vec());
        for _connect in 0..2 {
            let broker = mosquitto_with(dir.path(), port, "allow_anonymous true\n");
            running.wait("the connection", |s| s.trouble().is_none() && s.connected.load(Relaxed));
            let messages = subscribe("127.0.0.1", port, "watchfire/t/camera/+/status").unwrap();
            let mut seen = std::collections::BTreeMap::new();
            // Whoever listens before all of it was said hears the older truth first.
            let told_whole = |seen: &std::collections::BTreeMap<String, Vec<u8>>| {
                seen.len() == 399 && seen.get(&topic(8)).is_some_and(|p| p == b"newer") && !seen.contains_key(&topic(7))
            };
            while !told_whole(&seen) {
                let (topic, payload) = messages.recv_timeout(Duration::from_secs(20)).unwrap();
                if payload.is_empty() {
                    seen.remove(&topic);
                } else {
                    seen.insert(topic, payload);
                }
            }
            // A picture is larger than the library's first limit.
            let pictures = subscribe("127.0.0.1", port, "picture").unwrap();
            running.0.send_acknowledged("picture".into(), vec![7; 300_000]);
            assert_eq!(pictures.recv_timeout(Duration::from_secs(20)).unwrap().1.len(), 300_000);
            drop(broker);
            running.wait("the loss", |s| !s.connected.load(Relaxed));
        }
    }
}

#[test]
fn a_refused_login_is_counted_and_told_and_tried_again_with_backoff() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let _broker = guarded_broker(dir.path(), port, "right-canary", false);
    for version in VERSIONS {
        let login = |password: &str| MqttOptions {
            username: Some("guard".into()),
            password: Some(watchfire::data::Secret::new(password.into())),
            ..options(port, version)
        };
        let running = Running::start(login("wrong-canary"), dir.path());
        let start = Instant::now();
        running.wait("four refusals", |s| s.refused.load(Relaxed) >= 4);
        // 100, 200 and 400 ms lie between them.
        assert!(start.elapsed() >= Duration::from_millis(700), "{:?}", start.elapsed());
        let trouble = running.0.state().trouble().unwrap();
        assert!(
            trouble.contains("refused the login") && trouble.contains("mqtt.password"),
            "{trouble}"
        );
        assert!(!trouble.contains("canary"), "{trouble}");
        drop(running);
        let running = Running::start(login("right-canary"), dir.path());
        running.wait("the connection", |s| s.connected.load(Relaxed));
        assert_eq!(running.0.state().refused.load(Relaxed), 0);
    }
}

/// A Mosquitto that knows the user `guard`, and, where it lets others in, those without a name too.
pub fn guarded_broker(dir: &Path, port: u16, password: &str, anonymous: bool) -> Process {
    let passwords = dir.join("passwords");
    let made = Command::new("mosquitto_passwd")
        .args(["-b", "-c"])
        .arg(&passwords)
        .args(["guard", password])
        .status()
        .expect("mosquitto_passwd is not installed: run `make setup`");
    assert!(made.success());
    let settings = format!("allow_anonymous {anonymous}\npassword_file {}\n", passwords.display());
    mosquitto_with(dir, port, &settings)
}

/// The lines that make a second listener of Mosquitto speak TLS to those with a certificate of ours only.
pub fn tls_listener(pki: &Pki, port: u16) -> String {
    let file = |name: &str| pki.file(name).display().to_string();
    format!(
        "allow_anonymous true\nlistener {port} 127.0.0.1\ncafile {}\ncertfile {}\nkeyfile {}\n\
         require_certificate true\n",
        file("ca.pem"),
        file("server.pem"),
        file("server.key")
    )
}

#[test]
fn tls_wants_the_right_authority_and_a_client_certificate_and_says_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let pki = Pki::make(dir.path());
    let (plain, secure) = (free_port(), free_port());
    let _broker = mosquitto_with(dir.path(), plain, &tls_listener(&pki, secure));
    for version in VERSIONS {
        let good = MqttOptions {
            tls: true,
            ca: Some(pki.file("ca.pem")),
            cert: Some(pki.file("client.pem")),
            key: Some(pki.file("client.key")),
            ..options(secure, version)
        };
        let running = Running::start(good.clone(), dir.path());
        let messages = subscribe("127.0.0.1", plain, "watchfire/t/box/b/available").unwrap();
        // What the run before left retained may come first.
        while messages.recv_timeout(Duration::from_secs(20)).unwrap().1 != b"online" {}
        drop(running);

        let stranger = MqttOptions {
            ca: Some(pki.file("stranger.pem")),
            ..good.clone()
        };
        Running::start(stranger, dir.path()).wait_trouble("not trusted (its issuer is not known); check mqtt.ca");
        let anonymous = MqttOptions {
            cert: None,
            key: None,
            ..good.clone()
        };
        Running::start(anonymous, dir.path()).wait_trouble("check the client certificate in mqtt.cert");
        let not_tls = MqttOptions { port: plain, ..good };
        Running::start(not_tls, dir.path()).wait_trouble("TLS");
    }
    // A file that is no certificate is told at once.
    let wrong = MqttOptions {
        tls: true,
        ca: Some(pki.file("ca.key")),
        ..options(secure, MqttVersion::V5)
    };
    let error = Publisher::spawn(wrong, &store(dir.path())).err().unwrap();
    assert!(error.contains("ca.key") && error.contains("no certificate"), "{error}");
}
