use serde::Deserialize;

/// How the input is made.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Input {
    pub width: usize,
    pub height: usize,
    /// `bgr` or `rgb`.
    pub colour: String,
    /// Each value x becomes (x - mean) * scale.
    pub mean: f32,
    pub scale: f32,
    pub rate_hz: u32,
    pub patch_samples: usize,
    pub hop_samples: usize,
    pub bands: usize,
    /// Of a clip: how many pictures, over how many seconds.
    pub frames: usize,
    pub span_s: f32,
    /// Where right eye, left eye, nose and the mouth's corners of an upright face lie, in fractions of the side.
    pub points: Option<[[f32; 2]; 5]>,
}

impl Default for Input {
    fn default() -> Self {
        Self {
            width: 416,
            height: 416,
            colour: "bgr".into(),
            mean: 0.0,
            scale: 1.0,
            rate_hz: crate::data::SAMPLE_RATE_HZ,
            patch_samples: crate::mel::PATCH_SAMPLES,
            hop_samples: crate::mel::PATCH_SAMPLES / 2,
            bands: crate::mel::BANDS,
            frames: 0,
            span_s: 0.0,
            points: None,
        }
    }
}

/// A longer side would take gigabytes for one picture, and so would a clip of more pixels.
const SIDES_PX: std::ops::RangeInclusive<usize> = 16..=2048;
/// Half a minute.
const MAX_PATCH_SAMPLES: usize = 30 * crate::data::SAMPLE_RATE_HZ as usize;
/// A shorter hop would ask the model more than thirty times a second.
const MIN_HOP_SAMPLES: usize = 512;
const MAX_FRAMES: usize = 64;
const MAX_PIXELS: usize = 2048 * 2048;
const MAX_SPAN_S: f32 = 10.0;

impl Input {
    /// # Errors
    /// A value is none that an input can be made with; the message names the key.
    pub(super) fn check(&self) -> Result<(), String> {
        let (rate_hz, bands) = (crate::data::SAMPLE_RATE_HZ, crate::mel::BANDS);
        let pixels = [self.width, self.height, self.frames.max(1)];
        let pixels = pixels.into_iter().fold(1, usize::saturating_mul);
        let points = self.points.iter().flatten();
        let well = [
            ("width", SIDES_PX.contains(&self.width), "16 to 2048 pixels"),
            ("height", SIDES_PX.contains(&self.height), "16 to 2048 pixels"),
            ("colour", ["bgr", "rgb"].contains(&&*self.colour), "bgr or rgb"),
            ("mean", self.mean.is_finite(), "a number"),
            (
                "scale",
                self.scale.is_finite() && self.scale != 0.0,
                "a number other than 0",
            ),
            (
                "rate_hz",
                self.rate_hz == rate_hz,
                "16000, at which sound is heard here",
            ),
            (
                "patch_samples",
                (crate::mel::PATCH_SAMPLES..=MAX_PATCH_SAMPLES).contains(&self.patch_samples),
                "15360 to 480000 samples",
            ),
            (
                "hop_samples",
                (MIN_HOP_SAMPLES..=self.patch_samples).contains(&self.hop_samples),
                "512 samples to a patch",
            ),
            ("bands", self.bands == bands, "64, as many as the spectrum here has"),
            ("frames", self.frames <= MAX_FRAMES, "at most 64"),
            (
                "frames",
                pixels <= MAX_PIXELS,
                "so few that frames × width × height is 4194304 at most",
            ),
            ("span_s", (0.0..=MAX_SPAN_S).contains(&self.span_s), "0 to 10 seconds"),
            (
                "points",
                points.clone().flatten().all(|v| (0.0..=1.0).contains(v)),
                "fractions of the side, 0 to 1",
            ),
            (
                "points",
                points.clone().all(|a| points.clone().filter(|b| *b == a).count() == 1),
                "five different places",
            ),
        ];
        match well.iter().find(|(_, well, _)| !well) {
            None => Ok(()),
            Some((key, _, wanted)) => Err(format!("[input] {key} must be {wanted}")),
        }
    }
}
