//! A model that panics again and again: the process says so and ends, for systemd to start it anew.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use watchfire::data::{Detection, Picture};
use watchfire::graph::Models;
use watchfire::ingest::gst::sim::{Mount, Show, SimServer};
use watchfire::stages::Detect;

use super::house::House;

const CONFIG: &str = "WATCHFIRE_TEST_CONFIG";

#[test]
fn a_model_that_panics_again_and_again_ends_the_daemon_with_a_clear_error() {
    let names = ["good", "bad"];
    let mount = |name: &str| Mount {
        name: name.into(),
        show: Show::Test {
            video: "mjpeg",
            audio: "",
        },
    };
    let cameras = SimServer::start(&names.map(mount), None, None).unwrap();
    let mut house = House::new();
    let camera = |name: &str, px| {
        let url = cameras.url(name);
        format!("[[camera]]\nid = \"{name}\"\nurl = \"{url}\"\nanalysis_px = {px}\n")
    };
    house.configure(&(camera("good", 320) + &camera("bad", CURSED_PX)));
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([
        "--ignored",
        "--exact",
        "panics::the_daemon_of_the_test_above",
        "--nocapture",
    ]);
    command.env(CONFIG, house.config_path());
    house.start_as(command);
    let status = house.daemon().ended(Duration::from_secs(60)).expect("it gives up");
    let log = house.log();
    assert!(!status.success(), "{log}");
    assert!(
        log.contains("a cursed picture"),
        "each panic's own words are told:\n{log}"
    );
    assert!(log.contains("the stage vision panicked again and again"), "{log}");
    house.wait("offline", 10, |t, p| {
        (t.ends_with("b/available") && p == b"offline").then_some(())
    });
}

/// Pictures of this width make the detector panic.
const CURSED_PX: u32 = 160;

struct Cursed(Box<dyn Detect>);

impl Detect for Cursed {
    fn id(&self) -> Arc<str> {
        self.0.id()
    }
    fn labels(&self) -> Arc<[Arc<str>]> {
        self.0.labels()
    }
    fn detect(&mut self, pictures: &[&Picture]) -> Result<Vec<Vec<Detection>>, String> {
        assert!(pictures.iter().all(|p| p.width != CURSED_PX), "a cursed picture");
        self.0.detect(pictures)
    }
}

#[test]
#[ignore = "a process of its own, started by the test above"]
fn the_daemon_of_the_test_above() {
    let Ok(config) = std::env::var(CONFIG) else { return };
    watchfire::app::log::start(false, false);
    let curse = |models: Models| Models {
        detector: Box::new(Cursed(models.detector)),
        ..models
    };
    watchfire::app::run_with(Path::new(&config), curse).unwrap();
}
