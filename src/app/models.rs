//! Every model, loaded for the stages that ask it.

use std::path::PathBuf;

use anyhow::Context;

use super::Vocabulary;
use crate::behaviour::BehaviourOptions;
use crate::config::{CameraConfig, MODEL_THRESHOLD};
use crate::data::Kind;
use crate::graph::Models;
use crate::nn::{
    ActionModel, AvModel, Detector, DeviceChoice, FaceDetector, FaceEmotion, Manifest, ModelError, ModelOptions,
    SoundModel, SpeechEmotion,
};
use crate::stages::FaceModels;

/// The models' own thresholds, where the configuration names none.
pub fn fill_thresholds(behaviour: &mut BehaviourOptions, detector: &Manifest, sound: &Manifest, fight: Option<f32>) {
    if let Some(rule) = behaviour.fight.as_mut().filter(|r| r.threshold == MODEL_THRESHOLD) {
        rule.threshold = fight.unwrap_or(0.5);
    }
    let of = |manifest: &Manifest, name: &str| manifest.label(name).map(|l| l.threshold);
    for rule in behaviour.sounds.iter_mut().filter(|r| r.threshold == MODEL_THRESHOLD) {
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

/// The folders of the models that these cameras need.
pub struct Wanted {
    detector: PathBuf,
    sound: PathBuf,
    /// Where a camera looks for fights it must be there, else it is taken where it is.
    action: Option<PathBuf>,
    fusion: Option<PathBuf>,
    /// Those of faces and voices, where a camera has opted into emotion.
    voice: Option<PathBuf>,
    faces: Option<[PathBuf; 2]>,
}

impl Wanted {
    pub fn of(options: &ModelOptions, cameras: &[CameraConfig]) -> Self {
        let folder = |name: &String| options.dir.join(name);
        // A model.toml that is a link to nowhere is there: the model is meant to be. A folder that is one is not.
        let there = |dir: &PathBuf| dir.join("model.toml").symlink_metadata().is_ok();
        let fights = cameras.iter().any(|c| c.behaviour.fight.is_some());
        let emotion = cameras.iter().any(|c| c.emotion);
        let action = Some(folder(&options.action)).filter(|dir| fights || there(dir));
        Self {
            detector: folder(&options.detector),
            sound: folder(&options.sound),
            fusion: Some(folder(&options.av_fight)).filter(|dir| action.is_some() && there(dir)),
            action,
            voice: emotion.then(|| folder(&options.speech_emotion)),
            faces: emotion.then(|| [folder(&options.face), folder(&options.face_emotion)]),
        }
    }

    pub fn folders(&self) -> Vec<&PathBuf> {
        let one = [Some(&self.detector), Some(&self.sound)].into_iter();
        let more = [self.action.as_ref(), self.fusion.as_ref(), self.voice.as_ref()];
        one.chain(more).flatten().chain(self.faces.iter().flatten()).collect()
    }

    /// What keeps [`LoadedModels::load`] from these models, each with the key that chooses it. They are loaded on the CPU:
    /// where the device itself cannot be used, that is one fault and not one a model.
    pub fn faults(&self, options: &ModelOptions, cameras: &[CameraConfig]) -> Vec<String> {
        fn tried<M>(loaded: Result<M, ModelError>) -> anyhow::Result<()> {
            Ok(loaded.map(drop)?)
        }
        let on = DeviceChoice::Cpu;
        let mut models = vec![
            (
                "detector",
                &options.detector,
                tried(Detector::load(&self.detector, on, 1)),
            ),
            ("sound", &options.sound, tried(SoundModel::load(&self.sound, on, 1))),
        ];
        if let Some(dir) = &self.action {
            models.push(("action", &options.action, tried(ActionModel::load(dir, on, 1))));
        }
        if let Some(dir) = &self.fusion {
            models.push(("av_fight", &options.av_fight, tried(AvModel::load(dir, options.fusion))));
        }
        let who = || asked(cameras);
        if let Some(dir) = &self.voice {
            let loaded = tried(SpeechEmotion::load(dir, on, 1)).with_context(who);
            models.push(("speech_emotion", &options.speech_emotion, loaded));
        }
        if let Some([face, emotion]) = &self.faces {
            let loaded = tried(FaceDetector::load(face, on, 1)).with_context(who);
            models.push(("face", &options.face, loaded));
            let loaded = tried(FaceEmotion::load(emotion, on, 1)).with_context(who);
            models.push(("face_emotion", &options.face_emotion, loaded));
        }
        let fault = |(key, folder, loaded): (&str, &String, anyhow::Result<()>)| {
            let why = loaded.err()?;
            Some(format!("models.{key} = {folder:?}: {why:#}"))
        };
        models.into_iter().filter_map(fault).collect()
    }

    /// Why the learned fusion is left out, where its folder is there: it was trained beside other models.
    pub fn left_out(&self) -> Option<String> {
        let head = Manifest::read(self.fusion.as_ref()?).ok()?;
        let others = [Some(&self.sound), self.action.as_ref()].into_iter().flatten();
        let others: Vec<Manifest> = others.filter_map(|dir| Manifest::read(dir).ok()).collect();
        let why = head.expect_beside(&others).err()?;
        Some(format!("{LEFT_OUT}: {why}"))
    }
}

const LEFT_OUT: &str = "the learned fusion is left out, and what is seen and heard of a fight is pooled";

/// Which camera needs the models of faces and voices.
fn asked(cameras: &[CameraConfig]) -> String {
    let id = cameras.iter().find(|c| c.emotion).map_or("?", |c| c.ingest.id.as_str());
    format!(
        "camera {id} has emotion = true, which needs the models of faces and voices (install them, or set emotion = false)"
    )
}

/// Every model that the stages ask.
pub struct LoadedModels {
    pub detector: Detector,
    pub sound: SoundModel,
    /// None: no camera looks for fights, and the model is not installed.
    pub action: Option<ActionModel>,
    /// None: it is not installed, or was trained beside other models than these.
    pub fusion: Option<AvModel>,
    /// None: no camera has opted into emotion.
    pub voice: Option<SpeechEmotion>,
    pub faces: Option<FaceModels>,
}

impl LoadedModels {
    /// What these cameras need. Where one looks for fights the clip model must be there; where one has opted into
    /// emotion those of faces and voices must be, which else are not even loaded.
    ///
    /// # Errors
    /// A model is missing or damaged; of those for emotion it names the camera that asks for them.
    pub fn load(options: &ModelOptions, cameras: &[CameraConfig]) -> anyhow::Result<Self> {
        let (device, threads) = (options.device, options.threads);
        let wanted = Wanted::of(options, cameras);
        let who = || asked(cameras);
        let voice = |dir: PathBuf| SpeechEmotion::load(&dir, device, threads).with_context(who);
        let faces = |[face, emotion]: [PathBuf; 2]| {
            anyhow::Ok(FaceModels {
                detector: FaceDetector::load(&face, device, threads).with_context(who)?,
                emotion: FaceEmotion::load(&emotion, device, threads).with_context(who)?,
            })
        };
        let action = wanted
            .action
            .map(|dir| ActionModel::load(&dir, device, threads))
            .transpose()?;
        let sound = SoundModel::load(&wanted.sound, device, threads)?;
        let fusion = wanted
            .fusion
            .map(|dir| AvModel::load(&dir, options.fusion))
            .transpose()?;
        let fusion = fusion.filter(|head| {
            let others = [Some(sound.manifest()), action.as_ref().map(ActionModel::manifest)];
            let fits = head.manifest().expect_beside(others.into_iter().flatten());
            if let Err(why) = &fits {
                tracing::warn!("{LEFT_OUT}: {why}");
            }
            fits.is_ok()
        });
        Ok(Self {
            voice: wanted.voice.map(voice).transpose()?,
            faces: wanted.faces.map(faces).transpose()?,
            detector: Detector::load(&wanted.detector, device, threads)?,
            sound,
            action,
            fusion,
        })
    }

    /// Of every model that was loaded.
    pub fn manifests(&self) -> Vec<&Manifest> {
        let mut all = vec![self.detector.manifest(), self.sound.manifest()];
        all.extend(self.action.as_ref().map(ActionModel::manifest));
        all.extend(self.fusion.as_ref().map(AvModel::manifest));
        all.extend(self.voice.as_ref().map(SpeechEmotion::manifest));
        let faces = self.faces.iter();
        all.extend(faces.flat_map(|m| [m.detector.manifest(), m.emotion.manifest()]));
        all
    }

    pub fn vocabulary(&self) -> Vocabulary {
        Vocabulary {
            detector: self.detector.manifest().clone(),
            sound: self.sound.manifest().clone(),
            action: self.action.as_ref().map(|m| m.manifest().clone()),
            face_emotion: self.faces.as_ref().map(|m| m.emotion.manifest().clone()),
            speech_emotion: self.voice.as_ref().map(|m| m.manifest().clone()),
        }
    }

    /// A camera has opted into emotion, and so its models are there.
    pub fn emotion(&self) -> bool {
        self.voice.is_some() && self.faces.is_some()
    }

    /// From so much on a window counts as a fight, unless the configuration says otherwise.
    pub fn fight_threshold(&self) -> Option<f32> {
        let fusion = self.fusion.as_ref().map(AvModel::manifest);
        let manifest = fusion.or(self.action.as_ref().map(ActionModel::manifest))?;
        let label = manifest.label(Kind::Fight.as_str())?;
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
            voice: models.voice.map(|m| Box::new(m) as _),
            faces: models.faces.map(|m| Box::new(m) as _),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Surroundings, load};
    use crate::nn::shipped;

    /// What a camera `yard` with these lines loads from a folder with these models only.
    fn loaded(models: &[&str], camera: &str) -> anyhow::Result<LoadedModels> {
        let dir = tempfile::tempdir().unwrap();
        for name in models {
            std::os::unix::fs::symlink(shipped(name), dir.path().join(name)).unwrap();
        }
        load_from(&dir, camera)
    }

    fn load_from(dir: &tempfile::TempDir, camera: &str) -> anyhow::Result<LoadedModels> {
        let config = config(dir, camera);
        LoadedModels::load(&config.models, &config.cameras)
    }

    fn config(dir: &tempfile::TempDir, camera: &str) -> Config {
        let (file, at) = (dir.path().join("watchfire.toml"), dir.path().display());
        let text = format!(
            "[site]\nname = \"t\"\n[mqtt]\nurl = \"mqtt://127.0.0.1:1\"\n[models]\ndir = \"{at}\"\n[state]\ndir = \"{at}\"\n\
             [[camera]]\nid = \"yard\"\nurl = \"rtsp://127.0.0.1/1\"\nkinds = [\"gunshot\"]\n{camera}"
        );
        std::fs::write(&file, text).unwrap();
        load(&file, &Surroundings::real()).unwrap().config
    }

    #[test]
    fn every_model_that_would_not_load_is_told_at_once_with_its_key() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["detector", "sound", "speech_emotion", "face", "face_emotion"] {
            std::os::unix::fs::symlink(shipped(name), dir.path().join(name)).unwrap();
        }
        let told = |lines: &str, change: fn(&mut ModelOptions)| {
            let mut config = config(&dir, lines);
            change(&mut config.models);
            Wanted::of(&config.models, &config.cameras).faults(&config.models, &config.cameras)
        };
        assert!(told("", |_| ()).is_empty());
        let wrong = told("emotion = true", |models| {
            models.detector = "nosuch".into();
            models.sound = "detector".into();
            models.face = String::new();
        });
        for (fault, parts) in wrong.iter().zip([
            ["models.detector = \"nosuch\"", "nosuch/model.toml"],
            ["models.sound = \"detector\"", "task \"sound\""],
            ["models.face = \"\"", "camera yard has emotion = true"],
        ]) {
            assert!(parts.iter().all(|part| fault.contains(part)), "{parts:?}: {fault}");
        }
        assert_eq!(wrong.len(), 3, "{wrong:?}");
        // A link to no folder is no clip model.
        let (action, manifest) = (dir.path().join("action"), dir.path().join("action/model.toml"));
        std::os::unix::fs::symlink("nowhere", &action).unwrap();
        assert!(told("", |_| ()).is_empty());
        std::fs::remove_file(&action).unwrap();
        // One that is there is loaded, whoever asks.
        std::fs::create_dir(&action).unwrap();
        std::os::unix::fs::symlink("nowhere", &manifest).unwrap();
        let wrong = told("", |_| ()).join("\n");
        assert!(
            wrong.contains("models.action") && wrong.contains("action/model.toml"),
            "{wrong}"
        );
        std::fs::remove_file(&manifest).unwrap();
        std::fs::copy(shipped("action/model.toml"), &manifest).unwrap();
        let wrong = told("", |_| ()).join("\n");
        assert!(
            wrong.contains("models.action") && wrong.contains("weights.safetensors"),
            "{wrong}"
        );
    }

    #[test]
    fn the_models_of_emotion_are_needed_only_where_a_camera_asks_and_then_it_is_named() {
        let without = loaded(&["detector", "sound"], "").unwrap();
        assert!(without.voice.is_none() && without.faces.is_none() && !without.emotion());
        let all = ["detector", "sound", "speech_emotion", "face", "face_emotion"];
        assert!(!loaded(&all, "").unwrap().emotion(), "loaded, though nobody asked");
        assert!(loaded(&all, "emotion = true").unwrap().emotion());
        for missing in &all[2..] {
            let there: Vec<&str> = all.iter().copied().filter(|m| m != missing).collect();
            let error = format!("{:#}", loaded(&there, "emotion = true").err().unwrap());
            for part in [
                "camera yard has emotion = true",
                &format!("{missing}/model.toml"),
                "is the model installed?",
            ] {
                assert!(error.contains(part), "without {missing}: {error}");
            }
        }
    }

    #[test]
    fn a_fusion_that_was_trained_beside_another_sound_model_is_left_out() {
        let models = ["detector", "sound", "action", "av_fight"];
        assert!(loaded(&models, "").unwrap().fusion.is_some());
        let dir = tempfile::tempdir().unwrap();
        for name in &models[..3] {
            std::os::unix::fs::symlink(shipped(name), dir.path().join(name)).unwrap();
        }
        let own = dir.path().join("av_fight");
        std::fs::create_dir(&own).unwrap();
        std::fs::copy(shipped("av_fight/weights.safetensors"), own.join("weights.safetensors")).unwrap();
        let manifest = std::fs::read_to_string(shipped("av_fight/model.toml")).unwrap();
        let other = manifest.replace("\nsound = \"", "\nsound = \"0");
        assert_ne!(other, manifest);
        std::fs::write(own.join("model.toml"), other).unwrap();
        let models = load_from(&dir, "").unwrap();
        let why = AvModel::load(&own, None)
            .unwrap()
            .manifest()
            .expect_beside([models.sound.manifest()]);
        let why = why.unwrap_err().to_string();
        assert!(
            why.contains("trained beside sound weights of sha256 0") && why.contains("train it again"),
            "{why}"
        );
        assert!(models.fusion.is_none() && models.action.is_some());
        // Fights are then judged by the clip model's own threshold.
        let threshold = models.action.as_ref().unwrap().manifest().labels[0].threshold;
        assert_eq!(models.fight_threshold(), Some(threshold));
    }
}
