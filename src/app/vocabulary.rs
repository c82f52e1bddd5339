//! Words of a configuration that the chosen models do not know: a camera would be blind or deaf to them for good.

use std::collections::BTreeSet;

use crate::behaviour::mood_labels;
use crate::config::CameraConfig;
use crate::data::Kind;
use crate::nn::{Manifest, ModelError, ModelOptions};
use crate::scream;

/// The models whose labels a configuration speaks of.
pub struct Vocabulary {
    pub detector: Manifest,
    pub sound: Manifest,
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
            face_emotion: read(&options.face_emotion).ok(),
            speech_emotion: read(&options.speech_emotion).ok(),
        })
    }

    /// A sentence for each word that its model does not know, and each sound or feeling that a camera's rules miss.
    pub fn unknown_to(&self, camera: &CameraConfig) -> Vec<String> {
        let id = &camera.ingest.id;
        let missing = self
            .classes(camera)
            .into_iter()
            .chain(self.sounds(camera))
            .chain(self.moods(camera));
        missing.map(|text| format!("camera {id}: {text}")).collect()
    }

    fn classes(&self, camera: &CameraConfig) -> Vec<String> {
        let zones = camera.behaviour.zones.iter().flat_map(|z| &z.classes);
        let lines = camera.behaviour.lines.iter().flat_map(|l| &l.classes);
        let classes: BTreeSet<&str> = camera.detect.iter().chain(zones).chain(lines).map(|c| &**c).collect();
        let (model, all) = (self.detector.id(), self.detector.label_names().join(", "));
        let unseen = classes.into_iter().filter(|class| self.detector.label(class).is_none());
        unseen
            .map(|class| format!("{model} never finds a {class:?}; its classes are {all}"))
            .collect()
    }

    fn sounds(&self, camera: &CameraConfig) -> Vec<String> {
        let (model, all) = (self.sound.id(), self.sound.label_names().join(", "));
        let lacks = |label: &str| self.sound.label(label).is_none();
        let mut out = Vec::new();
        for kind in camera.behaviour.sounds.iter().map(|rule| rule.kind) {
            if kind != Kind::Scream {
                if lacks(kind.as_str()) {
                    out.push(format!("{model} never hears a {kind}; its labels are {all}"));
                }
            } else if lacks(scream::LABEL) {
                // Screams have a rule of their own, which the model holds back.
                let untold = scream::NO_SCREAMS.into_iter().filter(|label| lacks(label));
                out.extend(
                    untold.map(|label| format!("{model} has no label {label}, which the rule may take for a scream")),
                );
            }
        }
        if camera.emotion && lacks("speech") {
            out.push(format!("{model} has no label speech: no voice is ever read"));
        }
        out
    }

    fn moods(&self, camera: &CameraConfig) -> Vec<String> {
        let kinds: BTreeSet<Kind> = camera.policy.kinds.iter().map(|p| p.kind).collect();
        let mut out = Vec::new();
        for kind in kinds {
            for model in [&self.face_emotion, &self.speech_emotion].into_iter().flatten() {
                let unread = mood_labels(kind).iter().filter(|label| model.label(label).is_none());
                out.extend(
                    unread.map(|label| format!("{} never reads {label}, which {kind} is judged by", model.id())),
                );
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Surroundings, load_texts};

    fn camera(lines: &str) -> CameraConfig {
        let text = format!("[[camera]]\nid = \"yard\"\nurl = \"rtsp://127.0.0.1/yard\"\n{lines}\n");
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
            face_emotion: Some(read("face_emotion")),
            speech_emotion: Some(read("speech_emotion")),
        };
        let kinds = "kinds = [\"intrusion\", \"siren\", \"scream\", \"aggression\", \"distress\"]\nemotion = true";
        let camera = camera(kinds);
        assert_eq!(vocabulary.unknown_to(&camera), [] as [String; 0]);
        vocabulary
            .sound
            .labels
            .retain(|l| !["siren", "speech"].contains(&&*l.name));
        if let Some(voice) = &mut vocabulary.speech_emotion {
            voice.labels.retain(|l| &*l.name != "fear");
        }
        let told = vocabulary.unknown_to(&camera).join("\n");
        for text in [
            "never hears a siren",
            "may take for a scream",
            "no voice is ever read",
            "never reads fear",
        ] {
            assert_eq!(told.matches(text).count(), 1, "{text}: {told}");
        }
        assert_eq!(told.lines().count(), 4, "{told}");
    }
}
