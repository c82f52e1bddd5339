//! `aggression` and `distress`: what faces and voices seem to express, how loudly somebody speaks, and screams, weighed
//! together over several seconds. Rules over the emotion models, only of cameras that have opted in; what anybody feels
//! they do not know.

mod loudness;

use std::ops::Range;
use std::sync::Arc;

use super::{MoodRule, alert_track, found};
use crate::data::{AlertTrack, Distribution, Evidence, Finding, HearingReport, Kind, Modality, Track, VisionReport};
use crate::fusion::{Mood, Reading, logit, pool};
use loudness::Loudness;

/// A face or voice read before the window, and longer before its end than this, says nothing of it.
const FRESH_NS: u64 = 1_500_000_000;
/// A scream goes on counting for so long.
const SCREAM_NS: u64 = 5_000_000_000;
const SCREAMED: f32 = 0.5;
/// What a scream adds to distress.
const SCREAM: f32 = 1.2;
/// Somebody must have been seen so lately, and be so tall in the picture: a voice without a person is a television.
const PRESENT_NS: u64 = 5_000_000_000;
const MIN_HEIGHT: f32 = 0.1;
/// A stretch that has begun goes on down to so much less than the threshold, and over gaps as long as this.
const HYSTERESIS: f32 = 0.15;
const GAP_NS: u64 = 2_000_000_000;

/// How much a model's word on some labels can weigh.
struct Weight {
    labels: &'static [&'static str],
    /// Their share in the data that the model was tested on: a probability of this much says nothing.
    base: f32,
    /// Most that it adds or takes away, in log-odds.
    most: f32,
}

/// What a kind is made of. Bases are the classes' shares in the data of the models' cards; the limits stand below the
/// likelihood ratios that recall and precision there give (of the first versions: ln 31 and ln 4.8 for anger, ln 13 and
/// ln 15 for fear and sadness), for nobody has measured them on cameras, and a voice takes joy for anger.
struct Recipe {
    face: Weight,
    voice: Weight,
    /// Somebody must speak loudly, which adds to it.
    loud_speech: bool,
    /// Screams add to it.
    scream: bool,
}

const AGGRESSION: Recipe = Recipe {
    face: Weight {
        labels: &["anger"],
        base: 0.09,
        most: 2.0,
    },
    voice: Weight {
        labels: &["anger"],
        base: 0.21,
        most: 1.4,
    },
    loud_speech: true,
    scream: false,
};

const DISTRESS: Recipe = Recipe {
    face: Weight {
        labels: &["fear", "sadness"],
        base: 0.135,
        most: 1.8,
    },
    voice: Weight {
        labels: &["fear", "sadness"],
        base: 0.22,
        most: 1.8,
    },
    loud_speech: false,
    scream: true,
};

/// What must be read in faces and voices for a kind to be judged by them; none for other kinds.
pub fn mood_labels(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Aggression => AGGRESSION.face.labels,
        Kind::Distress => DISTRESS.face.labels,
        _ => &[],
    }
}

/// One kind's rule and how long it has held.
pub(super) struct MoodWatch {
    rule: MoodRule,
    recipe: &'static Recipe,
    loudness: Loudness,
    /// The last loud speech.
    loud: Option<Evidence>,
    /// The last scream: score, source, time.
    scream: Option<(f32, Arc<str>, u64)>,
    /// Persons of the last frame in which there were any, and when.
    persons: (Vec<AlertTrack>, u64),
    stretch: Option<Stretch>,
    /// The score of the window at hand, a finding or not.
    pub judged: Option<f32>,
}

struct Stretch {
    start_ns: u64,
    last_ns: u64,
    /// How long both senses argued for it.
    both_ns: u64,
}

impl MoodWatch {
    pub fn new(rule: MoodRule) -> Self {
        let recipe = if rule.kind == Kind::Aggression {
            &AGGRESSION
        } else {
            &DISTRESS
        };
        Self {
            rule,
            recipe,
            loudness: Loudness::default(),
            loud: None,
            scream: None,
            persons: (Vec::new(), 0),
            stretch: None,
            judged: None,
        }
    }

    pub fn kind(&self) -> Kind {
        self.rule.kind
    }

    /// The stream was interrupted; how loud it is here is still true.
    pub fn reset(&mut self) {
        (self.loud, self.scream, self.stretch) = (None, None, None);
        self.persons = (Vec::new(), 0);
    }

    /// One window: its beginning and its end.
    pub fn observe(
        &mut self,
        mood: &Mood,
        seen: Option<&VisionReport>,
        heard: Option<&HearingReport>,
        window: &Range<u64>,
    ) -> Option<Finding> {
        let now_ns = window.end;
        self.look(seen);
        let mut evidence = Vec::new();
        let (face, voice) = mood.readings(now_ns.saturating_sub(FRESH_NS).min(window.start));
        evidence.extend(face.and_then(|r| self.recipe.face.weigh(&r, Modality::Video)));
        evidence.extend(voice.and_then(|r| self.recipe.voice.weigh(&r, Modality::Audio)));
        if let Some(heard) = heard {
            self.loud = self.loudness.hear(heard).or(self.loud.take());
            self.listen(heard);
        }
        if self.recipe.loud_speech {
            // A patch has begun about a second before it is told of.
            let fresh = |e: &&Evidence| now_ns.saturating_sub(e.at_ns) <= 2 * FRESH_NS;
            evidence.push(self.loud.as_ref().filter(fresh)?.clone());
        }
        evidence.extend(self.screamed(now_ns));
        if evidence.is_empty() || now_ns.saturating_sub(self.persons.1) > PRESENT_NS {
            return None;
        }
        self.judge(evidence, now_ns)
    }

    fn look(&mut self, seen: Option<&VisionReport>) {
        let Some(frame) = seen.and_then(|s| s.frames.last()) else {
            return;
        };
        let is_near = |t: &&Track| t.seen && &*t.class == "person" && t.bbox.height() >= MIN_HEIGHT;
        let persons: Vec<AlertTrack> = frame.tracks.iter().filter(is_near).map(alert_track).collect();
        if !persons.is_empty() {
            self.persons = (persons, frame.pts_ns);
        }
    }

    fn listen(&mut self, heard: &HearingReport) {
        let Some(label) = heard.labels.iter().position(|l| **l == *Kind::Scream.as_str()) else {
            return;
        };
        for patch in &heard.patches {
            let score = patch.scores.get(label).copied().unwrap_or(0.0);
            if score >= SCREAMED {
                self.scream = Some((score, heard.source(Kind::Scream.as_str()), patch.start_ns));
            }
        }
    }

    fn screamed(&self, now_ns: u64) -> Option<Evidence> {
        let (score, model, at_ns) = self.scream.as_ref().filter(|_| self.recipe.scream)?;
        (now_ns.saturating_sub(*at_ns) <= SCREAM_NS).then(|| Evidence {
            modality: Modality::Audio,
            model: model.clone(),
            label: Kind::Scream.as_str().into(),
            score: *score,
            contribution: SCREAM,
            at_ns: *at_ns,
        })
    }

    fn judge(&mut self, evidence: Vec<Evidence>, now_ns: u64) -> Option<Finding> {
        let score = pool(self.rule.prior, &evidence);
        self.judged = Some(score);
        let least = self.rule.threshold - if self.stretch.is_some() { HYSTERESIS } else { 0.0 };
        if score < least {
            self.stretch = None;
            return None;
        }
        let goes_on = |s: &Stretch| now_ns.saturating_sub(s.last_ns) <= GAP_NS;
        let mut stretch = self.stretch.take().filter(goes_on).unwrap_or(Stretch {
            start_ns: now_ns,
            last_ns: now_ns,
            both_ns: 0,
        });
        let argues = |sense| {
            let own = evidence.iter().filter(|e| e.modality == sense);
            own.map(|e| e.contribution).sum::<f32>() > 0.0
        };
        if argues(Modality::Video) && argues(Modality::Audio) {
            stretch.both_ns += now_ns - stretch.last_ns;
        }
        stretch.last_ns = now_ns;
        let stretch = self.stretch.insert(stretch);
        let lasted = |ns: u64, least_s: f32| ns as f64 >= f64::from(least_s) * 1e9;
        let long_enough =
            lasted(stretch.both_ns, self.rule.min_s) || lasted(now_ns - stretch.start_ns, self.rule.alone_s());
        // Over the threshold at this moment too: what is told is as sure as the rule asks.
        if !long_enough || score < self.rule.threshold {
            return None;
        }
        Some(Finding {
            tracks: self.persons.0.clone(),
            at_ns: stretch.start_ns,
            ..found(self.rule.kind, self.rule.prior, evidence, now_ns)
        })
    }
}

impl Weight {
    /// None where the model does not know the labels.
    fn weigh(&self, reading: &Reading, modality: Modality) -> Option<Evidence> {
        let says: &Distribution = &reading.says;
        let known: Vec<_> = says
            .iter()
            .filter(|(label, _)| self.labels.contains(&&**label))
            .collect();
        let surest = known.iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
        let score: f32 = known.iter().map(|(_, p)| p).sum();
        Some(Evidence {
            modality,
            model: reading.model.clone(),
            label: surest.0.clone(),
            score,
            contribution: (logit(score) - logit(self.base)).clamp(-self.most, self.most),
            at_ns: reading.at_ns,
        })
    }
}

#[cfg(test)]
mod tests;
