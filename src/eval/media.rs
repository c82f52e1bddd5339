//! What a clip of a data set holds: its pictures and its sound.

use std::path::Path;
use std::sync::Arc;

use crate::data::Frame;
use crate::ingest::gst::{Datum, GstError, MediaReader};

/// A film read to its end.
pub(super) struct Clip {
    /// In the order of their times.
    pub frames: Vec<Frame>,
    /// 16 kHz mono; None where the file has no sound track.
    pub sound: Option<Vec<f32>>,
}

impl Clip {
    /// At most `fps` pictures a second, the longest side at most `longest_px`, as the daemon reads a recording.
    ///
    /// # Errors
    /// The file cannot be read or decoded to its end.
    pub fn read(path: &Path, fps: f32, longest_px: u32) -> Result<Self, GstError> {
        let mut reader = MediaReader::open(path, fps, longest_px)?;
        let mut clip = Self {
            frames: Vec::new(),
            sound: reader.has_audio().then(Vec::new),
        };
        while let Some(datum) = reader.next_datum()? {
            match datum {
                Datum::Frame(picture, pts_ns) => clip.frames.push(Frame {
                    pts_ns,
                    picture: Arc::new(picture),
                    native: None,
                }),
                Datum::Sound(samples, _) => clip.sound.get_or_insert_default().extend_from_slice(&samples),
            }
        }
        Ok(clip)
    }
}
