//! What is there all the time, now more and now less: how loud it is, how much of the picture moves.

use std::collections::VecDeque;

use super::memory::{Memory, Sense};
use super::{FLOOR, SECONDS};

/// So many windows are learned later: a loud stretch must not become used to itself.
const PENDING: usize = 40;

/// The last windows of one sense.
pub(super) struct Course {
    sense: Sense,
    /// Their surprises.
    last: Vec<f32>,
    /// Quarter of the day and level of windows that are not learned yet.
    pending: VecDeque<(usize, usize)>,
    /// The highest surprise of the stretch at hand; 0 between two.
    peak: f32,
}

impl Course {
    pub fn new(sense: Sense) -> Self {
        Self {
            sense,
            last: Vec::new(),
            pending: VecDeque::new(),
            peak: 0.0,
        }
    }

    /// An interruption ends the stretch at hand. `gathers` as in `observe`.
    pub fn reset(&mut self, memory: &mut Memory, gathers: bool) {
        for (quarter, level) in std::mem::take(&mut self.pending) {
            memory.learn_level(self.sense, quarter, level);
        }
        self.last.clear();
        self.end_stretch(memory, gathers);
    }

    fn end_stretch(&mut self, memory: &mut Memory, gathers: bool) {
        let peak = std::mem::take(&mut self.peak);
        if peak > 0.0 && gathers {
            memory.learn_peak(peak);
        }
    }

    /// One window; its surprise where all of the last windows were surprising. `gathers`: the peaks of such stretches are
    /// learned.
    pub fn observe(&mut self, memory: &mut Memory, quarter: usize, level: usize, gathers: bool) -> Option<f32> {
        let surprise = memory.level_surprise(self.sense, quarter, level);
        self.pending.push_back((quarter, level));
        if self.pending.len() > PENDING
            && let Some((quarter, level)) = self.pending.pop_front()
        {
            memory.learn_level(self.sense, quarter, level);
        }
        self.last.push(surprise);
        if self.last.len() > SECONDS {
            self.last.remove(0);
        }
        let least = self.last.iter().copied().fold(f32::INFINITY, f32::min);
        if self.last.len() < SECONDS || least < FLOOR {
            self.end_stretch(memory, gathers);
            return None;
        }
        self.peak = self.peak.max(least);
        Some(least)
    }
}
