//! What a story file may say.

use std::collections::BTreeMap;

use serde::Deserialize;

fn wide() -> f32 {
    16.0 / 9.0
}

fn five() -> f32 {
    5.0
}

fn person() -> String {
    "person".into()
}

fn sure() -> f32 {
    0.85
}

fn one() -> usize {
    1
}

fn forty() -> usize {
    40
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Story {
    /// Seconds; by default 40 s more than the last thing in it, so that every alert has ended.
    pub length_s: Option<f64>,
    /// Frames a second.
    #[serde(default = "five")]
    pub fps: f32,
    /// Width of the picture over its height.
    #[serde(default = "wide")]
    pub aspect: f32,
    /// UTC of the first moment; 1970-01-01T00:00:00Z by default.
    pub start: Option<String>,
    pub timezone: Option<String>,
    /// As in `[[camera]]`.
    pub kinds: Option<Vec<String>>,
    /// As in `[[camera.zone]]`.
    #[serde(default)]
    pub zone: Vec<toml::Table>,
    /// As in `[[camera.line]]`.
    #[serde(default)]
    pub line: Vec<toml::Table>,
    /// As in `[[camera.rule]]`.
    #[serde(default)]
    pub rule: Vec<toml::Table>,
    #[serde(default)]
    pub track: Vec<Walk>,
    #[serde(default)]
    pub flicker: Vec<Flicker>,
    #[serde(default)]
    pub sound: Vec<Sound>,
    /// What the clip model says of fights; without it no clips are watched.
    #[serde(default)]
    pub clip: Vec<Clip>,
    /// What the face of everybody in view seems to express, and a voice.
    #[serde(default)]
    pub face: Vec<Feeling>,
    #[serde(default)]
    pub voice: Vec<Feeling>,
    /// What the whole picture looks like, in time; without it there are no pictures.
    #[serde(default)]
    pub view: Vec<View>,
    /// Things in these pictures.
    #[serde(default)]
    pub thing: Vec<Thing>,
    /// Seconds at which the stream is interrupted.
    #[serde(default)]
    pub cut: Vec<f64>,
    /// Stretches [from, to] in which the detector fails. Half seconds.
    #[serde(default)]
    pub blind: Vec<[f64; 2]>,
    #[serde(default)]
    pub expect: Vec<Expect>,
    #[serde(default)]
    pub forbid: Vec<Forbid>,
}

/// Somebody or something on its way.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Walk {
    #[serde(default = "person")]
    pub class: String,
    #[serde(default = "sure")]
    pub score: f32,
    /// Places in time, joined by straight lines.
    pub path: Vec<Place>,
    /// Each edge of the box trembles by up to this part of its height.
    #[serde(default)]
    pub jitter: f32,
    /// Part of the frames in which it is not seen.
    #[serde(default)]
    pub missed: f32,
    /// Stretches [from, to] in which it is not seen. After more than 2 s the tracker gives it a new id.
    #[serde(default)]
    pub gaps: Vec<[f64; 2]>,
    /// The same again every so many seconds, until the given second.
    pub every_s: Option<f64>,
    pub until_s: Option<f64>,
}

/// Where a box is. What is left out is as in the place before.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    pub t: f64,
    /// Middle of the lower edge, in fractions of the picture. Default: 0.5, 0.8.
    pub x: Option<f32>,
    pub y: Option<f32>,
    /// Height in fractions of the picture. Default: 0.3.
    pub h: Option<f32>,
    /// Width over height as one sees it. Default: 0.38, somebody upright.
    pub slim: Option<f32>,
}

/// False detections of a moment each: rain, snow, insects.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flicker {
    #[serde(default = "person")]
    pub class: String,
    #[serde(default = "sure")]
    pub score: f32,
    pub from: f64,
    pub to: f64,
    pub per_s: f64,
    /// Frames that one lasts.
    #[serde(default = "one")]
    pub frames: usize,
    /// Height of the boxes, from and to.
    pub h: [f32; 2],
}

/// The picture from a moment on. Numbers run in straight lines to the next view's when that says `ramp`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct View {
    pub t: f64,
    /// Which of the made-up scenes the camera looks at.
    #[serde(default)]
    pub scene: u64,
    /// How many things there are in it.
    #[serde(default = "forty")]
    pub blocks: usize,
    /// Brightness and contrast: grey becomes `gain * grey + lift`.
    #[serde(default = "whole")]
    pub gain: f32,
    #[serde(default)]
    pub lift: f32,
    /// Times that the picture is blurred.
    #[serde(default)]
    pub blur: f32,
    /// Part of the picture, from the left, that something flat before the lens hides.
    #[serde(default)]
    pub covered: f32,
    /// Part of the picture, from the left, in which something else stands.
    #[serde(default)]
    pub lorry: f32,
    /// Part of the picture, from the left, in which everything moves all the time.
    #[serde(default)]
    pub stir: f32,
    /// Noise of the sensor in grey steps.
    #[serde(default = "noisy")]
    pub noise: f32,
    /// How colourful it is, 0 to 1.
    #[serde(default = "whole")]
    pub colour: f32,
    /// Not a pixel changes from here to the next view.
    #[serde(default)]
    pub frozen: bool,
    /// It comes slowly since the view before, not at once.
    #[serde(default)]
    pub ramp: bool,
}

/// Something that stands in the picture for a while, or light that falls there.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thing {
    pub from: f64,
    pub to: f64,
    /// Left, top, right, bottom in fractions of the picture.
    pub at: [f32; 4],
    /// Its grey value.
    #[serde(default)]
    pub grey: f32,
    /// Grey steps that it brightens what is there; it has no surface of its own then.
    pub light: Option<f32>,
    /// Part of the picture's width by which it moves to the right in a second.
    #[serde(default)]
    pub speed: f32,
}

fn whole() -> f32 {
    1.0
}

fn noisy() -> f32 {
    2.0
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sound {
    pub label: String,
    pub from: f64,
    pub to: f64,
    pub score: f32,
    /// Loudness of these patches.
    pub dbfs: Option<f32>,
}

/// The clip model's probability of a fight in the windows of a stretch.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clip {
    pub from: f64,
    pub to: f64,
    pub score: f32,
}

/// Probabilities of labels over a stretch.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feeling {
    pub from: f64,
    pub to: f64,
    pub says: BTreeMap<String, f32>,
}

/// An alert that must come.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    pub kind: String,
    pub zone: Option<String>,
    pub direction: Option<String>,
    /// Seconds within which it is told.
    pub between: [f64; 2],
    /// Seconds within which it says that it started.
    pub began: Option<[f64; 2]>,
    #[serde(default = "one")]
    pub count: usize,
    /// The highest severity in its life.
    pub severity: Option<String>,
    /// How many it stands for in the end.
    pub suppressed: Option<u32>,
    /// Part of a label of its evidence.
    pub label: Option<String>,
    /// Seconds within which it ends.
    pub ends: Option<[f64; 2]>,
}

/// Alerts that must not come. What is expected is allowed; anything else is forbidden anyway, so that this says it for
/// the reader.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forbid {
    pub kind: Option<String>,
    pub zone: Option<String>,
    pub between: Option<[f64; 2]>,
}

impl Story {
    pub fn length_s(&self) -> f64 {
        let walks = self.track.iter().map(|w| {
            let last = w.path.last().map_or(0.0, |p| p.t);
            w.until_s.unwrap_or(0.0).max(last)
        });
        let rest = self.flicker.iter().map(|f| f.to).chain(self.sound.iter().map(|s| s.to));
        let rest = rest.chain(self.clip.iter().map(|c| c.to));
        let rest = rest.chain(self.view.iter().map(|v| v.t));
        let rest = rest.chain(self.thing.iter().map(|thing| thing.to));
        let rest = rest.chain(self.face.iter().chain(&self.voice).map(|f| f.to));
        self.length_s
            .unwrap_or_else(|| walks.chain(rest).fold(0.0, f64::max) + 40.0)
    }
}
