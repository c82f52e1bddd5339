//! Canaries: a password is in no log line, message, file of the store or error.

use std::path::Path;

use watchfire::ingest::gst::sim::{Mount, SimServer};

use super::house::House;
use super::mqtt::guarded_broker;

const RIGHT: &str = "canary-right-4711";
const WRONG: &str = "canary%2Dwrong/4712";
const BROKER: &str = "canary-broker-4713";

#[test]
fn a_password_is_never_seen_again() {
    let mount = Mount::test("yard", "h264", "aac");
    let cameras = SimServer::start(&[mount], None, Some(("viewer", RIGHT))).unwrap();
    let url = cameras.url("yard");
    let in_url = url.replace("rtsp://", &format!("rtsp://viewer:{RIGHT}@"));
    let mut house = House::new();
    house.broker.take();
    house.broker = Some(guarded_broker(house.dir.path(), house.mqtt_port, BROKER, true));
    let mqtt = format!("url = \"mqtt://guard:{BROKER}@127.0.0.1:{}\"\n", house.mqtt_port);
    let cameras_text = format!(
        "[[camera]]\nid = \"good\"\nurl = \"{url}\"\nusername = \"viewer\"\npassword = \"{RIGHT}\"\n\
         [[camera]]\nid = \"bad\"\nurl = \"{url}\"\nusername = \"viewer\"\npassword = \"{WRONG}\"\n\
         [[camera]]\nid = \"inline\"\nurl = \"{in_url}\"\n"
    );
    house.configure_with(&mqtt, &cameras_text);
    // Everything that any library has to say.
    house.start_under(&["env", "RUST_LOG=trace"]);
    house.wait_state("bad", "error", Some("auth_failed"), 60);
    if !house
        .heard
        .iter()
        .any(|(t, p)| t.ends_with("inline/status") && p.windows(9).any(|w| w == b"streaming"))
    {
        house.wait_state("inline", "streaming", None, 60);
    }
    let page = house.get("/metrics") + &house.get("/healthz");
    house.daemon().signal(nix::sys::signal::Signal::SIGTERM);
    house.daemon().ended(std::time::Duration::from_secs(15));

    let shows = |text: &[u8]| {
        let text = String::from_utf8_lossy(text);
        text.contains("canary")
    };
    let log = house.log();
    assert!(
        log.contains("DEBUG") && log.contains("MQTT connected"),
        "the log is whole"
    );
    for line in log.lines() {
        assert!(!shows(line.as_bytes()), "in the log: {line}");
    }
    assert!(!shows(page.as_bytes()));
    for (topic, payload) in &house.heard {
        assert!(!shows(payload), "on {topic}");
    }
    let mut files = Vec::new();
    collect(&house.state_dir(), &mut files);
    assert!(!files.is_empty());
    for file in files {
        // The last good configuration is the operator's own text, readable by the service only.
        if file.file_name().is_some_and(|n| n == "last-good-config.json") {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o077, 0);
            continue;
        }
        assert!(!shows(&std::fs::read(&file).unwrap()), "in {}", file.display());
    }
}

fn collect(dir: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        if entry.path().is_dir() {
            collect(&entry.path(), files);
        } else {
            files.push(entry.path());
        }
    }
}
