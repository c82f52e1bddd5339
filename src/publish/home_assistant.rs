//! Home Assistant's device discovery: one device a camera, one binary sensor a kind, its state and its pictures.
//!
//! <https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload>

use serde_json::{Map, Value, json};

use super::Topics;
use crate::data::Kind;

/// Where Home Assistant says that it has started.
pub(super) const BIRTH: &str = "homeassistant/status";
/// Above every discovery topic.
pub(super) const PREFIX: &str = "homeassistant/device/";

/// The topic of a camera's device. Names have no capital letters, so that no two cameras of two sites share it.
pub fn topic(topics: &Topics, camera: &str) -> String {
    format!("{PREFIX}{}/config", id(topics, camera))
}

/// The payload for it. `pictures`: snapshots are published too.
pub fn device(topics: &Topics, camera: &str, kinds: &[Kind], pictures: bool) -> Vec<u8> {
    let id = id(topics, camera);
    let mut components = Map::new();
    components.insert(
        "state".into(),
        json!({
            "platform": "sensor", "unique_id": format!("{id}_state"), "name": "State", "icon": "mdi:cctv",
            "entity_category": "diagnostic",
            "state_topic": topics.camera_status(camera), "value_template": "{{ value_json.state }}",
            "json_attributes_topic": topics.camera_status(camera),
        }),
    );
    // Home Assistant removes what comes with its platform alone, and keeps what does not come at all.
    let gone = |platform: &str| json!({ "platform": platform });
    for kind in Kind::ALL {
        let class = match kind {
            Kind::Tamper => "tamper",
            Kind::Fall => "safety",
            kind if kind.is_sound() => "sound",
            _ => "motion",
        };
        let offered = kinds.contains(kind);
        let sensor = match offered {
            true => json!({
                "platform": "binary_sensor", "unique_id": format!("{id}_{kind}"), "name": words(*kind),
                "device_class": class, "state_topic": topics.active(camera, kind.as_str()),
                "payload_on": "ON", "payload_off": "OFF",
            }),
            false => gone("binary_sensor"),
        };
        let picture = match offered && pictures {
            true => json!({
                "platform": "image", "unique_id": format!("{id}_{kind}_picture"),
                "name": format!("{} picture", words(*kind)), "content_type": "image/jpeg",
                "image_topic": topics.snapshot(camera, kind.as_str()),
            }),
            false => gone("image"),
        };
        components.insert(kind.to_string(), sensor);
        components.insert(format!("{kind}_picture"), picture);
    }
    let payload = json!({
        "device": {
            "identifiers": [id], "name": camera, "manufacturer": "Watchfire", "model": "camera",
            "suggested_area": topics.site(), "sw_version": env!("CARGO_PKG_VERSION"),
        },
        "origin": {"name": "watchfire", "sw_version": env!("CARGO_PKG_VERSION")},
        "availability": [{"topic": topics.available()}],
        "components": Value::Object(components),
        "qos": 1,
    });
    payload.to_string().into_bytes()
}

/// The camera of this site that a discovery topic is about.
pub(super) fn camera_of<'a>(site: &str, topic: &'a str) -> Option<&'a str> {
    let id = topic.strip_prefix(PREFIX)?.strip_suffix("/config")?;
    id.strip_prefix("watchfire_")?
        .strip_prefix(site)?
        .strip_prefix("_CAMERA_")
}

fn id(topics: &Topics, camera: &str) -> String {
    format!("watchfire_{}_CAMERA_{camera}", topics.site())
}

/// `line_crossing` → `Line crossing`
fn words(kind: Kind) -> String {
    let text = kind.as_str().replace('_', " ");
    let mut letters = text.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_has_a_sensor_for_every_kind_that_points_at_our_topics() {
        let topics = Topics::new("gatehouse", "edge-1");
        let bytes = device(&topics, "yard", &[Kind::Siren, Kind::LineCrossing], true);
        let value: Value = serde_json::from_slice(&bytes).unwrap();
        let siren = &value["components"]["siren"];
        assert_eq!(siren["state_topic"], "watchfire/gatehouse/camera/yard/active/siren");
        assert_eq!(value["components"]["line_crossing"]["name"], "Line crossing");
        assert_eq!(
            value["components"]["siren_picture"]["image_topic"],
            "watchfire/gatehouse/camera/yard/snapshot/siren"
        );
        assert_eq!(
            value["availability"][0]["topic"],
            "watchfire/gatehouse/box/edge-1/available"
        );
        let ids: std::collections::BTreeSet<&str> = value["components"]
            .as_object()
            .unwrap()
            .values()
            .filter_map(|c| c["unique_id"].as_str())
            .collect();
        assert_eq!(ids.len(), 5);
        let topic = topic(&topics, "yard");
        assert_eq!(camera_of("gatehouse", &topic), Some("yard"));
        assert_eq!(camera_of("gate", &topic), None);
    }

    #[test]
    fn a_kind_and_a_picture_that_are_not_offered_come_with_their_platform_alone_so_that_they_go() {
        let topics = Topics::new("gatehouse", "edge-1");
        let bytes = device(&topics, "yard", &[Kind::Siren], false);
        let value: Value = serde_json::from_slice(&bytes).unwrap();
        let components = &value["components"];
        assert_eq!(components["fall"], json!({"platform": "binary_sensor"}));
        assert_eq!(components["fall_picture"], json!({"platform": "image"}));
        assert_eq!(components["siren_picture"], json!({"platform": "image"}));
        assert!(components["siren"]["unique_id"].is_string() && components["state"]["unique_id"].is_string());
        // The state, and two of each kind.
        assert_eq!(components.as_object().unwrap().len(), 1 + 2 * Kind::ALL.len());
    }
}
