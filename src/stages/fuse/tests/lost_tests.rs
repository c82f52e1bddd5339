//! A branch that fails, answers too late or has nothing to look at takes its own evidence away and nothing else.

use super::*;
use crate::behaviour::FightOptions;
use crate::data::{ActionReport, Alert};

fn of_fights() -> Arc<CameraProfile> {
    Arc::new(CameraProfile {
        behaviour: BehaviourOptions {
            fight: Some(FightOptions {
                threshold: 0.5,
                ..FightOptions::default()
            }),
            ..BehaviourOptions::default()
        },
        policy: PolicyOptions {
            kinds: vec![KindPolicy::default_for(Kind::Fight)],
            ..PolicyOptions::default()
        },
        ..CameraProfile::default()
    })
}

/// What the clip model says of a window.
fn acted(job: &Job, score: f32) -> Report {
    let window = &job.window;
    Report {
        body: ReportBody::Action(ActionReport {
            start_ns: window.start_ns.saturating_sub(S),
            end_ns: window.end_ns,
            scores: vec![score, 1.0 - score],
            labels: Arc::from(["fight".into(), "other".into()]),
            model: "action@1".into(),
        }),
        ..Report::bare(window.camera.clone(), window.seq, Branch::Action, Status::Ok)
    }
}

/// Six windows of a fight of which the other senses answer like this; None: not at all.
fn alerts(senses: [Option<Status>; 2]) -> Vec<Alert> {
    let profile = of_fights();
    let options = FuseOptions {
        branches: Arc::from([Branch::Vision, Branch::Action, Branch::Hearing]),
        deadline_ns: Some(3 * S),
    };
    let (mut fuse, mut out) = (Fuse::new(options, None), Vec::new());
    for seq in 0..6 {
        let job = job(&profile, "yard", seq);
        let bare = |(branch, status)| {
            let status: Option<Status> = status;
            status.map(|status| Report::bare(job.camera().clone(), seq, branch, status))
        };
        let others = [Branch::Vision, Branch::Hearing].into_iter().zip(senses);
        let mut reports: Vec<Report> = others.filter_map(bare).collect();
        reports.push(acted(&job, 0.95));
        step(&mut fuse, FuseInput::Expect(job, 0), &mut out);
        for report in reports {
            step(&mut fuse, FuseInput::Report(report), &mut out);
        }
    }
    fuse.tick(60 * S, &mut out);
    out.into_iter().flat_map(|v| v.alerts).collect()
}

#[test]
fn a_fight_is_told_by_the_clip_alone_where_the_other_senses_fail_or_are_late() {
    let whole = alerts([Some(Status::Empty), Some(Status::Empty)]);
    let [start] = whole.as_slice() else { panic!("{whole:?}") };
    assert_eq!(
        (start.kind, start.phase, start.evidence.len()),
        (Kind::Fight, Phase::Start, 1)
    );
    assert_eq!(&*start.evidence[0].model, "action@1");
    let answers = [Some(Status::Empty), Some(Status::Failed), Some(Status::Gated), None];
    for vision in answers {
        for hearing in answers {
            assert_eq!(alerts([vision, hearing]), whole, "{vision:?} {hearing:?}");
        }
    }
}

#[test]
fn an_answer_that_comes_after_its_window_was_judged_changes_nothing() {
    let profile = of_fights();
    let options = FuseOptions {
        branches: Arc::from([Branch::Vision, Branch::Action, Branch::Hearing]),
        deadline_ns: Some(3 * S),
    };
    let (mut fuse, mut out) = (Fuse::new(options, None), Vec::new());
    let jobs: Vec<Job> = (0..4).map(|seq| job(&profile, "yard", seq)).collect();
    for job in &jobs {
        step(&mut fuse, FuseInput::Expect(job.clone(), 0), &mut out);
    }
    fuse.tick(60 * S, &mut out);
    assert_eq!(out.len(), 4);
    let late = |verdict: &Verdict| verdict.reports.get(Branch::Action).map(|r| r.status) == Some(Status::Late);
    assert!(out.iter().all(late));
    for job in &jobs {
        step(&mut fuse, FuseInput::Report(acted(job, 0.95)), &mut out);
    }
    assert_eq!((out.len(), told(&out)), (4, vec![]));
}
