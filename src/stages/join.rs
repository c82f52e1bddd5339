//! Joins the branches' reports of a window, in the order of windows.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Job;
use crate::data::{Branch, Report, Reports, Status};

/// A window with the answer of every branch.
pub struct Joined {
    pub job: Job,
    pub reports: Reports,
}

/// The windows of one camera that wait for their reports.
pub struct Joiner {
    branches: Arc<[Branch]>,
    waiting: BTreeMap<u64, Waiting>,
}

struct Waiting {
    job: Job,
    deadline_ns: Option<u64>,
    reports: Reports,
}

impl Joiner {
    /// `branches`: who answers for each window.
    pub fn new(branches: Arc<[Branch]>) -> Self {
        Self {
            branches,
            waiting: BTreeMap::new(),
        }
    }

    /// A window was handed to the branches. Without a deadline it waits for as long as it takes (replay).
    pub fn expect(&mut self, job: Job, deadline_ns: Option<u64>) {
        let waiting = Waiting {
            job,
            deadline_ns,
            reports: Reports::default(),
        };
        self.waiting.insert(waiting.job.window.seq, waiting);
    }

    /// A report came. False when its window is not waiting (any more): it was too late.
    pub fn accept(&mut self, report: Report) -> bool {
        let Some(waiting) = self.waiting.get_mut(&report.seq) else {
            return false;
        };
        waiting.reports.put(report);
        true
    }

    /// The oldest window, if it is complete or its deadline has passed. Missing reports become `late`.
    pub fn next(&mut self, now_ns: u64) -> Option<Joined> {
        let head = self.waiting.first_entry()?;
        let waiting = head.get();
        let complete = self.branches.iter().all(|b| waiting.reports.get(*b).is_some());
        let due = waiting.deadline_ns.is_some_and(|deadline| now_ns >= deadline);
        (complete || due).then(|| head.remove().close(&self.branches))
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The oldest window, complete or not; what is missing becomes `late`.
    pub fn pop(&mut self) -> Option<Joined> {
        Some(self.waiting.pop_first()?.1.close(&self.branches))
    }
}

impl Waiting {
    fn close(mut self, branches: &[Branch]) -> Joined {
        let window = &self.job.window;
        for branch in branches {
            if self.reports.get(*branch).is_none() {
                let late = Report::bare(window.camera.clone(), window.seq, *branch, Status::Late);
                self.reports.put(late);
            }
        }
        Joined {
            job: self.job,
            reports: self.reports,
        }
    }
}
