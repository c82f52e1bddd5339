//! A recording with what was found drawn in.

mod paint;

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::config::CameraConfig;
use crate::data::{Alert, NS_PER_SAMPLE, Phase};
use crate::ingest::gst::record::Mp4Writer;
use crate::stages::Verdict;
use paint::paint;

/// Draws verdicts and writes them as an MP4.
pub struct Annotator {
    path: PathBuf,
    camera: CameraConfig,
    writer: Option<Mp4Writer>,
    open: Vec<Alert>,
}

impl Annotator {
    /// Writes to `path`, which is a film only once it is finished.
    pub fn new(path: &Path, camera: &CameraConfig) -> Self {
        Self {
            path: path.to_owned(),
            camera: camera.clone(),
            writer: None,
            open: Vec::new(),
        }
    }

    /// # Errors
    /// The video cannot be written.
    pub fn take(&mut self, verdict: &Verdict) -> anyhow::Result<()> {
        for alert in &verdict.alerts {
            self.open.retain(|a| a.id != alert.id);
            if alert.phase != Phase::End {
                self.open.push(alert.clone());
            }
        }
        let Some(window) = &verdict.window else { return Ok(()) };
        for frame in &window.frames {
            let mut picture = (*frame.picture).clone();
            let behaviour = &self.camera.behaviour;
            paint(&mut picture, behaviour, verdict, &self.open, frame.pts_ns);
            let writer = match &self.writer {
                Some(writer) => writer,
                None => {
                    let fps = self.camera.ingest.analysis_fps.round().max(1.0) as u32;
                    let made = Mp4Writer::create(&self.path, picture.width, picture.height, fps, true)?;
                    self.writer.insert(made)
                }
            };
            writer.picture(&picture, frame.pts_ns)?;
        }
        if let Some(writer) = &self.writer {
            for chunk in &window.audio {
                writer.sound(&chunk.samples, chunk.pts_ns)?;
            }
            // The muxer keeps the pictures until it has the sound beside them.
            if window.audio.is_empty() {
                let samples = (window.end_ns - window.start_ns) / NS_PER_SAMPLE;
                writer.sound(&vec![0.0; samples as usize], window.start_ns)?;
            }
        }
        Ok(())
    }

    /// # Errors
    /// The video could not be finished, or there is none.
    pub fn finish(self) -> anyhow::Result<()> {
        let writer = self.writer.context("there was no picture to annotate")?;
        Ok(writer.finish()?)
    }
}
