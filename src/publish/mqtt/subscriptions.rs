//! What the box wants to hear, and what of it the broker refuses.

use super::PublisherState;
use crate::publish::{MqttOptions, Topics, home_assistant};

/// What to subscribe to.
pub(super) fn filters(options: &MqttOptions, topics: &Topics) -> Vec<String> {
    let birth = options.home_assistant.then(|| home_assistant::BIRTH.to_owned());
    let orders = options.commands.then(|| topics.command("#"));
    birth.into_iter().chain(orders).collect()
}

/// Tells what the broker refuses. `refused`: why, for each of [`filters`] in their order; None: it is granted.
pub(super) fn answered(filters: Vec<String>, refused: Vec<Option<String>>, state: &PublisherState) {
    let mut deaf = None;
    for (filter, why) in filters.into_iter().zip(refused) {
        let Some(why) = why else { continue };
        if filter == home_assistant::BIRTH {
            tracing::warn!(
                "MQTT: the broker refuses the subscription to {filter}: {why}; a Home Assistant that starts is told of the cameras at \
                 the next connection only. Let this user read it in the broker's ACL, or set mqtt.home_assistant = false"
            );
            continue;
        }
        let told = format!(
            "the broker refuses the subscription to {filter}: {why}; no order comes through, though mqtt.commands is on: does its ACL \
             let this user read that topic? It is asked again at the next connection"
        );
        tracing::warn!("MQTT: {told}");
        deaf = Some(told);
    }
    state.set_deaf(deaf);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_that_the_broker_keeps_back_are_a_trouble_until_it_grants_them() {
        let state = PublisherState::default();
        let filters = ["homeassistant/status", "watchfire/t/command/#"].map(str::to_owned);
        let no = || Some("not authorized".to_owned());
        // Without Home Assistant nobody misses its start.
        answered(filters.to_vec(), vec![no(), None], &state);
        assert_eq!(state.trouble(), None);
        answered(filters.to_vec(), vec![None, no()], &state);
        let told = state.trouble().unwrap();
        for word in ["watchfire/t/command/#: not authorized", "mqtt.commands", "ACL"] {
            assert!(told.contains(word), "{told}");
        }
        // What keeps alerts back goes before it.
        state.set_trouble(Some("gone".into()));
        assert_eq!(state.trouble().unwrap(), "gone");
        state.set_trouble(None);
        answered(filters.to_vec(), vec![None, None], &state);
        assert_eq!(state.trouble(), None);
    }
}
