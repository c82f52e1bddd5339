//! Words of a configuration that the chosen models do not know: a camera would be blind or deaf to them for good.

use std::collections::BTreeSet;

use crate::config::CameraConfig;
use crate::data::Kind;
use crate::nn::Manifest;

/// A sentence for each class that the detector has not, and each kind that the sound model does not hear.
pub fn unknown_labels(camera: &CameraConfig, detector: &Manifest, sound: &Manifest) -> Vec<String> {
    let id = &camera.ingest.id;
    let behaviour = &camera.behaviour;
    let zones = behaviour.zones.iter().flat_map(|z| &z.classes);
    let lines = behaviour.lines.iter().flat_map(|l| &l.classes);
    let classes: BTreeSet<&str> = camera.detect.iter().chain(zones).chain(lines).map(|c| &**c).collect();
    let unseen = classes
        .into_iter()
        .filter(|class| detector.label(class).is_none())
        .map(|class| {
            let (model, all) = (detector.id(), detector.label_names().join(", "));
            format!("camera {id}: {model} never finds a {class:?}; its classes are {all}")
        });
    // Screams have a rule of their own.
    let kinds = behaviour
        .sounds
        .iter()
        .map(|rule| rule.kind)
        .filter(|k| *k != Kind::Scream);
    let unheard = kinds.filter(|kind| sound.label(kind.as_str()).is_none()).map(|kind| {
        let (model, all) = (sound.id(), sound.label_names().join(", "));
        format!("camera {id}: {model} never hears a {kind}; its labels are {all}")
    });
    unseen.chain(unheard).collect()
}
