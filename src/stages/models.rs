//! The models as the stages ask them.

use std::sync::Arc;

use super::{Detect, FaceReading, Listen, ReadFaces, SoundScores};
use crate::data::{Detection, Picture};
use crate::faces::{aligned, quality};
use crate::nn::{Detector, FaceDetector, FaceEmotion, SoundModel};

/// Detections below this are of no use, not even to carry a track on.
const DETECTION_FLOOR: f32 = 0.1;

impl Detect for Detector {
    fn id(&self) -> Arc<str> {
        Detector::id(self)
    }

    fn labels(&self) -> Arc<[Arc<str>]> {
        Detector::labels(self)
    }

    fn detect(&mut self, pictures: &[&Picture]) -> Result<Vec<Vec<Detection>>, String> {
        Detector::detect(self, pictures, DETECTION_FLOOR).map_err(|e| e.to_string())
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
        let found = self
            .detector
            .find(head, self.detector.threshold())
            .map_err(|e| e.to_string())?;
        let side = self.emotion.side();
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
