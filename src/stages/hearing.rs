//! Samples → patches → sounds, and speech → what it seems to express. Patches run over the windows' edges, so that no
//! sound is halved by one.

use std::collections::HashMap;
use std::sync::Arc;

use super::voice::{ReadVoice, Speech};
use super::{AudioGain, CameraId, CameraProfile, Input, Job, Stage};
use crate::data::{Branch, HearingReport, Report, ReportBody, SoundPatch, Status, Stretch};
use crate::error::{StageError, is_news};
use crate::loudness::{level_dbfs, raised};
use crate::patches::{Patch, Patches};
use crate::scream::{self, Scream, ScreamRule};

/// What a sound model says of one patch.
#[derive(Clone, Debug)]
pub struct SoundScores {
    /// Independent probabilities by label.
    pub scores: Vec<f32>,
    pub embedding: Arc<[f32]>,
}

/// A sound model as this stage needs it. `nn::SoundModel` is one; tests bring their own.
pub trait Listen: Send {
    /// `name@version`
    fn id(&self) -> Arc<str>;
    fn labels(&self) -> Arc<[Arc<str>]>;
    /// Samples in a patch and from one patch's start to the next one's.
    fn patch_and_hop(&self) -> (usize, usize);
    /// # Errors
    /// A sentence saying what failed.
    fn classify(&mut self, patches: &[&[f32]]) -> Result<Vec<SoundScores>, String>;
}

/// Turns a window's sound into scored patches, and speech into what it seems to express where the camera has opted in.
/// One report a window, also when it was silent.
pub struct Hearing {
    model: Box<dyn Listen>,
    /// Asked only for cameras that have opted in.
    voice: Option<Box<dyn ReadVoice>>,
    scream: ScreamRule,
    labels: Labels,
    cameras: HashMap<CameraId, Ears>,
}

/// What the hearing of one camera remembers.
struct Ears {
    /// Another one is another camera, or another recording.
    profile: Arc<CameraProfile>,
    stretch: Stretch,
    patches: Patches,
    scream: Scream,
    /// The scream rule holds its tongue until then: a sound that is none was recognised.
    known_until_ns: u64,
    /// None where the camera has not opted in.
    speech: Option<Speech>,
}

/// The model's labels with the rule's, and where the ones that steer others stand.
struct Labels {
    all: Arc<[Arc<str>]>,
    rules: Arc<[(Arc<str>, Arc<str>)]>,
    speech: Option<usize>,
    /// Loud high sounds that the model tells apart from screams.
    no_screams: Vec<usize>,
}

impl Labels {
    fn new(of_model: &[Arc<str>]) -> Self {
        let scream: Arc<str> = scream::LABEL.into();
        let at = |name: &str| of_model.iter().position(|l| **l == *name);
        // A model that has learned screams goes before the rule.
        let rule = at(scream::LABEL).is_none().then_some(scream);
        Self {
            all: of_model.iter().cloned().chain(rule.clone()).collect(),
            rules: rule.map(|label| (label, scream::MODEL.into())).into_iter().collect(),
            speech: at("speech"),
            no_screams: scream::NO_SCREAMS.into_iter().filter_map(at).collect(),
        }
    }
}

/// A voice is there from this probability of the sound model's `speech` on: as good as the voice detectors that were
/// compared with it (docs/models.md).
const VOICE: f32 = 0.5;
/// A siren (and the like) is there from this probability on, and its echoes this long.
const NO_SCREAM: f32 = 0.5;
const NO_SCREAM_NS: u64 = 3_000_000_000;

impl Hearing {
    pub fn new(model: Box<dyn Listen>, voice: Option<Box<dyn ReadVoice>>) -> Self {
        Self {
            labels: Labels::new(&model.labels()),
            model,
            voice,
            scream: ScreamRule::default(),
            cameras: HashMap::new(),
        }
    }

    fn listen(&mut self, job: &Job) -> Result<Report, StageError> {
        let window = &job.window;
        let bare = job.bare(Branch::Hearing, Status::Empty);
        let (patch, hop) = self.model.patch_and_hop();
        let new = || Ears {
            profile: job.profile.clone(),
            stretch: Stretch::default(),
            patches: Patches::new(patch, hop),
            scream: self.scream.stream(),
            known_until_ns: 0,
            speech: None,
        };
        let ears = self.cameras.entry(window.camera.clone()).or_insert_with(new);
        if !Arc::ptr_eq(&ears.profile, &job.profile) {
            *ears = new();
        }
        if ears.stretch.is_new(window) {
            ears.patches.forget();
        }
        let chunks = window.audio.iter();
        let mut cuts: Vec<Patch> = chunks.flat_map(|c| ears.patches.push(c.pts_ns, &c.samples)).collect();
        if window.audio.is_empty() || window.breaks_off {
            cuts.extend(ears.patches.break_off());
        }
        if window.audio.is_empty() && cuts.is_empty() {
            return Ok(bare);
        }
        let scored = if cuts.is_empty() {
            Vec::new()
        } else {
            // Only the sound model: levels, screams and voices are judged by what was heard.
            let louder = |samples: &[f32]| match job.profile.audio_gain {
                AudioGain::Auto => raised(samples),
                AudioGain::Off => None,
            };
            let louder: Vec<Option<Vec<f32>>> = cuts.iter().map(|cut| louder(&cut.samples)).collect();
            let slices: Vec<&[f32]> = cuts
                .iter()
                .zip(&louder)
                .map(|(cut, louder)| louder.as_deref().unwrap_or(&cut.samples))
                .collect();
            self.model.classify(&slices).map_err(StageError::Model)?
        };
        let embedding = mean(&scored);
        let mut patches = Vec::with_capacity(cuts.len());
        for (cut, heard) in cuts.iter().zip(scored) {
            let mut scores = heard.scores;
            if job.profile.emotion && self.voice.is_some() {
                let voiced = self.labels.speech.is_some_and(|k| scores[k] >= VOICE);
                let speech = ears.speech.get_or_insert_default();
                speech.hear(cut.start_ns, cut.sound(), voiced);
            }
            scores.push(ears.scream(cut, hop, &scores, &self.labels));
            patches.push(SoundPatch {
                start_ns: cut.start_ns,
                end_ns: cut.end_ns(),
                scores,
                level_dbfs: level_dbfs(cut.sound().iter()),
            });
        }
        if !job.profile.emotion {
            ears.speech = None;
        }
        let speech_emotion = match (&mut self.voice, &mut ears.speech) {
            // It costs the voice and nothing else: a shot that was heard is told.
            (Some(voice), Some(speech)) => speech.read(&mut **voice).unwrap_or_else(|error| {
                if is_news(&format!("{} {error}", window.camera)) {
                    tracing::warn!(camera = %window.camera, error, "the voice was not read");
                }
                None
            }),
            _ => None,
        };
        let body = HearingReport {
            patches,
            labels: self.labels.all.clone(),
            rules: self.labels.rules.clone(),
            level_dbfs: level_dbfs(window.audio.iter().flat_map(|c| c.samples.iter())),
            model: self.model.id(),
            speech_emotion,
        };
        Ok(Report {
            status: Status::Ok,
            body: ReportBody::Hearing(body),
            embedding,
            ..bare
        })
    }
}

/// The mean embedding of a window's patches: a longer window has more than one.
fn mean(scored: &[SoundScores]) -> Option<Arc<[f32]>> {
    let (first, rest) = scored.split_first()?;
    if rest.is_empty() {
        return Some(first.embedding.clone());
    }
    let mut sum = first.embedding.to_vec();
    for patch in rest {
        sum.iter_mut().zip(patch.embedding.iter()).for_each(|(s, e)| *s += e);
    }
    Some(sum.iter().map(|s| s / scored.len() as f32).collect())
}

impl Ears {
    /// The rule's score of a patch: none while the sound model hears a siren, a baby or a dog.
    fn scream(&mut self, cut: &Patch, hop: usize, scores: &[f32], labels: &Labels) -> f32 {
        let (start_ns, heard) = (cut.start_ns, self.scream.hear(cut.sound(), cut.fresh.min(hop)));
        let score = heard.map_or(0.0, |cues| cues.score());
        if labels.no_screams.iter().any(|k| scores[*k] >= NO_SCREAM) {
            self.known_until_ns = start_ns + NO_SCREAM_NS;
        }
        if start_ns < self.known_until_ns { 0.0 } else { score }
    }
}

impl Stage for Hearing {
    type In = Job;
    type Out = Report;

    fn process(&mut self, job: Job, out: &mut Vec<Report>) -> Result<(), StageError> {
        out.push(self.listen(&job)?);
        Ok(())
    }

    fn failed(job: &Job) -> Vec<Report> {
        vec![job.bare(Branch::Hearing, Status::Failed)]
    }

    fn recover(&mut self, job: &Job) {
        self.cameras.remove(job.camera());
    }
}

#[cfg(test)]
mod tests;
