//! Commands that an operator runs by hand.

use std::process::{Command, Output};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use watchfire::ingest::gst::sim::{Mount, SimServer};

use super::house::{House, ROOT};

fn watchfire(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_watchfire"))
        .args(arguments)
        .env("WATCHFIRE_USER", "viewer")
        .env("WATCHFIRE_PASSWORD", "right-canary")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn text_of(out: &Output) -> String {
    text(&out.stdout) + &text(&out.stderr)
}

#[test]
fn probe_tells_what_a_camera_sends_and_why_it_does_not() {
    let mount = Mount::test("yard", "h264", "pcmu");
    let login = Some(("viewer", "right-canary"));
    let cameras = SimServer::start(&[mount], None, login).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let frame = dir.path().join("frame.jpg");
    let url = cameras.url("yard");
    let told = watchfire(&[
        "probe",
        &url,
        "--json",
        "--seconds",
        "4",
        "--frame",
        frame.to_str().unwrap(),
    ]);
    assert!(told.status.success(), "{}", text(&told.stderr));
    let facts: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!((&facts["state"], &facts["reason"]), (&"streaming".into(), &Value::Null));
    assert_eq!(facts["video"]["codec"], "h264");
    assert_eq!(
        (&facts["video"]["width"], &facts["video"]["height"]),
        (&320.into(), &240.into())
    );
    assert!(facts["video"]["decoder"].as_str().unwrap().contains("264"), "{facts}");
    assert_eq!(facts["audio"], serde_json::json!({"codec": "pcmu", "rate_hz": 8000}));
    assert!(facts["frames"].as_u64().unwrap() >= 5, "{facts}");
    // A sine of amplitude 0.1 is -23 dBFS.
    let levels = facts["levels_dbfs"].as_array().unwrap();
    assert!(
        levels.iter().any(|l| (-26.0..-20.0).contains(&l.as_f64().unwrap())),
        "{facts}"
    );
    assert_eq!(std::fs::read(&frame).unwrap()[..2], [0xFF, 0xD8]);

    let told = watchfire(&["probe", &url, "--seconds", "3"]);
    let said = text(&told.stdout);
    assert!(said.contains("video: h264 320x240"), "{said}");
    assert!(said.contains("audio: pcmu 8000 Hz"), "{said}");

    let wrong = watchfire(&["probe", &url.replace("://", "://viewer:wrong-canary@"), "--json"]);
    // The environment's password wins over none, and the URL's user is the same.
    let missing = watchfire(&["probe", &cameras.url("nowhere"), "--json"]);
    assert_eq!(missing.status.code(), Some(1));
    let facts: Value = serde_json::from_slice(&missing.stdout).unwrap();
    assert_eq!(facts["reason"], "not_found", "{facts}");
    for out in [&told, &wrong, &missing] {
        let all = text(&out.stdout) + &text(&out.stderr);
        assert!(!all.contains("canary"), "{all}");
    }
}

#[test]
fn json_logs_are_one_object_a_line() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("w.toml");
    let state = dir.path().display().to_string();
    std::fs::write(&config, format!("[state]\ndir = \"{state}\"\n[graph]\nwindow_ms = 5\n")).unwrap();
    let out = watchfire(&["--log", "json", "run", "--config", config.to_str().unwrap()]);
    assert_eq!(out.status.code(), Some(1));
    let said = text(&out.stderr);
    let lines: Vec<&str> = said.lines().filter(|l| !l.starts_with("watchfire: ")).collect();
    assert!(!lines.is_empty(), "{said}");
    for line in lines {
        let entry: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert_eq!(entry["level"], "ERROR");
        assert!(
            entry["fields"]["message"].as_str().unwrap().contains("200 to 2000"),
            "{entry}"
        );
    }
}

#[test]
fn check_finds_a_certificate_that_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let (own, junk) = (dir.path().join("own.toml"), dir.path().join("junk.der"));
    std::fs::write(&junk, "no certificate").unwrap();
    let text = format!(
        "[mqtt]\nurl = \"mqtts://broker.example\"\nca = \"{}\"\n[models]\ndir = \"{ROOT}/models\"\n",
        junk.display()
    );
    std::fs::write(&own, text).unwrap();
    let checked = watchfire(&["check", "--config", own.to_str().unwrap()]);
    let said = text_of(&checked);
    assert_eq!(checked.status.code(), Some(1), "{said}");
    assert!(said.contains("mqtt.ca: ") && said.contains("junk.der"), "{said}");
}

#[test]
fn the_printed_configuration_is_toml_that_check_accepts_and_holds_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    let (own, again) = (dir.path().join("own.toml"), dir.path().join("again.toml"));
    std::fs::write(
        &own,
        format!(
            "[mqtt]\nurl = \"mqtts://user:mqtt-canary@broker.example\"\nversion = \"3.1.1\"\n\
             [models]\ndir = \"{ROOT}/models\"\n[camera_defaults]\nretry_max_s = 30.0\n\
             [[camera]]\nid = \"yard\"\nurl = \"rtsp://viewer:url-canary@10.0.0.21/x\"\ntransport = \"udp\"\n\
             [[camera]]\nid = \"gate\"\nurl = \"rtsps://10.0.0.22/x\"\nusername = \"viewer\"\n\
             password = {{ env = \"WATCHFIRE_PASSWORD\" }}\nkinds = [\"intrusion\", \"siren\"]\n\
             [[camera.zone]]\nname = \"fence\"\npolygon = [[0.0, 0.6], [0.1, 0.6], [1.0, 1.0]]\n\
             [[camera]]\nid = \"off\"\nenabled = false\nurl = \"rtsp://10.0.0.23/x\"\n"
        ),
    )
    .unwrap();
    let printed = watchfire(&["check", "--print", "--config", own.to_str().unwrap()]);
    assert!(printed.status.success(), "{}", text(&printed.stderr));
    let first = text(&printed.stdout);
    assert!(
        !first.contains("canary") && !text(&printed.stderr).contains("canary"),
        "{first}"
    );
    let tree: toml::Table = first.parse().unwrap();
    assert_eq!(tree["mqtt"]["password"].as_str(), Some("***"));
    assert_eq!(tree["mqtt"]["url"].as_str(), Some("mqtts://broker.example:8883"));
    assert_eq!(tree["graph"]["window_ms"].as_integer(), Some(500));
    assert_eq!(tree["camera"][0]["password"].as_str(), Some("***"));
    assert_eq!(tree["camera"][0]["retry_max_s"].as_float(), Some(30.0));
    assert_eq!(
        tree["camera"][1]["password"]["env"].as_str(),
        Some("WATCHFIRE_PASSWORD")
    );
    assert_eq!(tree["camera"][1]["zone"][0]["polygon"][1][0].as_float(), Some(0.1));
    assert_eq!(tree["camera"][2]["enabled"].as_bool(), Some(false));

    std::fs::write(&again, &first).unwrap();
    let printed = watchfire(&["check", "--print", "--config", again.to_str().unwrap()]);
    assert!(printed.status.success(), "{}", text(&printed.stderr));
    assert_eq!(text(&printed.stdout), first, "printing it again changes nothing");
}

#[test]
fn check_warns_of_a_configuration_that_watches_nothing_and_fails_on_a_device_that_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let own = dir.path().join("own.toml");
    let camera = "[[camera]]\nid = \"yard\"\nurl = \"rtsp://10.0.0.21/x\"\n";
    let check = |lines: &str| {
        std::fs::write(&own, format!("[models]\ndir = \"{ROOT}/models\"\n{lines}")).unwrap();
        watchfire(&["check", "--config", own.to_str().unwrap()])
    };
    for (lines, warning) in [
        ("", "there is no [[camera]]: nothing will be watched"),
        (
            &*format!("{camera}enabled = false\n"),
            "no camera is switched on and right, of 1",
        ),
    ] {
        let none = check(lines);
        assert!(none.status.success(), "{}", text_of(&none));
        assert!(text(&none.stderr).contains(warning), "{}", text_of(&none));
        assert!(!text(&none.stdout).contains("all well"), "{}", text_of(&none));
    }
    let one = check(camera);
    assert_eq!(text(&one.stdout), "1 camera, all well\n", "{}", text_of(&one));

    let device = check(&format!("[inference]\ndevice = \"cuda:99\"\n{camera}"));
    let said = text_of(&device);
    assert_eq!(device.status.code(), Some(1), "{said}");
    assert!(
        said.contains("cuda:99 is not usable") && said.contains("inference.device"),
        "{said}"
    );
}

#[test]
fn the_log_says_that_nothing_is_watched_and_that_the_last_good_configuration_runs() {
    let mut house = House::new();
    house.configure("");
    house.start();
    house.wait_log("a start", 60, |log| {
        log.contains("nothing is watched") && log.contains("ready")
    });
    house.daemon().signal(Signal::SIGTERM);
    assert!(house.daemon().ended(Duration::from_secs(15)).is_some());
    house.configure("[graph]\nwindow_ms = 5\n");
    house.start();
    house.wait_log("which one runs", 60, |log| log.contains("running the last good one"));
}

#[test]
fn a_replay_as_a_camera_that_is_not_there_names_those_that_are() {
    let dir = tempfile::tempdir().unwrap();
    let own = dir.path().join("own.toml");
    let camera = |id: &str| format!("[[camera]]\nid = \"{id}\"\nurl = \"rtsp://10.0.0.21/{id}\"\n");
    let text = [camera("yard"), camera("gate"), camera("off") + "enabled = false\n"].concat();
    std::fs::write(&own, text).unwrap();
    let out = watchfire(&["replay", "a.mp4", "--config", own.to_str().unwrap(), "--camera", "nix"]);
    let said = text_of(&out);
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert!(said.contains("no camera nix that works; it has yard, gate\n"), "{said}");
}

#[test]
fn a_bench_with_a_clip_that_is_not_there_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let nowhere = dir.path().join("nowhere.mp4");
    for (clip, why) in [(&*nowhere, "No such file"), (dir.path(), "is a folder, not a file")] {
        let out = watchfire(&["bench", "--clip", clip.to_str().unwrap()]);
        let said = text_of(&out);
        assert_eq!(out.status.code(), Some(1), "{said}");
        assert!(said.contains(clip.to_str().unwrap()) && said.contains(why), "{said}");
    }
}
