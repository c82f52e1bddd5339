//! A recording, read to its end in the order of its times: the same file gives the same data.

use std::path::Path;
use std::sync::Arc;

use gst::prelude::*;
use gstreamer as gst;
use gstreamer_app as gst_app;

use super::{GstError, branch, classify, element};
use crate::data::Picture;
use crate::ingest::template::fill;

/// What a recording holds, oldest first.
pub enum Datum {
    Frame(Picture, u64),
    Sound(Arc<[f32]>, u64),
}

/// Reads a recording as fast as its reader takes it.
pub struct MediaReader {
    pipeline: gst::Pipeline,
    video: Lane,
    audio: Lane,
}

/// One stream and the datum that waits to be handed out.
struct Lane {
    sink: Option<gst_app::AppSink>,
    next: Option<(u64, gst::Sample)>,
}

impl MediaReader {
    /// Opens a file. `max_fps` and `longest_px` bound the picture as for a camera.
    ///
    /// # Errors
    /// The file cannot be read or decoded.
    pub fn open(path: &Path, max_fps: f32, longest_px: u32) -> Result<Self, GstError> {
        super::init()?;
        let setup = |e: gst::glib::BoolError| GstError::Setup(e.to_string());
        let pipeline = gst::Pipeline::new();
        let (source, decode) = (element("filesrc")?, element("decodebin")?);
        source.set_property("location", path.to_string_lossy().as_ref());
        pipeline.add_many([&source, &decode]).map_err(setup)?;
        source.link(&decode).map_err(setup)?;
        let rate = (max_fps.round().max(1.0) as u32).to_string();
        let values = [("max_rate", rate.as_str()), ("sync", "false")];
        let launches = [fill("file_video", None, &values)?, fill("file_audio", None, &values)?];
        let (found, sinks) = crossbeam_channel::unbounded();
        let (none, complete) = crossbeam_channel::bounded::<()>(1);
        let weak = pipeline.downgrade();
        decode.connect_pad_added(move |_, pad| {
            let Some(pipeline) = weak.upgrade() else { return };
            let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
            let name = caps.structure(0).map(|s| s.name().to_string()).unwrap_or_default();
            let video = name.starts_with("video/");
            if !video && !name.starts_with("audio/") {
                return;
            }
            let _ = found
                .send(attach(&pipeline, pad, &launches[usize::from(!video)], video, longest_px).map(|s| (video, s)));
        });
        decode.connect_no_more_pads(move |_| {
            let _ = none.try_send(());
        });
        let mut reader = Self {
            pipeline,
            video: Lane { sink: None, next: None },
            audio: Lane { sink: None, next: None },
        };
        let _ = reader.pipeline.set_state(gst::State::Playing);
        let waited = std::time::Instant::now();
        while complete.recv_timeout(std::time::Duration::from_millis(20)).is_err() {
            reader.check()?;
            if waited.elapsed().as_secs() > 20 {
                return Err(GstError::Setup("no stream was found in the file".into()));
            }
        }
        for attached in sinks.try_iter() {
            let (video, sink) = attached?;
            let lane = if video { &mut reader.video } else { &mut reader.audio };
            lane.sink.get_or_insert(sink);
        }
        Ok(reader)
    }

    pub fn has_audio(&self) -> bool {
        self.audio.sink.is_some()
    }

    /// The next datum by time (picture first at the same time), None at the end.
    ///
    /// # Errors
    /// The file breaks off or cannot be decoded further.
    pub fn next_datum(&mut self) -> Result<Option<Datum>, GstError> {
        self.video.fill();
        self.audio.fill();
        let lane = match (&self.video.next, &self.audio.next) {
            (Some((v, _)), Some((a, _))) => {
                if v <= a {
                    &mut self.video
                } else {
                    &mut self.audio
                }
            }
            (Some(_), None) => &mut self.video,
            (None, Some(_)) => &mut self.audio,
            (None, None) => {
                self.check()?;
                return Ok(None);
            }
        };
        let Some((at_ns, sample)) = lane.next.take() else {
            return Ok(None);
        };
        let datum = if sample
            .caps()
            .and_then(|c| c.structure(0))
            .is_some_and(|s| s.name() == "video/x-raw")
        {
            branch::picture(&sample).map(|p| Datum::Frame(p, at_ns))
        } else {
            branch::samples(&sample).map(|s| Datum::Sound(s, at_ns))
        };
        datum
            .map(Some)
            .ok_or_else(|| GstError::Setup("a frame of an unexpected layout".into()))
    }

    fn check(&self) -> Result<(), GstError> {
        let Some(bus) = self.pipeline.bus() else { return Ok(()) };
        while let Some(message) = bus.pop_filtered(&[gst::MessageType::Error]) {
            if let gst::MessageView::Error(error) = message.view() {
                let (reason, detail) = classify(error);
                return Err(GstError::Stream { reason, detail });
            }
        }
        Ok(())
    }
}

impl Lane {
    fn fill(&mut self) {
        while self.next.is_none() {
            let Some(sample) = self.sink.as_ref().and_then(|s| s.pull_sample().ok()) else {
                return;
            };
            self.next = branch::times(&sample).map(|(at_ns, _)| (at_ns, sample));
        }
    }
}

impl Drop for MediaReader {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

fn attach(
    pipeline: &gst::Pipeline,
    pad: &gst::Pad,
    launch: &str,
    video: bool,
    longest_px: u32,
) -> Result<gst_app::AppSink, GstError> {
    let (bin, sink) = branch::bin(launch)?;
    if video {
        branch::scale_to(&bin, longest_px, Arc::default())?;
    }
    let setup = |e: gst::glib::BoolError| GstError::Setup(e.to_string());
    pipeline.add(&bin).map_err(setup)?;
    bin.sync_state_with_parent().map_err(setup)?;
    let entry = bin
        .static_pad("sink")
        .ok_or_else(|| GstError::Setup("the branch has no pad".into()))?;
    pad.link(&entry).map_err(|e| GstError::Setup(e.to_string()))?;
    Ok(sink)
}

/// A whole file's sound: 16 kHz mono.
///
/// # Errors
/// The file cannot be read or decoded, or has no sound.
pub fn read_sound(path: &Path) -> Result<Vec<f32>, GstError> {
    let mut reader = MediaReader::open(path, 1.0, 16)?;
    if !reader.has_audio() {
        return Err(GstError::Setup("the file has no sound".into()));
    }
    let mut out = Vec::new();
    while let Some(datum) = reader.next_datum()? {
        if let Datum::Sound(samples, _) = datum {
            out.extend_from_slice(&samples);
        }
    }
    Ok(out)
}
