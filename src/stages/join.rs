//! Joins the branches' reports of a window, in the order of windows.

use std::collections::BTreeMap;

use super::Job;
use crate::data::{Branch, Report, Status};

/// A window with the answer of every branch.
pub struct Joined {
    pub job: Job,
    pub vision: Report,
    pub hearing: Report,
}

/// The windows of one camera that wait for their reports.
#[derive(Default)]
pub struct Joiner {
    waiting: BTreeMap<u64, Waiting>,
}

struct Waiting {
    job: Job,
    deadline_ns: Option<u64>,
    vision: Option<Report>,
    hearing: Option<Report>,
}

impl Joiner {
    /// A window was handed to the branches. Without a deadline it waits for as long as it takes (replay).
    pub fn expect(&mut self, job: Job, deadline_ns: Option<u64>) {
        self.waiting.insert(
            job.window.seq,
            Waiting {
                job,
                deadline_ns,
                vision: None,
                hearing: None,
            },
        );
    }

    /// A report came. False when its window is not waiting (any more): it was too late.
    pub fn accept(&mut self, report: Report) -> bool {
        let Some(waiting) = self.waiting.get_mut(&report.seq) else {
            return false;
        };
        match report.branch {
            Branch::Vision => waiting.vision = Some(report),
            Branch::Hearing => waiting.hearing = Some(report),
        }
        true
    }

    /// The oldest window, if it is complete or its deadline has passed. Missing reports become `late`.
    pub fn next(&mut self, now_ns: u64) -> Option<Joined> {
        let head = self.waiting.first_entry()?;
        let waiting = head.get();
        let complete = waiting.vision.is_some() && waiting.hearing.is_some();
        let due = waiting.deadline_ns.is_some_and(|deadline| now_ns >= deadline);
        (complete || due).then(|| head.remove().close())
    }

    /// The oldest window, complete or not.
    pub fn pop(&mut self) -> Option<Joined> {
        Some(self.waiting.pop_first()?.1.close())
    }
}

impl Waiting {
    fn close(self) -> Joined {
        let window = &self.job.window;
        let late = |branch| Report::bare(window.camera.clone(), window.seq, branch, Status::Late);
        let vision = self.vision.unwrap_or_else(|| late(Branch::Vision));
        let hearing = self.hearing.unwrap_or_else(|| late(Branch::Hearing));
        Joined {
            job: self.job,
            vision,
            hearing,
        }
    }
}
