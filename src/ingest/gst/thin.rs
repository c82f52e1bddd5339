//! Thins a stream out to the rate that is analysed, by the times of its pictures alone: many cameras say nothing of their own
//! rate, or something wrong. (GStreamer's `videorate` goes by what the stream says, and aborts the process where it says
//! nothing and its pictures have no length.)

use gst::prelude::*;
use gstreamer as gst;
use parking_lot::Mutex;

/// Of pictures in the order of their times, those that are nearest to where one is due.
pub(super) struct Thin {
    step_ns: u64,
    /// None before the first picture.
    last_ns: Option<u64>,
    /// Pictures in a row with the time of the one before.
    same: u32,
    due_ns: u64,
    /// Of the stream, as it comes, and over how long it was measured.
    interval_ns: f64,
    measured_ns: u64,
}

/// What is longer is a gap, and no interval.
const GAP_NS: u64 = 5_000_000_000;
/// A rate is known after so much of a stream.
const SETTLES_NS: u64 = 1_500_000_000;
/// More pictures of one time than one may be cut into.
const SAME: u32 = 4;
/// How quickly the mean interval follows.
const FOLLOW: f64 = 0.1;

impl Thin {
    /// `fps`: pictures a second that are kept at most.
    pub fn to(fps: f32) -> Self {
        Self {
            step_ns: (1e9 / f64::from(fps.max(0.01))) as u64,
            last_ns: None,
            same: 0,
            due_ns: 0,
            interval_ns: 0.0,
            measured_ns: 0,
        }
    }

    pub fn keeps(&mut self, pts_ns: u64) -> bool {
        let Some(last_ns) = self.last_ns.replace(pts_ns) else {
            self.due_ns = pts_ns + self.step_ns;
            return true;
        };
        self.same = if pts_ns == last_ns { self.same + 1 } else { 0 };
        // Their time does not go on: whoever knows when they come can tell how far apart they are.
        if self.same > SAME {
            return true;
        }
        let interval_ns = pts_ns.saturating_sub(last_ns);
        // After a gap, or where the times begin anew, the first is kept.
        if pts_ns > self.due_ns + self.step_ns || pts_ns + self.step_ns < last_ns {
            self.due_ns = pts_ns;
        }
        if (1..GAP_NS).contains(&interval_ns) {
            self.measured_ns += interval_ns;
            let new = self.interval_ns == 0.0;
            let part = if new { 1.0 } else { FOLLOW };
            self.interval_ns += part * (interval_ns as f64 - self.interval_ns);
        }
        let near_ns = interval_ns.min(self.step_ns) / 2;
        // Of two that are equally near the later, so that a window as long as a step is not left without one.
        if pts_ns < self.due_ns && pts_ns + near_ns <= self.due_ns {
            return false;
        }
        self.due_ns += self.step_ns;
        true
    }

    /// Pictures a second that came in; 0 where that is not known yet: what comes first may come at once.
    pub fn fps_in(&self) -> f32 {
        if self.measured_ns < SETTLES_NS {
            return 0.0;
        }
        (1e9 / self.interval_ns) as f32
    }
}

/// Thins out what comes by a pad; `seen` is told the rate at which pictures come.
pub(super) fn thin(pad: &gst::Pad, fps: f32, seen: impl Fn(f32) + Send + Sync + 'static) {
    let thin = Mutex::new(Thin::to(fps));
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let Some(pts) = info.buffer().and_then(|b| b.pts()) else {
            return gst::PadProbeReturn::Ok;
        };
        let mut thin = thin.lock();
        let keeps = thin.keeps(pts.nseconds());
        seen(thin.fps_in());
        if keeps {
            return gst::PadProbeReturn::Ok;
        }
        // Not `Drop`: GStreamer 1.22 complains of a buffer that the binding has freed already.
        gst::PadProbeReturn::Handled
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn kept(fps: f32, times_ms: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let mut thin = Thin::to(fps);
        times_ms.into_iter().filter(|t| thin.keeps(t * MS)).collect()
    }

    fn regular(fps: f64, seconds: f64) -> impl Iterator<Item = u64> {
        (0..(seconds * fps).round() as u64).map(move |i| (i as f64 * 1000.0 / fps).round() as u64)
    }

    #[test]
    fn a_time_that_stands_lets_pictures_through() {
        let stands = (0..100).map(|i| u64::min(i * 40, 1_000));
        let kept = kept(5.0, stands);
        assert!(kept.iter().filter(|t| **t == 1_000).count() > 60, "{kept:?}");
    }

    #[test]
    fn the_nearest_to_each_step_is_kept_whatever_the_rate() {
        assert_eq!(kept(5.0, regular(25.0, 1.0)), [0, 200, 400, 600, 800]);
        assert_eq!(kept(5.0, regular(12.0, 1.0)), [0, 167, 417, 583, 833]);
        assert_eq!(kept(2.5, regular(10.0, 1.0)), [0, 400, 800]);
        assert_eq!(kept(2.0, regular(5.0, 3.0)), [0, 600, 1000, 1600, 2000, 2600]);
        for (fps_in, wanted) in [
            (60.0, 50),
            (30_000.0 / 1_001.0, 50),
            (15.0, 50),
            (7.0, 50),
            (5.0, 50),
            (3.0, 30),
        ] {
            assert_eq!(kept(5.0, regular(fps_in, 10.0)).len(), wanted, "{fps_in}");
        }
    }

    #[test]
    fn a_stream_at_the_wanted_rate_loses_nothing_to_the_networks_jitter() {
        let shaken = regular(5.0, 20.0)
            .enumerate()
            .map(|(i, t)| t + [0, 60, 20, 80, 10][i % 5]);
        assert_eq!(kept(5.0, shaken).len(), 100);
    }

    #[test]
    fn after_a_gap_or_a_jump_it_goes_on_at_the_same_rate() {
        assert_eq!(kept(5.0, [0, 100, 5_030, 5_130, 5_230, 5_330]), [0, 5_030, 5_230]);
        assert_eq!(kept(5.0, [9_000, 9_100, 0, 100, 200, 300, 400]), [9_000, 0, 200, 400]);
        // Two pictures in the wrong order are no jump.
        assert_eq!(kept(5.0, [0, 80, 40, 120, 160, 200, 240]), [0, 200]);
    }

    #[test]
    fn the_rate_of_a_stream_is_measured_where_nobody_says_it() {
        for fps in [25.0, 5.0, 1.0] {
            let mut thin = Thin::to(5.0);
            assert_eq!(thin.fps_in(), 0.0);
            for t in regular(fps, 8.0).chain([20_000]) {
                thin.keeps(t * MS);
            }
            assert!(
                (f64::from(thin.fps_in()) / fps - 1.0).abs() < 0.01,
                "{fps}: {}",
                thin.fps_in()
            );
        }
    }
}
