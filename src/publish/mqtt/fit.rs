//! Messages that the broker does not take, too large or of a topic that is none: one of them would cut the connection again and
//! again, and hold up every alert behind it.

use serde_json::Value;

/// What MQTT 5 adds to topic and payload: fixed header, lengths, packet id, and `queued_ms` with its value.
const AROUND_BYTES: usize = 64;
/// Mosquitto takes no topic of more levels; ours have seven at most.
const MOST_LEVELS: usize = 200;

/// Whether that may be published to. Our client takes no wildcard. MQTT lets a broker cut the connection for a control character, or
/// for one of the code points that Unicode keeps free of characters, and Mosquitto does.
pub(super) fn is_topic(topic: &str) -> bool {
    let wrong = |c: char| {
        let is_no_character = matches!(c, '\u{fdd0}'..='\u{fdef}') || u32::from(c) & 0xfffe == 0xfffe;
        matches!(c, '+' | '#') || c.is_control() || is_no_character
    };
    let fits = topic.len() <= usize::from(u16::MAX) && topic.split('/').count() <= MOST_LEVELS;
    fits && !topic.contains(wrong)
}

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

    /// By what Mosquitto 2.0.11 answered to a publish.
    #[test]
    fn a_topic_that_cuts_the_connection_is_none() {
        let topic = |id: &str| format!("watchfire/t/camera/{id}/status");
        for id in [
            "yard",
            "Yard \u{c4}",
            "ya\u{a0}rd",
            "\u{200b}",
            "\u{fffd}",
            "\u{2028}",
            "$a",
            "\u{378}",
        ] {
            assert!(is_topic(&topic(id)), "{id:?}");
        }
        let noncharacters = [
            "\u{fdd0}",
            "\u{fdef}",
            "\u{fffe}",
            "\u{ffff}",
            "\u{1fffe}",
            "\u{10ffff}",
        ];
        let controls = ["yard\t", "\0", "\n", "\u{7f}", "\u{85}", "\u{9f}"];
        for id in noncharacters.iter().chain(&controls).chain(&["ya+rd", "#"]) {
            assert!(!is_topic(&topic(id)), "{id:?}");
        }
        assert!(!is_topic(&topic(&"a/".repeat(199))) && !is_topic(&topic(&"a".repeat(1 << 16))));
    }

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
