//! Samples → patches → sounds, and speech → what it seems to express. A ring over time, so that no sound is halved by a
//! window's edge.

use std::collections::HashMap;
use std::sync::Arc;

use super::vision::failed_reports;
use super::voice::{ReadVoice, Speech};
use super::{AudioGain, CameraId, CameraProfile, Job, Stage};
use crate::data::{Branch, HearingReport, Report, ReportBody, SAMPLE_RATE_HZ, SoundPatch, Status, Window};
use crate::error::StageError;
use crate::loudness::{level_dbfs, raised};
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
    ring: Ring,
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
        Self {
            all: of_model.iter().cloned().chain([scream.clone()]).collect(),
            rules: [(scream, scream::MODEL.into())].into(),
            speech: at("speech"),
            no_screams: ["siren", "baby_cry", "dog_bark"].into_iter().filter_map(at).collect(),
        }
    }
}

/// Samples not yet used up; `start_ns` is the time of the first.
#[derive(Default)]
struct Ring {
    start_ns: u64,
    samples: Vec<f32>,
}

/// A hole or overlap larger than this starts a new ring: the sound is not the same stretch any more.
const SPLICE_TOLERANCE_NS: u64 = 250_000_000;
/// A voice is there from this probability of the sound model's `speech` on: as good as the voice detectors that were
/// compared with it (docs/models.md).
const VOICE: f32 = 0.5;
/// A siren (and the like) is there from this probability on, and its echoes this long.
const NO_SCREAM: f32 = 0.5;
const NO_SCREAM_NS: u64 = 3_000_000_000;
const NS_PER_SAMPLE: u64 = 1_000_000_000 / SAMPLE_RATE_HZ as u64;

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
        let bare = Report::bare(window.camera.clone(), window.seq, Branch::Hearing, Status::Empty);
        let new = || Ears {
            profile: job.profile.clone(),
            ring: Ring::default(),
            scream: self.scream.stream(),
            known_until_ns: 0,
            speech: None,
        };
        let ears = self.cameras.entry(window.camera.clone()).or_insert_with(new);
        if !Arc::ptr_eq(&ears.profile, &job.profile) {
            *ears = new();
        }
        if window.discontinuity {
            ears.ring.samples.clear();
        }
        if window.audio.is_empty() {
            return Ok(bare);
        }
        let (patch, hop) = self.model.patch_and_hop();
        let cuts = ears.ring.take(window, patch, hop);
        let scored = if cuts.is_empty() {
            Vec::new()
        } else {
            // Only the sound model: levels, screams and voices are judged by what was heard.
            let louder = |samples: &[f32]| match job.profile.audio_gain {
                AudioGain::Auto => raised(samples),
                AudioGain::Off => None,
            };
            let louder: Vec<Option<Vec<f32>>> = cuts.iter().map(|(_, s)| louder(s)).collect();
            let slices: Vec<&[f32]> = cuts
                .iter()
                .zip(&louder)
                .map(|((_, heard), louder)| louder.as_deref().unwrap_or(heard))
                .collect();
            self.model.classify(&slices).map_err(StageError::Model)?
        };
        let embedding = mean(&scored);
        let mut patches = Vec::with_capacity(cuts.len());
        for ((start_ns, samples), heard) in cuts.iter().zip(scored) {
            let mut scores = heard.scores;
            if job.profile.emotion && self.voice.is_some() {
                let voiced = self.labels.speech.is_some_and(|k| scores[k] >= VOICE);
                let speech = ears.speech.get_or_insert_default();
                speech.hear(*start_ns, samples, voiced);
            }
            scores.push(ears.scream(*start_ns, samples, hop, &scores, &self.labels));
            patches.push(SoundPatch {
                start_ns: *start_ns,
                end_ns: start_ns + patch as u64 * NS_PER_SAMPLE,
                scores,
                level_dbfs: level_dbfs(samples.iter()),
            });
        }
        if !job.profile.emotion {
            ears.speech = None;
        }
        let speech_emotion = match (&mut self.voice, &mut ears.speech) {
            (Some(voice), Some(speech)) => speech.read(&mut **voice).map_err(StageError::Model)?,
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
    fn scream(&mut self, start_ns: u64, patch: &[f32], hop: usize, scores: &[f32], labels: &Labels) -> f32 {
        let score = self.scream.hear(patch, hop).map_or(0.0, |cues| cues.score());
        if labels.no_screams.iter().any(|k| scores[*k] >= NO_SCREAM) {
            self.known_until_ns = start_ns + NO_SCREAM_NS;
        }
        if start_ns < self.known_until_ns { 0.0 } else { score }
    }
}

impl Ring {
    /// Adds the window's samples and cuts off every patch that is whole now.
    fn take(&mut self, window: &Window, patch: usize, hop: usize) -> Vec<(u64, Vec<f32>)> {
        let mut cuts = Vec::new();
        for chunk in &window.audio {
            let waiting_ns = self.samples.len() as u64 * NS_PER_SAMPLE;
            if chunk.pts_ns.abs_diff(self.start_ns + waiting_ns) > SPLICE_TOLERANCE_NS {
                self.samples.clear();
            }
            // Also where sound goes on: a camera's clock drifts, and a small hole is closed.
            self.start_ns = chunk.pts_ns.saturating_sub(self.samples.len() as u64 * NS_PER_SAMPLE);
            self.samples.extend_from_slice(&chunk.samples);
            while self.samples.len() >= patch {
                cuts.push((self.start_ns, self.samples[..patch].to_vec()));
                self.samples.drain(..hop);
                self.start_ns += hop as u64 * NS_PER_SAMPLE;
            }
        }
        cuts
    }
}

impl Stage for Hearing {
    type In = Vec<Job>;
    type Out = Report;

    fn process(&mut self, jobs: Vec<Job>, out: &mut Vec<Report>) -> Result<(), StageError> {
        for job in &jobs {
            // One camera's failure is its own: the others of the batch still get their answer.
            match self.listen(job) {
                Ok(report) => out.push(report),
                Err(error) => {
                    tracing::warn!(camera = %job.camera(), seq = job.window.seq, %error, "hearing failed on a window");
                    out.extend(failed_reports(std::slice::from_ref(job), Branch::Hearing));
                }
            }
        }
        Ok(())
    }

    fn failed(jobs: &Vec<Job>) -> Vec<Report> {
        failed_reports(jobs, Branch::Hearing)
    }

    fn recover(&mut self, jobs: &Vec<Job>) {
        for job in jobs {
            self.cameras.remove(job.camera());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Affect, AudioChunk, AudioState};
    use crate::stages::VoiceReading;

    fn window(seq: u64, start_ns: u64, samples: usize) -> Window {
        Window {
            camera: CameraId::new("yard"),
            seq,
            start_ns,
            end_ns: start_ns + samples as u64 * NS_PER_SAMPLE,
            frames: vec![],
            audio: vec![AudioChunk {
                pts_ns: start_ns,
                samples: vec![0.5; samples].into(),
            }],
            audio_state: AudioState::Present,
            utc_offset_ns: 0,
            arrived_ns: 0,
            discontinuity: false,
        }
    }

    #[test]
    fn patches_run_over_the_edges_of_windows() {
        let mut ring = Ring::default();
        let mut starts = Vec::new();
        for seq in 0..6 {
            let cuts = ring.take(&window(seq, seq * 500_000_000, 8_000), 15_360, 7_680);
            starts.extend(cuts.iter().map(|c| c.0));
        }
        assert_eq!(starts, [0, 480_000_000, 960_000_000, 1_440_000_000, 1_920_000_000]);
    }

    /// A siren just before the end of one recording says nothing of the next.
    #[test]
    fn another_recording_is_heard_with_new_ears() {
        let mut hearing = Hearing::new(Box::new(Talk), None);
        let mut listen = |profile: &Arc<CameraProfile>, seq, start_ns| {
            let job = Job::new(window(seq, start_ns, 8_000), profile.clone());
            let Ok(Report {
                body: ReportBody::Hearing(heard),
                ..
            }) = hearing.listen(&job)
            else {
                panic!("no report");
            };
            heard.patches.len()
        };
        let (first, second) = (Arc::new(CameraProfile::default()), Arc::new(CameraProfile::default()));
        assert_eq!((listen(&first, 0, 0), listen(&first, 1, 500_000_000)), (0, 1));
        // The sound that waits is of the first one.
        assert_eq!(listen(&second, 0, 1_000_000_000), 0);
    }

    /// A lost packet: what is left is heard, at the time of what follows.
    #[test]
    fn a_small_hole_in_the_sound_is_closed() {
        let mut ring = Ring::default();
        assert!(ring.take(&window(0, 0, 8_000), 15_360, 7_680).is_empty());
        let cuts = ring.take(&window(1, 564_000_000, 8_000), 15_360, 7_680);
        assert_eq!(cuts.iter().map(|c| c.0).collect::<Vec<_>>(), [64_000_000]);
    }

    #[test]
    fn a_hole_in_the_sound_starts_a_new_patch() {
        let mut ring = Ring::default();
        assert!(ring.take(&window(0, 0, 8_000), 15_360, 7_680).is_empty());
        let cuts = ring.take(&window(1, 5_000_000_000, 16_000), 15_360, 7_680);
        assert_eq!(cuts.iter().map(|c| c.0).collect::<Vec<_>>(), [5_000_000_000]);
    }

    #[test]
    fn a_windows_embedding_is_that_of_all_its_patches() {
        let patch = |v: [f32; 2]| SoundScores {
            scores: vec![],
            embedding: v.into(),
        };
        assert!(mean(&[]).is_none());
        assert_eq!(&*mean(&[patch([1.0, 4.0])]).unwrap(), [1.0, 4.0]);
        assert_eq!(&*mean(&[patch([1.0, 4.0]), patch([3.0, 0.0])]).unwrap(), [2.0, 2.0]);
    }

    /// Hears somebody speak in every patch.
    struct Talk;

    impl Listen for Talk {
        fn id(&self) -> Arc<str> {
            "talk@1".into()
        }

        fn labels(&self) -> Arc<[Arc<str>]> {
            ["speech".into()].into()
        }

        fn patch_and_hop(&self) -> (usize, usize) {
            (15_360, 7_680)
        }

        fn classify(&mut self, patches: &[&[f32]]) -> Result<Vec<SoundScores>, String> {
            let says = SoundScores {
                scores: vec![0.9],
                embedding: [].into(),
            };
            Ok(vec![says; patches.len()])
        }
    }

    /// Tells how loud what it was given is.
    struct Meter;

    impl Listen for Meter {
        fn id(&self) -> Arc<str> {
            "meter@1".into()
        }

        fn labels(&self) -> Arc<[Arc<str>]> {
            ["dbfs".into()].into()
        }

        fn patch_and_hop(&self) -> (usize, usize) {
            (15_360, 7_680)
        }

        fn classify(&mut self, patches: &[&[f32]]) -> Result<Vec<SoundScores>, String> {
            let says = |p: &&[f32]| SoundScores {
                scores: vec![level_dbfs(p.iter())],
                embedding: [].into(),
            };
            Ok(patches.iter().map(says).collect())
        }
    }

    #[test]
    fn the_sound_model_hears_quiet_sound_raised_and_the_report_tells_its_level_as_it_was() {
        for (audio_gain, told) in [(AudioGain::Auto, -42.0), (AudioGain::Off, -60.0)] {
            let mut hearing = Hearing::new(Box::new(Meter), None);
            let profile = CameraProfile {
                audio_gain,
                ..CameraProfile::default()
            };
            let mut job = Job::new(window(0, 0, 16_000), Arc::new(profile));
            let mut quiet = (*job.window).clone();
            quiet.audio[0].samples = vec![0.001; 16_000].into();
            job.window = Arc::new(quiet);
            let ReportBody::Hearing(heard) = hearing.listen(&job).unwrap().body else {
                panic!("no report of sound");
            };
            assert!((heard.patches[0].scores[0] - told).abs() < 0.1);
            assert!((heard.patches[0].level_dbfs + 60.0).abs() < 0.1 && (heard.level_dbfs + 60.0).abs() < 0.1);
        }
    }

    struct Calm;

    impl ReadVoice for Calm {
        fn id(&self) -> Arc<str> {
            "calm@1".into()
        }

        fn labels(&self) -> Arc<[Arc<str>]> {
            ["neutral".into()].into()
        }

        fn read(&mut self, _: &[f32]) -> Result<VoiceReading, String> {
            Ok(VoiceReading {
                probabilities: vec![1.0],
                affect: Affect::default(),
            })
        }
    }

    /// Whether a voice was read in 4 s of speech.
    fn voice_read(voice: Option<Box<dyn ReadVoice>>, emotion: bool) -> bool {
        let mut hearing = Hearing::new(Box::new(Talk), voice);
        let profile = CameraProfile {
            emotion,
            ..CameraProfile::default()
        };
        let job = Job::new(window(0, 0, 64_000), Arc::new(profile));
        let ReportBody::Hearing(heard) = hearing.listen(&job).unwrap().body else {
            panic!("no report of sound");
        };
        assert!(!heard.patches.is_empty());
        heard.speech_emotion.is_some()
    }

    #[test]
    fn voices_are_read_only_where_the_camera_opted_in_and_the_model_is_there() {
        assert!(voice_read(Some(Box::new(Calm)), true));
        assert!(!voice_read(Some(Box::new(Calm)), false));
        assert!(!voice_read(None, true));
    }
}
