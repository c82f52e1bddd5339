//! Writes an MP4 of pictures and sound: H.264 and AAC.

use std::cell::Cell;
use std::path::Path;

use gst::prelude::*;
use gstreamer as gst;
use gstreamer_app as gst_app;

use super::GstError;
use crate::data::{Picture, SAMPLE_RATE_HZ};

/// Takes pictures and sound in any order and writes them when [`Mp4Writer::finish`] is called.
pub struct Mp4Writer {
    pipeline: gst::Pipeline,
    video: gst_app::AppSrc,
    audio: Option<gst_app::AppSrc>,
    has_sound: Cell<bool>,
}

impl Mp4Writer {
    /// # Errors
    /// An encoder is missing, or the file cannot be written.
    pub fn create(path: &Path, width: u32, height: u32, fps: u32, audio: bool) -> Result<Self, GstError> {
        super::init()?;
        let sound = "appsrc name=audio format=time block=true ! queue max-size-time=0 max-size-buffers=0 max-size-bytes=0 \
                     ! audioconvert ! audioresample ! avenc_aac bitrate=64000 ! aacparse ! mux.";
        let launch = format!(
            "appsrc name=video format=time block=true ! videoconvert ! video/x-raw,format=I420 \
             ! x264enc speed-preset=veryfast bitrate=2500 key-int-max=30 bframes=0 ! h264parse \
             ! queue max-size-time=0 max-size-buffers=0 max-size-bytes=0 ! mux. \
             mp4mux name=mux ! filesink name=file {}",
            if audio { sound } else { "" }
        );
        let setup = |why: String| GstError::Setup(format!("{}: {why}", path.display()));
        let pipeline = gst::parse::launch(&launch)
            .map_err(|e| setup(e.to_string()))?
            .downcast::<gst::Pipeline>()
            .map_err(|_| setup("not a pipeline".into()))?;
        let source = |name: &str| {
            pipeline
                .by_name(name)
                .and_then(|e| e.downcast::<gst_app::AppSrc>().ok())
        };
        let video = source("video").ok_or_else(|| setup("no video".into()))?;
        video.set_caps(Some(
            &gst::Caps::builder("video/x-raw")
                .field("format", "RGB")
                .field("width", width as i32)
                .field("height", height as i32)
                .field("framerate", gst::Fraction::new(fps as i32, 1))
                .build(),
        ));
        let audio = source("audio");
        if let Some(audio) = &audio {
            audio.set_caps(Some(
                &gst::Caps::builder("audio/x-raw")
                    .field("format", "F32LE")
                    .field("layout", "interleaved")
                    .field("rate", SAMPLE_RATE_HZ as i32)
                    .field("channels", 1i32)
                    .build(),
            ));
        }
        if let Some(file) = pipeline.by_name("file") {
            file.set_property("location", path.to_string_lossy().as_ref());
        }
        pipeline
            .set_state(gst::State::Playing)
            .map_err(|e| setup(e.to_string()))?;
        Ok(Self {
            pipeline,
            video,
            audio,
            has_sound: Cell::new(false),
        })
    }

    /// # Errors
    /// The encoder has failed.
    pub fn picture(&self, picture: &Picture, pts_ns: u64) -> Result<(), GstError> {
        let (row, stride) = (
            picture.width as usize * 3,
            (picture.width as usize * 3).next_multiple_of(4),
        );
        let mut padded = vec![0u8; stride * picture.height as usize];
        for (to, from) in padded.chunks_exact_mut(stride).zip(picture.rgb.chunks_exact(row)) {
            to[..row].copy_from_slice(from);
        }
        push(&self.video, padded, pts_ns)
    }

    /// # Errors
    /// The encoder has failed.
    pub fn sound(&self, samples: &[f32], pts_ns: u64) -> Result<(), GstError> {
        let Some(audio) = &self.audio else { return Ok(()) };
        self.has_sound.set(true);
        push(audio, samples.iter().flat_map(|s| s.to_le_bytes()).collect(), pts_ns)
    }

    /// Ends the file and waits for it to be whole.
    ///
    /// # Errors
    /// Something could not be encoded or written.
    pub fn finish(self) -> Result<(), GstError> {
        if !self.has_sound.get() {
            // A track that holds nothing has no time scale, and players refuse the file.
            self.sound(&[0.0; SAMPLE_RATE_HZ as usize / 10], 0)?;
        }
        let _ = self.video.end_of_stream();
        if let Some(audio) = &self.audio {
            let _ = audio.end_of_stream();
        }
        let done = [gst::MessageType::Eos, gst::MessageType::Error];
        let message = self
            .pipeline
            .bus()
            .and_then(|bus| bus.timed_pop_filtered(gst::ClockTime::from_seconds(120), &done));
        let _ = self.pipeline.set_state(gst::State::Null);
        match message.as_ref().map(|m| m.view()) {
            Some(gst::MessageView::Eos(_)) => Ok(()),
            Some(gst::MessageView::Error(error)) => Err(GstError::Setup(error.error().to_string())),
            _ => Err(GstError::Setup("the recording did not end in time".into())),
        }
    }
}

fn push(source: &gst_app::AppSrc, bytes: Vec<u8>, pts_ns: u64) -> Result<(), GstError> {
    let mut buffer = gst::Buffer::from_mut_slice(bytes);
    if let Some(buffer) = buffer.get_mut() {
        buffer.set_pts(gst::ClockTime::from_nseconds(pts_ns));
    }
    source
        .push_buffer(buffer)
        .map(|_| ())
        .map_err(|e| GstError::Setup(format!("the encoder stopped: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_without_sound_has_two_tracks_that_players_can_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("silent.mp4");
        let writer = Mp4Writer::create(&path, 32, 32, 5, true).unwrap();
        for i in 0..5u64 {
            let picture = Picture {
                width: 32,
                height: 32,
                rgb: vec![i as u8; 32 * 32 * 3],
            };
            writer.picture(&picture, i * 200_000_000).unwrap();
        }
        writer.finish().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        // Media header boxes (ISO/IEC 14496-12): version and flags, two times, the time scale.
        let scales: Vec<u32> = bytes
            .windows(20)
            .filter(|w| w.starts_with(b"mdhd"))
            .map(|w| u32::from_be_bytes([w[16], w[17], w[18], w[19]]))
            .collect();
        assert!(scales.len() == 2 && scales.iter().all(|s| *s > 0), "{scales:?}");
    }
}
