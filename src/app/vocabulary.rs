//! Words of a configuration that the chosen models do not know: a camera would be blind or deaf to them for good.

use std::collections::BTreeSet;

use super::words::with_article;
use crate::behaviour::mood_labels;
use crate::config::CameraConfig;
use crate::data::Kind;
use crate::nn::{Manifest, ModelError, ModelOptions};
use crate::scream;

/// The models whose labels a configuration speaks of.
pub struct Vocabulary {
    pub detector: Manifest,
    pub sound: Manifest,
    /// None: not installed.
    pub action: Option<Manifest>,
    /// None: not installed, or nobody has opted into emotion.
    pub face_emotion: Option<Manifest>,
    pub speech_emotion: Option<Manifest>,
}

impl Vocabulary {
    /// Of installed models.
    ///
    /// # Errors
    /// There is no detector or no sound model, or their manifests are damaged.
    pub fn read(options: &ModelOptions) -> Result<Self, ModelError> {
        let read = |name: &String| Manifest::read(&options.dir.join(name));
        Ok(Self {
            detector: read(&options.detector)?,
            sound: read(&options.sound)?,
            action: read(&options.action).ok(),
            face_emotion: read(&options.face_emotion).ok(),
            speech_emotion: read(&options.speech_emotion).ok(),
        })
    }

    /// A sentence for each word that its model does not know, and each sound or feeling that a camera's rules miss.
    pub fn unknown_to(&self, camera: &CameraConfig) -> Vec<String> {
        let moods = [self.face_emotion.as_ref(), self.speech_emotion.as_ref()];
        let (detector, sound) = (Some(&self.detector), Some(&self.sound));
        unknown(camera, detector, sound, self.action.as_ref(), moods)
    }

    /// The same of models that are not loaded. Of one that cannot be read, or is of another task, nothing is said.
    pub fn unknown(options: &ModelOptions, cameras: &[CameraConfig]) -> Vec<String> {
        let read = |name: &String, task: &str| {
            let manifest = Manifest::read(&options.dir.join(name)).ok();
            manifest.filter(|m| m.task == task)
        };
        let detector = read(&options.detector, "detector");
        let sound = read(&options.sound, "sound");
        let action = read(&options.action, "action");
        let face = read(&options.face_emotion, "face_emotion");
        let voice = read(&options.speech_emotion, "speech_emotion");
        let moods = [face.as_ref(), voice.as_ref()];
        let of = |camera| unknown(camera, detector.as_ref(), sound.as_ref(), action.as_ref(), moods);
        cameras.iter().flat_map(of).collect()
    }
}

fn unknown(
    camera: &CameraConfig,
    detector: Option<&Manifest>,
    sound: Option<&Manifest>,
    action: Option<&Manifest>,
    moods: [Option<&Manifest>; 2],
) -> Vec<String> {
    let mut missing = Vec::new();
    missing.extend(detector.into_iter().flat_map(|model| unseen(model, camera)));
    missing.extend(sound.into_iter().flat_map(|model| unheard(model, camera)));
    missing.extend(action.into_iter().flat_map(|model| unwatched(model, camera)));
    missing.extend(moods.into_iter().flatten().flat_map(|model| unread(model, camera)));
    let id = &camera.ingest.id;
    missing.into_iter().map(|text| format!("camera {id}: {text}")).collect()
}

fn unseen(model: &Manifest, camera: &CameraConfig) -> Vec<String> {
    let zones = camera.behaviour.zones.iter().flat_map(|z| &z.classes);
    let lines = camera.behaviour.lines.iter().flat_map(|l| &l.classes);
    let classes: BTreeSet<&str> = camera.detect.iter().chain(zones).chain(lines).map(|c| &**c).collect();
    let (id, all) = (model.id(), model.label_names().join(", "));
    let unseen = classes.into_iter().filter(|class| model.label(class).is_none());
    unseen
        .map(|class| {
            format!(
                "{id} never finds {}; its classes are {all}",
                with_article(&format!("{class:?}"))
            )
        })
        .collect()
}

fn unheard(model: &Manifest, camera: &CameraConfig) -> Vec<String> {
    let (id, all) = (model.id(), model.label_names().join(", "));
    let lacks = |label: &str| model.label(label).is_none();
    let mut out = Vec::new();
    for kind in camera.behaviour.sounds.iter().map(|rule| rule.kind) {
        if kind != Kind::Scream {
            if lacks(kind.as_str()) {
                let sound = with_article(kind.as_str());
                out.push(format!("{id} never hears {sound}; its labels are {all}"));
            }
        } else if lacks(scream::LABEL) {
            // Screams have a rule of their own, which the model holds back.
            let untold = scream::NO_SCREAMS.into_iter().filter(|label| lacks(label));
            out.extend(untold.map(|label| format!("{id} has no label {label}, which the rule may take for a scream")));
        }
    }
    if camera.emotion && lacks("speech") {
        out.push(format!("{id} has no label speech: no voice is ever read"));
    }
    out
}

fn unwatched(model: &Manifest, camera: &CameraConfig) -> Option<String> {
    let asked = camera.behaviour.fight.is_some() && model.label(Kind::Fight.as_str()).is_none();
    let all = model.label_names().join(", ");
    asked.then(|| format!("{} never sees a fight; its labels are {all}", model.id()))
}

fn unread(model: &Manifest, camera: &CameraConfig) -> Vec<String> {
    let kinds: BTreeSet<Kind> = camera.policy.kinds.iter().map(|p| p.kind).collect();
    let mut out = Vec::new();
    for kind in kinds {
        let unread = mood_labels(kind).iter().filter(|label| model.label(label).is_none());
        out.extend(unread.map(|label| format!("{} never reads {label}, which {kind} is judged by", model.id())));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Surroundings, load_texts};

    fn camera(lines: &str) -> CameraConfig {
        let models = concat!(env!("CARGO_MANIFEST_DIR"), "/models");
        let text = format!(
            "[models]\ndir = {models:?}\n[[camera]]\nid = \"yard\"\nurl = \"rtsp://127.0.0.1/yard\"\n{lines}\n"
        );
        let loaded = load_texts(vec![("t.toml".into(), text)], &Surroundings::real()).unwrap();
        assert!(loaded.camera_errors.is_empty(), "{:?}", loaded.camera_errors);
        loaded.config.cameras.into_iter().next().unwrap()
    }

    #[test]
    fn what_an_own_model_lacks_is_named_once_and_the_shipped_ones_lack_nothing() {
        let models = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
        let read = |name: &str| Manifest::read(&models.join(name)).unwrap();
        let mut vocabulary = Vocabulary {
            detector: read("detector"),
            sound: read("sound"),
            action: Some(read("action")),
            face_emotion: Some(read("face_emotion")),
            speech_emotion: Some(read("speech_emotion")),
        };
        let kinds =
            "kinds = [\"intrusion\", \"siren\", \"scream\", \"aggression\", \"distress\", \"fight\"]\nemotion = true";
        let camera = camera(kinds);
        assert_eq!(vocabulary.unknown_to(&camera), [] as [String; 0]);
        vocabulary
            .sound
            .labels
            .retain(|l| !["siren", "speech"].contains(&&*l.name));
        if let Some(voice) = &mut vocabulary.speech_emotion {
            voice.labels.retain(|l| &*l.name != "fear");
        }
        if let Some(action) = &mut vocabulary.action {
            action.labels.retain(|l| &*l.name != "fight");
        }
        let told = vocabulary.unknown_to(&camera).join("\n");
        for text in [
            "never hears a siren",
            "may take for a scream",
            "no voice is ever read",
            "never reads fear",
            "never sees a fight; its labels are no_fight",
        ] {
            assert_eq!(told.matches(text).count(), 1, "{text}: {told}");
        }
        assert_eq!(told.lines().count(), 5, "{told}");
    }

    #[test]
    fn a_model_that_cannot_be_read_does_not_hide_what_the_others_lack() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["detector", "action"] {
            std::os::unix::fs::symlink(crate::nn::shipped(name), dir.path().join(name)).unwrap();
        }
        let camera = camera("detect = [\"forklift\"]\nkinds = [\"intrusion\", \"siren\"]");
        let options = ModelOptions {
            dir: dir.path().to_owned(),
            detector: "detector".into(),
            sound: "sound".into(),
            action: "action".into(),
            av_fight: "av_fight".into(),
            fusion: None,
            speech_emotion: "speech_emotion".into(),
            face: "face".into(),
            // Of another task.
            face_emotion: "action".into(),
            device: crate::nn::DeviceChoice::Cpu,
            threads: 1,
        };
        let told = Vocabulary::unknown(&options, &[camera]);
        assert!(told.len() == 1 && told[0].contains("forklift"), "{told:?}");
    }
}
