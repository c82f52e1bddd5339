//! QoS 1 publishes that the broker has not answered yet.

use std::collections::{HashMap, VecDeque};

/// What a QoS 1 publish was about.
pub(super) enum About {
    /// This row of the outbox.
    Alert(i64),
    /// The truth of this topic; it is remembered by the store until the broker has forgotten it.
    Truth {
        topic: String,
        cleared: bool,
    },
    Passing,
}

#[derive(Default)]
pub(super) struct UnderWay {
    /// Handed to the client, in order.
    handed: VecDeque<About>,
    /// By packet id.
    sent: HashMap<u16, About>,
}

impl UnderWay {
    pub fn handed(&mut self, about: About) {
        self.handed.push_back(about);
    }

    /// The next that was handed out has left with this packet id.
    pub fn left(&mut self, id: u16) {
        if let Some(about) = self.handed.pop_front() {
            self.sent.insert(id, about);
        }
    }

    /// The broker has answered.
    pub fn answered(&mut self, id: u16) -> Option<About> {
        self.sent.remove(&id)
    }

    pub fn count(&self) -> usize {
        self.handed.len() + self.sent.len()
    }

    /// Whether something retained of this topic is among them.
    pub fn tells(&self, topic: &str) -> bool {
        let mut all = self.handed.iter().chain(self.sent.values());
        all.any(|about| matches!(about, About::Truth { topic: other, .. } if other == topic))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_told_until_the_last_message_of_it_is_answered() {
        let mut under_way = UnderWay::default();
        let truth = |cleared| About::Truth {
            topic: "a".into(),
            cleared,
        };
        under_way.handed(truth(false));
        under_way.handed(truth(true));
        under_way.left(1);
        assert!(matches!(
            under_way.answered(1),
            Some(About::Truth { cleared: false, .. })
        ));
        assert!(under_way.tells("a") && !under_way.tells("b"));
        under_way.left(2);
        assert_eq!(under_way.count(), 1);
        assert!(matches!(
            under_way.answered(2),
            Some(About::Truth { cleared: true, .. })
        ));
        assert!(!under_way.tells("a") && under_way.answered(2).is_none());
    }
}
