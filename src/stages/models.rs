//! The models as the stages ask them.

use std::sync::Arc;

use super::{
    BlendFight, ClipScores, ClipShape, Detect, FaceReading, Listen, ReadFaces, ReadVoice, SoundScores, VoiceReading,
    WatchClips,
};
use crate::data::{Detection, Face, Picture};
use crate::faces::{aligned, quality};
use crate::nn::{ActionModel, AvModel, Detector, FaceDetector, FaceEmotion, SoundModel, SpeechEmotion};

/// Detections below this are of no use, not even to carry a track on, unless a label's own threshold is lower.
const DETECTION_FLOOR: f32 = 0.1;

impl Detect for Detector {
    fn id(&self) -> Arc<str> {
        Detector::id(self)
    }

    fn labels(&self) -> Arc<[Arc<str>]> {
        Detector::labels(self)
    }

    fn thresholds(&self) -> Arc<[f32]> {
        self.manifest().labels.iter().map(|l| l.threshold).collect()
    }

    fn detect(&mut self, pictures: &[&Picture]) -> Result<Vec<Vec<Detection>>, String> {
        let thresholds = self.manifest().labels.iter().map(|l| l.threshold);
        let floor = thresholds.fold(DETECTION_FLOOR, f32::min);
        Detector::detect(self, pictures, floor).map_err(|e| e.to_string())
    }
}

impl BlendFight for AvModel {
    fn id(&self) -> Arc<str> {
        AvModel::id(self)
    }

    fn label(&self) -> Arc<str> {
        self.labels().first().cloned().unwrap_or_default()
    }

    fn log_odds(&mut self, video: Option<&[f32]>, audio: Option<&[f32]>) -> Result<f32, String> {
        AvModel::log_odds(self, video, audio).map_err(|e| e.to_string())
    }
}

impl WatchClips for ActionModel {
    fn id(&self) -> Arc<str> {
        ActionModel::id(self)
    }

    fn labels(&self) -> Arc<[Arc<str>]> {
        ActionModel::labels(self)
    }

    fn shape(&self) -> ClipShape {
        let input = &self.manifest().input;
        ClipShape {
            span_ns: (f64::from(input.span_s) * 1e9) as u64,
            frames: input.frames,
        }
    }

    fn shrink(&self, picture: &Picture) -> Picture {
        ActionModel::shrink(self, picture)
    }

    fn classify(&mut self, clips: &[Vec<&Picture>]) -> Result<Vec<ClipScores>, String> {
        let scored = ActionModel::classify(self, clips).map_err(|e| e.to_string())?;
        Ok(scored
            .into_iter()
            .map(|(scores, embedding)| ClipScores { scores, embedding })
            .collect())
    }
}

impl Listen for SoundModel {
    fn id(&self) -> Arc<str> {
        SoundModel::id(self)
    }

    fn labels(&self) -> Arc<[Arc<str>]> {
        SoundModel::labels(self)
    }

    fn patch_and_hop(&self) -> (usize, usize) {
        let input = &self.manifest().input;
        (input.patch_samples, input.hop_samples)
    }

    fn classify(&mut self, patches: &[&[f32]]) -> Result<Vec<SoundScores>, String> {
        let heard = SoundModel::classify(self, patches).map_err(|e| e.to_string())?;
        Ok(heard
            .into_iter()
            .map(|(scores, embedding)| SoundScores { scores, embedding })
            .collect())
    }
}

impl ReadVoice for SpeechEmotion {
    fn id(&self) -> Arc<str> {
        SpeechEmotion::id(self)
    }

    fn labels(&self) -> Arc<[Arc<str>]> {
        SpeechEmotion::labels(self)
    }

    fn read(&mut self, speech: &[f32]) -> Result<VoiceReading, String> {
        let read = SpeechEmotion::read(self, speech).map_err(|e| e.to_string())?;
        Ok(VoiceReading {
            probabilities: read.probabilities,
            affect: read.affect,
        })
    }
}

/// Finds a face and reads it.
pub struct FaceModels {
    pub detector: FaceDetector,
    pub emotion: FaceEmotion,
}

impl ReadFaces for FaceModels {
    fn id(&self) -> Arc<str> {
        self.emotion.id()
    }

    fn labels(&self) -> Arc<[Arc<str>]> {
        self.emotion.labels()
    }

    fn read(&mut self, head: &Picture) -> Result<Option<FaceReading>, String> {
        let mut found = self
            .detector
            .find(head, self.detector.threshold())
            .map_err(|e| e.to_string())?;
        let side = self.emotion.side();
        // The head is in the middle: at the sides others look in.
        let central = |face: &Face| face.score * (1.0 - (2.0 * face.bbox.centre().x - 1.0).abs());
        found.sort_by(|a, b| central(b).total_cmp(&central(a)));
        let surest = found
            .into_iter()
            .find_map(|face| Some((aligned(head, &face, self.emotion.template(), side)?, face)));
        let Some((crop, face)) = surest else { return Ok(None) };
        let scores = self.emotion.classify(&[&crop]).map_err(|e| e.to_string())?;
        Ok(scores.into_iter().next().map(|scores| FaceReading {
            bbox: face.bbox,
            quality: quality(head, &face, &crop, side),
            scores,
        }))
    }
}
