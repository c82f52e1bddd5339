//! SIGHUP changes what changed, and nothing else.

use nix::sys::signal::Signal;
use watchfire::ingest::gst::sim::{Mount, SimServer};

use super::broker::siren_camera;
use super::house::House;

#[test]
fn a_reload_touches_only_the_cameras_that_changed() {
    let mounts = ["a", "b", "c"].map(|name| Mount::test(name, "h264", "aac"));
    let cameras = SimServer::start(&mounts, None, None).unwrap();
    let camera = |id: &str, more: &str| format!("[[camera]]\nid = \"{id}\"\nurl = \"{}\"\n{more}", cameras.url(id));
    let mut house = House::new();
    house.configure(&(camera("a", "") + &camera("b", "")));
    house.start();
    let mut left = vec!["a", "b"];
    house.wait("a and b streaming", 60, |topic, payload| {
        let status: serde_json::Value = serde_json::from_slice(payload).unwrap_or_default();
        left.retain(|id| !(topic == format!("watchfire/t/camera/{id}/status") && status["state"] == "streaming"));
        left.is_empty().then_some(())
    });

    let since = |heard: &[(String, Vec<u8>)]| -> Vec<String> {
        let of_a = heard.iter().filter(|(t, _)| t.ends_with("camera/a/status"));
        of_a.map(|(_, p)| serde_json::from_slice::<serde_json::Value>(p).unwrap_or_default())
            .filter(|s| s["state"] == "streaming")
            .map(|s| s["since"].to_string())
            .collect()
    };
    // b changes, c is new, a stays. No camera had emotion at the start, so its models are not there.
    let heard_before = house.heard.len();
    house.configure(&(camera("a", "") + &camera("b", "analysis_fps = 3.0\n") + &camera("c", "emotion = true\n")));
    house.daemon().signal(Signal::SIGHUP);
    let mut left = vec!["b", "c", "box"];
    house.wait("b and c streaming, and what c lacks", 60, |topic, payload| {
        let status: serde_json::Value = serde_json::from_slice(payload).unwrap_or_default();
        let told = status["problems"]
            .to_string()
            .contains("camera c: emotion takes effect at a restart");
        left.retain(|id| !(*id == "box" && topic.ends_with("box/b/status") && told));
        left.retain(|id| !(topic == format!("watchfire/t/camera/{id}/status") && status["state"] == "streaming"));
        left.is_empty().then_some(())
    });
    let told = "reload: cameras: 1 added (c), 1 restarted (b), 1 unchanged";
    house.wait_log("what the reload did", 20, |log| log.contains(told));
    // It may tell its clock's offset meanwhile, but it streams as before.
    let mut all = since(&house.heard);
    all.dedup();
    let after = &house.heard[heard_before..];
    let others = after
        .iter()
        .filter(|(t, _)| t.ends_with("camera/a/status"))
        .filter(|(_, p)| !String::from_utf8_lossy(p).contains("\"state\":\"streaming\""));
    assert_eq!((all.len(), others.count()), (1, 0), "a was not touched");

    // A wrong file changes nothing, and the box says so.
    house.configure("[graph]\nwindow_ms = 1\n");
    house.daemon().signal(Signal::SIGHUP);
    house.wait("the problem in the box's status", 60, |topic, payload| {
        let status: serde_json::Value = serde_json::from_slice(payload).unwrap_or_default();
        (topic.ends_with("box/b/status") && status["problems"].to_string().contains("200 to 2000")).then_some(())
    });

    // b is taken out: its retained state goes.
    house.configure(&(camera("a", "") + &camera("c", "")));
    house.daemon().signal(Signal::SIGHUP);
    house.wait("b's state is cleared", 60, |t, p| {
        (t.ends_with("camera/b/status") && p.is_empty()).then_some(())
    });

    house.wait_log("what the reload did", 10, |log| {
        log.contains("reload: cameras: 1 restarted (c), 1 removed (b), 1 unchanged")
    });

    // c is switched off first, and taken out when it runs no more.
    house.configure(&(camera("a", "") + &camera("c", "enabled = false\n")));
    house.daemon().signal(Signal::SIGHUP);
    house.wait("c is off", 60, |t, p| {
        (t.ends_with("camera/c/status") && String::from_utf8_lossy(p).contains("disabled")).then_some(())
    });
    house.configure(&camera("a", ""));
    house.daemon().signal(Signal::SIGHUP);
    house.wait("c's state is cleared", 60, |t, p| {
        (t.ends_with("camera/c/status") && p.is_empty()).then_some(())
    });
}

#[test]
fn a_camera_that_is_removed_while_it_alerts_leaves_nothing_retained() {
    let mut house = House::new();
    let cameras = siren_camera(house.dir.path());
    house.configure(&format!(
        "[[camera]]\nid = \"gate\"\nurl = \"{}\"\nkinds = [\"siren\"]\n",
        cameras.url("gate")
    ));
    house.start();
    house.wait_alert("gate", "siren", "start", 60);
    house.configure("");
    house.daemon().signal(Signal::SIGHUP);
    let mut left = vec!["the end", "the state"];
    house.wait(
        "the alert's end, and the camera's state cleared",
        60,
        |topic, payload| {
            let alert: serde_json::Value = serde_json::from_slice(payload).unwrap_or_default();
            left.retain(|l| !(*l == "the end" && topic.ends_with("alert/siren") && alert["end_reason"] == "reload"));
            left.retain(|l| !(*l == "the state" && topic.ends_with("camera/gate/status") && payload.is_empty()));
            left.is_empty().then_some(())
        },
    );
    // What the end would retain was on its way before the end itself.
    let mut told = house.heard.iter().rev();
    let last = told.find(|(t, _)| t.ends_with("camera/gate/active/siren"));
    let last = last.expect("it was retained");
    assert!(last.1.is_empty(), "{}", String::from_utf8_lossy(&last.1));
    // Home Assistant ignores what is empty.
    let before = told.find(|(t, _)| t.ends_with("camera/gate/active/siren"));
    assert!(before.is_some_and(|(_, p)| p == b"OFF"), "{before:?}");
}

#[test]
fn a_camera_that_is_switched_off_while_it_alerts_is_off() {
    let mut house = House::new();
    let cameras = siren_camera(house.dir.path());
    let camera = |more: &str| {
        format!(
            "[[camera]]\nid = \"gate\"\nurl = \"{}\"\nkinds = [\"siren\"]\n{more}",
            cameras.url("gate")
        )
    };
    house.configure(&camera(""));
    house.start();
    house.wait_alert("gate", "siren", "start", 60);
    house.configure(&camera("enabled = false\n"));
    house.daemon().signal(Signal::SIGHUP);
    house.wait_state("gate", "disabled", None, 60);
    house.daemon().signal(Signal::SIGTERM);
    // Whatever it had to say was said before this.
    house.wait("offline", 30, |t, p| {
        (t.ends_with("b/available") && p == b"offline").then_some(())
    });
    let mut told = house.heard.iter().rev();
    let last = told.find(|(t, _)| t.ends_with("camera/gate/active/siren"));
    assert!(last.is_some_and(|(_, p)| p == b"OFF"), "{last:?}");
}

#[test]
fn what_was_wrong_at_the_start_is_still_told_after_a_reload_and_warnings_are_logged() {
    let mut house = House::new();
    let _taken = std::net::TcpListener::bind(("127.0.0.1", house.http_port)).unwrap();
    let problems = |topic: &str, payload: &[u8]| -> Option<String> {
        let status: serde_json::Value = serde_json::from_slice(payload).unwrap_or_default();
        topic.ends_with("box/b/status").then(|| status["problems"].to_string())
    };
    house.configure("");
    house.start();
    let told = house.wait("the status at the start", 60, problems);
    assert!(told.contains("no /metrics"), "{told}");
    house.configure(
        "[[camera]]\nid = \"wrong\"\nurl = \"gopher://10.0.0.1/x\"\n\
         [[camera]]\nid = \"shown\"\nurl = \"rtsp://viewer:pass@127.0.0.1:1/x\"\n",
    );
    house.daemon().signal(Signal::SIGHUP);
    let told = house.wait("the status after the reload", 60, |t, p| {
        problems(t, p).filter(|told| told.contains("gopher") || told.contains("rtsp"))
    });
    assert!(told.contains("no /metrics"), "{told}");
    assert!(house.log().contains("easily shown"), "{}", house.log());

    // A wrong one leaves what is wrong with the one that goes on.
    house.configure("[graph]\nwindow_ms = 1\n");
    house.daemon().signal(Signal::SIGHUP);
    let told = house.wait("the status after a wrong one", 60, |t, p| {
        problems(t, p).filter(|told| told.contains("the one before goes on"))
    });
    assert!(
        told.contains("no /metrics") && (told.contains("gopher") || told.contains("rtsp")),
        "{told}"
    );
}
