//! What this camera has never seen: learned on the box from its own tracks, motion and sounds, without anybody's labels.
//!
//! Every second of a track is judged by what was seen before (where, how large and how fast there, at which hour, and whether
//! anything comes at all) and then learned; so is how much of the picture moves and how loud it is, by the time of the day. How surprising something
//! must be follows from the record: so much that it comes `per_day` times a day at most. Nothing is told during the warm-up, and what happens again and again becomes usual.

mod course;
mod memory;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::gait::Gaits;
use super::{alert_track, told_by};
use crate::data::{AlertTrack, BBox, Evidence, Finding, HearingReport, Kind, Modality, Track, TrackedFrame};
use crate::fusion::{contribution, sigmoid};
use course::Course;
use memory::{COLUMNS, LEVELS, Memory, QUARTERS, ROWS, SIZES, Second, Sense, Why};

#[derive(Clone, Debug, PartialEq)]
pub struct AnomalyOptions {
    /// Hours of watching before anything is told.
    pub warm_up_h: f32,
    /// Days in which what was learned fades to a third.
    pub decay_days: f32,
    /// Alerts a day that the threshold aims at.
    pub per_day: f32,
    /// Whose hours are learned.
    pub timezone: TimeZone,
}

impl Default for AnomalyOptions {
    fn default() -> Self {
        Self {
            warm_up_h: 72.0,
            decay_days: 14.0,
            per_day: 2.0,
            timezone: TimeZone::UTC,
        }
    }
}

/// Less surprise than this, in decades, is none.
const FLOOR: f32 = 1.5;
/// So many seconds in a row must be surprising.
const SECONDS: usize = 3;
/// Somebody who stays at one place is learned for so many seconds, not for ever.
const STAYS: u32 = 20;
/// Whose box meets the one in which it appeared by less than this is away from there: no box trembles by as much. It counts while they
/// are: a track that hops to and fro between two coats has not come.
const MOVED: f32 = 0.2;
/// So many seconds of a track are learned only when it is gone.
const PENDING: usize = 60;
const SECOND_NS: u64 = 1_000_000_000;
/// Body heights a second: the upper edge of each step of speed but the last.
const SPEED_EDGES: [f32; 7] = [0.15, 0.5, 0.9, 1.4, 2.0, 2.8, 4.0];

pub(super) struct Anomaly {
    options: AnomalyOptions,
    memory: Memory,
    tracks: BTreeMap<u64, Follow>,
    loudness: Course,
    motion: Course,
    last_ns: Option<u64>,
    told: Option<(u64, Finding)>,
}

/// A track since it appeared.
struct Follow {
    judged_ns: u64,
    seen_ns: u64,
    /// The last seconds, oldest first.
    last: Vec<(f32, Why)>,
    /// Seconds that are not learned yet: a track must not become used to itself.
    pending: VecDeque<Second>,
    peak: f32,
    /// Where it appeared.
    from: BBox,
    place: BBox,
    stayed: u32,
}

impl Follow {
    /// The track is gone. `gathers`: its peak is learned.
    fn learned(&self, memory: &mut Memory, gathers: bool) {
        self.pending.iter().for_each(|second| memory.learn(second));
        if gathers {
            memory.learn_peak(self.peak);
        }
    }
}

impl Anomaly {
    pub fn new(options: AnomalyOptions) -> Self {
        Self {
            options,
            memory: Memory::default(),
            tracks: BTreeMap::new(),
            loudness: Course::new(Sense::Loudness),
            motion: Course::new(Sense::Motion),
            last_ns: None,
            told: None,
        }
    }

    /// What the interruption cuts off has been seen all the same.
    pub fn reset(&mut self) {
        let gathers = self.gathers_peaks();
        for follow in std::mem::take(&mut self.tracks).into_values() {
            follow.learned(&mut self.memory, gathers);
        }
        self.loudness.reset(&mut self.memory, gathers);
        self.motion.reset(&mut self.memory, gathers);
        self.last_ns = None;
        self.told = None;
    }

    /// What was learned, as text for the store.
    pub fn learned(&self) -> String {
        self.memory.text()
    }

    /// # Errors
    /// The text is not of a form that this version knows; what was learned then begins anew.
    pub fn recall(&mut self, text: &str) -> Result<(), String> {
        self.memory = Memory::parse(text)?;
        Ok(())
    }

    fn judges(&self) -> bool {
        self.memory.watched_s >= f64::from(self.options.warm_up_h) * 3600.0
    }

    /// The second half of the warm-up already says how surprising usual things are.
    fn gathers_peaks(&self) -> bool {
        self.memory.watched_s >= f64::from(self.options.warm_up_h) * 1800.0
    }

    pub fn observe(&mut self, frame: &TrackedFrame, gaits: &Gaits, utc_offset_ns: i64) {
        let now_ns = frame.pts_ns;
        let utc_s = (now_ns as i64 + utc_offset_ns) / 1_000_000_000;
        let hour = hour(utc_s, &self.options.timezone);
        let dt_s = self
            .last_ns
            .map_or(0.0, |last| now_ns.saturating_sub(last) as f32 / 1e9);
        self.last_ns = Some(now_ns);
        self.memory.fade(utc_s, self.options.decay_days);
        self.memory.watch(hour, dt_s.min(5.0), self.gathers_peaks());
        for track in frame.tracks.iter().filter(|t| t.seen) {
            self.follow(track, gaits, hour, now_ns);
        }
        let gathers = self.gathers_peaks();
        let memory = &mut self.memory;
        self.tracks.retain(|_, f| {
            let goes_on = now_ns.saturating_sub(f.seen_ns) < 3 * SECOND_NS;
            if !goes_on {
                f.learned(memory, gathers);
            }
            goes_on
        });
    }

    fn follow(&mut self, track: &Track, gaits: &Gaits, hour: usize, now_ns: u64) {
        let b = track.bbox;
        let follow = self.tracks.entry(track.id).or_insert(Follow {
            judged_ns: now_ns,
            seen_ns: now_ns,
            last: Vec::new(),
            pending: VecDeque::new(),
            peak: 0.0,
            from: b,
            place: b,
            stayed: 0,
        });
        follow.seen_ns = now_ns;
        if now_ns.saturating_sub(follow.judged_ns) < SECOND_NS {
            return;
        }
        follow.judged_ns = now_ns;
        if follow.place.iou(&b) > 0.6 {
            follow.stayed += 1;
        } else {
            (follow.place, follow.stayed) = (b, 0);
        }
        if follow.stayed > STAYS {
            return;
        }
        let second = Second {
            column: cell(b.bottom().x, COLUMNS),
            row: cell(b.bottom().y, ROWS),
            size: size(b.height()),
            speed: gaits.motion(track.id, 1.0).map(|m| speed(m.speed())),
            hour,
            moved: follow.from.iou(&b) < MOVED,
        };
        follow.last.push(self.memory.surprise(&second));
        if follow.last.len() > SECONDS {
            follow.last.remove(0);
        }
        follow.pending.push_back(second);
        if follow.pending.len() > PENDING
            && let Some(second) = follow.pending.pop_front()
        {
            self.memory.learn(&second);
        }
        if follow.last.len() < SECONDS {
            return;
        }
        // The least of the last seconds: one odd box is no odd track.
        let least = follow.last.iter().min_by(|a, b| a.0.total_cmp(&b.0)).copied();
        let Some((surprise, why)) = least else { return };
        follow.peak = follow.peak.max(surprise);
        if self.judges() {
            self.tell(surprise, why, Modality::Video, Some(alert_track(track)), now_ns);
        }
    }

    /// The sound of one window.
    pub fn hear(&mut self, heard: &HearingReport, utc_offset_ns: i64) -> Option<Finding> {
        let at_ns = heard.patches.last()?.start_ns;
        let loudest = heard.patches.iter().map(|p| p.level_dbfs).fold(-120.0, f32::max);
        let level = (((loudest + 72.0) / 3.0).max(0.0) as usize).min(LEVELS - 1);
        self.level(Sense::Loudness, level, at_ns, utc_offset_ns)
    }

    /// Which part of the picture moves in one window, 0 to 1.
    pub fn moves(&mut self, part: f32, at_ns: u64, utc_offset_ns: i64) -> Option<Finding> {
        // Two steps an octave, from a thousandth of the picture on.
        let level = ((2.0 * (part * 1024.0).max(1.0).log2()) as usize).min(LEVELS - 1);
        self.level(Sense::Motion, level, at_ns, utc_offset_ns)
    }

    /// How much there is of something in one window.
    fn level(&mut self, sense: Sense, level: usize, at_ns: u64, utc_offset_ns: i64) -> Option<Finding> {
        let utc_s = (at_ns as i64 + utc_offset_ns) / 1_000_000_000;
        let quarter = hour(utc_s, &self.options.timezone) * QUARTERS / 24;
        let gathers = self.gathers_peaks();
        let (course, why, modality) = match sense {
            Sense::Loudness => (&mut self.loudness, Why::Loud, Modality::Audio),
            Sense::Motion => (&mut self.motion, Why::Moving, Modality::Video),
        };
        let surprise = course.observe(&mut self.memory, quarter, level, gathers)?;
        if !self.judges() {
            return None;
        }
        self.tell(surprise, why, modality, None, at_ns);
        self.take(at_ns)
    }

    /// What was found since the last call.
    pub fn finding(&mut self, now_ns: u64) -> Option<Finding> {
        self.take(now_ns)
    }

    fn take(&mut self, now_ns: u64) -> Option<Finding> {
        let (at_ns, finding) = self.told.take()?;
        (now_ns.saturating_sub(at_ns) < 2 * SECOND_NS).then_some(finding)
    }

    fn tell(&mut self, surprise: f32, why: Why, modality: Modality, track: Option<AlertTrack>, at_ns: u64) {
        let threshold = self.memory.threshold(self.options.per_day, FLOOR);
        if surprise < threshold {
            return;
        }
        let score = sigmoid(1.0 + 2.0 * (surprise - threshold));
        let label: Arc<str> = label(why, track.as_ref().map_or("sound", |t| &t.class)).into();
        let evidence = Evidence {
            modality,
            model: "rule:anomaly".into(),
            label,
            score,
            contribution: contribution(score, super::PRIOR),
            at_ns,
        };
        let finding = Finding {
            tracks: track.into_iter().collect(),
            ..told_by(Kind::Anomaly, evidence)
        };
        if self.told.as_ref().is_none_or(|(_, other)| other.score < score) {
            self.told = Some((at_ns, finding));
        }
    }
}

fn label(why: Why, class: &str) -> String {
    match why {
        Why::Place => format!("{class} where none was seen before"),
        Why::Size => format!("{class} of a size that none had there before"),
        Why::Fast => format!("fast {class} where none was seen before"),
        Why::Slow => format!("{class} slower than any there before"),
        Why::Hour => format!("{class} at an hour at which hardly anything was seen before"),
        Why::Empty => format!("{class} where hardly anything was seen before"),
        Why::Loud => "louder than at this time of the day before".to_owned(),
        Why::Moving => "more of the picture moves than at this time of the day before".to_owned(),
    }
}

fn cell(part: f32, cells: usize) -> usize {
    ((part.clamp(0.0, 1.0) * cells as f32) as usize).min(cells - 1)
}

/// Height of the box in steps of half an octave below the whole picture.
fn size(height: f32) -> usize {
    ((-2.0 * height.clamp(1e-3, 1.0).log2()) as usize).min(SIZES - 1)
}

fn speed(heights_per_s: f32) -> usize {
    SPEED_EDGES.iter().filter(|edge| heights_per_s >= **edge).count()
}

fn hour(utc_s: i64, zone: &TimeZone) -> usize {
    let stamp = Timestamp::from_second(utc_s).unwrap_or(Timestamp::UNIX_EPOCH);
    zone.to_datetime(stamp).hour().clamp(0, 23) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nobody has come for days.
    fn used_to_nobody() -> Anomaly {
        let mut anomaly = Anomaly::new(AnomalyOptions {
            warm_up_h: 1.0,
            ..AnomalyOptions::default()
        });
        (0..24).for_each(|hour| anomaly.memory.watch(hour, 10_800.0, false));
        anomaly
    }

    /// People 0.2 of the picture high have walked by for days, about noon, at a body height a second.
    fn used_to_walkers() -> Anomaly {
        let mut anomaly = used_to_nobody();
        for i in 0..20_000 {
            anomaly.memory.learn(&Second {
                column: i % COLUMNS,
                row: cell(0.8, ROWS),
                size: size(0.2),
                speed: Some(speed(1.0)),
                hour: 12,
                moved: true,
            });
        }
        anomaly
    }

    /// What is told of somebody who goes through the picture in that row.
    fn told(height: f32, heights_per_s: f32, hour: i64) -> Option<String> {
        walks(&mut used_to_walkers(), height, heights_per_s, hour)
    }

    fn walks(anomaly: &mut Anomaly, height: f32, heights_per_s: f32, hour: i64) -> Option<String> {
        let x = |i: u64| 0.05 + height * heights_per_s * i as f32 / 5.0;
        follows(anomaly, height, x, hour)
    }

    /// What is told of somebody who is at `x` in each of five frames a second.
    fn follows(anomaly: &mut Anomaly, height: f32, x: impl Fn(u64) -> f32, hour: i64) -> Option<String> {
        let mut gaits = Gaits::default();
        let mut label = None;
        for i in 0..25 {
            let x = x(i);
            let track = Track {
                id: 1,
                class: "person".into(),
                score: 0.9,
                bbox: BBox {
                    x1: x - 0.02,
                    y1: 0.8 - height,
                    x2: x + 0.02,
                    y2: 0.8,
                },
                seen: true,
                hits: 5,
                born_ns: 0,
            };
            let frame = TrackedFrame {
                pts_ns: i * SECOND_NS / 5,
                tracks: vec![track],
            };
            gaits.observe(&frame, 1.0);
            anomaly.observe(&frame, &gaits, hour * 3600 * SECOND_NS as i64);
            label = anomaly
                .finding(frame.pts_ns)
                .map(|f| f.evidence[0].label.to_string())
                .or(label);
        }
        label
    }

    #[test]
    fn it_says_in_what_somebody_is_unlike_those_before() {
        assert_eq!(told(0.2, 1.0, 12), None, "as always");
        let says =
            |label: Option<String>, word: &str| assert!(label.as_ref().is_some_and(|l| l.contains(word)), "{label:?}");
        says(told(0.4, 0.5, 12), "of a size that none had");
        says(told(0.2, 0.05, 12), "slower than any");
        says(told(0.2, 1.0, 3), "at an hour");
    }

    #[test]
    fn where_nobody_comes_a_track_that_hops_between_two_coats_has_not_come() {
        let hops = |i: u64| if (i / 5).is_multiple_of(2) { 0.3 } else { 0.36 };
        assert_eq!(follows(&mut used_to_nobody(), 0.2, hops, 12), None);
        assert!(walks(&mut used_to_nobody(), 0.2, 1.0, 12).is_some_and(|l| l.contains("hardly anything")));
    }

    #[test]
    fn what_an_interruption_cuts_off_counts_towards_the_threshold() {
        let mut anomaly = used_to_walkers();
        walks(&mut anomaly, 0.4, 0.5, 12);
        let half_a_time_a_day = |anomaly: &Anomaly| anomaly.memory.threshold(0.5, FLOOR);
        assert_eq!(half_a_time_a_day(&anomaly), FLOOR, "it goes on");
        anomaly.reset();
        assert!(half_a_time_a_day(&anomaly) > FLOOR);
    }
}
