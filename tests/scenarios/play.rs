//! Plays a story: makes its tracks, sounds and pictures, window by window, and hands them to behaviour and policy.

use std::sync::Arc;

use watchfire::behaviour::{Behaviour, BehaviourOptions};
use watchfire::cells::cells;
use watchfire::config::{Secrets, Surroundings, load_texts};
use watchfire::data::{
    Alert, BBox, CameraId, EndReason, HearingReport, Kind, SoundPatch, Track, TrackedFrame, VisionReport,
};
use watchfire::fusion::Mood;
use watchfire::motion::Motion;
use watchfire::picture_stats::picture_stats;
use watchfire::policy::{AlertLife, PolicyOptions};

use super::clips::reports;
use super::feelings::{faces, voice};
use super::story::{Flicker, Place, Story, Walk};
use super::view::picture;

const S: f64 = 1e9;
const WINDOW_S: f64 = 0.5;
const HOP_S: f64 = 0.48;
const PATCH_S: f64 = 0.96;
/// The tracker forgets what it has not seen for so long.
const LOST_S: f64 = 2.0;

/// What is changed in a story, for the properties.
#[derive(Clone, Copy, Default)]
pub struct Twist {
    /// The picture and its zones and lines, left for right.
    pub mirrored: bool,
    /// The camera's clock runs ahead by so much; UTC is the same.
    pub later_s: f64,
    /// Something small stands in a far corner all the time.
    pub still_object: bool,
    /// A name and a clock are burned into the picture.
    pub burned_in: bool,
    /// A privacy mask covers a corner of the picture.
    pub masked: bool,
}

/// The alerts of a story in their order, times in nanoseconds since its start.
pub fn play(story: &Story, twist: Twist) -> Vec<Alert> {
    let (behaviour, policy) = options(story, twist);
    let (emotion, mut mood) = (!behaviour.moods.is_empty(), Mood::default());
    let start: Option<jiff::Timestamp> = story.start.as_ref().map(|t| t.parse().unwrap());
    let start_ns = start.map_or(0, |t| t.as_nanosecond() as i64);
    let shift_ns = (twist.later_s * S) as u64;
    let offset_ns = start_ns - shift_ns as i64;
    let mut mind = Behaviour::new(behaviour);
    let mut life = AlertLife::new(CameraId::new("story"), policy);
    let mut alerts = Vec::new();
    let mut stage = Stage::new(story, twist);
    let mut motion = Motion::default();
    let windows = (story.length_s() / WINDOW_S).ceil() as u64;
    for w in 0..windows {
        let (from, to) = (w as f64 * WINDOW_S, (w + 1) as f64 * WINDOW_S);
        if story.cut.iter().any(|c| (from..to).contains(c)) {
            mind.reset();
            mood.reset();
        }
        let now_ns = (to * S) as u64 + shift_ns;
        let (seen, heard) = (stage.seen(from, to, shift_ns), stage.heard(from, to, shift_ns));
        let blind = story
            .blind
            .iter()
            .any(|[since, until]| (*since..*until).contains(&from));
        let mut findings = if blind { Vec::new() } else { mind.see(&seen, offset_ns) };
        if !story.sound.is_empty() {
            findings.extend(mind.hear(&heard, offset_ns));
        }
        if emotion {
            seen.faces.iter().for_each(|faces| mood.see(faces));
            heard.speech_emotion.iter().for_each(|voice| mood.hear(voice));
            findings.extend(mind.feel(&mood, Some(&seen), Some(&heard), now_ns - 500_000_000..now_ns));
        }
        if !story.view.is_empty() {
            let (view, at_ns) = (picture(story, from, twist), (from * S) as u64 + shift_ns);
            findings.extend(mind.look(&picture_stats(&view), at_ns));
            let cells = cells(&view);
            findings.extend(mind.stands(&cells, at_ns));
            let moved = motion.look(&cells, at_ns);
            findings.extend(moved.and_then(|moved| mind.moves(moved.part, at_ns, offset_ns)));
        }
        if !story.clip.is_empty() {
            let heard = (!story.sound.is_empty()).then_some(heard);
            findings.extend(mind.act(&reports(&story.clip, to, shift_ns, seen, heard), None));
        }
        alerts.extend(life.step(&findings, now_ns, offset_ns));
    }
    let end_ns = (windows as f64 * WINDOW_S * S) as u64 + shift_ns;
    alerts.extend(life.end_all(EndReason::Eof, end_ns, offset_ns));
    for alert in &mut alerts {
        alert.started_utc_ns -= start_ns;
        alert.updated_utc_ns -= start_ns;
        alert.ended_utc_ns = alert.ended_utc_ns.map(|t| t - start_ns);
    }
    alerts
}

/// The story's zones, lines and rules go through the real configuration.
fn options(story: &Story, twist: Twist) -> (BehaviourOptions, PolicyOptions) {
    let mut camera = toml::Table::new();
    camera.insert("id".into(), "story".into());
    camera.insert("url".into(), "rtsp://127.0.0.1/story".into());
    if let Some(kinds) = &story.kinds {
        camera.insert("kinds".into(), kinds.clone().into());
        let is_mood = |word: &String| word.parse::<Kind>().is_ok_and(Kind::is_mood);
        camera.insert("emotion".into(), kinds.iter().any(is_mood).into());
    }
    for (key, tables) in [("zone", &story.zone), ("line", &story.line), ("rule", &story.rule)] {
        let tables: Vec<toml::Value> = tables
            .iter()
            .map(|t| toml::Value::Table(if twist.mirrored { mirrored(t) } else { t.clone() }))
            .collect();
        camera.insert(key.into(), tables.into());
    }
    let mut root = toml::Table::new();
    if let Some(zone) = &story.timezone {
        let site = toml::Table::from_iter([("timezone".to_owned(), zone.clone().into())]);
        root.insert("site".into(), site.into());
    }
    root.insert("camera".into(), vec![toml::Value::Table(camera)].into());
    let around = Surroundings {
        secrets: Secrets::Needed,
        env: |_| None,
        host_name: "box".into(),
        needs_fps: |_| Some(1.0),
    };
    let text = toml::to_string(&root).unwrap();
    let loaded = load_texts(vec![("story.toml".into(), text)], &around).unwrap_or_else(|e| panic!("{e:#?}"));
    assert!(loaded.camera_errors.is_empty(), "{:#?}", loaded.camera_errors);
    let camera = loaded.config.cameras.into_iter().next().unwrap();
    let mut behaviour = camera.behaviour;
    // Stories name scores plainly: sounds and fights fire from one half on, whatever the shipped models' thresholds are.
    behaviour
        .fight
        .iter_mut()
        .filter(|f| f.threshold == 0.0)
        .for_each(|f| f.threshold = 0.5);
    behaviour
        .sounds
        .iter_mut()
        .filter(|s| s.threshold == 0.0)
        .for_each(|s| s.threshold = 0.5);
    (behaviour, camera.policy)
}

/// Points of zones and lines left for right; what is said by left and right in words changes with them.
fn mirrored(table: &toml::Table) -> toml::Table {
    fn flip(value: &mut toml::Value) {
        match value {
            toml::Value::Array(list) if list.len() == 2 && list.iter().all(|v| v.as_float().is_some()) => {
                list[0] = (1.0 - list[0].as_float().unwrap()).into();
            }
            toml::Value::Array(list) => list.iter_mut().for_each(flip),
            toml::Value::String(word) if word == "left_to_right" => *word = "right_to_left".into(),
            toml::Value::String(word) if word == "right_to_left" => *word = "left_to_right".into(),
            _ => {}
        }
    }
    let mut table = table.clone();
    table.iter_mut().for_each(|(_, v)| flip(v));
    table
}

/// The same numbers every time (SplitMix64).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 0 to 1.
    pub fn throw(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 24) as f32
    }

    fn between(&mut self, a: f32, b: f32) -> f32 {
        a + (b - a) * self.throw()
    }
}

/// Everything that moves in a story, and how far it has come.
struct Stage<'a> {
    story: &'a Story,
    twist: Twist,
    actors: Vec<Actor<'a>>,
    flickers: Vec<(Spark, &'a Flicker)>,
    dice: Dice,
    next_id: u64,
    next_patch: u64,
}

struct Actor<'a> {
    walk: &'a Walk,
    /// Seconds by which this repetition is later than the path.
    late_s: f64,
    id: u64,
    hits: u32,
    born_ns: u64,
    seen_s: f64,
    bbox: Option<BBox>,
}

struct Spark {
    id: u64,
    from_frame: u64,
    bbox: BBox,
}

impl<'a> Stage<'a> {
    fn new(story: &'a Story, twist: Twist) -> Self {
        let mut actors = Vec::new();
        for walk in &story.track {
            let last = walk.path.last().map_or(0.0, |p| p.t);
            let until = walk.until_s.unwrap_or(last);
            let mut late_s = 0.0;
            loop {
                actors.push(Actor {
                    walk,
                    late_s,
                    id: 0,
                    hits: 0,
                    born_ns: 0,
                    seen_s: f64::NEG_INFINITY,
                    bbox: None,
                });
                late_s += walk.every_s.unwrap_or(f64::INFINITY);
                if late_s + last > until {
                    break;
                }
            }
        }
        Self {
            story,
            twist,
            actors,
            flickers: Vec::new(),
            dice: Dice(7),
            next_id: 1,
            next_patch: 0,
        }
    }

    fn seen(&mut self, from: f64, to: f64, shift_ns: u64) -> VisionReport {
        let fps = f64::from(self.story.fps);
        let frames: Vec<TrackedFrame> = ((from * fps).ceil() as u64..(to * fps).ceil() as u64)
            .map(|frame| self.frame(frame, frame as f64 / fps, shift_ns))
            .collect();
        let faces = frames.last().and_then(|f| faces(&self.story.face, f, from));
        VisionReport {
            frames,
            model: Arc::from("story@1"),
            aspect: self.story.aspect,
            faces,
        }
    }

    fn frame(&mut self, frame: u64, t: f64, shift_ns: u64) -> TrackedFrame {
        let pts_ns = (t * S) as u64 + shift_ns;
        let mut tracks = Vec::new();
        for actor in &mut self.actors {
            tracks.extend(actor.at(t, pts_ns, self.story.aspect, &mut self.dice, &mut self.next_id));
        }
        for flicker in &self.story.flicker {
            let due = f64::from(self.dice.throw()) < flicker.per_s / f64::from(self.story.fps);
            if (flicker.from..flicker.to).contains(&t) && due {
                let h = self.dice.between(flicker.h[0], flicker.h[1]);
                let (x, y) = (self.dice.between(0.05, 0.95), self.dice.between(h.max(0.1), 0.99));
                let bbox = boxed(x, y, h, 0.4, self.story.aspect);
                let spark = Spark {
                    id: self.next_id,
                    from_frame: frame,
                    bbox,
                };
                self.flickers.push((spark, flicker));
                self.next_id += 1;
            }
        }
        self.flickers
            .retain(|(spark, f)| frame < spark.from_frame + f.frames as u64);
        for (spark, flicker) in &self.flickers {
            let hits = (frame - spark.from_frame + 1) as u32;
            // The tracker tells of nothing that was seen once only.
            if hits >= 2 {
                tracks.push(track(
                    spark.id,
                    &flicker.class,
                    flicker.score,
                    spark.bbox,
                    true,
                    hits,
                    pts_ns,
                ));
            }
        }
        if self.twist.still_object {
            let bbox = boxed(0.995, 0.03, 0.02, 0.4, self.story.aspect);
            tracks.push(track(1_000_000, "person", 0.9, bbox, true, frame as u32 + 1, shift_ns));
        }
        if self.twist.mirrored {
            for t in &mut tracks {
                (t.bbox.x1, t.bbox.x2) = (1.0 - t.bbox.x2, 1.0 - t.bbox.x1);
            }
        }
        TrackedFrame { pts_ns, tracks }
    }

    /// The patches that end in the window.
    fn heard(&mut self, from: f64, to: f64, shift_ns: u64) -> HearingReport {
        let mut labels: Vec<Arc<str>> = self.story.sound.iter().map(|s| s.label.as_str().into()).collect();
        labels.sort();
        labels.dedup();
        let mut patches = Vec::new();
        while (self.next_patch as f64) * HOP_S + PATCH_S <= to {
            let start = self.next_patch as f64 * HOP_S;
            self.next_patch += 1;
            // A patch hears what fills the half of it at least.
            let middle = start + PATCH_S / 2.0;
            let now = |label: &str| {
                let on = |s: &&super::story::Sound| s.label == label && (s.from..s.to).contains(&middle);
                self.story.sound.iter().filter(on).map(|s| s.score).fold(0.02, f32::max)
            };
            let loud = self.story.sound.iter().filter(|s| (s.from..s.to).contains(&middle));
            patches.push(SoundPatch {
                start_ns: (start * S) as u64 + shift_ns,
                end_ns: ((start + PATCH_S) * S) as u64 + shift_ns,
                scores: labels.iter().map(|l| now(l)).collect(),
                level_dbfs: loud.filter_map(|s| s.dbfs).fold(-50.0, f32::max),
            });
        }
        let level = self
            .story
            .sound
            .iter()
            .filter(|s| s.from < to && s.to > from)
            .filter_map(|s| s.dbfs);
        HearingReport {
            patches,
            labels: labels.into(),
            level_dbfs: level.fold(-50.0, f32::max),
            model: Arc::from("story@1"),
            speech_emotion: voice(&self.story.voice, to, shift_ns),
            ..HearingReport::default()
        }
    }
}

impl Actor<'_> {
    fn at(&mut self, t: f64, pts_ns: u64, aspect: f32, dice: &mut Dice, next_id: &mut u64) -> Option<Track> {
        let (walk, story_s) = (self.walk, t - self.late_s);
        let (first, last) = (walk.path.first()?.t, walk.path.last()?.t);
        if story_s < first || (story_s > last && t - self.seen_s > LOST_S) {
            return None;
        }
        let gap = walk.gaps.iter().any(|g| (g[0]..g[1]).contains(&story_s));
        let seen = story_s <= last && !gap && dice.throw() >= walk.missed;
        if seen {
            if t - self.seen_s > LOST_S {
                (self.id, self.hits, self.born_ns) = (*next_id, 0, pts_ns);
                *next_id += 1;
            }
            self.seen_s = t;
            self.hits += 1;
            let mut bbox = place(&walk.path, story_s, aspect);
            let shake = walk.jitter * (bbox.y2 - bbox.y1);
            for edge in [&mut bbox.y1, &mut bbox.y2] {
                *edge += dice.between(-shake, shake);
            }
            for edge in [&mut bbox.x1, &mut bbox.x2] {
                *edge += dice.between(-shake, shake) / aspect;
            }
            self.bbox = Some(bbox.clipped());
        } else if t - self.seen_s > LOST_S {
            return None;
        }
        let bbox = self.bbox?;
        let told = self.hits >= 2;
        told.then(|| track(self.id, &walk.class, walk.score, bbox, seen, self.hits, self.born_ns))
    }
}

fn track(id: u64, class: &str, score: f32, bbox: BBox, seen: bool, hits: u32, born_ns: u64) -> Track {
    Track {
        id,
        class: class.into(),
        score,
        bbox,
        seen,
        hits,
        born_ns,
    }
}

/// The box on the way at a time.
fn place(path: &[Place], t: f64, aspect: f32) -> BBox {
    let mut at = (0.5, 0.8, 0.3, 0.38);
    let mut before = (path[0].t, at);
    for p in path {
        let next = (
            p.x.unwrap_or(at.0),
            p.y.unwrap_or(at.1),
            p.h.unwrap_or(at.2),
            p.slim.unwrap_or(at.3),
        );
        if p.t >= t {
            let part = ((t - before.0) / (p.t - before.0).max(1e-9)).clamp(0.0, 1.0) as f32;
            let part = if p.t > before.0 { part } else { 1.0 };
            let mix = |a: f32, b: f32| a + (b - a) * part;
            let from = before.1;
            at = (
                mix(from.0, next.0),
                mix(from.1, next.1),
                mix(from.2, next.2),
                mix(from.3, next.3),
            );
            return boxed(at.0, at.1, at.2, at.3, aspect);
        }
        before = (p.t, next);
        at = next;
    }
    boxed(at.0, at.1, at.2, at.3, aspect)
}

fn boxed(x: f32, y: f32, h: f32, slim: f32, aspect: f32) -> BBox {
    let w = h * slim / aspect;
    BBox {
        x1: x - w / 2.0,
        y1: y - h,
        x2: x + w / 2.0,
        y2: y,
    }
}
