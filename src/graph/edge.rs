//! A bounded channel with a named overflow policy.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, SendTimeoutError, Sender, TrySendError, bounded};

use super::metrics::EdgeMetrics;

/// What happens to an item that finds the edge full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The oldest item makes room and is handed back to the pusher. For live frames and windows.
    DropOldest,
    /// The pusher waits. For alerts, and in replay.
    Block,
}

/// Makes the two ends of an edge.
pub struct Edge;

impl Edge {
    pub fn bounded<T>(depth: usize, policy: Policy, metrics: Arc<EdgeMetrics>) -> (EdgeIn<T>, EdgeOut<T>) {
        let (sender, receiver) = bounded(depth);
        let evict = (policy == Policy::DropOldest).then(|| receiver.clone());
        (
            EdgeIn {
                sender,
                evict,
                metrics: metrics.clone(),
            },
            EdgeOut { receiver, metrics },
        )
    }
}

/// The pushing end. The edge closes when every clone of it is gone.
pub struct EdgeIn<T> {
    sender: Sender<T>,
    /// Set for `DropOldest`: where to take the oldest from.
    evict: Option<Receiver<T>>,
    metrics: Arc<EdgeMetrics>,
}

impl<T> Clone for EdgeIn<T> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
            evict: self.evict.clone(),
            metrics: self.metrics.clone(),
        }
    }
}

/// The receiving end.
pub struct EdgeOut<T> {
    receiver: Receiver<T>,
    metrics: Arc<EdgeMetrics>,
}

impl<T> EdgeIn<T> {
    /// Puts an item in, and returns what had to go: the oldest under `DropOldest`, the item itself when the
    /// receiving end is gone.
    #[must_use = "an evicted window must still be reported as shed"]
    pub fn push(&self, item: T) -> Option<T> {
        let Some(oldest) = &self.evict else {
            return match self.sender.send(item) {
                Ok(()) => {
                    self.metrics.pushed(self.sender.len());
                    None
                }
                Err(gone) => Some(gone.0),
            };
        };
        let mut item = item;
        loop {
            match self.sender.try_send(item) {
                Ok(()) => {
                    self.metrics.pushed(self.sender.len());
                    return None;
                }
                Err(TrySendError::Disconnected(back)) => return Some(back),
                Err(TrySendError::Full(back)) => {
                    // Another thread may have taken the oldest meanwhile: then there is room now.
                    let Ok(evicted) = oldest.try_recv() else {
                        item = back;
                        continue;
                    };
                    // One pusher an edge (a camera), so this finds room; if it does not, the item is what goes.
                    let _ = self.sender.try_send(back);
                    self.metrics.dropped();
                    self.metrics.pushed(self.sender.len());
                    return Some(evicted);
                }
            }
        }
    }

    /// Waits for room at most so long.
    pub fn push_timeout(&self, item: T, wait: Duration) -> Result<(), T> {
        match self.sender.send_timeout(item, wait) {
            Ok(()) => {
                self.metrics.pushed(self.sender.len());
                Ok(())
            }
            Err(SendTimeoutError::Timeout(back) | SendTimeoutError::Disconnected(back)) => Err(back),
        }
    }
}

/// What an input has to say.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<T> {
    Item(T),
    Idle,
    Closed,
}

impl<T> EdgeOut<T> {
    /// Waits for an item at most so long.
    pub fn next(&self, wait: Duration) -> Next<T> {
        match self.receiver.recv_timeout(wait) {
            Ok(item) => {
                self.metrics.taken(self.receiver.len());
                Next::Item(item)
            }
            Err(RecvTimeoutError::Timeout) => Next::Idle,
            Err(RecvTimeoutError::Disconnected) => Next::Closed,
        }
    }

    pub fn try_next(&self) -> Option<T> {
        let item = self.receiver.try_recv().ok()?;
        self.metrics.taken(self.receiver.len());
        Some(item)
    }

    pub(super) fn receiver(&self) -> &Receiver<T> {
        &self.receiver
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drop_oldest_hands_back_what_it_evicts() {
        let (tx, rx) = Edge::bounded(2, Policy::DropOldest, Arc::default());
        assert_eq!((tx.push(1), tx.push(2), tx.push(3)), (None, None, Some(1)));
        assert_eq!((rx.try_next(), rx.try_next(), rx.try_next()), (Some(2), Some(3), None));
    }

    #[test]
    fn a_closed_edge_hands_the_item_back() {
        for policy in [Policy::Block, Policy::DropOldest] {
            let (tx, rx) = Edge::bounded(2, policy, Arc::default());
            drop(rx);
            // The evicting end holds a receiver of its own; such an edge closes with its pusher.
            if policy == Policy::Block {
                assert_eq!(tx.push(1), Some(1));
            }
        }
    }

    #[test]
    fn the_receiver_sees_the_end_after_the_last_item() {
        let (tx, rx) = Edge::bounded(2, Policy::DropOldest, Arc::default());
        assert_eq!(tx.push(7), None);
        drop(tx);
        assert_eq!(rx.next(Duration::from_secs(1)), Next::Item(7));
        assert_eq!(rx.next(Duration::from_secs(1)), Next::Closed);
    }
}
