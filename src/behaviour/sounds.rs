//! Sounds that need several patches in a row.

use std::collections::HashMap;

use super::{PRIOR, SoundRule, told_by};
use crate::data::{Evidence, Finding, HearingReport, Kind, Modality};
use crate::fusion::contribution;

/// Patches farther apart than this are not in a row.
const GAP_NS: u64 = 1_500_000_000;

pub(super) struct SoundRules {
    rules: Vec<SoundRule>,
    runs: HashMap<Kind, Run>,
}

/// Patches in a row over the threshold: how many, when the first began and when the last began and ended, and the best score of them.
struct Run {
    patches: u32,
    start_ns: u64,
    last_ns: u64,
    end_ns: u64,
    best: (f32, u64),
}

impl Run {
    fn from(start_ns: u64) -> Self {
        Self {
            patches: 0,
            start_ns,
            last_ns: start_ns,
            end_ns: start_ns,
            best: (0.0, start_ns),
        }
    }
}

impl SoundRules {
    pub fn new(rules: Vec<SoundRule>) -> Self {
        Self {
            rules,
            runs: HashMap::new(),
        }
    }

    pub fn reset(&mut self) {
        self.runs.clear();
    }

    pub fn observe(&mut self, heard: &HearingReport) -> Vec<Finding> {
        let mut found = Vec::new();
        for rule in &self.rules {
            let Some(label) = heard.labels.iter().position(|l| **l == *rule.kind.as_str()) else {
                continue;
            };
            let mut holding = None;
            for patch in &heard.patches {
                let score = patch.scores.get(label).copied().unwrap_or(0.0);
                if score < rule.threshold {
                    self.runs.remove(&rule.kind);
                    continue;
                }
                let run = self.runs.entry(rule.kind).or_insert_with(|| Run::from(patch.start_ns));
                if patch.start_ns.saturating_sub(run.last_ns) > GAP_NS {
                    *run = Run::from(patch.start_ns);
                }
                run.patches += 1;
                (run.last_ns, run.end_ns) = (patch.start_ns, patch.end_ns);
                if score > run.best.0 {
                    run.best = (score, patch.start_ns);
                }
                if run.patches >= rule.min_windows {
                    holding = Some(finding(rule.kind, run, heard));
                }
            }
            found.extend(holding);
        }
        found
    }
}

fn finding(kind: Kind, run: &Run, heard: &HearingReport) -> Finding {
    let (score, at_ns) = run.best;
    let evidence = Evidence {
        modality: Modality::Audio,
        model: heard.source(kind.as_str()),
        label: kind.as_str().into(),
        score,
        contribution: contribution(score, PRIOR),
        at_ns,
    };
    Finding {
        at_ns: run.start_ns,
        last_ns: run.end_ns,
        ..told_by(kind, evidence)
    }
}
