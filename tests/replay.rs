//! `watchfire replay`: the same graph over a recording, and the same bytes every time.

#[path = "support/wav.rs"]
mod wav;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use watchfire::app::player::Player;
use watchfire::config::{CameraConfig, Surroundings, load_texts};
use watchfire::data::Picture;
use watchfire::graph::Models;
use watchfire::ingest::gst::record::Mp4Writer;
use watchfire::ingest::gst::{Datum, MediaReader};
use watchfire::nn::ModelOptions;
use watchfire::stages::{Listen, SoundScores, Verdict};
use wav::wav;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn footage() -> PathBuf {
    let path = std::env::var("WATCHFIRE_FOOTAGE")
        .map_or_else(|_| Path::new(ROOT).join(".cache/media/vtest.avi"), PathBuf::from);
    assert!(path.exists(), "{} is not there: run `make media`", path.display());
    path
}

fn replay(args: &[&Path]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_watchfire"));
    command.args(["replay", "--models"]).arg(Path::new(ROOT).join("models"));
    command.args(args).output().unwrap()
}

#[test]
fn twice_gives_the_same_bytes_and_a_broken_file_is_named_while_the_others_are_done() {
    let dir = tempfile::tempdir().unwrap();
    let [first, second] = ["1.jsonl", "2.jsonl"].map(|n| dir.path().join(n));
    let events = Path::new("--events");
    let output = replay(&[&footage(), events, &first]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let broken = dir.path().join("broken.mp4");
    std::fs::write(&broken, b"no film").unwrap();
    let output = replay(&[&broken, &footage(), events, &second]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("broken.mp4"));

    let (first, second) = (
        std::fs::read_to_string(first).unwrap(),
        std::fs::read_to_string(second).unwrap(),
    );
    assert_eq!(first, second);
    let alerts: Vec<serde_json::Value> = first.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    // People walk through the picture from the first second on: one intrusion that ends with the file.
    let intrusion = alerts.iter().find(|a| a["kind"] == "intrusion").expect("an intrusion");
    assert!(
        intrusion["started_at"].as_str().unwrap() < "1970-01-01T00:00:05",
        "{intrusion}"
    );
    assert!(intrusion["source"].as_str().unwrap().ends_with("vtest.avi"));
    let last = alerts.last().unwrap();
    assert_eq!((&last["phase"], &last["end_reason"]), (&"end".into(), &"eof".into()));
}

/// A camera that listens for sirens, and the models.
fn yard() -> (CameraConfig, ModelOptions) {
    let models = Path::new(ROOT).join("models");
    let text = format!(
        "[models]\ndir = {models:?}\n[[camera]]\nid = \"yard\"\nurl = \"rtsp://127.0.0.1/yard\"\nkinds = [\"siren\"]\n"
    );
    let config = load_texts(vec![("replay.toml".into(), text)], &Surroundings::real())
        .unwrap()
        .config;
    (config.cameras.into_iter().next().unwrap(), config.models)
}

/// Panics on what is loud.
struct Startled(Box<dyn Listen>);

impl Listen for Startled {
    fn id(&self) -> Arc<str> {
        self.0.id()
    }
    fn labels(&self) -> Arc<[Arc<str>]> {
        self.0.labels()
    }
    fn patch_and_hop(&self) -> (usize, usize) {
        self.0.patch_and_hop()
    }
    fn classify(&mut self, patches: &[&[f32]]) -> Result<Vec<SoundScores>, String> {
        assert!(patches.iter().all(|p| p.iter().all(|s| s.abs() < 0.1)), "startled");
        self.0.classify(patches)
    }
}

#[test]
fn a_file_that_a_stage_gives_up_on_costs_the_next_one_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let [loud, quiet] = [("loud.wav", 0.5), ("quiet.wav", 0.0)].map(|(name, level)| {
        let path = dir.path().join(name);
        std::fs::write(&path, wav(&vec![level; 16_000 * 10])).unwrap();
        path
    });
    let (camera, models) = yard();
    let startled = |models: Models| Models {
        sound: Box::new(Startled(models.sound)),
        ..models
    };
    let mut player = Player::start_with(camera, &models, startled).unwrap();
    for _ in 0..2 {
        let error = player.play(&loud, 0, |_| Ok(())).unwrap_err().to_string();
        assert!(
            error.contains("loud.wav") && error.contains("hearing panicked again and again"),
            "{error}"
        );
        let mut windows = 0;
        let take = |verdict: &Verdict| {
            windows += usize::from(verdict.window.is_some() && !verdict.has_failed());
            Ok(())
        };
        player.play(&quiet, 0, take).unwrap();
        assert_eq!(windows, 20);
    }
    player.stop().unwrap();
}

/// Far more windows than wait between reader and writer.
#[test]
fn a_writer_that_fails_ends_the_recording_and_not_the_next_one() {
    let dir = tempfile::tempdir().unwrap();
    let [long, short] = [("long.wav", 600), ("short.wav", 3)].map(|(name, seconds)| {
        let path = dir.path().join(name);
        std::fs::write(&path, wav(&vec![0.0; 16_000 * seconds])).unwrap();
        path
    });
    let (camera, models) = yard();
    let mut player = Player::start(camera, &models).unwrap();
    let mut asked = 0;
    let error = player.play(&long, 0, |_| {
        asked += 1;
        anyhow::bail!("the disk is full")
    });
    assert_eq!(
        (error.unwrap_err().to_string().as_str(), asked),
        ("the disk is full", 1)
    );
    let mut ends_ns = Vec::new();
    let take = |verdict: &Verdict| {
        ends_ns.extend(verdict.window.as_ref().map(|w| w.end_ns));
        Ok(())
    };
    player.play(&short, 0, take).unwrap();
    assert_eq!(ends_ns, [1, 2, 3, 4, 5, 6].map(|half| half * 500_000_000));
    player.stop().unwrap();
}

#[test]
fn a_gated_camera_tells_the_same_alerts_and_what_that_saves() {
    let said = gating(&footage(), "intrusion,loitering");
    assert!(said.contains("1 of 1 the same"), "{said}");
    assert!(gated(&said) == 0, "somebody is always there: {said}");
}

/// An empty square for a while, then people: the detector must have slept, and be awake in time.
#[test]
fn a_gated_camera_that_slept_tells_the_same_alerts() {
    let dir = tempfile::tempdir().unwrap();
    let film = dir.path().join("square.mp4");
    let mut people = Vec::new();
    let mut reader = MediaReader::open(&footage(), 5.0, 640).unwrap();
    while let (true, Some(datum)) = (people.len() < 200, reader.next_datum().unwrap()) {
        if let Datum::Frame(picture, _) = datum {
            people.push(picture);
        }
    }
    let empty = median(&people.iter().step_by(10).collect::<Vec<_>>());
    let writer = Mp4Writer::create(&film, empty.width, empty.height, 5, false).unwrap();
    let pictures = std::iter::repeat_n(&empty, 100).chain(&people[..40]);
    for (i, picture) in pictures.enumerate() {
        writer.picture(picture, i as u64 * 200_000_000).unwrap();
    }
    writer.finish().unwrap();
    let said = gating(&film, "intrusion");
    assert!(gated(&said) >= 20 && said.contains("1 of 1 the same"), "{said}");
}

/// What `--gating` says of a recording.
fn gating(film: &Path, kinds: &str) -> String {
    let output = replay(&[film, Path::new("--kinds"), Path::new(kinds), Path::new("--gating")]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    said
}

/// Windows in which the detector slept, of the last line.
fn gated(said: &str) -> u32 {
    let words: Vec<&str> = said.lines().next_back().unwrap().split_whitespace().collect();
    let at = words.iter().position(|w| w.ends_with('%')).unwrap();
    words[at + 1].parse().unwrap()
}

/// What is there most of the time, pixel by pixel: the place without those who walk through it.
fn median(pictures: &[&Picture]) -> Picture {
    let rgb = (0..pictures[0].rgb.len()).map(|i| {
        let mut values: Vec<u8> = pictures.iter().map(|p| p.rgb[i]).collect();
        values.sort_unstable();
        values[values.len() / 2]
    });
    Picture {
        rgb: rgb.collect(),
        ..*pictures[0]
    }
}

#[test]
fn a_camera_that_does_not_work_is_named_with_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("watchfire.toml");
    let text = "[site]\nname = \"t\"\n[mqtt]\nurl = \"mqtt://127.0.0.1:1\"\n[[camera]]\nid = \"yard\"\n\
                url = \"rtsp://127.0.0.1/1\"\nanalysis_fps = 200.0\n";
    std::fs::write(&config, text).unwrap();
    let replay = |config: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_watchfire"));
        command
            .args(["replay", "a.mp4", "--config"])
            .arg(config)
            .output()
            .unwrap()
    };
    let output = replay(&config);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("no such camera that works") && said.contains("200 is out of range"),
        "{said}"
    );
    // No other takes its place unasked.
    std::fs::write(
        &config,
        format!("{text}[[camera]]\nid = \"gate\"\nurl = \"rtsp://127.0.0.1/2\"\n"),
    )
    .unwrap();
    let output = replay(&config);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code() == Some(1) && said.contains("name one with --camera"),
        "{said}"
    );
}

#[test]
fn no_recording_is_written_over_by_a_slip() {
    let dir = tempfile::tempdir().unwrap();
    let film = |name: &str| dir.path().join(name);
    let [a, b, c, nowhere, dav, toml] = ["a.mp4", "b.mp4", "c.mp4", "none/c.mp4", "d.dav", "w.toml"].map(film);
    for path in [&a, &b, &dav, &toml] {
        std::fs::write(path, b"evidence").unwrap();
    }
    let again = dir
        .path()
        .join("../")
        .join(dir.path().file_name().unwrap())
        .join("a.mp4");
    let cases: [(&[&Path], &str); 7] = [
        (&[&a, Path::new("--events"), &a], "the recording that is read"),
        (&[&a, Path::new("--explain"), &again], "the recording that is read"),
        // `--annotate *.mp4`
        (&[Path::new("--annotate"), &a, &b], "there already"),
        // Whatever a recorder calls its films.
        (&[Path::new("--annotate"), &dav, &b], "there already"),
        (&[Path::new("--events"), &toml, &b], "there already"),
        (
            &[&a, Path::new("--annotate"), &c, Path::new("--explain"), &c],
            "two things",
        ),
        (&[&a, Path::new("--annotate"), &nowhere], "no such folder"),
    ];
    for (args, why) in cases {
        let output = replay(args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(why), "{said}");
    }
    for path in [&a, &b, &dav, &toml] {
        assert_eq!(std::fs::read(path).unwrap(), b"evidence");
    }
}

#[test]
fn a_replay_that_is_stopped_leaves_whole_files_up_to_there_and_one_that_is_killed_leaves_the_old_film() {
    let dir = tempfile::tempdir().unwrap();
    let [film, plot, events] = ["film.mp4", "plot.svg", "events.jsonl"].map(|name| dir.path().join(name));
    let stopped_by = |signal: Signal| {
        std::fs::write(&film, b"an older film").unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_watchfire"));
        command.args(["replay", "--overwrite", "--models"]);
        command.arg(Path::new(ROOT).join("models")).arg(footage());
        for (option, file) in [("--annotate", &film), ("--explain", &plot), ("--events", &events)] {
            command.arg(option).arg(file);
        }
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let until = Instant::now() + Duration::from_secs(120);
        // The first alert is told in the first seconds of the recording, which lasts more than a minute.
        while std::fs::read(&events).map_or(0, |told| told.len()) == 0 {
            let runs = child.try_wait().unwrap().is_none();
            assert!(runs && Instant::now() < until, "no alert was told");
            std::thread::park_timeout(Duration::from_millis(10));
        }
        assert_eq!(std::fs::read(&film).unwrap(), b"an older film");
        kill(Pid::from_raw(child.id() as i32), signal).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status, said)
    };

    let (status, said) = stopped_by(Signal::SIGKILL);
    assert_eq!(status.code(), None, "{said}");
    assert_eq!(std::fs::read(&film).unwrap(), b"an older film");
    assert!(!plot.exists());
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }

    let (status, said) = stopped_by(Signal::SIGINT);
    assert_eq!(status.code(), Some(130), "{said}");
    assert!(said.contains("stopped, ") && said.contains("vtest.avi"), "{said}");
    let mut reader = MediaReader::open(&film, 5.0, 640).unwrap();
    let mut frames = 0;
    while let Some(datum) = reader.next_datum().unwrap() {
        frames += usize::from(matches!(datum, Datum::Frame(..)));
    }
    // Of 397.
    assert!((1..350).contains(&frames), "{frames}");
    let drawn = std::fs::read_to_string(&plot).unwrap();
    assert!(drawn.trim_end().ends_with("</svg>"), "{drawn}");
    let told = std::fs::read_to_string(&events).unwrap();
    let last: serde_json::Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&last["phase"], &last["end_reason"]),
        (&"end".into(), &"shutdown".into())
    );
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3, "litter");
}

#[test]
fn a_pipe_is_refused_instead_of_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("a.mp4");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut command = Command::new("timeout");
    command.args(["120", env!("CARGO_BIN_EXE_watchfire"), "replay", "--models"]);
    command.arg(Path::new(ROOT).join("models")).arg(&pipe);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("a.mp4: is a pipe, not a file"), "{said}");
}
