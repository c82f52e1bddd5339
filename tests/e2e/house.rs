//! A small house: cameras, a broker, a daemon, and somebody who listens to every topic.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use watchfire::publish::subscribe;

pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Real pedestrians; `make test` fetches them.
pub fn footage() -> PathBuf {
    let path = std::env::var("WATCHFIRE_FOOTAGE")
        .map_or_else(|_| Path::new(ROOT).join(".cache/media/vtest.avi"), PathBuf::from);
    assert!(path.exists(), "{} is not there: run `make media`", path.display());
    path
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits until somebody listens on the port.
pub fn wait_for_port(port: u16) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < deadline, "nobody listens on port {port}");
        std::thread::yield_now();
    }
}

/// A process that ends with its value.
pub struct Process(pub Child);

impl Process {
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.0.id() as i32), signal).unwrap();
    }

    /// Its exit status, awaited for at most `within`.
    pub fn ended(&mut self, within: Duration) -> Option<std::process::ExitStatus> {
        let deadline = Instant::now() + within;
        loop {
            match self.0.try_wait().unwrap() {
                Some(status) => return Some(status),
                None if Instant::now() > deadline => return None,
                // The kernel offers no wait with a deadline that std knows of.
                None => std::thread::park_timeout(Duration::from_millis(10)),
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A Mosquitto of our own on a port of 127.0.0.1.
pub fn mosquitto(dir: &Path, port: u16) -> Process {
    mosquitto_with(dir, port, "allow_anonymous true\n")
}

/// The same with settings of its own.
pub fn mosquitto_with(dir: &Path, port: u16, settings: &str) -> Process {
    let config = dir.join(format!("mosquitto-{port}.conf"));
    std::fs::write(&config, format!("user root\nlistener {port} 127.0.0.1\n{settings}")).unwrap();
    let broker = ["/usr/sbin/mosquitto", "mosquitto"]
        .into_iter()
        .find_map(|program| {
            Command::new(program)
                .arg("-c")
                .arg(&config)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .ok()
        })
        .expect("mosquitto is not installed: run `make setup`");
    wait_for_port(port);
    Process(broker)
}

/// What one test has around it.
pub struct House {
    pub dir: tempfile::TempDir,
    pub mqtt_port: u16,
    pub http_port: u16,
    pub broker: Option<Process>,
    pub daemon: Option<Process>,
    pub messages: Receiver<(String, Vec<u8>)>,
    /// Messages that came and were not asked for, oldest first.
    pub heard: Vec<(String, Vec<u8>)>,
}

impl House {
    /// A broker and a listener; no daemon yet.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mqtt_port = free_port();
        let broker = mosquitto(dir.path(), mqtt_port);
        let messages = subscribe("127.0.0.1", mqtt_port, "#").unwrap();
        Self {
            dir,
            mqtt_port,
            http_port: free_port(),
            broker: Some(broker),
            daemon: None,
            messages,
            heard: Vec::new(),
        }
    }

    pub fn config_path(&self) -> PathBuf {
        self.dir.path().join("watchfire.toml")
    }

    pub fn state_dir(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    pub fn log_path(&self) -> PathBuf {
        self.dir.path().join("daemon.log")
    }

    /// Writes the configuration: what every test needs, and `cameras`.
    pub fn configure(&self, cameras: &str) {
        let url = format!("url = \"mqtt://127.0.0.1:{}\"\n", self.mqtt_port);
        self.configure_with(&url, cameras);
    }

    /// The same with the lines of `[mqtt]`.
    pub fn configure_with(&self, mqtt: &str, cameras: &str) {
        let text = format!(
            "[site]\nname = \"t\"\n[box]\nname = \"b\"\n[mqtt]\n{mqtt}\
             [models]\ndir = \"{ROOT}/models\"\n[state]\ndir = \"{}\"\n[http]\nlisten = \"127.0.0.1:{}\"\n{cameras}",
            self.state_dir().display(),
            self.http_port
        );
        std::fs::write(self.config_path(), text).unwrap();
    }

    /// Starts the daemon; its log is appended to [`Self::log_path`].
    pub fn start(&mut self) {
        self.start_under(&[]);
    }

    /// The same, as the last arguments of another command.
    pub fn start_under(&mut self, command: &[&str]) {
        let words: Vec<&str> = [command, &[env!("CARGO_BIN_EXE_watchfire")]].concat();
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .args(["run", "--config"])
            .arg(self.config_path());
        self.start_as(command);
    }

    /// Starts `command` as the daemon.
    pub fn start_as(&mut self, mut command: Command) {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.log_path())
            .unwrap();
        let child = command
            .env("STATE_DIRECTORY", self.state_dir())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.daemon = Some(Process(child));
    }

    pub fn daemon(&mut self) -> &mut Process {
        self.daemon.as_mut().expect("the daemon was started")
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// The next message for which `wanted` says so; what comes before it is kept in [`Self::heard`].
    pub fn wait<T>(&mut self, what: &str, within_s: u64, mut wanted: impl FnMut(&str, &[u8]) -> Option<T>) -> T {
        let deadline = Instant::now() + Duration::from_secs(within_s);
        while let Ok((topic, payload)) = self.messages.recv_deadline(deadline) {
            let found = wanted(&topic, &payload);
            self.heard.push((topic, payload));
            if let Some(found) = found {
                return found;
            }
        }
        let topics: Vec<&str> = self
            .heard
            .iter()
            .map(|(t, _)| t.as_str())
            .filter(|t| !t.ends_with("levels"))
            .collect();
        panic!(
            "{what} did not come within {within_s} s; heard {topics:?}; the daemon's log:\n{}",
            self.log()
        );
    }

    /// Waits for a status of the camera with this state (and reason, where one is named).
    pub fn wait_state(&mut self, camera: &str, state: &str, reason: Option<&str>, within_s: u64) -> Value {
        let topic = format!("watchfire/t/camera/{camera}/status");
        self.wait(&format!("{camera} {state} {reason:?}"), within_s, |t, payload| {
            let status: Value = (t == topic).then(|| serde_json::from_slice(payload).ok())??;
            (status["state"] == state && reason.is_none_or(|r| status["reason"] == r)).then_some(status)
        })
    }

    /// Waits for an alert of this kind and phase.
    pub fn wait_alert(&mut self, camera: &str, kind: &str, phase: &str, within_s: u64) -> Value {
        let topic = format!("watchfire/t/camera/{camera}/alert/{kind}");
        self.wait(&format!("{camera} {kind} {phase}"), within_s, |t, payload| {
            let alert: Value = (t == topic).then(|| serde_json::from_slice(payload).ok())??;
            (alert["phase"] == phase).then_some(alert)
        })
    }

    /// Waits until the daemon's log says so.
    pub fn wait_log(&self, what: &str, within_s: u64, wanted: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(within_s);
        let look = crossbeam_channel::tick(Duration::from_millis(100));
        while !wanted(&self.log()) {
            assert!(Instant::now() < deadline, "{what} within {within_s} s:\n{}", self.log());
            let _ = look.recv();
        }
    }

    /// Waits until a page of the console says so.
    pub fn wait_page(&self, path: &str, what: &str, within_s: u64, wanted: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(within_s);
        let look = crossbeam_channel::tick(Duration::from_millis(200));
        let mut page = self.get(path);
        while !wanted(&page) {
            assert!(Instant::now() < deadline, "{what} within {within_s} s: {page}");
            let _ = look.recv();
            page = self.get(path);
        }
    }

    /// GET from the daemon's console.
    pub fn get(&self, path: &str) -> String {
        use std::io::Write;
        let mut stream = TcpStream::connect(("127.0.0.1", self.http_port)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }
}

impl Drop for House {
    /// Whatever was published in a test fits its schema.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.heard.extend(self.messages.try_iter());
            super::alerts::every_payload_fits_its_schema(self);
        }
    }
}

/// Seconds from one UTC time to another, both as in the contract.
pub fn seconds_between(from: &Value, to: &Value) -> f64 {
    let time = |v: &Value| v.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond();
    (time(to) - time(from)) as f64 / 1e3
}
