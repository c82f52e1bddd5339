use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use crossbeam_channel::{Sender, unbounded};

use crate::clock::SystemClock;
use crate::config::{Surroundings, load_texts};
use crate::data::{CameraState, CameraStatus, Window};
use crate::ingest::{Camera, CameraSink};
use crate::loudness;
use crate::store::jpeg;

#[derive(clap::Args)]
pub struct Args {
    /// rtsp://host/path; user and password may stand in it, or in WATCHFIRE_USER and WATCHFIRE_PASSWORD.
    url: String,
    /// CA certificate (PEM) for rtsps://.
    #[arg(long)]
    ca: Option<PathBuf>,
    /// Seconds to listen.
    #[arg(long, default_value = "10", value_parser = seconds)]
    seconds: Duration,
    /// Writes the last frame there, as JPEG.
    #[arg(long)]
    frame: Option<PathBuf>,
    /// One JSON object instead of lines.
    #[arg(long)]
    json: bool,
}

/// What was learned of the camera.
#[derive(Default)]
struct Facts {
    last: Option<CameraStatus>,
    frames: usize,
    /// Root mean square of each window's sound, decibels of full scale.
    levels_dbfs: Vec<f32>,
}

impl Facts {
    fn streaming(&self) -> Option<&CameraStatus> {
        self.last.as_ref().filter(|s| s.state == CameraState::Streaming)
    }

    fn json(&self) -> serde_json::Value {
        let last = self.last.as_ref();
        serde_json::json!({
            "state": last.map(|s| s.state.as_str()),
            "reason": last.and_then(|s| s.reason).map(|r| r.as_str()),
            "detail": last.and_then(|s| s.detail.as_ref()),
            "video": last.and_then(|s| s.video.as_ref()).map(|v| serde_json::json!({
                "codec": v.codec, "width": v.width_px, "height": v.height_px, "fps": v.fps, "decoder": v.decoder})),
            "audio": last.and_then(|s| s.audio.as_ref()).map(|a| {
                serde_json::json!({"codec": a.codec, "rate_hz": a.rate_hz})
            }),
            "frames": self.frames,
            "levels_dbfs": self.levels_dbfs,
        })
    }

    fn print(&self) {
        if let Some(status) = self.streaming() {
            if let Some(v) = &status.video {
                let size = format!("{}x{}", v.width_px, v.height_px);
                println!("video: {} {size} {} fps, decoded by {}", v.codec, v.fps, v.decoder);
            }
            match &status.audio {
                Some(a) => println!("audio: {} {} Hz", a.codec, a.rate_hz),
                None => match &status.detail {
                    Some(why) => println!("audio: none: {why}"),
                    None => println!("audio: none"),
                },
            }
            let levels = self.levels_dbfs.iter().copied();
            if let (Some(low), Some(high)) = (levels.clone().reduce(f32::min), levels.reduce(f32::max)) {
                println!("level: {low:.1} to {high:.1} dBFS");
            }
        } else if let Some(status) = &self.last {
            let reason = status.reason.map_or("no answer yet", |r| r.as_str());
            eprintln!(
                "{}: {reason}: {}",
                status.state,
                status.detail.as_deref().unwrap_or_default()
            );
        }
        println!("{} frames analysed", self.frames);
    }
}

struct Tell(Sender<Result<Window, CameraStatus>>);

impl CameraSink for Tell {
    fn window(&mut self, window: Window) {
        let _ = self.0.send(Ok(window));
    }
    fn status(&mut self, status: CameraStatus) {
        let _ = self.0.send(Err(status));
    }
    fn lost(&mut self) {}
}

pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let quoted = |s: &str| toml::Value::String(s.to_owned()).to_string();
    let mut text = format!("[[camera]]\nid = \"probe\"\nurl = {}\n", quoted(&args.url));
    for (key, name) in [("username", "WATCHFIRE_USER"), ("password", "WATCHFIRE_PASSWORD")] {
        if let Ok(value) = std::env::var(name) {
            text += &format!("{key} = {}\n", quoted(&value));
        }
    }
    if let Some(ca) = &args.ca {
        text += &format!("ca = {}\n", quoted(&ca.to_string_lossy()));
    }
    let loaded = load_texts(vec![("url".into(), text)], &Surroundings::real())
        .map_err(|e| anyhow::anyhow!("{}", e[0].message))?;
    let Some(camera) = loaded.config.cameras.into_iter().next() else {
        anyhow::bail!("{}", loaded.camera_errors.first().map_or("no camera", |e| &e.message));
    };
    let (tell, told) = unbounded();
    let running = Camera::spawn(
        camera.ingest,
        Arc::new(SystemClock::new()),
        loaded.config.redactor,
        Box::new(Tell(tell)),
    )?;
    let until = Instant::now() + args.seconds;
    let mut facts = Facts::default();
    let mut newest = None;
    while let Ok(event) = told.recv_deadline(until) {
        match event {
            Err(status) => {
                let over = status.state != CameraState::Streaming && status.reason.is_some();
                facts.last = Some(status);
                if over {
                    break;
                }
            }
            Ok(window) => {
                facts.frames += window.frames.len();
                facts.levels_dbfs.extend(level_dbfs(&window));
                newest = window.frames.into_iter().next_back().or(newest);
            }
        }
    }
    let _ = running.stop().join();
    if let (Some(frame), Some(path)) = (newest, &args.frame) {
        let bytes = jpeg(&frame.picture).map_err(anyhow::Error::msg)?;
        std::fs::write(path, bytes).with_context(|| path.display().to_string())?;
    }
    if args.json {
        println!("{}", facts.json());
    } else {
        facts.print();
    }
    let well = facts.streaming().is_some();
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn level_dbfs(window: &Window) -> Option<f32> {
    let mut samples = window.audio.iter().flat_map(|c| c.samples.iter()).peekable();
    samples.peek()?;
    Some(loudness::level_dbfs(samples))
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(s) if (0.1..=86_400.0).contains(&s) => Ok(Duration::from_secs_f64(s)),
        _ => Err("not between 0.1 and 86400".into()),
    }
}
