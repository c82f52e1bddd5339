//! What cameras do wrong, and what Watchfire says of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use watchfire::clock::{Clock, SystemClock};
use watchfire::data::{AudioState, CameraId, CameraState, CameraStatus, Redactor, Window};
use watchfire::ingest::gst::sim::{Mount, SimServer};
use watchfire::ingest::{Camera, CameraOptions, CameraSink, Source, Transport};

use super::house::{House, free_port, seconds_between, wait_for_port};

fn camera(id: &str, url: &str) -> String {
    format!("[[camera]]\nid = \"{id}\"\nurl = \"{url}\"\nstall_s = 2.0\n")
}

#[test]
fn every_codec_of_the_list_streams_with_or_without_sound() {
    let kinds = [
        ("a", "h264", "aac"),
        ("b", "h265", "pcmu"),
        ("c", "mjpeg", "pcma"),
        ("d", "h264", "opus"),
        ("e", "h264", ""),
        ("f", "h264-rateless", "aac"),
        ("g", "mjpeg-rateless", ""),
        ("strange", "h264", ""),
        ("udp", "h264", "aac"),
    ];
    // A sound that we do not take makes a camera without sound.
    let sound = |name: &str, audio: &'static str| if name == "strange" { "l16" } else { audio };
    let mounts: Vec<Mount> = kinds.iter().map(|(n, v, a)| Mount::test(n, v, sound(n, a))).collect();
    let cameras = SimServer::start(&mounts, None, None).unwrap();
    let mut house = House::new();
    let text: String = kinds.iter().map(|(id, ..)| camera(id, &cameras.url(id))).collect();
    house.configure(&(text + "transport = \"udp\"\n"));
    house.start();
    let mut waiting: Vec<_> = kinds.to_vec();
    let mut codecs = std::collections::BTreeMap::new();
    let mut rates = std::collections::BTreeSet::new();
    house.wait("all nine cameras streaming with sound levels", 60, |topic, payload| {
        let value: serde_json::Value = serde_json::from_slice(payload).unwrap_or_default();
        // Measured where the stream does not say it: ten a second.
        let is_ten = (8.0..12.5).contains(&value["video"]["fps"].as_f64().unwrap_or_default());
        let rateless = kinds.iter().filter(|(_, video, _)| video.ends_with("-rateless"));
        let told_of = |id: &str| topic == format!("watchfire/t/camera/{id}/status");
        rates.extend(rateless.map(|(id, ..)| *id).filter(|id| is_ten && told_of(id)));
        waiting.retain(|(id, video, audio)| {
            // Levels tell that pictures and, where there is one, the tone really went through.
            let told = topic == format!("watchfire/t/camera/{id}/levels")
                && (3.0..7.0).contains(&value["fps"].as_f64().unwrap_or_default())
                && value["dbfs"].is_null() == audio.is_empty();
            if topic == format!("watchfire/t/camera/{id}/status") && value["state"] == "streaming" {
                assert_eq!(value["video"]["codec"], video.trim_end_matches("-rateless"), "{value}");
                codecs.insert(*id, value["audio"]["codec"].as_str().unwrap_or_default().to_owned());
                // The camera's own rate, and not the one that the models listen at.
                let rate_hz = match *audio {
                    "aac" => Some(44_100),
                    "opus" => Some(48_000),
                    "" => None,
                    _ => Some(8_000),
                };
                if !value["audio"].is_null() {
                    assert_eq!(value["audio"]["rate_hz"].as_u64(), rate_hz, "{value}");
                }
            }
            !told
        });
        (waiting.is_empty()
            && rates.len() == 2
            && kinds
                .iter()
                .all(|(id, _, audio)| codecs.get(id).is_some_and(|c| c == audio)))
        .then_some(())
    });
}

#[test]
fn a_camera_that_goes_stalls_or_changes_its_codec_comes_back() {
    let mut house = House::new();
    let mount = [Mount::test("yard", "h264", "aac")];
    let server = SimServer::start(&mount, None, None).unwrap();
    let (port, url) = (server.port(), server.url("yard"));
    house.configure(&camera("yard", &url));
    house.start();
    house.wait_state("yard", "streaming", None, 30);
    // The camera's first sender report tells its clock, which is ours here.
    let offset_ms = house.wait("the clock's offset", 30, |topic, payload| {
        let status: serde_json::Value = serde_json::from_slice(payload).ok()?;
        topic
            .ends_with("yard/status")
            .then(|| status["clock_offset_ms"].as_i64())?
    });
    assert!(offset_ms.abs() < 2_000, "{offset_ms}");

    server.freeze(true);
    let stalled = house.wait_state("yard", "stalled", Some("stalled"), 30);
    assert!(stalled["detail"].as_str().unwrap().contains("no picture"), "{stalled}");
    server.freeze(false);
    house.wait_state("yard", "streaming", None, 60);

    drop(server);
    let gone = house.wait_state("yard", "offline", None, 30);
    assert!(gone["retry_at"].is_string(), "{gone}");
    house.wait_state("yard", "offline", Some("refused"), 30);

    let server = SimServer::start(&[Mount::test("yard", "h265", "opus")], Some(port), None).unwrap();
    wait_for_port(port);
    let back = house.wait("h265 with opus", 60, |topic, payload| {
        let status: serde_json::Value = serde_json::from_slice(payload).ok()?;
        let whole = status["state"] == "streaming" && !status["audio"].is_null();
        (topic.ends_with("yard/status") && whole).then_some(status)
    });
    assert_eq!(
        (&back["video"]["codec"], &back["audio"]["codec"]),
        (&"h265".into(), &"opus".into())
    );
    assert_eq!(back["attempts"], 0);
    drop(server);
    house.wait_state("yard", "offline", None, 30);
    let server = SimServer::start(&[Mount::test("yard", "mjpeg", "")], Some(port), None).unwrap();
    let back = house.wait("mjpeg without sound", 60, |topic, payload| {
        let status: serde_json::Value = serde_json::from_slice(payload).ok()?;
        (topic.ends_with("yard/status") && status["state"] == "streaming").then_some(status)
    });
    assert_eq!(back["video"]["codec"], "mjpeg");
    assert!(back["audio"].is_null());
    drop(server);
}

#[test]
fn each_trouble_has_its_own_reason() {
    let mounts = [Mount::test("good", "h264", "aac"), Mount::test("deaf", "", "aac")];
    let server = SimServer::start(&mounts, None, Some(("viewer", "right"))).unwrap();
    let login = |id: &str, password: &str| format!("username = \"viewer\"\npassword = \"{password}\"\n# {id}\n");
    let dead = free_port();
    let text = [
        camera("good", &server.url("good")) + &login("good", "right"),
        camera("wrong", &server.url("good")) + &login("wrong", "left"),
        camera("nowhere", &server.url("nowhere")) + &login("nowhere", "right"),
        camera("dead", &format!("rtsp://127.0.0.1:{dead}/x")),
        // The broadcast address of the loopback network: nothing leads there.
        camera("lost", "rtsp://127.255.255.255:554/x"),
        camera("deaf", &server.url("deaf")) + &login("deaf", "right"),
    ]
    .concat();
    let mut house = House::new();
    house.configure(&text);
    house.start();
    let mut waiting = vec![
        ("good", "streaming", serde_json::Value::Null),
        ("wrong", "error", "auth_failed".into()),
        ("nowhere", "error", "not_found".into()),
        ("dead", "offline", "refused".into()),
        ("lost", "offline", "unreachable".into()),
        ("deaf", "error", "no_video".into()),
    ];
    house.wait("the six states", 60, |topic, payload| {
        let status: serde_json::Value = serde_json::from_slice(payload).unwrap_or_default();
        waiting.retain(|(id, state, reason)| {
            !(topic == format!("watchfire/t/camera/{id}/status")
                && status["state"] == *state
                && status["reason"] == *reason)
        });
        waiting.is_empty().then_some(())
    });
    // Cameras lock accounts: a refused login is not tried again soon.
    let refused = house.heard.iter().find_map(|(topic, payload)| {
        let status: serde_json::Value = serde_json::from_slice(payload).ok()?;
        (topic == "watchfire/t/camera/wrong/status" && status["reason"] == "auth_failed").then_some(status)
    });
    let refused = refused.unwrap();
    let wait_s = seconds_between(&refused["since"], &refused["retry_at"]);
    assert!(wait_s >= 299.0, "{refused}");
}

enum Told {
    Window(Window),
    Status(CameraStatus),
    Lost,
}

struct Tell(crossbeam_channel::Sender<Told>);

impl CameraSink for Tell {
    fn window(&mut self, window: Window) {
        let _ = self.0.send(Told::Window(window));
    }
    fn status(&mut self, status: CameraStatus) {
        let _ = self.0.send(Told::Status(status));
    }
    fn lost(&mut self) {
        let _ = self.0.send(Told::Lost);
    }
}

pub(super) fn source(url: String) -> Source {
    Source::Rtsp {
        url,
        username: None,
        password: None,
        transport: Transport::Tcp,
        ca: None,
    }
}

fn spawn(options: CameraOptions, clock: Arc<dyn Clock>) -> (Camera, Receiver<Told>) {
    let (tell, told) = crossbeam_channel::unbounded();
    let camera = Camera::spawn(options, clock, Redactor::default(), Box::new(Tell(tell)), None).unwrap();
    (camera, told)
}

/// Key frames come every two seconds here; whoever comes between them would decode grey smears.
#[test]
fn a_stream_that_is_joined_midway_begins_with_a_whole_picture() {
    let server = SimServer::start(&[Mount::test("yard", "h264", "")], None, None).unwrap();
    let first_window = || {
        let options = CameraOptions::new(CameraId::new("yard"), source(server.url("yard")));
        let (camera, told) = spawn(options, Arc::new(SystemClock::new()));
        let until = Instant::now() + Duration::from_secs(30);
        let window = loop {
            match told.recv_deadline(until).expect("a window with pictures") {
                Told::Window(window) if !window.frames.is_empty() => break window,
                Told::Lost => panic!("the picture goes on"),
                _ => {}
            }
        };
        (camera, window)
    };
    let (stays, _) = first_window();
    for _ in 0..3 {
        let (camera, window) = first_window();
        // A white ball on black.
        let rgb = &window.frames[0].picture.rgb;
        let mean = rgb.iter().map(|v| f64::from(*v)).sum::<f64>() / rgb.len() as f64;
        assert!(mean < 60.0, "mean grey {mean}");
        let _ = camera.stop().join();
    }
    let _ = stays.stop().join();
}

#[test]
fn a_sound_that_fails_leaves_the_picture() {
    let pipelines = tempfile::tempdir().unwrap();
    let failing = include_str!("../../pipelines/audio.launch").replacen('!', "! identity error-after=20 !", 1);
    std::fs::write(pipelines.path().join("audio.launch"), failing).unwrap();
    let server = SimServer::start(&[Mount::test("yard", "h264", "pcmu")], None, None).unwrap();
    let options = CameraOptions {
        pipelines_dir: Some(pipelines.path().to_owned()),
        ..CameraOptions::new(CameraId::new("yard"), source(server.url("yard")))
    };
    let (camera, told) = spawn(options, Arc::new(SystemClock::new()));
    let until = Instant::now() + Duration::from_secs(30);
    let (mut deaf, mut windows) = (None, 0);
    while windows < 6 {
        match told
            .recv_deadline(until)
            .expect("six windows after the sound has failed")
        {
            Told::Window(window) if deaf.is_some() => {
                windows += usize::from(!window.frames.is_empty() && window.audio_state == AudioState::None);
            }
            Told::Window(_) => {}
            Told::Status(status) if status.state == CameraState::Streaming => {
                let why = status.detail.filter(|d| d.contains("its sound cannot be used"));
                assert!(why.is_none() || status.audio.is_none());
                deaf = deaf.or(why);
            }
            Told::Status(status) => assert_eq!(status.state, CameraState::Starting, "{status:?}"),
            Told::Lost => panic!("the picture goes on"),
        }
    }
    let _ = camera.stop().join();
}

#[test]
fn a_pipeline_that_does_not_end_holds_nobody() {
    let pipelines = tempfile::tempdir().unwrap();
    // As a driver that hangs: a block of sound is held for ten minutes, and so is whoever ends the pipeline.
    let holds = include_str!("../../pipelines/audio.launch").replacen('!', "! identity sleep-time=600000000 !", 1);
    std::fs::write(pipelines.path().join("audio.launch"), holds).unwrap();
    let server = SimServer::start(&[Mount::test("yard", "h264", "pcmu")], None, None).unwrap();
    let options = CameraOptions {
        pipelines_dir: Some(pipelines.path().to_owned()),
        backoff_first: Duration::from_millis(100),
        ..CameraOptions::new(CameraId::new("yard"), source(server.url("yard")))
    };
    let (camera, told) = spawn(options, Arc::new(SystemClock::new()));
    let until = Instant::now() + Duration::from_secs(60);
    let wait = |what: &str, wanted: &mut dyn FnMut(Told) -> bool| {
        while !wanted(told.recv_deadline(until).unwrap_or_else(|_| panic!("{what}"))) {}
    };
    wait(
        "pictures",
        &mut |news| matches!(news, Told::Window(w) if !w.frames.is_empty()),
    );
    server.cut();
    // It says what is wrong, and begins no second pipeline beside the one that hangs.
    wait("why it does not come back", &mut |news| match news {
        Told::Status(s) => s
            .detail
            .is_some_and(|d| d.contains("the pipeline of before does not end")),
        _ => false,
    });
    let (ended, end) = crossbeam_channel::bounded(1);
    std::thread::spawn(move || {
        let _ = camera.stop().join();
        let _ = ended.send(());
    });
    end.recv_deadline(until).expect("the camera's thread ends");
}

/// The host's clocks, which a test sets forward.
#[derive(Default)]
struct Ahead {
    real: SystemClock,
    by_ns: AtomicU64,
}

impl Clock for Ahead {
    fn monotonic_ns(&self) -> u64 {
        self.real.monotonic_ns() + self.by_ns.load(SeqCst)
    }
    fn utc_ns(&self) -> i64 {
        self.real.utc_ns() + self.by_ns.load(SeqCst) as i64
    }
}

/// Key frames come every two seconds here, and ten pictures a second.
#[test]
fn a_decoder_that_is_too_far_behind_leaves_out_what_lies_between_key_frames() {
    let pipelines = tempfile::tempdir().unwrap();
    // Slower than ten pictures a second come.
    let slow =
        include_str!("../../pipelines/video.launch").replacen("{parse} !", "{parse} ! identity sleep-time=200000 !", 1);
    std::fs::write(pipelines.path().join("video.launch"), slow).unwrap();
    let server = SimServer::start(&[Mount::test("yard", "h264", "")], None, None).unwrap();
    let options = CameraOptions {
        pipelines_dir: Some(pipelines.path().to_owned()),
        stall_after: Duration::from_secs(60),
        ..CameraOptions::new(CameraId::new("yard"), source(server.url("yard")))
    };
    let (camera, told) = spawn(options, Arc::new(SystemClock::new()));
    let until = Instant::now() + Duration::from_secs(60);
    let next_window = |what: &str| {
        loop {
            match told.recv_deadline(until).unwrap_or_else(|_| panic!("{what}")) {
                Told::Window(_) => return,
                Told::Lost => panic!("the picture goes on: {what}"),
                Told::Status(_) => {}
            }
        }
    };
    next_window("a window");
    let dropped = || camera.counters().dropped.load(SeqCst);
    let before = dropped();
    while dropped() < before + 10 {
        next_window("pictures left out");
    }
    let _ = camera.stop().join();
}

#[test]
fn a_sound_that_stops_is_told_and_is_taken_when_it_comes_back() {
    let server = SimServer::start(&[Mount::test("yard", "h264", "pcmu")], None, None).unwrap();
    let options = CameraOptions {
        // Longer than the clock is set forward.
        stall_after: Duration::from_secs(600),
        ..CameraOptions::new(CameraId::new("yard"), source(server.url("yard")))
    };
    let clock = Arc::new(Ahead::default());
    let (camera, told) = spawn(options, clock.clone());
    let until = Instant::now() + Duration::from_secs(60);
    let wait = |what: &str, wanted: &mut dyn FnMut(&Told) -> bool| {
        loop {
            let news = told.recv_deadline(until).unwrap_or_else(|_| panic!("{what}"));
            assert!(!matches!(news, Told::Lost), "the picture goes on: {what}");
            if wanted(&news) {
                return;
            }
        }
    };
    let of = |news: &Told, state: AudioState| matches!(news, Told::Window(w) if w.audio_state == state);
    wait("a window with sound", &mut |news| of(news, AudioState::Present));

    server.mute(true);
    // Whatever was on its way has come by then.
    let mut silent = 0;
    wait("windows whose sound is missing", &mut |news| {
        silent += u32::from(of(news, AudioState::Missing));
        silent == 3
    });
    clock.by_ns.store(31_000_000_000, SeqCst);
    wait("the word that its sound is missing", &mut |news| match news {
        Told::Status(s) => s.audio.is_none() && s.detail.as_ref().is_some_and(|d| d.contains("no sound for 30 s")),
        _ => false,
    });
    wait("a window that expects no sound", &mut |news| of(news, AudioState::None));

    server.mute(false);
    wait("the word that it is back", &mut |news| match news {
        Told::Status(s) => s.state == CameraState::Streaming && s.audio.is_some() && s.detail.is_none(),
        _ => false,
    });
    wait("a window with sound again", &mut |news| of(news, AudioState::Present));
    let _ = camera.stop().join();
}
