//! Messages that are larger than the broker takes: one of them would cut the connection again and again, and hold up every
//! alert behind it.

use serde_json::Value;

/// What MQTT 5 adds to topic and payload: fixed header, lengths, packet id, and `queued_ms` with its value.
const AROUND_BYTES: usize = 64;

/// Whether a publish of that topic and payload stays within `limit`; None: any size will do.
pub(super) fn fits(topic: &str, payload: &[u8], limit: Option<usize>) -> bool {
    limit.is_none_or(|limit| topic.len() + payload.len() + AROUND_BYTES <= limit)
}

/// An alert without its tracks, and if need be without its evidence, so that it fits; None if nothing helps.
pub(super) fn slimmed(topic: &str, alert: &str, limit: Option<usize>) -> Option<String> {
    let mut value: Value = serde_json::from_str(alert).ok()?;
    for list in ["tracks", "evidence"] {
        *value.get_mut(list)? = Value::Array(Vec::new());
        let slim = value.to_string();
        if fits(topic, slim.as_bytes(), limit) {
            return Some(slim);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tracks_go_first_then_evidence_then_the_alert() {
        let alert = serde_json::json!({"id": "A", "tracks": vec!["t".repeat(100); 3], "evidence": ["e".repeat(100)]});
        let alert = alert.to_string();
        let slim = |limit| slimmed("topic", &alert, Some(limit));
        assert!(fits("topic", alert.as_bytes(), None) && !fits("topic", alert.as_bytes(), Some(400)));
        let without_tracks: Value = serde_json::from_str(&slim(300).unwrap()).unwrap();
        assert_eq!(without_tracks["tracks"].as_array().unwrap().len(), 0);
        assert_eq!(without_tracks["evidence"].as_array().unwrap().len(), 1);
        let bare: Value = serde_json::from_str(&slim(120).unwrap()).unwrap();
        assert_eq!(
            (&bare["id"], bare["evidence"].as_array().unwrap().len()),
            (&Value::from("A"), 0)
        );
        assert_eq!(slim(70), None);
        assert_eq!(slimmed("topic", "no alert", Some(10)), None);
    }
}
