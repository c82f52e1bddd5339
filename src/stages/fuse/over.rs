//! A camera's stream is over. Its windows take another way here than this word does, and their answers take their time:
//! its alerts end when the windows from before are judged, so that none of them opens an alert afterwards.

use crate::data::{CameraId, EndReason};

pub(super) struct Over {
    pub camera: CameraId,
    pub reason: EndReason,
    /// The newest window of before; None: there was none.
    pub after: Option<u64>,
    /// No longer than until then: the window may have been shed on its way.
    pub until_ns: Option<u64>,
}

impl Over {
    /// Nothing of it is on its way any more.
    pub fn at_once(camera: CameraId, reason: EndReason) -> Self {
        Self {
            camera,
            reason,
            after: None,
            until_ns: None,
        }
    }

    /// `expected`: the newest window that was announced here. `waits`: some window waits for its answers.
    pub fn is_due(&self, expected: Option<u64>, waits: bool, now_ns: u64) -> bool {
        let Some(after) = self.after else { return true };
        let came = expected.is_some_and(|newest| newest >= after);
        (came && !waits) || self.until_ns.is_some_and(|until| now_ns >= until)
    }

    /// Whether the window that is announced now is one of before.
    pub fn covers(&self, seq: u64, expected: Option<u64>) -> bool {
        self.after.is_some_and(|after| seq <= after) && expected.is_none_or(|newest| seq > newest)
    }
}
