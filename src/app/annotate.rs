//! A recording with what was found drawn in.

use std::path::{Path, PathBuf};

use anyhow::anyhow;

use crate::colour;
use crate::config::CameraConfig;
use crate::data::{Alert, BBox, Phase, Picture, Point};
use crate::draw;
use crate::ingest::gst::record::Mp4Writer;
use crate::stages::Verdict;

/// Draws verdicts and writes them as an MP4.
pub struct Annotator {
    path: PathBuf,
    camera: CameraConfig,
    writer: Option<Mp4Writer>,
    open: Vec<Alert>,
}

impl Annotator {
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
            self.draw(&mut picture, verdict, frame.pts_ns);
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
        }
        Ok(())
    }

    fn draw(&self, picture: &mut Picture, verdict: &Verdict, pts_ns: u64) {
        for zone in &self.camera.behaviour.zones {
            draw::polygon(picture, &zone.polygon, colour::ZONE);
        }
        for line in &self.camera.behaviour.lines {
            draw::line(picture, line.from, line.to, colour::LINE);
            let at = Point {
                x: (line.from.x + line.to.x) / 2.0,
                y: (line.from.y + line.to.y) / 2.0,
            };
            let name = BBox {
                x1: at.x,
                y1: at.y,
                x2: at.x,
                y2: at.y,
            };
            draw::boxed(picture, &name, colour::LINE, &line.name);
        }
        for track in verdict
            .seen()
            .and_then(|s| s.frames.iter().rev().find(|f| f.pts_ns <= pts_ns))
            .into_iter()
            .flat_map(|f| &f.tracks)
        {
            let label = format!("{} {} {:.2}", track.class, track.id, track.score);
            draw::boxed(picture, &track.bbox, colour::of_track(track.id), &label);
        }
        if let Some(patch) = verdict.heard().and_then(|h| h.patches.last()) {
            let labels = verdict.heard().map(|h| h.labels.clone()).unwrap_or_default();
            let bottom = i64::from(picture.height) - 10 * labels.len() as i64 - 4;
            for (i, (label, score)) in labels.iter().zip(&patch.scores).enumerate() {
                let y = bottom + 10 * i as i64;
                draw::text(picture, 2, y, colour::WHITE, label);
                draw::bar(picture, 96, y + 1, 60, *score, colour::ALERT);
            }
        }
        for (i, alert) in self.open.iter().enumerate() {
            let zone = alert.zone.as_deref().unwrap_or("");
            let way = alert.direction.map_or("", |d| d.as_str());
            draw::text(
                picture,
                2,
                2 + 10 * i as i64,
                colour::ALERT,
                &format!("{} {zone} {way} {:.2}", alert.kind, alert.score),
            );
        }
    }

    /// # Errors
    /// The video could not be finished.
    pub fn finish(self) -> anyhow::Result<()> {
        let writer = self
            .writer
            .ok_or_else(|| anyhow!("{}: there was no picture to annotate", self.path.display()))?;
        Ok(writer.finish()?)
    }
}
