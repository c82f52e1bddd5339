use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;
use crate::behaviour::{BehaviourOptions, SoundRule, Zone};
use crate::data::{
    AudioState, BBox, HearingReport, Kind, Phase, Point, ReportBody, Snapshots, SoundPatch, Track, TrackedFrame,
    VisionReport,
};
use crate::policy::{KindPolicy, PolicyOptions};

const S: u64 = 1_000_000_000;

thread_local! {
    static TRIP: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Judging panics on the window with the number that a test has set.
pub(super) fn trip(seq: u64) {
    TRIP.with(|t| assert!(t.get() != Some(seq), "a bug in a rule"));
}

fn profile() -> Arc<CameraProfile> {
    let siren = SoundRule {
        kind: Kind::Siren,
        threshold: 0.5,
        min_windows: 1,
    };
    let policy = KindPolicy {
        kind: Kind::Siren,
        hold_s: 3.0,
        cooldown_s: 0.0,
        ..KindPolicy::default_for(Kind::Siren)
    };
    Arc::new(CameraProfile {
        behaviour: BehaviourOptions {
            sounds: vec![siren],
            ..BehaviourOptions::default()
        },
        policy: PolicyOptions {
            kinds: vec![policy],
            ..PolicyOptions::default()
        },
        snapshots: Snapshots::Off,
        ..CameraProfile::default()
    })
}

fn job(profile: &Arc<CameraProfile>, camera: &str, seq: u64) -> Job {
    let window = Window {
        camera: CameraId::new(camera),
        seq,
        start_ns: seq * S,
        end_ns: (seq + 1) * S,
        frames: vec![],
        audio: vec![],
        audio_state: AudioState::Present,
        utc_offset_ns: 0,
        arrived_ns: 0,
        breaks_off: false,
        stretch: 0,
    };
    Job::new(window, profile.clone())
}

/// A window in which a siren has this score, through the stage; after a panic, as the runner does.
fn hear(fuse: &mut Fuse, job: Job, score: f32) -> Vec<Verdict> {
    let window = &job.window;
    let bare = |branch| Report::bare(window.camera.clone(), window.seq, branch, Status::Empty);
    let patch = SoundPatch {
        start_ns: window.start_ns,
        end_ns: window.end_ns,
        scores: vec![score],
        level_dbfs: -20.0,
    };
    let heard = Report {
        status: Status::Ok,
        body: ReportBody::Hearing(HearingReport {
            patches: vec![patch],
            labels: Arc::from([Arc::from("siren")]),
            ..HearingReport::default()
        }),
        ..bare(Branch::Hearing)
    };
    let vision = bare(Branch::Vision);
    answer(fuse, job, [vision, heard])
}

/// A window and what the branches say of it.
fn answer(fuse: &mut Fuse, job: Job, reports: [Report; 2]) -> Vec<Verdict> {
    let mut out = Vec::new();
    step(fuse, FuseInput::Expect(job, 0), &mut out);
    for report in reports {
        step(fuse, FuseInput::Report(report), &mut out);
    }
    out
}

/// A window in which a car stands in the middle of the picture, under this id.
fn see_a_car(fuse: &mut Fuse, job: Job, id: u64) -> Vec<Verdict> {
    let window = &job.window;
    let bare = |branch| Report::bare(window.camera.clone(), window.seq, branch, Status::Empty);
    let car = Track {
        id,
        class: "car".into(),
        bbox: BBox {
            x1: 0.4,
            y1: 0.4,
            x2: 0.6,
            y2: 0.6,
        },
        score: 0.9,
        seen: true,
        hits: 9,
        born_ns: window.start_ns,
    };
    let frames = (0..5).map(|fifth| TrackedFrame {
        pts_ns: window.start_ns + fifth * S / 5,
        tracks: vec![car.clone()],
    });
    let seen = Report {
        status: Status::Ok,
        body: ReportBody::Vision(VisionReport {
            frames: frames.collect(),
            aspect: 1.0,
            model: "test".into(),
            faces: None,
        }),
        ..bare(Branch::Vision)
    };
    let heard = bare(Branch::Hearing);
    answer(fuse, job, [seen, heard])
}

fn options() -> FuseOptions {
    FuseOptions {
        branches: Arc::from([Branch::Vision, Branch::Hearing]),
        deadline_ns: None,
    }
}

fn step(fuse: &mut Fuse, input: FuseInput, out: &mut Vec<Verdict>) {
    let kept = input.clone();
    if catch_unwind(AssertUnwindSafe(|| fuse.process(input, out))).is_err() {
        fuse.recover(&kept);
    }
    fuse.tick(1, out);
}

fn told(verdicts: &[Verdict]) -> Vec<(Phase, Option<EndReason>)> {
    let alerts = verdicts.iter().flat_map(|v| &v.alerts);
    alerts.map(|a| (a.phase, a.end_reason)).collect()
}

#[test]
fn what_stood_there_before_a_reload_is_no_news_after_it() {
    let of = |view: &str| {
        let zone = Zone {
            classes: vec!["car".into()],
            ..Zone::new(
                "yard",
                [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]
                    .map(|(x, y)| Point { x, y })
                    .to_vec(),
            )
        };
        Arc::new(CameraProfile {
            view: view.into(),
            behaviour: BehaviourOptions {
                zones: vec![zone],
                ..BehaviourOptions::default()
            },
            policy: PolicyOptions {
                kinds: vec![KindPolicy::default_for(Kind::Intrusion)],
                ..PolicyOptions::default()
            },
            snapshots: Snapshots::Off,
            ..CameraProfile::default()
        })
    };
    let mut fuse = Fuse::new(options(), None);
    let [before, after, again] = ["the yard"; 3].map(of);
    let elsewhere = of("the street");
    let phases = |verdicts: Vec<Verdict>| told(&verdicts).into_iter().map(|(phase, _)| phase).collect::<Vec<_>>();
    let see = |fuse: &mut Fuse, profile, seconds: std::ops::Range<u64>, id| {
        let told = seconds.flat_map(|seq| see_a_car(fuse, job(profile, "a", seq), id));
        phases(told.collect())
    };
    let first = see(&mut fuse, &before, 0..60, 1);
    assert_eq!(
        (first.first(), first.last()),
        (Some(&Phase::Start), Some(&Phase::End)),
        "{first:?}"
    );
    // The tracker begins anew too, in the daemon and where a window of before came behind the camera's end.
    let reload = FuseInput::Over {
        camera: CameraId::new("a"),
        reason: EndReason::Reload,
        after: Some(59),
    };
    step(&mut fuse, reload, &mut Vec::new());
    assert_eq!(see(&mut fuse, &after, 60..90, 2), []);
    assert_eq!(see(&mut fuse, &again, 90..120, 3), []);
    // Its URL is another one.
    let there = see(&mut fuse, &elsewhere, 120..150, 4);
    assert_eq!(there.first(), Some(&Phase::Start));
}

#[test]
fn a_panic_while_judging_fails_that_window_and_an_open_alert_goes_on_to_its_own_end() {
    let (mut fuse, profile) = (Fuse::new(options(), None), profile());
    let started = hear(&mut fuse, job(&profile, "yard", 1), 0.9);
    assert_eq!(told(&started), [(Phase::Start, None)]);
    assert_eq!(
        told(&hear(&mut fuse, job(&profile, "gate", 1), 0.9)),
        [(Phase::Start, None)]
    );

    TRIP.set(Some(2));
    let failed = hear(&mut fuse, job(&profile, "yard", 2), 0.9);
    TRIP.set(None);
    assert_eq!(failed.len(), 1, "exactly one verdict a window");
    assert_eq!(failed[0].window.as_ref().map(|w| w.seq), Some(2));
    let status = |v: &Verdict, branch| v.reports.get(branch).map(|r| r.status);
    assert_eq!(status(&failed[0], Branch::Vision), Some(Status::Failed));
    assert_eq!(status(&failed[0], Branch::Hearing), Some(Status::Failed));
    assert!(told(&failed).is_empty());

    // The siren goes on, as the same alert; then it is over.
    assert!(told(&hear(&mut fuse, job(&profile, "yard", 3), 0.9)).is_empty());
    let mut rest = Vec::new();
    for seq in 4..10 {
        rest.extend(hear(&mut fuse, job(&profile, "yard", seq), 0.1));
    }
    assert_eq!(told(&rest), [(Phase::End, Some(EndReason::Cleared))]);
    let end = rest.iter().flat_map(|v| &v.alerts).next().unwrap();
    assert_eq!(end.id, started[0].alerts[0].id);
    // And the other camera noticed nothing.
    let mut out = Vec::new();
    fuse.finish(&mut out);
    assert_eq!(told(&out), [(Phase::End, Some(EndReason::Shutdown))]);
    assert_eq!(out[0].camera.as_str(), "gate");
}

#[test]
fn a_lost_camera_ends_its_alerts_although_its_last_window_panics() {
    let (mut fuse, profile) = (Fuse::new(options(), None), profile());
    hear(&mut fuse, job(&profile, "yard", 1), 0.9);
    let mut out = Vec::new();
    for seq in [2, 3] {
        step(&mut fuse, FuseInput::Expect(job(&profile, "yard", seq), 0), &mut out);
    }
    TRIP.set(Some(2));
    let over = FuseInput::Over {
        camera: CameraId::new("yard"),
        reason: EndReason::CameraLost,
        after: None,
    };
    step(&mut fuse, over, &mut out);
    TRIP.set(None);
    assert_eq!(told(&out), [(Phase::End, Some(EndReason::CameraLost))]);
    let mut judged: Vec<u64> = out.iter().filter_map(|v| Some(v.window.as_ref()?.seq)).collect();
    judged.sort_unstable();
    assert_eq!(judged, [2, 3]);
}

fn lost(after: u64) -> FuseInput {
    FuseInput::Over {
        camera: CameraId::new("yard"),
        reason: EndReason::CameraLost,
        after: Some(after),
    }
}

#[test]
fn the_last_windows_of_a_lost_camera_are_judged_before_its_alerts_end_and_open_none_after() {
    let (mut fuse, profile) = (Fuse::new(options(), None), profile());
    let mut out = hear(&mut fuse, job(&profile, "yard", 1), 0.1);
    // The word is faster than the window that was sent before it.
    step(&mut fuse, lost(2), &mut out);
    assert_eq!(told(&out), []);
    out.extend(hear(&mut fuse, job(&profile, "yard", 2), 0.9));
    assert_eq!(
        told(&out),
        [(Phase::Start, None), (Phase::End, Some(EndReason::CameraLost))]
    );
    assert!(fuse.over.is_empty());
}

#[test]
fn a_window_that_was_shed_does_not_hold_the_end_up() {
    let live = FuseOptions {
        deadline_ns: Some(2 * S),
        ..options()
    };
    let (mut fuse, profile) = (Fuse::new(live, None), profile());
    let mut out = hear(&mut fuse, job(&profile, "yard", 1), 0.9);
    step(&mut fuse, lost(2), &mut out);
    assert_eq!(told(&out), [(Phase::Start, None)]);
    // Until the deadline, or until the stream goes on.
    let mut late = Vec::new();
    fuse.tick(5 * S, &mut late);
    assert_eq!(told(&late), [(Phase::End, Some(EndReason::CameraLost))]);

    out = hear(&mut fuse, job(&profile, "yard", 7), 0.9);
    step(&mut fuse, lost(8), &mut out);
    out.extend(hear(&mut fuse, job(&profile, "yard", 9), 0.1));
    assert_eq!(
        told(&out),
        [(Phase::Start, None), (Phase::End, Some(EndReason::CameraLost))]
    );
}

fn job_of_length(profile: &Arc<CameraProfile>, seq: u64, length_ns: u64) -> Job {
    let mut window = (*job(profile, "yard", seq).window).clone();
    window.end_ns = window.start_ns + length_ns;
    Job::new(window, profile.clone())
}

fn live() -> FuseOptions {
    FuseOptions {
        deadline_ns: Some(3 * S),
        ..options()
    }
}

#[test]
fn long_windows_wait_longer_for_their_branches() {
    for (length_ns, waits_ns) in [(S / 2, 3 * S), (2 * S, 8 * S)] {
        let (mut fuse, profile) = (Fuse::new(live(), None), profile());
        let expect = FuseInput::Expect(job_of_length(&profile, 1, length_ns), 0);
        step(&mut fuse, expect, &mut Vec::new());
        let (mut before, mut after) = (Vec::new(), Vec::new());
        fuse.tick(waits_ns - 1, &mut before);
        fuse.tick(waits_ns, &mut after);
        assert_eq!((before.len(), after.len()), (0, 1), "{length_ns}");
    }
}

#[test]
fn the_short_last_window_of_a_stream_waits_as_long_as_those_before_it() {
    let (mut fuse, profile) = (Fuse::new(live(), None), profile());
    let started = hear(&mut fuse, job_of_length(&profile, 1, 2 * S), 0.9);
    assert_eq!(told(&started), [(Phase::Start, None)]);
    let (mut before, mut after) = (Vec::new(), Vec::new());
    let last = job_of_length(&profile, 3, S / 2);
    step(&mut fuse, FuseInput::Expect(last, 0), &mut before);
    // One more was shed on its way: the alerts' end waits as long.
    step(&mut fuse, lost(4), &mut before);
    fuse.tick(8 * S - 1, &mut before);
    assert_eq!(before.len(), 0);
    fuse.tick(8 * S + 1, &mut after);
    assert_eq!(told(&after), [(Phase::End, Some(EndReason::CameraLost))]);
    assert_eq!(after.iter().filter_map(|v| v.window.as_ref()).count(), 1);
}

mod learned_tests;
mod lost_tests;
