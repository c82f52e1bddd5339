//! The graph with stand-ins for the models: who answers for a window when a model panics, hangs or is too slow.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use watchfire::behaviour::{BehaviourOptions, FightOptions};
use watchfire::clock::{Clock, ManualClock};
use watchfire::data::{
    AudioChunk, AudioState, BBox, Branch, CameraId, Detection, Frame, Picture, Snapshots, Status, Window,
};
use watchfire::graph::{CameraInlet, EdgeOut, Graph, GraphOptions, Metrics, Models, Next};
use watchfire::stages::{
    CameraProfile, ClipScores, ClipShape, Detect, Gating, Listen, SoundScores, Verdict, WatchClips,
};

const PATIENCE: Duration = Duration::from_secs(20);
const S: u64 = 1_000_000_000;
/// A picture of this width makes the detector panic.
const CURSED_PX: u32 = 13;

/// Sees one person in every picture. Each call waits until `go` is sent or closed, and tells its number of pictures.
struct Seer {
    go: Receiver<()>,
    calls: Sender<usize>,
}

impl Detect for Seer {
    fn id(&self) -> Arc<str> {
        "seer@1".into()
    }
    fn labels(&self) -> Arc<[Arc<str>]> {
        Arc::from([Arc::from("person")])
    }
    fn detect(&mut self, pictures: &[&Picture]) -> Result<Vec<Vec<Detection>>, String> {
        let _ = self.calls.send(pictures.len());
        let _ = self.go.recv();
        assert!(pictures.iter().all(|p| p.width != CURSED_PX), "a cursed picture");
        let bbox = BBox {
            x1: 0.4,
            y1: 0.4,
            x2: 0.6,
            y2: 0.9,
        };
        let person = Detection {
            bbox,
            class: 0,
            score: 0.9,
        };
        Ok(vec![vec![person]; pictures.len()])
    }
}

struct Deaf;

impl Listen for Deaf {
    fn id(&self) -> Arc<str> {
        "deaf@1".into()
    }
    fn labels(&self) -> Arc<[Arc<str>]> {
        Arc::from([])
    }
    fn patch_and_hop(&self) -> (usize, usize) {
        (15_360, 7_680)
    }
    fn classify(&mut self, patches: &[&[f32]]) -> Result<Vec<SoundScores>, String> {
        let nothing = SoundScores {
            scores: vec![],
            embedding: Arc::from([0.0]),
        };
        Ok(vec![nothing; patches.len()])
    }
}

/// A running graph with everything around it.
struct Bench {
    graph: Graph,
    verdicts: EdgeOut<Verdict>,
    metrics: Metrics,
    clock: Arc<ManualClock>,
    /// Lets one call of the detector go; when dropped, all of them.
    go: Sender<()>,
    calls: Receiver<usize>,
}

/// Waits for what is sure to come.
fn wait_until(what: &str, has_come: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !has_come() {
        assert!(Instant::now() < until, "{what}");
        std::thread::yield_now();
    }
}

fn bench(options: &GraphOptions) -> Bench {
    let (go, going) = bounded(0);
    let (calls, called) = unbounded();
    let models = Models {
        detector: Box::new(Seer { go: going, calls }),
        action: None,
        fusion: None,
        sound: Box::new(Deaf),
        voice: None,
        faces: None,
    };
    let clock = Arc::new(ManualClock::default());
    let mut metrics = Metrics::default();
    let (graph, verdicts) = Graph::start(options, models, clock.clone(), &mut metrics).unwrap();
    Bench {
        graph,
        verdicts,
        metrics,
        clock,
        go,
        calls: called,
    }
}

impl Bench {
    fn camera(&self, name: &str) -> CameraInlet {
        let profile = CameraProfile {
            detect: vec!["person".into()],
            snapshots: Snapshots::Off,
            ..CameraProfile::default()
        };
        self.graph.camera(CameraId::new(name), profile, Arc::default())
    }

    fn verdict(&self) -> Verdict {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            match self.verdicts.next(PATIENCE) {
                Next::Item(verdict) => return verdict,
                Next::Idle => {}
                Next::Closed => panic!("the graph ended"),
            }
        }
        panic!("no verdict came");
    }

    /// Until so many windows wait in front of vision.
    fn vision_waits_with(&self, windows: u64) {
        let what = format!("vision never had {windows} windows waiting");
        wait_until(&what, || self.metrics.edges["vision"].waiting() == windows);
    }
}

/// One second with four pictures of a width.
fn window(camera: &str, seq: u64, width: u32) -> Window {
    let picture = Arc::new(Picture {
        width,
        height: 8,
        rgb: vec![0; (width * 8 * 3) as usize],
    });
    Window {
        camera: CameraId::new(camera),
        seq,
        start_ns: seq * S,
        end_ns: (seq + 1) * S,
        frames: (0..4)
            .map(|i| Frame {
                pts_ns: seq * S + i * S / 4,
                picture: picture.clone(),
                native: None,
            })
            .collect(),
        audio: vec![],
        audio_state: AudioState::None,
        utc_offset_ns: 0,
        arrived_ns: 0,
        breaks_off: false,
        stretch: 0,
    }
}

fn vision(verdict: &Verdict) -> (String, u64, Status) {
    let report = verdict.reports.get(Branch::Vision).unwrap();
    (report.camera.to_string(), report.seq, report.status)
}

#[test]
fn a_panic_on_one_cameras_window_fails_that_window_and_its_camera_alone_starts_anew() {
    let bench = bench(&GraphOptions::live());
    let names = ["bad", "good"];
    let cameras = names.map(|name| bench.camera(name));
    for (seq, width_of_bad) in [(1, 16), (2, CURSED_PX), (3, 16)] {
        for (camera, name) in cameras.iter().zip(names) {
            camera.push(window(name, seq, if name == "bad" { width_of_bad } else { 16 }));
            assert_eq!(bench.calls.recv_timeout(PATIENCE), Ok(4));
            bench.go.send(()).unwrap();
            let verdict = bench.verdict();
            let failed = name == "bad" && seq == 2;
            let status = if failed { Status::Failed } else { Status::Ok };
            assert_eq!(vision(&verdict), (name.to_owned(), seq, status));
            if seq == 3 {
                let last = verdict.seen().unwrap().frames.last().unwrap();
                let born_s: Vec<u64> = last.tracks.iter().map(|t| t.born_ns / S).collect();
                let since = if name == "bad" { 3 } else { 1 };
                assert_eq!(born_s, [since], "the person at {name} is followed since then");
            }
        }
    }
    assert_eq!(bench.metrics.stages["vision"].failed.load(Relaxed), 1);
    assert_eq!(bench.graph.health().fatal(), None);
}

#[test]
fn under_overload_every_window_is_answered_once_and_a_quiet_camera_loses_none() {
    let bench = bench(&GraphOptions::live());
    let (busy, quiet) = (bench.camera("busy"), bench.camera("quiet"));
    busy.push(window("busy", 1, 16));
    assert_eq!(bench.calls.recv_timeout(PATIENCE), Ok(4));
    quiet.push(window("quiet", 1, 16));
    bench.vision_waits_with(1);
    for seq in 2..=6 {
        busy.push(window("busy", seq, 16));
        // Through the gate, before the next one comes.
        bench.vision_waits_with(seq.min(3));
        let passed = &bench.metrics.edges["vision"];
        wait_until("it stays before the gate", || passed.pushed.load(Relaxed) > seq);
    }
    let Bench {
        graph, verdicts, go, ..
    } = bench;
    drop((go, busy, quiet));
    graph.stop(PATIENCE).unwrap();
    let mut got = Vec::new();
    while let Next::Item(verdict) = verdicts.next(PATIENCE) {
        got.push(vision(&verdict));
    }
    got.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    let busy = [
        Status::Ok,
        Status::Shed,
        Status::Shed,
        Status::Shed,
        Status::Ok,
        Status::Ok,
    ];
    let mut expected: Vec<_> = (1..)
        .zip(busy)
        .map(|(seq, status)| ("busy".to_owned(), seq, status))
        .collect();
    expected.push(("quiet".to_owned(), 1, Status::Ok));
    assert_eq!(got, expected);
}

#[test]
fn what_vision_kept_to_itself_while_nothing_moved_is_told_at_the_streams_end_also_by_sound_alone() {
    let Bench {
        graph, verdicts, go, ..
    } = bench(&GraphOptions::replay());
    drop(go);
    let profile = CameraProfile {
        detect: vec!["person".into()],
        gating: Gating::Motion,
        snapshots: Snapshots::Off,
        ..CameraProfile::default()
    };
    let camera = graph.camera(CameraId::new("yard"), profile, Arc::default());
    for seq in 0..12 {
        camera.push(window("yard", seq, 16));
    }
    camera.push(Window {
        frames: vec![],
        breaks_off: true,
        ..window("yard", 12, 16)
    });
    drop(camera);
    graph.stop(PATIENCE).unwrap();
    let mut told_ns = Vec::new();
    while let Next::Item(verdict) = verdicts.next(PATIENCE) {
        told_ns.extend(verdict.seen().iter().flat_map(|seen| &seen.frames).map(|f| f.pts_ns));
    }
    let all: Vec<u64> = (0..12 * 4).map(|i| i * S / 4).collect();
    assert_eq!(told_ns, all, "each frame once, in order");
}

#[test]
fn a_branch_that_misses_the_deadline_is_late_and_holds_nobody_up() {
    let bench = bench(&GraphOptions::live());
    let camera = bench.camera("yard");
    camera.push(window("yard", 1, 16));
    assert_eq!(bench.calls.recv_timeout(PATIENCE), Ok(4));
    // Fuse knows of the window and has hearing's answer.
    let reports = &bench.metrics.edges["reports"];
    wait_until("hearing did not answer", || reports.wait.count() >= 2);
    bench.clock.advance_ns(4 * S);
    let verdict = bench.verdict();
    assert_eq!(vision(&verdict), ("yard".to_owned(), 1, Status::Late));
    assert_eq!(
        verdict.reports.get(Branch::Hearing).map(|r| r.status),
        Some(Status::Empty)
    );
    // Its answer comes too late and changes nothing; the next window is judged as ever.
    bench.go.send(()).unwrap();
    camera.push(window("yard", 2, 16));
    bench.go.send(()).unwrap();
    assert_eq!(vision(&bench.verdict()), ("yard".to_owned(), 2, Status::Ok));
}

#[test]
fn a_stop_names_whoever_still_runs_at_the_deadline() {
    let bench = bench(&GraphOptions::live());
    let camera = bench.camera("yard");
    camera.push(window("yard", 1, 16));
    assert_eq!(bench.calls.recv_timeout(PATIENCE), Ok(4));
    let Bench { graph, go, clock, .. } = bench;
    drop(camera);
    let health = graph.health().clone();
    // Who ends with its input may be named too where the deadline is short, and is soon gone.
    let named = graph.stop(Duration::ZERO).unwrap_err();
    assert!(named.contains(&"vision") && named.contains(&"fuse"), "{named:?}");
    // Gate and hearing end with their inputs; fuse waits for vision, which hangs.
    wait_until("gate or hearing runs on", || health.running() == ["vision", "fuse"]);
    // The heartbeat tells the one that hangs from the one that waits for it.
    clock.advance_ns(30 * S);
    wait_until("no heartbeat from fuse", || {
        health.stuck(clock.monotonic_ns(), Duration::from_secs(20)) == ["vision"]
    });
    drop(go);
    wait_until("somebody runs on", || health.running().is_empty());
}

/// A camera may give one picture a second while windows are shorter, and a network that stood still sends all at once.
#[test]
fn windows_without_a_picture_take_no_place_of_one_that_has() {
    let bench = bench(&GraphOptions::live());
    let camera = bench.camera("slow");
    camera.push(window("slow", 0, 32));
    bench.calls.recv_timeout(PATIENCE).unwrap();
    // The detector is at work; what comes meanwhile waits.
    for seq in 1..6 {
        let mut next = window("slow", seq, 32);
        if seq > 1 {
            next.frames.clear();
        }
        camera.push(next);
        // Through the gate, before the next one comes.
        let passed = &bench.metrics.edges["hearing"];
        wait_until("it stays before the gate", || passed.pushed.load(Relaxed) > seq);
    }
    bench.go.send(()).unwrap();
    bench.go.send(()).unwrap();
    let got: Vec<Status> = (0..6).map(|_| vision(&bench.verdict()).2).collect();
    assert_eq!(got[..2], [Status::Ok, Status::Ok]);
    assert!(got[2..].iter().all(|status| *status == Status::Empty), "{got:?}");
}

/// Finds nothing in clips of two seconds.
struct Watcher;

impl WatchClips for Watcher {
    fn id(&self) -> Arc<str> {
        "watcher@1".into()
    }
    fn labels(&self) -> Arc<[Arc<str>]> {
        Arc::from([Arc::from("fight")])
    }
    fn shape(&self) -> ClipShape {
        ClipShape {
            span_ns: 2 * S,
            frames: 4,
        }
    }
    fn shrink(&self, picture: &Picture) -> Picture {
        picture.clone()
    }
    fn classify(&mut self, clips: &[Vec<&Picture>]) -> Result<Vec<ClipScores>, String> {
        let nothing = ClipScores {
            scores: vec![0.1],
            embedding: Arc::from([0.0]),
        };
        Ok(vec![nothing; clips.len()])
    }
}

/// In windows of two seconds, of which the second one's picture stops at once.
#[test]
fn sound_that_begins_long_after_the_picture_has_stopped_is_no_pair_with_its_clip() {
    let (go, going) = bounded(0);
    drop(go);
    let models = Models {
        detector: Box::new(Seer {
            go: going,
            calls: unbounded().0,
        }),
        action: Some(Box::new(Watcher)),
        fusion: None,
        sound: Box::new(Deaf),
        voice: None,
        faces: None,
    };
    let clock = Arc::new(ManualClock::default());
    let (graph, verdicts) = Graph::start(&GraphOptions::replay(), models, clock, &mut Metrics::default()).unwrap();
    for (name, after_ms, skewed) in [("pair", 400, false), ("no-pair", 600, true)] {
        let profile = CameraProfile {
            gating: Gating::Never,
            behaviour: BehaviourOptions {
                fight: Some(FightOptions::default()),
                ..BehaviourOptions::default()
            },
            ..CameraProfile::default()
        };
        let camera = graph.camera(CameraId::new(name), profile, Arc::default());
        let seen = [window(name, 0, 64), window(name, 1, 64)].map(|w| w.frames).concat();
        camera.push(Window {
            end_ns: 2 * S,
            frames: seen,
            ..window(name, 0, 64)
        });
        camera.push(Window {
            start_ns: 2 * S,
            end_ns: 4 * S,
            frames: window(name, 2, 64).frames[..1].to_vec(),
            audio: vec![AudioChunk {
                pts_ns: 2 * S + after_ms * 1_000_000,
                samples: vec![0.0; 16_000].into(),
            }],
            audio_state: AudioState::Present,
            ..window(name, 1, 64)
        });
        let mut last = None;
        while last.is_none() {
            match verdicts.next(PATIENCE) {
                Next::Item(verdict) => last = Some(verdict).filter(|v| v.window.as_ref().is_some_and(|w| w.seq == 1)),
                _ => panic!("no verdict came"),
            }
        }
        let reports = last.unwrap().reports;
        assert!(reports.acted().is_some() && reports.heard().is_some(), "{name}");
        assert_eq!(reports.are_skewed(), skewed, "{name}");
        assert_eq!(reports.heard_beside_clip().is_none(), skewed, "{name}");
    }
}
