use std::sync::Arc;

use super::*;
use crate::data::{
    ActionReport, Affect, AudioState, Branch, CameraId, Emotion, Finding, HearingReport, Report, ReportBody, Reports,
    SoundPatch, Status, Window,
};
use crate::fusion::{Blend, LogOdds};

/// One window in which every branch says something.
fn verdict() -> Verdict {
    let window = Window {
        camera: CameraId::new("yard"),
        seq: 0,
        start_ns: 0,
        end_ns: 500_000_000,
        frames: vec![],
        audio: vec![],
        audio_state: AudioState::Present,
        utc_offset_ns: 0,
        arrived_ns: 0,
        breaks_off: false,
        stretch: 0,
    };
    let acted = ActionReport {
        start_ns: 0,
        end_ns: 400_000_000,
        scores: vec![0.75, 0.25],
        labels: ["fight".into(), "no_fight".into()].into(),
        model: "action@1".into(),
    };
    let mut reports = Reports::default();
    reports.put(Report {
        body: ReportBody::Action(acted),
        ..Report::bare(window.camera.clone(), 0, Branch::Action, Status::Ok)
    });
    let odds = LogOdds {
        both: 2.0,
        video: 1.0,
        audio: Some(0.5),
        none: 0.0,
    };
    let face = Some(vec![("neutral".into(), 0.25), ("anger".into(), 0.75)]);
    let camera = window.camera.clone();
    let heard = HearingReport {
        patches: vec![SoundPatch {
            start_ns: 0,
            end_ns: 400_000_000,
            scores: vec![0.5, 0.25, 0.125],
            level_dbfs: -30.0,
        }],
        labels: ["scream".into(), "siren".into(), "speech".into()].into(),
        ..HearingReport::default()
    };
    reports.put(Report {
        body: ReportBody::Hearing(heard),
        ..Report::bare(window.camera.clone(), 0, Branch::Hearing, Status::Ok)
    });
    let found = |kind| Finding {
        kind,
        zone: None,
        direction: None,
        key_track: None,
        tracks: vec![],
        prior: 0.1,
        score: 0.5,
        evidence: vec![],
        severity: None,
        at_ns: 0,
        last_ns: 0,
    };
    Verdict {
        window: Some(Arc::new(window)),
        reports,
        emotion: Some(Emotion {
            face,
            affect: Some(Affect {
                arousal: 0.5,
                valence: -0.25,
            }),
            ..Emotion::default()
        }),
        blend: Some(Blend::new(odds, &"av@1".into(), &"fight".into(), 0, 0)),
        judged: vec![(Kind::Aggression, 0.625)],
        moving: Some(0.125),
        findings: vec![found(Kind::Fight), found(Kind::Siren)],
        ..Verdict::bare(camera)
    }
}

fn trace_of(kinds: &[Kind]) -> Trace {
    let asked = Asked {
        kinds: kinds.to_vec(),
        emotion: false,
    };
    let mut trace = Trace {
        asked,
        ..Trace::default()
    };
    trace.take(&verdict());
    trace
}

#[test]
fn clip_model_fusion_emotion_and_motion_have_a_lane_each() {
    let trace = trace_of(&[]);
    let last = |lane: &str, label: &str| {
        let lane = trace.lanes.iter().find(|l| l.name == lane)?;
        lane.series.get(label)?.last().copied()
    };
    assert_eq!(last("action", "fight"), Some((0.4, 0.75)));
    assert_eq!(last("action", "no_fight"), None);
    assert_eq!(last("face", "anger"), Some((0.5, 0.75)));
    assert_eq!(last("face", "neutral"), None);
    assert_eq!(last("affect", "arousal"), Some((0.5, 0.5)));
    assert_eq!(last("affect", "valence"), Some((0.5, -0.25)));
    assert_eq!(last("fusion", "aggression"), Some((0.5, 0.625)));
    assert_eq!(last("motion", "moving"), Some((0.5, 12.5)));
    let near = |label, expected: f64| (last("fusion", label).unwrap().1 - expected).abs() < 1e-3;
    assert!(near(TOGETHER, 0.881) && near("fight by video alone", 0.731) && near("fight by audio alone", 0.622));
}

#[test]
fn what_was_not_asked_for_has_no_lane_and_no_mark() {
    let shown = |kinds: &[Kind]| {
        let trace = trace_of(kinds);
        let lanes = trace.lanes.iter();
        let lanes = lanes.filter(|lane| lane.name != "motion").flat_map(|lane| {
            let labels = lane.series.keys();
            labels.map(move |label| format!("{} {label}", lane.name))
        });
        let marks = trace.findings.iter().map(|mark| mark.name.clone());
        lanes.chain(marks).collect::<Vec<String>>()
    };
    assert_eq!(shown(&[Kind::Crowd]), [""; 0]);
    assert_eq!(
        shown(&[Kind::Siren]),
        ["audio siren", "audio speech", "level loudness", "siren"]
    );
    let fight = shown(&[Kind::Fight]);
    for wanted in [
        "action fight",
        "fusion fight by picture and sound",
        "audio scream",
        "fight",
    ] {
        assert!(fight.iter().any(|s| s == wanted), "{wanted} is missing in {fight:?}");
    }
    assert!(
        !fight.iter().any(|s| s.contains("siren") || s.contains("aggression")),
        "{fight:?}"
    );
    // A mood is weighed with screams, and shows what faces seem to express.
    let mood = shown(&[Kind::Aggression]);
    for wanted in ["face anger", "audio scream", "fusion aggression"] {
        assert!(mood.iter().any(|s| s == wanted), "{wanted} is missing in {mood:?}");
    }
    assert!(!mood.iter().any(|s| s.contains("fight")), "{mood:?}");
}
