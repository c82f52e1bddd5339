//! The ends of a daemon's life.

use std::time::Duration;

use nix::sys::signal::Signal;
use watchfire::ingest::gst::sim::{Mount, Show, SimServer};

use super::house::House;

#[test]
fn sigterm_ends_in_time_says_goodbye_and_health_is_told() {
    let mount = Mount {
        name: "yard".into(),
        show: Show::Test {
            video: "h264",
            audio: "aac",
        },
    };
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
}
