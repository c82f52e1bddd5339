//! How long the buffers of a stream were on their way of late, counted from an unknown start. Pure.

use std::collections::VecDeque;

const S: u64 = 1_000_000_000;
/// The memory: longer than any congestion lasts, and short enough for two clocks not to drift apart in it.
const KEPT_S: u64 = 60;
/// Least delays of so many seconds are compared: bursts and gaps of a network are over by then.
const SPAN_S: u64 = 10;
/// Delays that have grown or fallen by more within the memory, which is by three in a hundred, are few networks'.
const OFF_NS: i64 = 1_500_000_000;

/// The least delay of each second, of the last minute.
#[derive(Default)]
pub struct Delays(VecDeque<(u64, i64)>);

impl Delays {
    /// Whether a new second has begun with it.
    pub fn note(&mut self, arrived_ns: u64, delay_ns: i64) -> bool {
        let second = arrived_ns / S;
        if let Some((_, least_ns)) = self.0.back_mut().filter(|(last, _)| *last == second) {
            *least_ns = delay_ns.min(*least_ns);
            return false;
        }
        self.0.push_back((second, delay_ns));
        while self.0.front().is_some_and(|(s, _)| s + KEPT_S < second) {
            self.0.pop_front();
        }
        true
    }

    /// None before anything came.
    pub fn least_ns(&self) -> Option<i64> {
        self.0.iter().map(|(_, ns)| *ns).min()
    }

    /// The least of the last ten seconds; None while that is not known.
    pub fn young_ns(&self) -> Option<i64> {
        let (last, _) = self.0.back()?;
        let long_enough = self.0.front().is_some_and(|(first, _)| first + SPAN_S <= *last);
        let young = self.0.iter().filter(|(s, _)| s + SPAN_S > *last);
        young.map(|(_, ns)| *ns).min().filter(|_| long_enough)
    }

    /// By how much its delays have grown (or fallen, below 0), where that is more than a network's doing and has lasted: the stream's time
    /// does not go as the host's does.
    pub fn off_ns(&self) -> Option<i64> {
        let (first, last) = self.0.front().zip(self.0.back())?;
        let old = self.0.iter().filter(|(s, _)| *s < first.0 + SPAN_S);
        let old_ns = old.map(|(_, ns)| *ns).min();
        let apart = first.0 + 2 * SPAN_S <= last.0;
        let (old_ns, young_ns) = old_ns.zip(self.young_ns()).filter(|_| apart)?;
        Some(young_ns - old_ns).filter(|grown| grown.abs() > OFF_NS)
    }

    /// What is known goes back as far as it ever does.
    pub fn are_many(&self) -> bool {
        let ends = self.0.front().zip(self.0.back());
        ends.is_some_and(|(first, last)| first.0 + KEPT_S <= last.0)
    }

    /// Only the last ten seconds count from now on.
    pub fn forget_old(&mut self) {
        let last = self.0.back().map_or(0, |(s, _)| *s);
        self.0.retain(|(s, _)| s + SPAN_S > last);
    }

    /// The stream's times were moved forward by so much.
    pub fn move_by(&mut self, ns: i64) {
        self.0.iter_mut().for_each(|(_, delay)| *delay -= ns);
    }
}
