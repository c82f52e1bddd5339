//! What a camera has learned goes with it through reloads, panics and losses of the stream.

use super::*;
use crate::behaviour::AnomalyOptions;
use crate::data::{TrackedFrame, VisionReport};

/// A camera that learns, with what the store has of it.
fn learning(stored: Option<&str>) -> Arc<CameraProfile> {
    let plain = Arc::into_inner(profile()).unwrap();
    Arc::new(CameraProfile {
        behaviour: BehaviourOptions {
            anomaly: Some(AnomalyOptions::default()),
            ..BehaviourOptions::default()
        },
        learned: stored.map(Into::into),
        ..plain
    })
}

/// Windows of a second each in which nobody is seen; the first of a stream adds nothing to what was watched.
fn watch(fuse: &mut Fuse, profile: &Arc<CameraProfile>, seqs: std::ops::Range<u64>) -> Vec<Verdict> {
    let mut out = Vec::new();
    for seq in seqs {
        let job = job(profile, "yard", seq);
        let bare = |branch| Report::bare(job.camera().clone(), seq, branch, Status::Empty);
        let seen = VisionReport {
            frames: vec![TrackedFrame {
                pts_ns: job.window.start_ns,
                tracks: vec![],
            }],
            aspect: 1.0,
            model: "detector@1".into(),
            faces: None,
        };
        let seen = Report {
            status: Status::Ok,
            body: ReportBody::Vision(seen),
            ..bare(Branch::Vision)
        };
        let heard = bare(Branch::Hearing);
        out.extend(answer(fuse, job, [seen, heard]));
    }
    out
}

/// The camera's stream is over; what it had learned then.
fn over(fuse: &mut Fuse, reason: EndReason) -> Arc<str> {
    let mut out = Vec::new();
    let camera = CameraId::new("yard");
    step(
        fuse,
        FuseInput::Over {
            camera,
            reason,
            after: None,
        },
        &mut out,
    );
    out.into_iter().find_map(|v| v.learned).unwrap()
}

fn watched_s(learned: &str) -> f64 {
    let text: serde_json::Value = serde_json::from_str(learned).unwrap();
    text["watched_s"].as_f64().unwrap()
}

#[test]
fn a_reload_goes_on_with_what_was_learned_and_not_with_the_older_state_of_the_store() {
    let mut fuse = Fuse::new(options(), None);
    let first = learning(None);
    watch(&mut fuse, &first, 0..11);
    let stored = over(&mut fuse, EndReason::CameraLost);
    assert_eq!(watched_s(&stored), 10.0);
    watch(&mut fuse, &first, 11..32);
    let told = over(&mut fuse, EndReason::Reload);
    assert_eq!(watched_s(&told), 30.0, "it is told at the reload, for the store");
    // The new profile was made before the recorder had written that.
    watch(&mut fuse, &learning(Some(&stored)), 32..43);
    assert_eq!(watched_s(&over(&mut fuse, EndReason::Reload)), 40.0);
}

#[test]
fn what_was_learned_is_told_every_ten_minutes_while_the_stream_goes_on() {
    let mut fuse = Fuse::new(options(), None);
    let verdicts = watch(&mut fuse, &learning(None), 0..1250);
    let learned = verdicts
        .iter()
        .filter_map(|v| Some((v.window.as_ref()?.seq, v.learned.as_deref()?)));
    let told: Vec<(u64, f64)> = learned.map(|(seq, text)| (seq, watched_s(text))).collect();
    assert_eq!(told, [(600, 600.0), (1200, 1200.0)]);
}

#[test]
fn a_new_profile_between_two_windows_hands_over_too() {
    let mut fuse = Fuse::new(options(), None);
    watch(&mut fuse, &learning(None), 0..11);
    watch(&mut fuse, &learning(None), 11..22);
    assert_eq!(watched_s(&over(&mut fuse, EndReason::Shutdown)), 20.0);
}

#[test]
fn a_start_goes_on_with_the_store_and_begins_anew_where_that_is_of_no_form_it_knows() {
    let mut fuse = Fuse::new(options(), None);
    watch(&mut fuse, &learning(None), 0..11);
    let stored = over(&mut fuse, EndReason::Shutdown);
    for (text, expected) in [(&*stored, 15.0), ("{\"version\": 999}", 5.0), ("no state", 5.0)] {
        let mut again = Fuse::new(options(), None);
        watch(&mut again, &learning(Some(text)), 100..106);
        assert_eq!(watched_s(&over(&mut again, EndReason::Shutdown)), expected, "{text}");
    }
}

#[test]
fn a_panic_costs_the_camera_nothing_that_it_had_learned() {
    let mut fuse = Fuse::new(options(), None);
    let profile = learning(None);
    watch(&mut fuse, &profile, 0..11);
    TRIP.set(Some(11));
    let failed = watch(&mut fuse, &profile, 11..12);
    TRIP.set(None);
    assert_eq!(
        failed[0].reports.get(Branch::Vision).map(|r| r.status),
        Some(Status::Failed)
    );
    watch(&mut fuse, &profile, 12..18);
    assert_eq!(watched_s(&over(&mut fuse, EndReason::Shutdown)), 15.0);
}
