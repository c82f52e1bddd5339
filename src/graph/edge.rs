//! A bounded channel with a named overflow policy.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, TrySendError, bounded};

use super::metrics::EdgeMetrics;
use crate::clock::Clock;

/// What happens to an item that finds the edge full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The oldest item makes room and is handed back to the pusher. For live frames and windows.
    DropOldest,
    /// The pusher waits. For alerts, and in replay.
    Block,
}

/// Who counts at an edge: how many went in and were dropped, how many wait, and for how long they waited.
#[derive(Clone)]
pub struct EdgeMeter {
    metrics: Arc<EdgeMetrics>,
    clock: Arc<dyn Clock>,
}

impl EdgeMeter {
    pub fn new(metrics: Arc<EdgeMetrics>, clock: Arc<dyn Clock>) -> Self {
        Self { metrics, clock }
    }

    fn stamped<T>(&self, item: T) -> Stamped<T> {
        (self.clock.monotonic_ns(), item)
    }

    fn taken<T>(&self, (pushed_ns, item): Stamped<T>) -> T {
        self.metrics.taken();
        let waited_ns = self.clock.monotonic_ns().saturating_sub(pushed_ns);
        self.metrics.wait.observe_ns(waited_ns);
        item
    }
}

#[cfg(test)]
impl Default for EdgeMeter {
    /// Counts for nobody, and time stands still.
    fn default() -> Self {
        Self::new(Arc::default(), Arc::new(crate::clock::ManualClock::default()))
    }
}

/// With the host time at which it was pushed.
type Stamped<T> = (u64, T);

/// Makes the two ends of an edge.
pub struct Edge;

impl Edge {
    pub fn bounded<T>(depth: usize, policy: Policy, meter: EdgeMeter) -> (EdgeIn<T>, EdgeOut<T>) {
        let (sender, receiver) = bounded(depth);
        let evict = (policy == Policy::DropOldest).then(|| receiver.clone());
        (
            EdgeIn {
                sender,
                evict,
                meter: meter.clone(),
            },
            EdgeOut { receiver, meter },
        )
    }
}

/// The pushing end. The edge closes when every clone of it is gone.
pub struct EdgeIn<T> {
    sender: Sender<Stamped<T>>,
    /// Set for `DropOldest`: where to take the oldest from.
    evict: Option<Receiver<Stamped<T>>>,
    meter: EdgeMeter,
}

impl<T> Clone for EdgeIn<T> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
            evict: self.evict.clone(),
            meter: self.meter.clone(),
        }
    }
}

/// The receiving end.
pub struct EdgeOut<T> {
    receiver: Receiver<Stamped<T>>,
    meter: EdgeMeter,
}

impl<T> EdgeIn<T> {
    /// Puts an item in, and returns what had to go: the oldest under `DropOldest`, the item itself when the
    /// receiving end is gone.
    #[must_use = "an evicted window must still be reported as shed"]
    pub fn push(&self, item: T) -> Option<T> {
        let mut item = self.meter.stamped(item);
        let Some(oldest) = &self.evict else {
            return match self.sender.send(item) {
                Ok(()) => {
                    self.meter.metrics.pushed();
                    None
                }
                Err(gone) => Some(gone.0.1),
            };
        };
        let mut evicted = None;
        loop {
            match self.sender.try_send(item) {
                Ok(()) => {
                    self.meter.metrics.pushed();
                    return evicted;
                }
                Err(TrySendError::Disconnected(back)) => return Some(back.1),
                // Such an edge has one pusher, so nobody else fills the room that was made; if somebody does, the item
                // goes and not a second one.
                Err(TrySendError::Full(back)) if evicted.is_some() => {
                    drop(back);
                    return evicted;
                }
                Err(TrySendError::Full(back)) => {
                    // The receiver may have taken the oldest meanwhile: then there is room now.
                    if let Ok((_, old)) = oldest.try_recv() {
                        self.meter.metrics.dropped();
                        evicted = Some(old);
                    }
                    item = back;
                }
            }
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
            Ok(stamped) => Next::Item(self.meter.taken(stamped)),
            Err(RecvTimeoutError::Timeout) => Next::Idle,
            Err(RecvTimeoutError::Disconnected) => Next::Closed,
        }
    }

    /// What is there already.
    pub fn poll(&self) -> Next<T> {
        match self.receiver.try_recv() {
            Ok(stamped) => Next::Item(self.meter.taken(stamped)),
            Err(TryRecvError::Empty) => Next::Idle,
            Err(TryRecvError::Disconnected) => Next::Closed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn drop_oldest_hands_back_what_it_evicts() {
        let (tx, rx) = Edge::bounded(2, Policy::DropOldest, EdgeMeter::default());
        assert_eq!((tx.push(1), tx.push(2), tx.push(3)), (None, None, Some(1)));
        assert_eq!(
            (rx.poll(), rx.poll(), rx.poll()),
            (Next::Item(2), Next::Item(3), Next::Idle)
        );
    }

    #[test]
    fn a_closed_edge_hands_the_item_back() {
        for policy in [Policy::Block, Policy::DropOldest] {
            let (tx, rx) = Edge::bounded(2, policy, EdgeMeter::default());
            drop(rx);
            // The evicting end holds a receiver of its own; such an edge closes with its pusher.
            if policy == Policy::Block {
                assert_eq!(tx.push(1), Some(1));
            }
        }
    }

    #[test]
    fn the_receiver_sees_the_end_after_the_last_item() {
        let (tx, rx) = Edge::bounded(2, Policy::DropOldest, EdgeMeter::default());
        assert_eq!(tx.push(7), None);
        drop(tx);
        assert_eq!(rx.next(Duration::from_secs(1)), Next::Item(7));
        assert_eq!(rx.next(Duration::from_secs(1)), Next::Closed);
    }

    #[test]
    fn an_edge_counts_what_waits_and_for_how_long() {
        let clock = Arc::new(ManualClock::default());
        let metrics: Arc<EdgeMetrics> = Arc::default();
        let (tx, rx) = Edge::bounded(2, Policy::DropOldest, EdgeMeter::new(metrics.clone(), clock.clone()));
        for item in 0..5 {
            let _ = tx.push(item);
            clock.advance_ns(40_000_000);
        }
        let count = |c: &std::sync::atomic::AtomicU64| c.load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!(
            (count(&metrics.pushed), count(&metrics.dropped), metrics.waiting()),
            (5, 3, 2)
        );
        assert_eq!(rx.poll(), Next::Item(3));
        assert_eq!(metrics.waiting(), 1);
        // Pushed at 120 ms and taken at 200 ms.
        assert_eq!((metrics.wait.count(), metrics.wait.quantile_s(1.0)), (1, Some(0.1)));
    }
}
