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
        contribution: contribution(score, PRIOR),
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
    Some((PRIOR, evidence))
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
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::data::{SoundPatch, Track, TrackedFrame};
    use crate::fusion::{LogOdds, logit};

    const S: u64 = 1_000_000_000;

    fn acted(end_ns: u64, score: f32) -> ActionReport {
        ActionReport {
            start_ns: end_ns.saturating_sub(2 * S),
            end_ns,
            scores: vec![score, 1.0 - score],
            labels: Arc::from([Arc::from("fight"), Arc::from("no_fight")]),
            model: "action@1".into(),
        }
    }

    fn seen(at_ns: u64, lefts: &[f32]) -> VisionReport {
        let track = |(id, left): (usize, &f32)| Track {
            id: id as u64,
            class: "person".into(),
            score: 0.9,
            bbox: BBox {
                x1: *left,
                y1: 0.3,
                x2: left + 0.1,
                y2: 0.7,
            },
            seen: true,
            hits: 5,
            born_ns: 0,
        };
        VisionReport {
            frames: vec![TrackedFrame {
                pts_ns: at_ns,
                tracks: lefts.iter().enumerate().map(track).collect(),
            }],
            aspect: 1.0,
            model: Arc::from("detector@1.0.0"),
            faces: None,
        }
    }

    fn rule() -> Fight {
        Fight::new(FightOptions {
            threshold: 0.5,
            ..FightOptions::default()
        })
    }

    fn look(rule: &mut Fight, at_ns: u64, score: f32, persons: Option<&[f32]>) -> Option<Finding> {
        let seen = persons.map(|p| seen(at_ns, p));
        rule.observe(&Scene {
            acted: &acted(at_ns, score),
            blend: None,
            seen: seen.as_ref(),
            heard: None,
        })
    }

    #[test]
    fn one_window_is_no_fight_and_two_in_a_row_are() {
        let mut rule = rule();
        assert!(look(&mut rule, 2 * S, 0.8, None).is_none());
        let finding = look(&mut rule, 2 * S + S / 2, 0.8, None).unwrap();
        assert_eq!(finding.at_ns, 2 * S, "it began with the first");
        assert!(
            (finding.score - 0.8).abs() < 1e-3,
            "one voice alone is believed as it is"
        );
    }

    #[test]
    fn a_calm_window_or_a_hole_between_them_starts_anew() {
        let mut rule = rule();
        assert!(look(&mut rule, 2 * S, 0.8, None).is_none());
        assert!(look(&mut rule, 3 * S, 0.2, None).is_none());
        assert!(look(&mut rule, 4 * S, 0.8, None).is_none());
        assert!(look(&mut rule, 9 * S, 0.8, None).is_none());
        assert!(look(&mut rule, 10 * S, 0.8, None).is_some());
    }

    #[test]
    fn two_persons_close_together_argue_for_a_fight_and_one_alone_against() {
        let score = |persons: Option<&[f32]>| {
            let mut rule = rule();
            let _ = look(&mut rule, 2 * S, 0.8, persons);
            look(&mut rule, 3 * S, 0.8, persons).map_or(0.0, |f| f.score)
        };
        let unknown = score(None);
        assert!(score(Some(&[0.2, 0.32])) > unknown);
        assert!(score(Some(&[0.1, 0.8])) < unknown && score(Some(&[0.1])) < unknown);
    }

    #[test]
    fn where_fights_are_rare_more_evidence_is_needed_and_the_account_says_so() {
        let told = |prior: f32, score: f32| {
            let mut rule = Fight::new(FightOptions {
                threshold: 0.5,
                prior,
                ..FightOptions::default()
            });
            let _ = look(&mut rule, 2 * S, score, None);
            look(&mut rule, 3 * S, score, None)
        };
        assert!(told(0.1, 0.7).is_some() && told(0.02, 0.7).is_none() && told(0.3, 0.4).is_some());
        let rare = told(0.02, 0.9).unwrap();
        let sum: f32 = rare.evidence.iter().map(|e| e.contribution).sum();
        assert!((rare.prior - 0.02).abs() < 1e-4 && (logit(rare.score) - logit(rare.prior) - sum).abs() < 1e-3);
    }

    #[test]
    fn the_alert_names_those_who_are_close() {
        let mut rule = rule();
        let _ = look(&mut rule, 2 * S, 0.9, Some(&[0.1, 0.5, 0.55]));
        let finding = look(&mut rule, 3 * S, 0.9, Some(&[0.1, 0.5, 0.55])).unwrap();
        assert_eq!(finding.tracks.iter().map(|t| t.id).collect::<Vec<_>>(), [1, 2]);
    }

    /// A window with the scores of a scream and of breaking glass, where they were heard.
    fn heard(at_ns: u64, [scream, glass]: [f32; 2]) -> HearingReport {
        let patch = SoundPatch {
            start_ns: at_ns,
            end_ns: at_ns + S,
            scores: vec![scream, glass],
            level_dbfs: -20.0,
        };
        HearingReport {
            patches: vec![patch],
            labels: ["scream", "glass_break"].map(Arc::from).into(),
            model: "sound@1".into(),
            ..HearingReport::default()
        }
    }

    fn score(scene: &Scene) -> Option<f32> {
        let mut rule = Fight::new(FightOptions {
            min_windows: 1,
            ..FightOptions::default()
        });
        rule.observe(scene).map(|f| f.score)
    }

    #[test]
    fn a_scream_and_breaking_glass_add_what_they_weigh_and_less_than_half_heard_adds_nothing() {
        let acted = acted(2 * S, 0.6);
        let with = |scores: Option<[f32; 2]>| {
            let heard = scores.map(|scores| heard(S, scores));
            let scene = Scene {
                acted: &acted,
                blend: None,
                seen: None,
                heard: heard.as_ref(),
            };
            logit(score(&scene).unwrap())
        };
        let silent = with(None);
        assert!((silent - logit(0.6)).abs() < 1e-3);
        for (scores, adds) in [
            ([0.49, 0.49], 0.0),
            ([0.9, 0.1], 0.7),
            ([0.1, 0.5], 0.5),
            ([0.9, 0.9], 1.2),
        ] {
            let got = with(Some(scores)) - silent;
            assert!((got - adds).abs() < 1e-3, "{scores:?} adds {got}");
        }
    }

    #[test]
    fn the_learned_fusion_speaks_for_clip_and_sounds_and_nearness_is_added() {
        let odds = LogOdds {
            both: 1.0,
            video: 0.2,
            audio: Some(-0.5),
            none: -1.0,
        };
        let blend = Blend::new(odds, &"av_fight@1".into(), &"fight".into(), 2 * S, S);
        // The clip model by itself is sure that there is none, and a scream is counted already.
        let (acted, heard) = (acted(2 * S, 0.01), heard(S, [0.9, 0.9]));
        let with = |seen: Option<&VisionReport>| {
            let scene = Scene {
                acted: &acted,
                blend: Some(&blend),
                seen,
                heard: Some(&heard),
            };
            logit(score(&scene).unwrap())
        };
        assert!((with(None) - 1.0).abs() < 1e-3);
        let (close, apart) = (seen(2 * S, &[0.2, 0.32]), seen(2 * S, &[0.1, 0.8]));
        assert!((with(Some(&close)) - 1.0 - NEAR).abs() < 1e-3);
        assert!((with(Some(&apart)) - 1.0 - APART).abs() < 1e-3);
    }

    #[test]
    fn windows_are_in_a_row_up_to_the_gap_and_not_beyond() {
        for (gap_ns, in_a_row) in [(GAP_NS, true), (GAP_NS + 1, false)] {
            let mut rule = rule();
            assert!(look(&mut rule, 2 * S, 0.8, None).is_none());
            assert_eq!(
                look(&mut rule, 2 * S + gap_ns, 0.8, None).is_some(),
                in_a_row,
                "{gap_ns}"
            );
        }
    }
}
