//! A recording with what was found drawn in.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::anyhow;

use crate::colour;
use crate::config::CameraConfig;
use crate::data::{Alert, BBox, NS_PER_SAMPLE, Phase, Picture, Point};
use crate::draw;
use crate::ingest::gst::record::Mp4Writer;
use crate::stages::Verdict;

/// A face is drawn on frames this close to the one that it was read in; in others it is elsewhere.
const NEAR_NS: u64 = 200_000_000;

/// Bars shorter than this hide more than they tell.
const LEAST: f32 = 0.1;

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
            // The muxer keeps the pictures until it has the sound beside them.
            if window.audio.is_empty() {
                let samples = (window.end_ns - window.start_ns) / NS_PER_SAMPLE;
                writer.sound(&vec![0.0; samples as usize], window.start_ns)?;
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
        let seen = verdict.seen();
        let newest = seen.and_then(|s| s.frames.iter().rev().find(|f| f.pts_ns <= pts_ns));
        for track in newest.into_iter().flat_map(|f| &f.tracks) {
            let label = format!("{} {} {:.2}", track.class, track.id, track.score);
            draw::boxed(picture, &track.bbox, colour::of_track(track.id), &label);
        }
        // What a rule found that no track follows.
        for thing in self.open.iter().flat_map(|a| &a.tracks).filter(|t| t.id == 0) {
            draw::boxed(picture, &thing.bbox, colour::ALERT, &thing.class);
        }
        if let Some(faces) = seen
            .and_then(|s| s.faces.as_ref())
            .filter(|f| f.at_ns.abs_diff(pts_ns) <= NEAR_NS)
        {
            for face in &faces.tracks {
                let surest = faces.labels.iter().zip(&face.scores).max_by(|a, b| a.1.total_cmp(b.1));
                let label = surest.map_or(String::new(), |(label, p)| format!("{label} {p:.2}"));
                draw::boxed(picture, &face.bbox, colour::of_track(face.track), &label);
            }
        }
        let heard = verdict.heard().and_then(|h| Some((h.labels.iter(), h.patches.last()?)));
        let sounds = heard.map(|(labels, patch)| labels.cloned().zip(patch.scores.iter().copied()));
        gauges(picture, 2, sounds.into_iter().flatten());
        gauges(picture, 170, senses(verdict).into_iter());
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

/// What the clip model says, how sure the kinds are that weigh several senses,
/// and what people seem to express.
fn senses(verdict: &Verdict) -> Vec<(Arc<str>, f32)> {
    let clip = verdict.acted().into_iter().flat_map(|acted| acted.told());
    let clip = clip.map(|(label, score)| (format!("clip {label}").into(), score));
    let judged = verdict
        .judged
        .iter()
        .map(|(kind, score)| (kind.as_str().into(), *score));
    let emotion = verdict.emotion.iter().flat_map(|e| e.fused.iter().flatten().cloned());
    clip.chain(judged).chain(emotion).collect()
}

/// A column of words with a bar of 0 to 1 each, at the bottom; what is too little to matter is left away.
fn gauges(picture: &mut Picture, x: i64, values: impl Iterator<Item = (Arc<str>, f32)>) {
    let values: Vec<_> = values.filter(|(_, value)| *value >= LEAST).collect();
    let bottom = i64::from(picture.height) - 10 * values.len() as i64 - 4;
    for (i, (label, value)) in values.iter().enumerate() {
        let y = bottom + 10 * i as i64;
        draw::text(picture, x, y, colour::WHITE, label);
        draw::bar(picture, x + 94, y + 1, 60, *value, colour::ALERT);
    }
}
