//! Panics: a model that does it again and again ends the process, for systemd to start it anew; a camera's thread starts its
//! camera anew.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use watchfire::clock::SystemClock;
use watchfire::data::{CameraState, CameraStatus, Detection, Picture, Redactor, StateReason, Window};
use watchfire::graph::Models;
use watchfire::ingest::gst::sim::{Mount, SimServer};
use watchfire::ingest::{Camera, CameraSink};
use watchfire::stages::Detect;

use super::house::House;

const CONFIG: &str = "WATCHFIRE_TEST_CONFIG";

#[test]
fn a_model_that_panics_again_and_again_ends_the_daemon_with_a_clear_error() {
    let names = ["good", "bad"];
    let mount = |name: &str| Mount::test(name, "mjpeg", "");
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

/// Panics at the third window that it is given, once.
struct Stumbling {
    windows: u32,
    tell: crossbeam_channel::Sender<Result<u64, CameraStatus>>,
}

impl CameraSink for Stumbling {
    fn window(&mut self, window: Window) {
        self.windows += 1;
        assert!(self.windows != 3, "a cursed window");
        let _ = self.tell.send(Ok(window.seq));
    }
    fn status(&mut self, status: CameraStatus) {
        let _ = self.tell.send(Err(status));
    }
    fn lost(&mut self) {}
}

#[test]
fn a_panic_in_a_cameras_thread_is_told_and_the_camera_is_rebuilt() {
    let mount = Mount::test("yard", "mjpeg", "");
    let cameras = SimServer::start(&[mount], None, None).unwrap();
    let text = format!("[[camera]]\nid = \"yard\"\nurl = \"{}\"\n", cameras.url("yard"));
    let loaded = watchfire::config::load_texts(
        vec![("test.toml".into(), text)],
        &watchfire::config::Surroundings::real(),
    );
    let options = loaded.unwrap().config.cameras.remove(0).ingest;
    let (tell, told) = crossbeam_channel::unbounded();
    let sink = Box::new(Stumbling { windows: 0, tell });
    let camera = Camera::spawn(options, Arc::new(SystemClock::new()), Redactor::default(), sink, None).unwrap();
    let (mut before, mut panicked) = (Vec::new(), None);
    loop {
        match told.recv_timeout(Duration::from_secs(30)).unwrap() {
            Ok(seq) if panicked.is_some() => {
                assert!(before.iter().all(|b| *b < seq), "numbers go on: {before:?}, {seq}");
                break;
            }
            Ok(seq) => before.push(seq),
            Err(status) if status.reason == Some(StateReason::Internal) => panicked = Some(status),
            Err(_) => {}
        }
    }
    let status = panicked.unwrap();
    assert_eq!(status.state, CameraState::Error);
    assert!(status.detail.is_some_and(|d| d.contains("a cursed window")));
    camera.stop().join().unwrap();
}
