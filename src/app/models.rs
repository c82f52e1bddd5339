//! Every model, loaded for the stages that ask it.

use std::path::PathBuf;

use crate::behaviour::BehaviourOptions;
use crate::data::Kind;
use crate::graph::Models;
use crate::nn::{
    ActionModel, AvModel, Detector, FaceDetector, FaceEmotion, Manifest, ModelOptions, SoundModel, SpeechEmotion,
};
use crate::stages::FaceModels;

/// The models' own thresholds, where the configuration names none.
pub fn fill_thresholds(behaviour: &mut BehaviourOptions, detector: &Manifest, sound: &Manifest, fight: Option<f32>) {
    if let Some(rule) = behaviour.fight.as_mut().filter(|r| r.threshold == 0.0) {
        rule.threshold = fight.unwrap_or(0.5);
    }
    let of = |manifest: &Manifest, name: &str| manifest.labels.iter().find(|l| &*l.name == name).map(|l| l.threshold);
    for rule in behaviour.sounds.iter_mut().filter(|r| r.threshold == 0.0) {
        rule.threshold = of(sound, rule.kind.as_str()).unwrap_or(0.5);
    }
    for zone in &mut behaviour.zones {
        for class in &zone.classes {
            if let (Some(threshold), false) = (of(detector, class), zone.min_score.iter().any(|(c, _)| c == class)) {
                zone.min_score.push((class.clone(), threshold));
            }
        }
    }
}

/// Every model that the stages ask.
pub struct LoadedModels {
    pub detector: Detector,
    pub sound: SoundModel,
    pub voice: SpeechEmotion,
    /// None: no camera looks for fights, and the model is not installed.
    pub action: Option<ActionModel>,
    pub fusion: Option<AvModel>,
    /// None: no camera has opted into emotion.
    pub faces: Option<FaceModels>,
}

impl LoadedModels {
    /// `fights`: a camera looks for them, and the clip model must be there. `emotion`: a camera has opted into it, and
    /// the face models must be there; else they are not even loaded.
    ///
    /// # Errors
    /// A model is missing or damaged.
    pub fn load(options: &ModelOptions, fights: bool, emotion: bool) -> anyhow::Result<Self> {
        let (dir, device, threads) = (&options.dir, options.device, options.threads);
        let there = |dir: &PathBuf| dir.join("model.toml").exists();
        let action = Some(dir.join(&options.action)).filter(|dir| fights || there(dir));
        let fusion = Some(dir.join(&options.av_fight)).filter(|dir| action.is_some() && there(dir));
        let faces = || {
            anyhow::Ok(FaceModels {
                detector: FaceDetector::load(&dir.join(&options.face), device, threads)?,
                emotion: FaceEmotion::load(&dir.join(&options.face_emotion), device, threads)?,
            })
        };
        Ok(Self {
            faces: emotion.then(faces).transpose()?,
            detector: Detector::load(&dir.join(&options.detector), device, threads)?,
            sound: SoundModel::load(&dir.join(&options.sound), device, threads)?,
            voice: SpeechEmotion::load(&dir.join(&options.speech_emotion), device, threads)?,
            action: action.map(|dir| ActionModel::load(&dir, device, threads)).transpose()?,
            fusion: fusion.map(|dir| AvModel::load(&dir, options.fusion)).transpose()?,
        })
    }

    /// From so much on a window counts as a fight, unless the configuration says otherwise.
    pub fn fight_threshold(&self) -> Option<f32> {
        let fusion = self.fusion.as_ref().map(AvModel::manifest);
        let manifest = fusion.or(self.action.as_ref().map(ActionModel::manifest))?;
        let label = manifest.labels.iter().find(|l| &*l.name == Kind::Fight.as_str())?;
        Some(label.threshold)
    }
}

impl From<LoadedModels> for Models {
    fn from(models: LoadedModels) -> Self {
        Self {
            detector: Box::new(models.detector),
            action: models.action.map(|m| Box::new(m) as _),
            fusion: models.fusion.map(|m| Box::new(m) as _),
            sound: Box::new(models.sound),
            voice: Box::new(models.voice),
            faces: models.faces.map(|m| Box::new(m) as _),
        }
    }
}
