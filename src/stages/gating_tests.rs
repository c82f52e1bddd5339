//! Gate, vision and fuse one after the other, over pictures in which somebody is drawn: what is looked at, what is told.

use std::sync::Arc;

use crossbeam_channel::{Sender, unbounded};

use super::*;
use crate::behaviour::{Line, Zone};
use crate::data::{
    Alert, AudioChunk, AudioState, BBox, Branch, Detection, Frame, Kind, Phase, Picture, Point, Report, ReportBody,
    Status, Window,
};
use crate::policy::KindPolicy;

const FRAME_NS: u64 = 200_000_000;
const WINDOW_NS: u64 = 500_000_000;
const S: u64 = 1_000_000_000;
const WIDTH: u32 = 320;
const HEIGHT: u32 = 180;
const GROUND: u8 = 80;

/// Somebody of 16×48 pixels: left edge, and how bright.
type Somebody = Option<(f32, u8)>;

/// Sees the one who is drawn, in the pictures that it is given, whose times (drawn in too) it notes.
struct Draughtsman(Sender<u64>);

impl Detect for Draughtsman {
    fn id(&self) -> Arc<str> {
        "draughtsman@1".into()
    }

    fn labels(&self) -> Arc<[Arc<str>]> {
        ["person".into()].into()
    }

    fn detect(&mut self, pictures: &[&Picture]) -> Result<Vec<Vec<Detection>>, String> {
        let seen = |picture: &&Picture| {
            let number = u32::from_le_bytes([picture.rgb[0], picture.rgb[1], picture.rgb[2], 0]);
            self.0.send(u64::from(number) * FRAME_NS).unwrap();
            let row = &picture.rgb[(100 * WIDTH * 3) as usize..(101 * WIDTH * 3) as usize];
            let inside: Vec<usize> = (0..WIDTH as usize).filter(|x| row[x * 3] != GROUND).collect();
            let part = |x: usize| x as f32 / WIDTH as f32;
            inside.first().zip(inside.last()).map(|(first, last)| Detection {
                bbox: BBox {
                    x1: part(*first),
                    y1: 80.0 / HEIGHT as f32,
                    x2: part(last + 1),
                    y2: 128.0 / HEIGHT as f32,
                },
                class: 0,
                score: 0.9,
            })
        };
        Ok(pictures.iter().map(|p| seen(p).into_iter().collect()).collect())
    }
}

fn picture(number: u32, somebody: Somebody) -> Picture {
    let mut rgb = vec![GROUND; (WIDTH * HEIGHT * 3) as usize];
    if let Some((left, bright)) = somebody {
        for y in 80..128 {
            for x in left as u32..(left as u32 + 16).min(WIDTH) {
                rgb[((y * WIDTH + x) * 3) as usize..][..3].fill(bright);
            }
        }
    }
    rgb[..3].copy_from_slice(&number.to_le_bytes()[..3]);
    Picture {
        width: WIDTH,
        height: HEIGHT,
        rgb,
    }
}

/// A zone in the right half, and a line through the middle.
fn profile(gating: Gating) -> CameraProfile {
    let point = |x, y| Point { x, y };
    let mut zone = Zone::new(
        "right",
        vec![point(0.5, 0.0), point(1.0, 0.0), point(1.0, 1.0), point(0.5, 1.0)],
    );
    zone.kinds = vec![Kind::Intrusion, Kind::Loitering];
    let line = Line {
        name: "middle".into(),
        from: point(0.5, 1.0),
        to: point(0.5, 0.0),
        direction: None,
        way: None,
        classes: vec!["person".into()],
        anchor: crate::behaviour::Anchor::Bottom,
    };
    CameraProfile {
        detect: vec!["person".into()],
        gating,
        behaviour: BehaviourOptions {
            zones: vec![zone],
            lines: vec![line],
            ..BehaviourOptions::default()
        },
        policy: PolicyOptions {
            kinds: [Kind::Intrusion, Kind::Loitering, Kind::LineCrossing]
                .map(KindPolicy::default_for)
                .into(),
            ..PolicyOptions::default()
        },
        snapshots: Snapshots::Off,
        ..CameraProfile::default()
    }
}

/// What came of a scene.
#[derive(Debug, PartialEq)]
struct Played {
    /// Times of the frames that the detector looked at.
    looked: Vec<u64>,
    /// Vision's answer to each window.
    statuses: Vec<Status>,
    /// The newest frame that vision told of.
    told_ns: u64,
    alerts: Vec<Alert>,
}

impl Played {
    fn told(&self, kind: Kind, phase: Phase) -> Vec<u64> {
        let told = self.alerts.iter().filter(|a| a.kind == kind && a.phase == phase);
        told.map(|a| a.ended_utc_ns.unwrap_or(a.started_utc_ns) as u64)
            .collect()
    }

    fn starts(&self) -> Vec<(Kind, u64)> {
        let starts = self.alerts.iter().filter(|a| a.phase == Phase::Start);
        starts.map(|a| (a.kind, a.started_utc_ns as u64)).collect()
    }

    fn looks_between(&self, from_s: u64, to_s: u64) -> usize {
        self.looked
            .iter()
            .filter(|t| (from_s * S..to_s * S).contains(*t))
            .count()
    }
}

fn play(gating: Gating, seconds: u64, somebody: impl Fn(f32) -> Somebody) -> Played {
    play_with(profile(gating), seconds, somebody, |_| 0.001)
}

/// `loudness`: the sound's amplitude by second.
fn play_with(
    profile: CameraProfile,
    seconds: u64,
    somebody: impl Fn(f32) -> Somebody,
    loudness: impl Fn(f32) -> f32,
) -> Played {
    let (looks, looked) = unbounded();
    let mut gate = Gate::default();
    let mut vision = Vision::new(Box::new(Draughtsman(looks)), None);
    let branches = [Branch::Vision].into();
    let mut fuse = Fuse::new(
        FuseOptions {
            branches,
            deadline_ns: None,
        },
        None,
    );
    let profile = Arc::new(profile);
    let (mut statuses, mut told_ns, mut alerts) = (Vec::new(), 0, Vec::new());
    for seq in 0..seconds * 2 {
        let (start_ns, end_ns) = (seq * WINDOW_NS, (seq + 1) * WINDOW_NS);
        let frames = (start_ns.div_ceil(FRAME_NS)..end_ns.div_ceil(FRAME_NS)).map(|i| Frame {
            pts_ns: i * FRAME_NS,
            picture: Arc::new(picture(i as u32, somebody((i * FRAME_NS) as f32 / 1e9))),
            native: None,
        });
        let window = Window {
            camera: CameraId::new("yard"),
            seq,
            start_ns,
            end_ns,
            frames: frames.collect(),
            audio: vec![AudioChunk {
                pts_ns: start_ns,
                samples: [1.0, -1.0]
                    .map(|s| s * loudness(start_ns as f32 / 1e9))
                    .repeat(4_000)
                    .into(),
            }],
            audio_state: AudioState::Present,
            utc_offset_ns: 0,
            arrived_ns: 0,
            breaks_off: seq + 1 == seconds * 2,
            stretch: 0,
        };
        let job = Job::new(window, profile.clone());
        let (mut gated, mut reports, mut verdicts) = (Vec::new(), Vec::new(), Vec::new());
        gate.process(job, &mut gated).unwrap();
        let [job]: [Job; 1] = gated.try_into().expect("one job a window");
        vision.process(job.clone(), &mut reports).unwrap();
        let [report]: [Report; 1] = reports.try_into().expect("one report a window");
        statuses.push(report.status);
        if let ReportBody::Vision(seen) = &report.body {
            told_ns = seen.frames.last().map_or(told_ns, |frame| frame.pts_ns);
        }
        fuse.process(FuseInput::Expect(job, 0), &mut verdicts).unwrap();
        fuse.process(FuseInput::Report(report), &mut verdicts).unwrap();
        assert_eq!(verdicts.len(), 1, "one verdict a window");
        alerts.extend(verdicts.remove(0).alerts);
    }
    Played {
        looked: looked.try_iter().collect(),
        statuses,
        told_ns,
        alerts,
    }
}

/// Walks in from the left at `from_s`, a body height in the second, and stands still from `stands_s` on.
fn comes(from_s: f32, stands_s: f32) -> impl Fn(f32) -> Somebody {
    move |t| (t >= from_s).then_some((60.0 * (t.min(stands_s) - from_s), 160))
}

#[test]
fn an_intruder_after_a_long_quiet_is_seen_from_the_first_frame_on_and_told_of_as_without_the_gate() {
    // Through the picture within five seconds, and out of it.
    let passes = |t: f32| comes(62.0, 99.0)(t).filter(|(x, _)| *x < 304.0);
    let (always, motion) = (play(Gating::Always, 90, passes), play(Gating::Motion, 90, passes));
    assert_eq!(motion.starts(), always.starts());
    assert_eq!(always.starts().len(), 2, "an intrusion and a crossing");
    // The windows before the wake-up were handed over: a second of them, and every frame from there on.
    let expected: Vec<u64> = (61 * 5..67 * 5).map(|i| i * FRAME_NS).collect();
    let seen: Vec<u64> = motion.looked.iter().copied().filter(|t| expected.contains(t)).collect();
    assert_eq!(seen, expected);
    // Awake at the start, then a frame every five seconds.
    assert!(motion.looks_between(7, 58) <= 11, "{:?}", motion.looked);
    assert_eq!(motion.statuses.len(), 180);
    assert!(
        motion.looked.windows(2).all(|t| t[0] < t[1]),
        "in order, and none twice"
    );
}

#[test]
fn it_sleeps_only_after_some_quiet_seconds() {
    let passes = |t: f32| comes(30.0, 99.0)(t).filter(|(x, _)| *x < 304.0);
    let motion = play(Gating::Motion, 120, passes);
    // Out of the picture after 35.1 s; where he walked the background has him for a while.
    assert_eq!(motion.looks_between(30, 40), 50, "wide awake for five seconds more");
    assert!(motion.looks_between(80, 120) <= 9, "{:?}", motion.looked);
}

#[test]
fn who_stands_still_holds_the_alert_open_while_the_gate_sleeps() {
    let leaves = |t: f32| {
        let back = 60.0 * (t - 240.0).max(0.0);
        comes(10.0, 14.0)(t)
            .map(|(x, c)| (x - back, c))
            .filter(|(x, _)| *x >= 0.0)
    };
    let (always, motion) = (play(Gating::Always, 260, leaves), play(Gating::Motion, 260, leaves));
    assert_eq!(motion.starts(), always.starts());
    for kind in [Kind::Intrusion, Kind::Loitering] {
        let (ends, expected) = (motion.told(kind, Phase::End), always.told(kind, Phase::End));
        assert_eq!((ends.len(), expected.len()), (1, 1), "{kind}");
        assert!(
            ends[0].abs_diff(expected[0]) <= WINDOW_NS,
            "{kind}: {ends:?} {expected:?}"
        );
    }
    let gated = motion.statuses.iter().filter(|s| **s == Status::Gated).count();
    assert!(gated > 300, "{gated} of 520 windows slept");
    assert!(always.statuses.iter().all(|s| *s == Status::Ok));
}

#[test]
fn one_alert_lasts_while_the_detector_falls_asleep_also_where_little_is_held() {
    let stands = |t: f32| comes(2.0, 6.0)(t);
    for hold_s in [1.0, 1.5, 2.0] {
        let mut brief = profile(Gating::Motion);
        brief.policy.kinds.iter_mut().for_each(|kind| kind.hold_s = hold_s);
        let motion = play_with(brief, 50, stands, |_| 0.001);
        assert!(motion.statuses.contains(&Status::Gated));
        assert_eq!(motion.told(Kind::Intrusion, Phase::Start).len(), 1, "hold {hold_s} s");
        assert_eq!(motion.told(Kind::Intrusion, Phase::End), [0; 0], "hold {hold_s} s");
    }
}

#[test]
fn a_recording_that_ends_while_the_detector_sleeps_is_told_of_to_its_end() {
    let motion = play(Gating::Motion, 18, |_| Some((200.0, 160)));
    assert_eq!(motion.statuses.last(), Some(&Status::Gated));
    assert_eq!(motion.told_ns, 18 * S - FRAME_NS);
}

#[test]
fn a_glance_finds_who_came_unnoticed_and_who_went_unnoticed() {
    // Two grey levels are below anything that the gate can tell from noise.
    let fades = |t: f32| (40.0..58.0).contains(&t).then_some((200.0, GROUND + 2));
    let motion = play(Gating::Motion, 90, fades);
    let starts = motion.told(Kind::Intrusion, Phase::Start);
    assert_eq!(starts.len(), 1);
    assert!((40 * S..47 * S).contains(&starts[0]), "{starts:?}");
    // Looked on until it was sure, then slept, and held it.
    let looks = motion.looks_between(48, 58);
    assert!((2..=3).contains(&looks), "{looks} looks");
    let ends = motion.told(Kind::Intrusion, Phase::End);
    assert_eq!(ends.len(), 1);
    assert!((58 * S..64 * S).contains(&ends[0]), "{ends:?}");
}

#[test]
fn a_loud_sound_wakes_the_detector() {
    let bang = |t: f32| if (60.0..60.5).contains(&t) { 0.3 } else { 0.001 };
    let motion = play_with(profile(Gating::Motion), 90, |_| None, bang);
    assert!(motion.looks_between(60, 65) >= 24, "{:?}", motion.looked);
    assert!(motion.looks_between(70, 90) <= 4);
}

#[test]
fn two_runs_are_the_same() {
    let scene = |t: f32| comes(20.0, 23.0)(t).map(|(x, c)| (x + 4.0 * (t * 0.7).sin(), c));
    let (first, second) = (play(Gating::Motion, 60, scene), play(Gating::Motion, 60, scene));
    assert_eq!(first, second);
    assert!(!first.alerts.is_empty());
}
