use std::sync::Arc;

use super::CameraId;

/// Every sound in the house is mono at this rate.
pub const SAMPLE_RATE_HZ: u32 = 16_000;
pub const NS_PER_SAMPLE: u64 = 1_000_000_000 / SAMPLE_RATE_HZ as u64;

/// A point in fractions of the picture: x to the right, y downwards, both 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    pub x: f32,
    pub y: f32,
}

/// A box in fractions of the picture, x1 ≤ x2 and y1 ≤ y2.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BBox {
    pub x1: f32,
    pub y1: f32,
    pub x2: f32,
    pub y2: f32,
}

/// Packed 8-bit RGB, rows top to bottom without padding: `rgb.len() == width * height * 3`.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    pub width: u32,
    pub height: u32,
    pub rgb: Vec<u8>,
}

/// Cells in which a picture is measured: columns and rows.
pub const LOOK_CELLS: (usize, usize) = (32, 18);

/// What a picture looks like, by cells (`picture_stats`).
#[derive(Clone, Debug, PartialEq, Default)]
pub struct PictureStats {
    /// Row by row; empty where there is no picture.
    pub cells: Vec<LookCell>,
    /// The same for pictures that are the same in every pixel.
    pub hash: u64,
}

/// Means over the pixels of a cell. Brightness in 0 to 255.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct LookCell {
    pub luma: f32,
    /// Variance of the brightness within the cell.
    pub luma_variance: f32,
    /// Of the squared Laplacian.
    pub laplace_squared: f32,
    /// Of the difference to the right-hand neighbour, and to the lower one.
    pub edges: [f32; 2],
    /// How far a pixel is from grey.
    pub colour: f32,
}

impl LookCell {
    /// `f` of every number.
    pub fn map(self, f: impl Fn(f32) -> f32) -> Self {
        Self {
            luma: f(self.luma),
            luma_variance: f(self.luma_variance),
            laplace_squared: f(self.laplace_squared),
            edges: self.edges.map(&f),
            colour: f(self.colour),
        }
    }

    /// `f` of every number and the other's.
    pub fn with(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        Self {
            luma: f(self.luma, other.luma),
            luma_variance: f(self.luma_variance, other.luma_variance),
            laplace_squared: f(self.laplace_squared, other.laplace_squared),
            edges: [0, 1].map(|i| f(self.edges[i], other.edges[i])),
            colour: f(self.colour, other.colour),
        }
    }
}

/// One analysed picture. Privacy masks are already painted in.
#[derive(Clone, Debug)]
pub struct Frame {
    /// On the camera's clock, monotonic.
    pub pts_ns: u64,
    /// At the models' size.
    pub picture: Arc<Picture>,
    /// As the camera sent it: at most one a window, and only where faces are read. Covers what `picture` covers.
    pub native: Option<Arc<Picture>>,
}

/// A block of sound: mono, 16 kHz, [-1, 1]. `pts_ns` is the time of its first sample, on the camera's clock.
#[derive(Clone, Debug)]
pub struct AudioChunk {
    pub pts_ns: u64,
    pub samples: Arc<[f32]>,
}

/// What a window can say of its sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AudioState {
    /// The camera sends none (or none that we can decode): a normal camera.
    None,
    /// The samples of the window are here (perhaps with gaps).
    Present,
    /// The camera sends sound, but none arrived for this window in time.
    Missing,
}

/// A consecutive cut of one camera's stream: what happened in `[start_ns, end_ns)`.
#[derive(Clone, Debug)]
pub struct Window {
    pub camera: CameraId,
    /// Counts up by one per camera, over rebuilds of the camera too.
    pub seq: u64,
    pub start_ns: u64,
    pub end_ns: u64,
    pub frames: Vec<Frame>,
    pub audio: Vec<AudioChunk>,
    pub audio_state: AudioState,
    /// Adds to a time on the camera's clock to give UTC in nanoseconds since 1970.
    pub utc_offset_ns: i64,
    /// When the newest part of the window arrived, on the host's monotonic clock; for latency figures only.
    pub arrived_ns: u64,
    /// The recording or the stream ends with this window, as far as is known.
    pub breaks_off: bool,
    /// Counts up whenever the stream was interrupted before this window ([`Stretch`]).
    pub stretch: u64,
}

/// The unbroken stretch of a stream that a state belongs to. Asked with every window that arrives, whatever was lost on the
/// way: rings and tracks start anew where the stream was interrupted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stretch(Option<u64>);

impl Stretch {
    /// Whether the stream was interrupted between the last window that this was asked of and this one.
    pub fn is_new(&mut self, window: &Window) -> bool {
        self.0
            .replace(window.stretch)
            .is_some_and(|last| last != window.stretch)
    }
}

impl Window {
    /// UTC in nanoseconds of a time on the camera's clock.
    pub fn utc_ns(&self, pts_ns: u64) -> i64 {
        pts_ns as i64 + self.utc_offset_ns
    }

    /// Where its pictures and sound end, on the camera's clock: a recording ends within its last window.
    pub fn filled_ns(&self) -> u64 {
        let pictures = self.frames.iter().map(|f| f.pts_ns);
        let sounds = self
            .audio
            .iter()
            .map(|a| a.pts_ns + a.samples.len() as u64 * NS_PER_SAMPLE);
        pictures.chain(sounds).max().unwrap_or(self.start_ns)
    }
}

/// An object found in one frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detection {
    pub bbox: BBox,
    /// Index into the detector's labels.
    pub class: usize,
    /// 0 to 1.
    pub score: f32,
}

/// A face found in a picture, in fractions of that picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Face {
    pub bbox: BBox,
    /// Right eye, left eye, tip of the nose, right and left corner of the mouth, as the person has them: of a face
    /// that looks at the camera the right eye is on the left.
    pub points: [Point; 5],
    /// 0 to 1.
    pub score: f32,
}

/// A confirmed object followed over frames, as it stood at one frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    pub id: u64,
    /// The label, such as `person`.
    pub class: Arc<str>,
    pub score: f32,
    pub bbox: BBox,
    /// Seen in this frame, or standing there while nothing moves and nobody looks (false: predicted only, during a short
    /// occlusion).
    pub seen: bool,
    /// Frames in which it was seen so far.
    pub hits: u32,
    /// Camera time at which it was first seen.
    pub born_ns: u64,
}
