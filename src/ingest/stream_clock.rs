//! One clock for a camera's picture and sound (design, invariant 5). Pure.

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

/// Jumps of a stream's time against the host's larger than this are a new time base.
const JUMP_NS: i64 = 5_000_000_000;

/// Sender reports may move the sound against the picture by so much; reports that are farther apart are of two clocks, or of one
/// that was set between them.
const SHIFT_NS: i64 = 3_000_000_000;

/// The host's clock was set, or has drifted, by more than this.
const HOST_STEP_NS: i64 = 10_000_000;

/// Maps both streams of a camera onto one monotonic clock that lives over rebuilds and jumps.
#[derive(Default)]
pub struct StreamClock {
    /// Added to the picture's running time.
    base_ns: Option<i64>,
    /// Camera UTC minus running time, of picture and sound.
    video_report_ns: Option<i64>,
    audio_report_ns: Option<i64>,
    last_video_ns: u64,
    /// Least (arrival - time on this clock): what the network cannot be faster than.
    least_delay_ns: Option<i64>,
    /// The host's UTC minus its monotonic clock.
    host_utc_ns: Option<i64>,
    camera_offset_ns: Option<i64>,
}

impl StreamClock {
    /// The pipeline was rebuilt: running times start anew.
    pub fn rebuilt(&mut self) {
        (self.base_ns, self.video_report_ns, self.audio_report_ns) = (None, None, None);
        self.least_delay_ns = None;
    }

    /// A frame's time; later than every frame's before it.
    pub fn video(&mut self, stamp: Stamp) -> u64 {
        if let Some(utc) = stamp.camera_utc_ns {
            self.video_report_ns = Some(utc - stamp.running_ns as i64);
        }
        let pts = self.place(stamp, stamp.running_ns as i64);
        self.last_video_ns = pts.max(self.last_video_ns + 1);
        self.note_delay(stamp, self.last_video_ns);
        self.note_host(stamp);
        // Before 1970: its reports count from its start, which serves to align picture and sound and for nothing else.
        if let Some(utc) = stamp.camera_utc_ns.filter(|utc| *utc >= 0) {
            // Not by its arrival: how late it came says nothing of the camera's clock.
            self.camera_offset_ns = Some(utc - self.last_video_ns as i64 - self.utc_offset_ns());
        }
        self.last_video_ns
    }

    /// The time of a block's first sample: by the sender reports where both streams have them, by running time before.
    pub fn audio(&mut self, stamp: Stamp) -> u64 {
        if let Some(utc) = stamp.camera_utc_ns {
            self.audio_report_ns = Some(utc - stamp.running_ns as i64);
        }
        self.note_host(stamp);
        let shift = match (self.video_report_ns, self.audio_report_ns) {
            (Some(video), Some(audio)) if (audio - video).abs() <= SHIFT_NS => audio - video,
            _ => 0,
        };
        self.place(stamp, stamp.running_ns as i64 + shift)
    }

    /// Adds to a time on this clock to give UTC by the host's clock, anchored at the least arrival delay of pictures. Before the first
    /// picture times are those of arrival. 0 before anything came.
    pub fn utc_offset_ns(&self) -> i64 {
        self.host_utc_ns.map_or(0, |utc| utc + self.least_delay_ns.unwrap_or(0))
    }

    /// How much later than at best frames come now.
    pub fn lag_ns(&self, stamp: Stamp) -> i64 {
        let delay = stamp.arrived_ns as i64 - self.last_video_ns as i64;
        self.least_delay_ns.map_or(0, |least| delay - least)
    }

    /// The camera's clock minus the host's.
    pub fn camera_offset_ms(&self) -> Option<i64> {
        self.camera_offset_ns.map(|ns| ns / 1_000_000)
    }

    fn place(&mut self, stamp: Stamp, running_ns: i64) -> u64 {
        let fresh = stamp.arrived_ns as i64 - running_ns;
        let base = *self.base_ns.get_or_insert(fresh);
        // A camera that lags keeps its base; one whose time jumps back, or ahead of the host, gets a new one.
        let jumped = fresh < base - JUMP_NS || (running_ns + base) < self.last_video_ns as i64 - JUMP_NS;
        if jumped {
            self.base_ns = Some(fresh);
            self.least_delay_ns = None;
        }
        (running_ns + self.base_ns.unwrap_or(fresh)).max(0) as u64
    }

    fn note_delay(&mut self, stamp: Stamp, pts_ns: u64) {
        let delay = stamp.arrived_ns as i64 - pts_ns as i64;
        self.least_delay_ns = Some(self.least_delay_ns.map_or(delay, |least| least.min(delay)));
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
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const UTC0: i64 = 1_700_000_000_000_000_000;

    fn stamp(running_ms: u64, arrived_ms: u64) -> Stamp {
        Stamp {
            running_ns: running_ms * MS,
            camera_utc_ns: None,
            arrived_ns: arrived_ms * MS,
            arrived_utc_ns: UTC0 + (arrived_ms * MS) as i64,
        }
    }

    /// With the camera's own time.
    fn report(s: Stamp, utc_ms: i64) -> Stamp {
        Stamp {
            camera_utc_ns: Some(utc_ms * MS as i64),
            ..s
        }
    }

    #[test]
    fn times_go_on_over_a_rebuild() {
        let mut clock = StreamClock::default();
        let first = clock.video(stamp(0, 1000));
        let second = clock.video(stamp(200, 1200));
        assert_eq!(second - first, 200 * MS);
        clock.rebuilt();
        let third = clock.video(stamp(0, 9000));
        assert_eq!(third - second, 7800 * MS);
    }

    #[test]
    fn utc_is_the_hosts_at_the_least_delay() {
        let mut clock = StreamClock::default();
        let mut pts = 0;
        for (running, arrived) in [(0, 1300), (200, 1410), (400, 1700)] {
            pts = clock.video(stamp(running, arrived));
        }
        // At best a frame comes 110 ms before its first estimate: the third was captured at 1210 + 400.
        assert_eq!(pts as i64 + clock.utc_offset_ns(), UTC0 + 1610 * MS as i64);
        assert_eq!(clock.lag_ns(stamp(400, 1700)), 90 * MS as i64);
    }

    #[test]
    fn utc_follows_the_hosts_clock_when_it_is_set_forward_or_back() {
        let mut clock = StreamClock::default();
        let hour = 3_600_000_000_000;
        for (i, set) in [(0, 0), (1, 3 * hour), (2, 3 * hour), (3, -hour)] {
            let at = stamp(i * 200, 1000 + i * 200);
            let pts = clock.video(Stamp {
                arrived_utc_ns: at.arrived_utc_ns + set,
                ..at
            });
            assert_eq!(pts as i64 + clock.utc_offset_ns(), at.arrived_utc_ns + set, "{i}");
        }
    }

    #[test]
    fn sender_reports_align_sound_with_picture() {
        let mut clock = StreamClock::default();
        let picture = clock.video(report(stamp(1000, 2000), 50_000));
        let sound = clock.audio(report(stamp(1150, 2000), 50_000));
        assert_eq!((picture, sound), (2000 * MS, 2000 * MS));
        // The camera's 50th second is the host's second one.
        assert_eq!(clock.camera_offset_ms(), Some(48_000 - UTC0 / MS as i64));
    }

    #[test]
    fn reports_of_two_clocks_leave_the_sound_where_it_is() {
        let mut clock = StreamClock::default();
        let picture = clock.video(report(stamp(1000, 2000), 50_000));
        assert_eq!(clock.audio(report(stamp(1000, 2000), 53_001)), picture);
    }

    #[test]
    fn sound_before_the_first_picture_has_the_hosts_time() {
        let mut clock = StreamClock::default();
        let pts = clock.audio(stamp(0, 5000));
        assert_eq!(pts as i64 + clock.utc_offset_ns(), UTC0 + 5000 * MS as i64);
        let _ = clock.video(stamp(200, 5200));
        clock.rebuilt();
        let pts = clock.audio(stamp(0, 9000));
        assert_eq!(pts as i64 + clock.utc_offset_ns(), UTC0 + 9000 * MS as i64);
    }

    #[test]
    fn the_cameras_clock_is_not_read_off_a_late_arrival() {
        let mut clock = StreamClock::default();
        let report = |s: Stamp| Stamp {
            camera_utc_ns: Some(UTC0 + 60_000 * MS as i64 + s.running_ns as i64),
            ..s
        };
        let _ = clock.video(report(stamp(0, 1000)));
        assert_eq!(clock.camera_offset_ms(), Some(59_000));
        let _ = clock.video(report(stamp(200, 2500)));
        assert_eq!(clock.camera_offset_ms(), Some(59_000));
    }

    #[test]
    fn a_stream_that_wraps_is_rebased_and_stays_monotonic() {
        let mut clock = StreamClock::default();
        let before = clock.video(stamp(95_443_000, 100_000));
        let after = clock.video(stamp(10, 100_200));
        assert!(after > before && after - before < 1000 * MS, "{before} {after}");
    }

    #[test]
    fn a_stream_that_leaps_ahead_of_the_host_is_rebased() {
        let mut clock = StreamClock::default();
        let before = clock.video(stamp(0, 1000));
        let after = clock.video(stamp(3_600_000, 1200));
        assert_eq!(after - before, 200 * MS);
    }
}
