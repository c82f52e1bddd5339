//! A fight: what the clip model sees over several windows, whether persons are close to each other, and what is heard.

use super::{PRIOR, alert_track, found, weighed};
use crate::data::{ActionReport, AlertTrack, BBox, Evidence, Finding, HearingReport, Kind, Modality, VisionReport};
use crate::fusion::{Blend, contribution, logit, pool, sigmoid};

#[derive(Clone, Debug, PartialEq)]
pub struct FightOptions {
    /// Least pooled probability of a window; 0 takes the model's.
    pub threshold: f32,
    /// Windows in a row.
    pub min_windows: u32,
    /// Probability that a window holds a fight, before anything is seen or heard.
    pub prior: f32,
}

impl Default for FightOptions {
    fn default() -> Self {
        Self {
            threshold: 0.0,
            min_windows: 2,
            prior: PRIOR,
        }
    }
}

/// Windows whose clips end farther apart than this are not in a row: a little more than the longest window.
const GAP_NS: u64 = 2_200_000_000;
/// What nearness adds to the log-odds: rounded log-likelihood ratios over the 210 train clips of `models/action/card.md`.
const NEAR: f32 = 0.3;
const APART: f32 = -0.7;
const ALONE: f32 = -0.25;
/// Persons are near when the gap between their boxes is at most so many of their widths.
const NEAR_WIDTHS: f32 = 0.75;
/// Half of the clips that the clip model learned from are fights: a score of one half says nothing.
const LEARNED_PRIOR: f32 = 0.5;
/// Sounds that go with a fight, and what they add where there is no learned fusion.
const SOUNDS: [(&str, f32); 2] = [("scream", 0.7), ("glass_break", 0.5)];
const HEARD: f32 = 0.5;

pub(super) struct Fight {
    options: FightOptions,
    run: Option<Run>,
    /// The score of the window at hand, a finding or not.
    pub judged: Option<f32>,
}

/// Windows in a row over the threshold.
struct Run {
    windows: u32,
    start_ns: u64,
    last_ns: u64,
}

/// What is known of a window.
pub(super) struct Scene<'a> {
    pub acted: &'a ActionReport,
    pub blend: Option<&'a Blend>,
    pub seen: Option<&'a VisionReport>,
    pub heard: Option<&'a HearingReport>,
}

impl Fight {
    pub fn new(options: FightOptions) -> Self {
        Self {
            options,
            run: None,
            judged: None,
        }
    }

    pub fn reset(&mut self) {
        self.run = None;
    }

    pub fn observe(&mut self, scene: &Scene) -> Option<Finding> {
        let (measured, mut evidence) = seen_and_heard(scene)?;
        // The models' priors are those of the clips that they were measured on; here it is rarer or commoner by so much.
        let prior = sigmoid(logit(measured) + logit(self.options.prior) - logit(PRIOR));
        let mut tracks = Vec::new();
        if let Some(seen) = scene.seen.filter(|s| !s.frames.is_empty()) {
            let (near, found) = nearness(seen);
            evidence.push(near);
            tracks = found;
        }
        let score = pool(prior, &evidence);
        self.judged = Some(score);
        let end_ns = scene.acted.end_ns;
        if score < self.options.threshold {
            self.run = None;
            return None;
        }
        let run = self
            .run
            .take()
            .filter(|run| end_ns.saturating_sub(run.last_ns) <= GAP_NS)
            .unwrap_or(Run {
                windows: 0,
                start_ns: end_ns,
                last_ns: end_ns,
            });
        let run = self.run.insert(Run {
            windows: run.windows + 1,
            last_ns: end_ns,
            ..run
        });
        if run.windows < self.options.min_windows {
            return None;
        }
        Some(Finding {
            tracks,
            at_ns: run.start_ns,
            ..found(Kind::Fight, prior, evidence, end_ns)
        })
    }
}

/// The learned fusion's word where there is one, else the clip model's and that of the sounds that go with a fight.
fn seen_and_heard(scene: &Scene) -> Option<(f32, Vec<Evidence>)> {
    let acted = scene.acted;
    if let Some(blend) = scene.blend {
        return Some((blend.prior, blend.evidence.clone()));
    }
    let label = acted.labels.iter().position(|l| **l == *Kind::Fight.as_str())?;
    let score = *acted.scores.get(label)?;
    let mut evidence = vec![Evidence {
        modality: Modality::Video,
        model: acted.model.clone(),
        label: Kind::Fight.as_str().into(),
        score,
        contribution: contribution(score, LEARNED_PRIOR),
        at_ns: acted.end_ns,
    }];
    if let Some(heard) = scene.heard {
        for (word, weight) in SOUNDS {
            let score = |patch: &crate::data::SoundPatch| {
                let label = heard.labels.iter().position(|l| **l == *word)?;
                patch.scores.get(label).copied()
            };
            let best = heard.patches.iter().filter_map(|p| Some((score(p)?, p.start_ns)));
            if let Some((score, at_ns)) = best.max_by(|a, b| a.0.total_cmp(&b.0)).filter(|b| b.0 >= HEARD) {
                evidence.push(Evidence {
                    modality: Modality::Audio,
                    model: heard.source(word),
                    label: word.into(),
                    score,
                    contribution: weight,
                    at_ns,
                });
            }
        }
    }
    Some((LEARNED_PRIOR, evidence))
}

/// Whether two persons are close in the window's last frame, and who they are: those near somebody, or everybody.
fn nearness(seen: &VisionReport) -> (Evidence, Vec<AlertTrack>) {
    let frame = seen.frames.last();
    let persons: Vec<_> = frame
        .into_iter()
        .flat_map(|f| &f.tracks)
        // A track that is out of sight may be the same person's, under another number.
        .filter(|t| t.seen && *t.class == *"person")
        .collect();
    let close: Vec<_> = persons
        .iter()
        .filter(|a| persons.iter().any(|b| a.id != b.id && near(&a.bbox, &b.bbox)))
        .collect();
    let (label, weight) = match (persons.len(), close.len()) {
        (0 | 1, _) => ("fewer than two persons", ALONE),
        (_, 0) => ("persons apart", APART),
        _ => ("persons close together", NEAR),
    };
    let at_ns = frame.map_or(0, |f| f.pts_ns);
    let evidence = weighed(Modality::Video, "nearness", label, weight, at_ns);
    let involved = if close.is_empty() {
        persons.iter().collect()
    } else {
        close
    };
    (evidence, involved.into_iter().map(|t| alert_track(t)).collect())
}

fn near(a: &BBox, b: &BBox) -> bool {
    let gap = a.x1.max(b.x1) - a.x2.min(b.x2);
    let shared = a.y2.min(b.y2) - a.y1.max(b.y1);
    gap <= NEAR_WIDTHS * (a.width() + b.width()) / 2.0 && shared >= 0.3 * a.height().min(b.height())
}

#[cfg(test)]
mod tests;
