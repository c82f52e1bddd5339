//! What an earlier life of the daemon, or an earlier configuration, has left with the broker.

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
        tracing::warn!(site = %config.site, "ending {} alerts that were open when the process ended", messages.len());
    }
    Ok(messages)
}

/// Retained topics of cameras that are no longer configured are cleared, and what those expressed that have opted out.
pub(super) fn clear_gone_cameras(store: &Store, config: &Config, topics: &Topics, publisher: &Publisher) {
    let known = |camera: &str| {
        config.cameras.iter().any(|c| c.ingest.id.as_str() == camera)
            || config.disabled.keys().any(|c| c.as_str() == camera)
    };
    let opted_in = |camera: &str| {
        let mut cameras = config.cameras.iter();
        cameras.any(|c| c.emotion && c.ingest.id.as_str() == camera)
    };
    for topic in store.retained().unwrap_or_default() {
        let unwanted = topic.starts_with("homeassistant/") && !config.mqtt.home_assistant;
        let muted = |camera: &str| !opted_in(camera) && topic == topics.emotion(camera);
        // Of a kind or a camera that is not watched any more nothing is open, whatever a crash left there.
        let over = |camera: &str| {
            let runs = config.cameras.iter().find(|c| c.ingest.id.as_str() == camera);
            let mut kinds = runs.iter().flat_map(|c| &c.policy.kinds);
            topic.starts_with(&topics.active(camera, ""))
                && !kinds.any(|p| topic == topics.active(camera, p.kind.as_str()))
        };
        if topics
            .camera_of(&topic)
            .is_some_and(|camera| unwanted || !known(camera) || muted(camera) || over(camera))
        {
            publisher.retain(topic, Vec::new());
        }
    }
}
