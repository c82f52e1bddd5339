//! The ends of a daemon's life.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use nix::sys::signal::Signal;
use watchfire::ingest::gst::sim::{Mount, SimServer};

use super::house::House;

#[test]
fn sigterm_ends_in_time_says_goodbye_and_health_is_told() {
    let mount = Mount::test("yard", "h264", "aac");
    let cameras = SimServer::start(&[mount], None, None).unwrap();
    let mut house = House::new();
    house.configure(&format!(
        "[[camera]]\nid = \"yard\"\nurl = \"{}\"\n",
        cameras.url("yard")
    ));
    house.start();
    house.wait("online", 30, |t, p| {
        (t.ends_with("b/available") && p == b"online").then_some(())
    });
    house.wait_state("yard", "streaming", None, 30);
    assert!(house.get("/healthz").starts_with("HTTP/1.1 200"));
    let page = house.get("/metrics");
    assert!(page.contains("watchfire_frames_total{camera=\"yard\"}"), "{page}");

    house.daemon().signal(Signal::SIGTERM);
    let status = house
        .daemon()
        .ended(Duration::from_secs(15))
        .expect("it stops within its deadline");
    assert!(status.success(), "{status}\n{}", house.log());
    house.wait("offline", 10, |t, p| {
        (t.ends_with("b/available") && p == b"offline").then_some(())
    });
}

#[test]
fn a_killed_daemon_is_offline_by_its_last_will() {
    let mut house = House::new();
    house.configure("");
    house.start();
    house.wait("online", 30, |t, p| {
        (t.ends_with("b/available") && p == b"online").then_some(())
    });
    house.daemon().signal(Signal::SIGKILL);
    house.wait("offline", 60, |t, p| {
        (t.ends_with("b/available") && p == b"offline").then_some(())
    });
}

#[test]
fn systemd_is_told_of_every_step_and_the_watchdog_is_fed() {
    let mut house = House::new();
    let path = house.dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let told = |wanted: &str| {
        let mut buffer = [0; 4096];
        loop {
            let n = socket.recv(&mut buffer).unwrap_or_else(|e| panic!("{wanted}: {e}"));
            let text = String::from_utf8_lossy(&buffer[..n]).into_owned();
            if text.lines().any(|line| line == wanted) {
                return;
            }
        }
    };
    house.configure("");
    let socket_name = format!("NOTIFY_SOCKET={}", path.display());
    house.start_under(&["env", &socket_name, "WATCHDOG_USEC=10000000"]);
    told("READY=1");
    told("WATCHDOG=1");
    told("WATCHDOG=1");
    house.daemon().signal(Signal::SIGHUP);
    told("RELOADING=1");
    told("READY=1");
    house.daemon().signal(Signal::SIGTERM);
    told("STOPPING=1");
    assert!(house.daemon().ended(Duration::from_secs(15)).is_some());
}

#[test]
fn a_second_sigterm_ends_at_once() {
    let mut house = House::new();
    house.configure("");
    house.start();
    house.wait("online", 30, |t, p| {
        (t.ends_with("b/available") && p == b"online").then_some(())
    });
    // A broker that answers nothing holds the first one up.
    house.broker.as_ref().unwrap().signal(Signal::SIGSTOP);
    house.daemon().signal(Signal::SIGTERM);
    house.wait_log("the first", 10, |log| log.contains("stopping"));
    house.daemon().signal(Signal::SIGTERM);
    let status = house.daemon().ended(Duration::from_secs(5)).expect("it ends");
    assert_eq!(status.code(), Some(1), "{}", house.log());
    house.broker.as_ref().unwrap().signal(Signal::SIGCONT);
}

/// Whose configuration has run once, and which has stopped since.
fn started_well_before() -> House {
    let mut house = House::new();
    house.configure("");
    house.start();
    house.wait_log("a good start", 30, |log| log.contains("ready"));
    house.daemon().signal(Signal::SIGTERM);
    assert!(house.daemon().ended(Duration::from_secs(15)).is_some());
    house
}

fn tells_that_the_last_good_one_runs(house: &mut House, because: &str) {
    house.wait("the problem in the box's status", 60, |topic, payload| {
        let status: serde_json::Value = serde_json::from_slice(payload).unwrap_or_default();
        let problems = status["problems"].to_string();
        (topic.ends_with("box/b/status") && problems.contains(because) && problems.contains("last good")).then_some(())
    });
}

#[test]
fn a_start_with_a_wrong_configuration_runs_the_last_good_one_and_says_so() {
    let mut house = started_well_before();
    house.configure("[graph]\nwindow_ms = 5\n");
    house.start();
    tells_that_the_last_good_one_runs(&mut house, "200 to 2000");
}

#[test]
fn a_start_with_a_certificate_that_is_none_runs_the_last_good_configuration_and_says_so() {
    let mut house = started_well_before();
    let junk = house.dir.path().join("junk.der");
    std::fs::write(&junk, "no certificate").unwrap();
    let port = house.mqtt_port;
    house.configure_with(
        &format!("url = \"mqtts://127.0.0.1:{port}\"\nca = \"{}\"\n", junk.display()),
        "",
    );
    house.start();
    tells_that_the_last_good_one_runs(&mut house, "mqtt.ca: ");
}

/// Whoever has a state folder of their own has it from the file alone.
#[test]
fn a_file_that_is_no_toml_any_more_still_tells_where_the_last_good_one_lies() {
    let mut house = started_well_before();
    let text = std::fs::read_to_string(house.config_path()).unwrap();
    std::fs::write(house.config_path(), text.replace("name = \"t\"", "name = t\"")).unwrap();
    house.start_under(&["env", "-u", "STATE_DIRECTORY"]);
    tells_that_the_last_good_one_runs(&mut house, "toml:2:8");
}

#[test]
fn a_wrong_configuration_is_refused_with_every_error() {
    let mut house = House::new();
    house.configure("[graph]\nwindow_ms = 5\nwindw_ms = 1\n");
    house.start();
    let status = house.daemon().ended(Duration::from_secs(20)).expect("it does not run");
    assert_eq!(status.code(), Some(1));
    let log = house.log();
    assert!(
        log.contains("200 to 2000") && log.contains("did you mean `window_ms`"),
        "{log}"
    );
    let looked = format!("{} holds no earlier one", house.state_dir().display());
    assert!(log.contains(&looked), "{log}");
}
