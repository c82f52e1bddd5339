//! What an earlier life of the daemon, or an earlier configuration, has left with the broker.

use super::words::counted;
use crate::clock::Clock;
use crate::config::Config;
use crate::publish::payload::AlertPayload;
use crate::publish::{Publisher, Topics};
use crate::store::{Message, Store};

/// Alerts that were open when the process was killed end now, with reason `restart`.
pub(super) fn ends_of_what_a_crash_left_open(
    store: &Store,
    config: &Config,
    clock: &dyn Clock,
) -> anyhow::Result<Vec<Message>> {
    let mut messages = Vec::new();
    for (topic, payload) in store.open_alerts()? {
        let Ok(alert) = serde_json::from_str::<AlertPayload>(&payload) else {
            continue;
        };
        let alert = alert.ended_by_restart(clock.utc_ns());
        messages.push(Message {
            alert_id: alert.id.clone(),
            camera: alert.camera.clone(),
            kind: alert.kind.clone(),
            phase: alert.phase.clone(),
            started_utc_ms: 0,
            topic,
            payload: serde_json::to_string(&alert)?,
        });
    }
    if !messages.is_empty() {
        let alerts = counted(messages.len(), "alert");
        tracing::warn!(site = %config.site, "ending {alerts} left open when the process ended");
    }
    Ok(messages)
}

/// Retained topics of cameras that are no longer configured are cleared, and what those expressed that have opted out. Of a
/// camera that is switched off nothing is open.
pub(super) fn clear_gone_cameras(store: &Store, config: &Config, topics: &Topics, publisher: &Publisher) {
    for topic in store.retained().unwrap_or_default() {
        if let Some(word) = instead(config, topics, &topic) {
            publisher.retain(topic, word.into());
        }
    }
}

/// What is to be said of a retained topic that is not true any more; empty: it goes.
fn instead(config: &Config, topics: &Topics, topic: &str) -> Option<&'static str> {
    let camera = topics.camera_of(topic)?;
    let runs = config.cameras.iter().find(|c| c.ingest.id.as_str() == camera);
    let is_off = config.disabled.keys().any(|c| c.as_str() == camera);
    let is_active = topics.is_active(topic);
    if is_active && is_off {
        return Some("OFF");
    }
    // Of a kind or a camera that is not watched any more nothing is open, whatever a crash left there.
    let mut kinds = runs.iter().flat_map(|c| &c.policy.kinds);
    let over = is_active && !kinds.any(|p| topic == topics.active(camera, p.kind.as_str()));
    let muted = topic == topics.emotion(camera) && !runs.is_some_and(|c| c.emotion);
    let is_device = topic.starts_with("homeassistant/");
    let unwanted = is_device && !config.mqtt.home_assistant;
    let gone = runs.is_none() && !is_off;
    // An older version told of a camera with a slash in its id, as if of the one whose id ends there.
    let own = [topics.camera_status(camera), topics.emotion(camera)];
    let strange = !is_active && !is_device && !own.iter().any(|t| t == topic);
    (over || muted || unwanted || gone || strange).then_some("")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Secrets, Surroundings, load_texts};
    use crate::publish::home_assistant;

    #[test]
    fn what_is_off_is_off_and_what_is_gone_is_cleared() {
        let text = "[site]\nname = \"t\"\n[mqtt]\nurl = \"mqtt://127.0.0.1\"\n\
                    [[camera]]\nid = \"yard\"\nurl = \"rtsp://10.0.0.21/x\"\nkinds = [\"siren\"]\n\
                    [[camera]]\nid = \"shed\"\nenabled = false\nurl = \"rtsp://10.0.0.22/x\"\nkinds = [\"siren\"]\n";
        let around = Surroundings {
            env: |_| None,
            host_name: "b".into(),
            needs_fps: |_| Some(2.0),
            secrets: Secrets::Unused,
        };
        let config = load_texts(vec![("w.toml".into(), text.into())], &around)
            .unwrap()
            .config;
        let topics = Topics::new("t", "b");
        let said = |topic: String| instead(&config, &topics, &topic);
        assert_eq!(said(topics.active("yard", "siren")), None);
        assert_eq!(said(topics.active("yard", "fall")), Some(""));
        assert_eq!(said(topics.active("shed", "siren")), Some("OFF"));
        assert_eq!(said(topics.active("gone", "siren")), Some(""));
        assert_eq!(said(topics.camera_status("shed")), None);
        assert_eq!(said(topics.camera_status("gone")), Some(""));
        assert_eq!(said(topics.emotion("shed")), Some(""));
        assert_eq!(said(home_assistant::topic(&topics, "shed")), None);
        assert_eq!(said(home_assistant::topic(&topics, "gone")), Some(""));
        assert_eq!(said(topics.box_status()), None);
        assert_eq!(said(topics.camera_status("yard/gate")), Some(""));
        assert_eq!(said(topics.camera_status("shed/gate")), Some(""));
    }
}
