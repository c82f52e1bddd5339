//! What the clip model says of a story, beside what is seen and heard.

use watchfire::data::{
    ActionReport, Branch, CameraId, HearingReport, Kind, Report, ReportBody, Reports, Status, VisionReport,
};

use super::story::Clip;

/// Seconds that a clip spans.
const SPAN_S: f64 = 2.0;
/// What the model says where the story tells of nothing.
const CALM: f32 = 0.02;

/// The reports of a window that ends at `to`.
pub fn reports(clips: &[Clip], to: f64, shift_ns: u64, seen: VisionReport, heard: Option<HearingReport>) -> Reports {
    let now = clips.iter().filter(|c| (c.from..c.to).contains(&(to - 0.25)));
    let score = now.map(|c| c.score).fold(CALM, f32::max);
    let ns = |s: f64| (s.max(0.0) * 1e9) as u64 + shift_ns;
    let acted = ActionReport {
        start_ns: ns(to - SPAN_S),
        end_ns: ns(to),
        scores: vec![score],
        labels: [Kind::Fight.as_str().into()].into(),
        model: "story_clip@1".into(),
    };
    let mut reports = Reports::default();
    let mut put = |branch, body| {
        reports.put(Report {
            body,
            ..Report::bare(CameraId::new("story"), 0, branch, Status::Ok)
        });
    };
    put(Branch::Vision, ReportBody::Vision(seen));
    put(Branch::Action, ReportBody::Action(acted));
    if let Some(heard) = heard {
        put(Branch::Hearing, ReportBody::Hearing(heard));
    }
    reports
}
