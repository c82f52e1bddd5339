//! One clock for a camera's picture and sound (design, invariant 5). Pure.

use super::delays::Delays;

/// Times of one buffer as the pipeline gives them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Running time of the pipeline.
    pub running_ns: u64,
    /// The camera's UTC from RTCP sender reports, in nanoseconds since 1970, once known.
    pub camera_utc_ns: Option<i64>,
    /// The host's monotonic and UTC clocks when it came.
    pub arrived_ns: u64,
    pub arrived_utc_ns: i64,
}

/// A stream's time that goes back, or ahead of what any network can deliver, by more than this is a new time base.
const JUMP_NS: i64 = 1_000_000_000;

/// Several pictures of one time, for longer than this: it does not go on.
const STANDS_NS: i64 = 500_000_000;

/// Sender reports may move the sound against the picture by so much; reports that are farther apart are of two clocks, or of one
/// that was set between them.
const SHIFT_NS: u64 = 3_000_000_000;

/// The host's clock was set, or has drifted, by more than this.
const HOST_STEP_NS: i64 = 10_000_000;

/// A sound without sender reports whose own clock drifts follows the picture by so much a second at most; less than the other
/// is jitter.
const FOLLOW_NS: i64 = 50_000_000;
const JITTER_NS: i64 = 5_000_000;

/// The sound is no more than this on its way longer, or less long, than the picture.
const LATER_NS: i64 = 1_000_000_000;

/// A camera whose time was found to go wrong twice within this, the same way each time, is not asked for it any more: a network that falls
/// behind catches up.
const MISTRUST_NS: u64 = 60_000_000_000;

/// Maps both streams of a camera onto one monotonic clock that lives over rebuilds and jumps. A picture's time is that which the camera
/// gives it (RTP), so that a network which stalls and delivers all at once moves nothing, and two pictures are as far apart as they were.
#[derive(Default)]
pub struct StreamClock {
    picture: Lane,
    sound: Lane,
    /// How much longer the sound is on its way than the picture.
    sound_later_ns: Option<i64>,
    /// When the camera's time was found not to go as time goes, and by how much.
    off: Option<(u64, i64)>,
    /// Where the next session begins: a clock that is fast is ahead of the host's by now, and times do not go back.
    start_delay_ns: i64,
    /// Since then: what a picture's arrival is later than its time.
    by_arrival_ns: Option<i64>,
    last_video_ns: u64,
    /// The host's UTC minus its monotonic clock.
    host_utc_ns: Option<i64>,
    camera_offset_ns: Option<i64>,
}

/// One stream.
#[derive(Default)]
struct Lane {
    /// Added to its running time.
    base_ns: Option<i64>,
    /// Running time and arrival of the newest buffer that had another than the one before it.
    last: Option<(i64, i64)>,
    /// From that of the buffer before to its running time.
    step_ns: i64,
    /// Arrival less the time on this clock: at the least, what the network cannot be faster than.
    delays: Delays,
    /// Camera UTC minus running time.
    report_ns: Option<i64>,
}

impl Lane {
    /// A buffer's time, and whether another second has begun. `first_ns`: what is added to the running time of its first.
    fn place(&mut self, stamp: Stamp, first_ns: i64) -> (i64, bool) {
        if let Some(utc) = stamp.camera_utc_ns {
            self.report_ns = Some(utc - stamp.running_ns as i64);
        }
        let (running_ns, arrived_ns) = (stamp.running_ns as i64, stamp.arrived_ns as i64);
        let fresh_ns = arrived_ns - running_ns;
        let mut base_ns = *self.base_ns.get_or_insert(first_ns);
        let last = self.last.get_or_insert((running_ns, arrived_ns));
        if let Some(least_ns) = self.delays.least_ns() {
            let (ran_ns, came_ns) = *last;
            let (step_ns, passed_ns) = (running_ns - ran_ns, arrived_ns - came_ns);
            // It may well come late, or all at once, but not before it was there.
            let is_early = fresh_ns - base_ns < least_ns - JUMP_NS;
            let leaps = step_ns < -JUMP_NS || (is_early && step_ns - passed_ns > JUMP_NS + self.step_ns);
            // GStreamer holds the time of one that goes back by a little until it has caught up.
            let stands = step_ns == 0 && passed_ns > STANDS_NS;
            if leaps || stands {
                base_ns = fresh_ns - least_ns;
                self.base_ns = Some(base_ns);
            }
            if leaps || stands || step_ns != 0 {
                *last = (running_ns, arrived_ns);
                self.step_ns = if leaps { 0 } else { step_ns.max(0) };
            }
        }
        let second = self.delays.note(stamp.arrived_ns, fresh_ns - base_ns);
        (running_ns + base_ns, second)
    }

    /// All times from now on are later by so much.
    fn move_by(&mut self, ns: i64) {
        self.base_ns = self.base_ns.map(|base| base + ns);
        self.delays.move_by(ns);
    }
}

impl StreamClock {
    /// The pipeline was rebuilt: running times start anew.
    pub fn rebuilt(&mut self) {
        *self = Self {
            start_delay_ns: self.least_delay_ns().unwrap_or(self.start_delay_ns).min(0),
            last_video_ns: self.last_video_ns,
            host_utc_ns: self.host_utc_ns,
            camera_offset_ns: self.camera_offset_ns,
            ..Self::default()
        };
    }

    /// A frame's time; later than every frame's before it.
    pub fn video(&mut self, stamp: Stamp) -> u64 {
        let first_ns = self.first_base_ns(stamp, &self.sound);
        let (own_ns, second) = self.picture.place(stamp, first_ns);
        let mended_ns = if second { self.judge_camera(stamp, own_ns) } else { 0 };
        let pts_ns = match self.by_arrival_ns {
            Some(delay_ns) => stamp.arrived_ns as i64 - delay_ns,
            None => own_ns + mended_ns,
        };
        self.last_video_ns = (pts_ns.max(0) as u64).max(self.last_video_ns + 1);
        self.note_host(stamp);
        // Before 1970: its reports count from its start, which serves to align picture and sound and for nothing else.
        if let Some(utc) = stamp.camera_utc_ns.filter(|utc| *utc >= 0) {
            // Not by its arrival: how late it came says nothing of the camera's clock.
            self.camera_offset_ns = Some(utc - self.last_video_ns as i64 - self.utc_offset_ns());
        }
        self.last_video_ns
    }

    /// The time of a block's first sample: by the sender reports where both streams have them, else by its own, kept as late beside
    /// the picture as it was at first.
    pub fn audio(&mut self, stamp: Stamp) -> u64 {
        let (own_ns, second) = self.sound.place(stamp, self.first_base_ns(stamp, &self.picture));
        self.note_host(stamp);
        if second && self.by_arrival_ns.is_none() {
            self.follow_picture();
        }
        let pts_ns = match self.by_arrival_ns {
            // Its own time is good: as if all of it arrived at its best.
            Some(delay_ns) => own_ns + self.sound_mended_ns(delay_ns),
            None => self
                .reported(stamp)
                .filter(|ns| ns.abs_diff(own_ns) <= SHIFT_NS)
                .unwrap_or(own_ns),
        };
        pts_ns.max(0) as u64
    }

    /// What is added to the running time of a stream's first buffer: both count from the same start.
    fn first_base_ns(&self, stamp: Stamp, other: &Lane) -> i64 {
        let fresh_ns = stamp.arrived_ns as i64 - stamp.running_ns as i64;
        other.base_ns.unwrap_or(fresh_ns - self.start_delay_ns)
    }

    /// What the sound's own time lacks while pictures are this much later than theirs.
    fn sound_mended_ns(&self, delay_ns: i64) -> i64 {
        self.sound.delays.least_ns().unwrap_or(0) - delay_ns - self.sound_later_ns.unwrap_or(0)
    }

    /// Whether the camera's time goes as time goes: once a second. By how much the picture's own is moved.
    fn judge_camera(&mut self, stamp: Stamp, own_ns: i64) -> i64 {
        let off_ns = self.picture.delays.off_ns();
        match (self.by_arrival_ns, off_ns) {
            (None, Some(off_ns)) => {
                self.picture.delays.forget_old();
                self.sound.delays.forget_old();
                let before = self.off.replace((stamp.arrived_ns, off_ns));
                let is_lasting =
                    |(ns, by_ns): (u64, i64)| stamp.arrived_ns - ns <= MISTRUST_NS && (by_ns > 0) == (off_ns > 0);
                if before.is_some_and(is_lasting) {
                    self.by_arrival_ns = Some(stamp.arrived_ns as i64 - own_ns);
                }
            }
            // For a minute it went well.
            (Some(delay_ns), None) if self.picture.delays.are_many() => {
                let by_ns = stamp.arrived_ns as i64 - delay_ns - own_ns;
                self.picture.move_by(by_ns);
                self.sound.move_by(self.sound_mended_ns(delay_ns));
                (self.by_arrival_ns, self.off) = (None, None);
                return by_ns;
            }
            _ => {}
        }
        0
    }

    /// Where the sender reports put a block of sound.
    fn reported(&self, stamp: Stamp) -> Option<i64> {
        let (picture, sound) = self.picture.report_ns.zip(self.sound.report_ns)?;
        Some(stamp.running_ns as i64 + sound - picture + self.picture.base_ns?)
    }

    fn follow_picture(&mut self) {
        let Some((picture, sound)) = self.picture.delays.young_ns().zip(self.sound.delays.young_ns()) else {
            return;
        };
        let later_ns = *self
            .sound_later_ns
            .get_or_insert((sound - picture).clamp(-LATER_NS, LATER_NS));
        let drift_ns = sound - picture - later_ns;
        if drift_ns.abs() > JITTER_NS {
            self.sound.move_by(drift_ns.clamp(-FOLLOW_NS, FOLLOW_NS));
        }
    }

    /// Adds to a time on this clock to give UTC by the host's clock, anchored at the least arrival delay of pictures. Before the first
    /// picture times are those of arrival. 0 before anything came.
    pub fn utc_offset_ns(&self) -> i64 {
        self.host_utc_ns
            .map_or(0, |utc| utc + self.least_delay_ns().unwrap_or(0))
    }

    /// How much later than at best frames come now, where the camera's time can be believed.
    pub fn lag_ns(&self, stamp: Stamp) -> i64 {
        let delay = stamp.arrived_ns as i64 - self.last_video_ns as i64;
        self.least_delay_ns().map_or(0, |least| delay - least)
    }

    /// The camera's clock minus the host's.
    pub fn camera_offset_ms(&self) -> Option<i64> {
        self.camera_offset_ns.map(|ns| ns / 1_000_000)
    }

    fn least_delay_ns(&self) -> Option<i64> {
        self.by_arrival_ns.or_else(|| self.picture.delays.least_ns())
    }

    fn note_host(&mut self, stamp: Stamp) {
        // The host's clock is set now and then, either way; the two readings of a stamp are microseconds apart.
        let utc = stamp.arrived_utc_ns - stamp.arrived_ns as i64;
        if self.host_utc_ns.is_none_or(|was| (utc - was).abs() > HOST_STEP_NS) {
            self.host_utc_ns = Some(utc);
        }
    }
}

#[cfg(test)]
mod tests;
