//! Which frames of a camera the detector looks at. While the gate sleeps nothing moves, so whoever was followed still
//! stands there: frames are told as they stood, a little behind, so that a wake-up can still look at those before its
//! cause. Now and then one frame is looked at all the same, and longer where it shows something else than expected.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{CameraProfile, Job};
use crate::data::{Frame, Stretch, Window};

/// Windows that are kept for a wake-up. They hold pictures, so this bounds memory; and what is told of a camera that
/// sleeps is so much behind.
const KEPT: usize = 2;
/// The detector looks at a frame so often while nothing moves.
const GLANCE_NS: u64 = 5_000_000_000;
/// And for so long, in whole windows, when that frame shows something else than expected: as long as the tracker
/// remembers who is lost.
const LOOK_ON_NS: u64 = 2_000_000_000;

/// What is to be done with the frames of one window and of those before it, in the order of time.
pub(super) struct Plan {
    /// Frames with whether the detector looks at them.
    pub frames: Vec<(Frame, bool)>,
    /// They are looked at because the camera is awake, and not for a mere glance.
    pub awake: bool,
}

/// One camera's.
pub(super) struct Held {
    profile: Arc<CameraProfile>,
    stretch: Stretch,
    /// Slept through and not told yet, oldest first.
    windows: VecDeque<Arc<Window>>,
    looked_ns: u64,
    look_on_until_ns: u64,
}

impl Held {
    pub fn new(profile: Arc<CameraProfile>) -> Self {
        Self {
            profile,
            stretch: Stretch::default(),
            windows: VecDeque::new(),
            looked_ns: 0,
            look_on_until_ns: 0,
        }
    }

    pub fn plan(&mut self, job: &Job) -> Plan {
        let window = &job.window;
        if self.stretch.is_new(window) || !Arc::ptr_eq(&self.profile, &job.profile) {
            *self = Self {
                stretch: self.stretch,
                ..Self::new(job.profile.clone())
            };
        }
        let awake = job.awake.vision || window.start_ns < self.look_on_until_ns;
        let glance = !awake && window.end_ns.saturating_sub(self.looked_ns) >= GLANCE_NS;
        if awake || glance {
            self.looked_ns = window.end_ns;
        }
        self.windows.push_back(window.clone());
        // What is kept at the end of a recording would be told by no window.
        let keep = if awake || glance || window.breaks_off { 0 } else { KEPT };
        let told = self.windows.len().saturating_sub(keep);
        let frames = self.windows.drain(..told).flat_map(|w| w.frames.clone());
        let mut frames: Vec<(Frame, bool)> = frames.map(|frame| (frame, awake)).collect();
        if glance && let Some((_, look)) = frames.last_mut() {
            *look = true;
        }
        Plan { frames, awake }
    }

    /// The glance of this window showed something else than was expected.
    pub fn look_on(&mut self, window: &Window) {
        self.look_on_until_ns = window.end_ns + LOOK_ON_NS;
    }
}
