//! The retained truth: what is true now of each topic, and what of it a connection has not said yet.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use super::refusals::Refusals;

#[derive(Default)]
pub(super) struct Truth {
    /// By topic; empty: it is to be cleared.
    now: BTreeMap<String, Vec<u8>>,
    /// Topics whose present truth this connection has not sent yet.
    untold: VecDeque<String>,
    refused: Refusals,
}

impl Truth {
    /// Remembers a topic's truth, to be told as soon as the connection lets it.
    pub fn note(&mut self, topic: String, payload: Vec<u8>) {
        self.tell_soon(topic.clone());
        self.now.insert(topic, payload);
    }

    /// Another connection: all of it is to be told.
    pub fn tell_all(&mut self) {
        self.refused = Refusals::default();
        self.untold = self.now.keys().cloned().collect();
    }

    /// What stands below this prefix is to be told again.
    pub fn tell_again(&mut self, prefix: &str) {
        let below: Vec<String> = self.now.keys().filter(|t| t.starts_with(prefix)).cloned().collect();
        below.into_iter().for_each(|topic| self.tell_soon(topic));
    }

    /// Topics that were refused and have waited long enough are to be told again. That the box is available is not among
    /// them: nobody but a connection says so.
    pub fn try_again(&mut self, now: Instant) {
        let due = self.refused.due(now);
        let known: Vec<String> = due.into_iter().filter(|topic| self.now.contains_key(topic)).collect();
        known.into_iter().for_each(|topic| self.tell_soon(topic));
    }

    fn tell_soon(&mut self, topic: String) {
        if !self.untold.contains(&topic) {
            self.untold.push_back(topic);
        }
    }

    /// What is to be told next; empty clears the topic.
    pub fn first(&self) -> Option<(String, Vec<u8>)> {
        let topic = self.untold.front()?;
        Some((topic.clone(), self.now.get(topic).cloned().unwrap_or_default()))
    }

    /// The first is on its way.
    pub fn told(&mut self) {
        self.untold.pop_front();
    }

    pub fn is_told(&self) -> bool {
        self.untold.is_empty()
    }

    /// The broker has taken something of this topic. `cleared`: it was nothing, and nothing of the topic follows it. True
    /// where the topic is forgotten: cleared again at a later connect it would be taken from another box to which the camera
    /// was moved.
    pub fn acknowledged(&mut self, topic: &str, cleared: bool) -> bool {
        self.refused.over(topic);
        let awaited = self.untold.iter().any(|t| t == topic);
        let gone = cleared && !awaited && self.now.get(topic).is_none_or(|now| now.is_empty());
        if gone {
            self.now.remove(topic);
        }
        gone
    }

    /// Whether it is news that the broker does not take this topic.
    pub fn refused(&mut self, topic: String, now: Instant) -> bool {
        self.refused.refuse(topic, now)
    }
}

#[cfg(test)]
mod tests {
    use super::super::refusals::REFUSED_WAIT;
    use super::*;

    fn tell(truth: &mut Truth) -> Vec<String> {
        let mut told = Vec::new();
        while let Some((topic, payload)) = truth.first() {
            told.push(format!("{topic}={}", String::from_utf8_lossy(&payload)));
            truth.told();
        }
        told
    }

    #[test]
    fn what_was_cleared_is_not_cleared_again_at_the_next_connect() {
        let mut truth = Truth::default();
        truth.note("a".into(), b"ON".to_vec());
        truth.note("b".into(), b"ON".to_vec());
        assert_eq!(tell(&mut truth), ["a=ON", "b=ON"]);
        truth.note("a".into(), Vec::new());
        // Until the broker has it, it is said at every connect.
        truth.tell_all();
        assert_eq!(tell(&mut truth), ["a=", "b=ON"]);
        assert!(!truth.acknowledged("b", false));
        assert!(truth.acknowledged("a", true));
        truth.tell_all();
        assert_eq!(tell(&mut truth), ["b=ON"]);
    }

    #[test]
    fn what_is_true_again_meanwhile_is_kept() {
        let mut truth = Truth::default();
        truth.note("a".into(), Vec::new());
        assert_eq!(tell(&mut truth), ["a="]);
        truth.note("a".into(), b"OFF".to_vec());
        assert!(!truth.acknowledged("a", true));
        // And gone once more, before that was said.
        truth.note("a".into(), Vec::new());
        assert!(!truth.acknowledged("a", true));
        assert_eq!(tell(&mut truth), ["a="]);
        assert!(truth.acknowledged("a", true));
    }

    #[test]
    fn what_is_refused_is_told_again_later_and_leaves_nothing_untold_meanwhile() {
        let (mut truth, now) = (Truth::default(), Instant::now());
        truth.note("a".into(), b"OFF".to_vec());
        assert_eq!(tell(&mut truth), ["a=OFF"]);
        assert!(truth.refused("a".into(), now) && truth.refused("available".into(), now));
        truth.try_again(now);
        assert!(truth.is_told());
        truth.try_again(now + REFUSED_WAIT);
        assert_eq!(tell(&mut truth), ["a=OFF"]);
    }
}
