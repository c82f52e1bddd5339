use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, unbounded};

use crate::clock::SystemClock;
use crate::config::{Surroundings, load_texts};
use crate::data::{CameraState, CameraStatus, Window};
use crate::ingest::{Camera, CameraSink};
use crate::store::jpeg;

#[derive(clap::Args)]
pub struct Args {
    /// rtsp://host/path; user and password may stand in it, or in WATCHFIRE_USER and WATCHFIRE_PASSWORD.
    url: String,
    /// Seconds to listen.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Writes one frame there.
    #[arg(long)]
    frame: Option<PathBuf>,
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
    let until = Instant::now() + Duration::from_secs_f64(args.seconds);
    let (mut seen, mut frames) = (false, 0);
    let mut exit = ExitCode::FAILURE;
    while let Ok(event) = told.recv_deadline(until) {
        match event {
            Err(status) if status.state == CameraState::Streaming => {
                exit = ExitCode::SUCCESS;
                if let Some(v) = &status.video {
                    println!(
                        "video: {} {}x{} {} fps, decoded by {}",
                        v.codec, v.width_px, v.height_px, v.fps, v.decoder
                    );
                }
                match &status.audio {
                    Some(a) => println!("audio: {}", a.codec),
                    None => println!("audio: none"),
                }
            }
            Err(status) if status.reason.is_some() => {
                let reason = status.reason.map_or("", |r| r.as_str());
                eprintln!("{}: {reason}: {}", status.state, status.detail.unwrap_or_default());
                break;
            }
            Err(_) => {}
            Ok(window) => {
                frames += window.frames.len();
                let (sum, n) = window
                    .audio
                    .iter()
                    .flat_map(|c| c.samples.iter())
                    .fold((0.0, 0), |(s, n), x| (s + x * x, n + 1));
                if n > 0 && std::io::stdout().is_terminal() {
                    println!("level: {:.1} dBFS", 10.0 * (sum / n as f32).max(1e-12).log10());
                }
                if let (Some(path), Some(frame), false) = (&args.frame, window.frames.first(), seen) {
                    std::fs::write(path, jpeg(&frame.picture).map_err(anyhow::Error::msg)?)?;
                    println!("frame: {}", path.display());
                    seen = true;
                }
            }
        }
    }
    let _ = running.stop().join();
    println!("{frames} frames analysed");
    Ok(exit)
}
