use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, Sender, unbounded};

use super::stop::Stop;
use crate::app::whole::Whole;
use crate::app::words::shown;
use crate::clock::SystemClock;
use crate::config::{Surroundings, load_texts};
use crate::data::{CameraState, CameraStatus, Frame, Window};
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
    /// Seconds to listen. Ctrl-C ends it earlier, and tells what was found until then.
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
    newest: Option<Frame>,
}

/// So often a look is taken whether somebody has had enough.
const LOOK_AROUND: Duration = Duration::from_millis(100);

impl Facts {
    fn streaming(&self) -> Option<&CameraStatus> {
        self.last.as_ref().filter(|s| s.state == CameraState::Streaming)
    }

    fn json(&self) -> serde_json::Value {
        let last = self.last.as_ref();
        serde_json::json!({
            "state": last.map(|s| s.state.as_str()),
            "reason": last.and_then(|s| s.reason).map(|r| r.as_str()),
            "detail": last.and_then(|s| s.detail.as_deref()).map(said_once),
            "video": last.and_then(|s| s.video.as_ref()).map(|v| serde_json::json!({
                "codec": v.codec, "width": v.width_px, "height": v.height_px, "fps": rounded(v.fps, 100.0), "decoder": v.decoder})),
            "audio": last.and_then(|s| s.audio.as_ref()).map(|a| {
                serde_json::json!({"codec": a.codec, "rate_hz": a.rate_hz})
            }),
            "frames": self.frames,
            "levels_dbfs": self.levels_dbfs.iter().map(|l| rounded(*l, 10.0)).collect::<Vec<_>>(),
        })
    }

    fn print(&self) {
        if let Some(status) = self.streaming() {
            if let Some(v) = &status.video {
                let size = format!("{}x{}", v.width_px, v.height_px);
                let fps = rounded(v.fps, 100.0);
                println!("video: {} {size} {fps} fps, decoded by {}", shown(&v.codec), v.decoder);
            }
            match &status.audio {
                Some(a) => println!("audio: {} {} Hz", shown(&a.codec), a.rate_hz),
                None => match &status.detail {
                    Some(why) => println!("audio: none: {}", shown(why)),
                    None => println!("audio: none"),
                },
            }
            let levels = self.levels_dbfs.iter().copied();
            if let (Some(low), Some(high)) = (levels.clone().reduce(f32::min), levels.reduce(f32::max)) {
                println!("level: {low:.1} to {high:.1} dBFS");
            }
            println!("{} frames analysed", self.frames);
        } else if let Some((status, reason)) = self.last.as_ref().and_then(|s| Some((s, s.reason?))) {
            let detail = said_once(status.detail.as_deref().unwrap_or_default());
            eprintln!("watchfire: {}: {}", reason.as_str(), shown(detail));
        } else {
            eprintln!("watchfire: no picture yet");
        }
    }

    /// False once there is nothing more to wait for.
    fn take(&mut self, event: Result<Window, CameraStatus>) -> bool {
        match event {
            Err(status) => {
                let over = status.state != CameraState::Streaming && status.reason.is_some();
                self.last = Some(status);
                return !over;
            }
            Ok(window) => {
                self.frames += window.frames.len();
                self.levels_dbfs.extend(level_dbfs(&window));
                self.newest = window.frames.into_iter().next_back().or(self.newest.take());
            }
        }
        true
    }
}

/// GStreamer's sentence often holds that of its element, which begins with the same words: `Not found (Not Found (404))`. And
/// what the supervisor says of its next try is nothing to somebody who tries once.
fn said_once(detail: &str) -> String {
    let detail = detail.split("; the next try").next().unwrap_or_default();
    let nested = detail.split_once(" (").and_then(|(outer, rest)| {
        let outer = outer.trim_end_matches('.').to_lowercase();
        let repeats = rest.to_lowercase().starts_with(&outer);
        repeats.then(|| rest.rsplit_once(')')).flatten()
    });
    nested.map_or_else(|| detail.to_owned(), |(inner, advice)| format!("{inner}{advice}"))
}

/// To `steps` of one. A single-precision number would be told with the digits of its nearest double.
fn rounded(value: f32, steps: f64) -> f64 {
    (f64::from(value) * steps).round() / steps
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
        None,
    )?;
    let stop = Stop::default();
    stop.listen()?;
    let since = Instant::now();
    let until = since + args.seconds;
    let mut facts = Facts::default();
    while !stop.is_asked() {
        let event = match told.recv_deadline(until.min(Instant::now() + LOOK_AROUND)) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) if Instant::now() < until => continue,
            Err(_) => break,
        };
        if !facts.take(event) {
            break;
        }
    }
    let took_s = since.elapsed().as_secs_f64();
    let _ = running.stop().join();
    // What was on its way.
    for event in told.try_iter() {
        facts.take(event);
    }
    // First what was found, which no picture that cannot be written is to cost.
    if args.json {
        println!("{}", facts.json());
    } else {
        facts.print();
    }
    if let Some(path) = &args.frame {
        match &facts.newest {
            Some(frame) => Whole::write(path, &jpeg(&frame.picture).map_err(anyhow::Error::msg)?)?,
            None => eprintln!("watchfire: no picture came, so {} is not written", path.display()),
        }
    }
    if let Some(status) = stop.status() {
        let all_s = args.seconds.as_secs_f64();
        eprintln!("watchfire: stopped after {took_s:.1} of {all_s} s");
        return Ok(status);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{AudioInfo, CameraId, StateReason, VideoInfo};

    fn status(state: CameraState, reason: Option<StateReason>, detail: Option<&str>) -> CameraStatus {
        CameraStatus {
            camera: CameraId::new("probe"),
            state,
            since_utc_ns: 0,
            reason,
            detail: detail.map(str::to_owned),
            attempts: 0,
            retry_at_utc_ns: None,
            clock_offset_ms: None,
            video: Some(VideoInfo {
                codec: "h264".into(),
                width_px: 1280,
                height_px: 720,
                fps: 30_000.0 / 1_001.0,
                decoder: "avdec_h264".into(),
            }),
            audio: Some(AudioInfo {
                codec: "aac".into(),
                rate_hz: 16_000,
            }),
        }
    }

    #[test]
    fn a_cause_is_said_once_and_with_what_to_do() {
        let cases = [
            (
                "Not found (Not Found (404)); check the path of `url`",
                "Not Found (404); check the path of `url`",
            ),
            (
                "Unauthorized (Unauthorized (401)); check `username` and `password`; the next try waits, because cameras lock \
                 accounts; reload to try at once",
                "Unauthorized (401); check `username` and `password`",
            ),
            (
                "127.0.0.1:9 refused the connection; nothing listens at that address and port",
                "127.0.0.1:9 refused the connection; nothing listens at that address and port",
            ),
            (
                "Could not read from resource. (Could not receive message. (Received end-of-file)); check the cable",
                "Could not read from resource. (Could not receive message. (Received end-of-file)); check the cable",
            ),
            ("", ""),
        ];
        for (detail, once) in cases {
            assert_eq!(said_once(detail), once);
        }
    }

    #[test]
    fn figures_are_told_to_the_digits_that_mean_something() {
        let mut facts = Facts::default();
        assert!(facts.take(Err(status(CameraState::Streaming, None, None))));
        facts.levels_dbfs = vec![-23.02, -120.0];
        let told = facts.json();
        assert_eq!(told["levels_dbfs"].to_string(), "[-23.0,-120.0]");
        assert_eq!(told["video"]["fps"].to_string(), "29.97");
    }

    #[test]
    fn a_failure_ends_the_wait_and_a_start_does_not() {
        let mut facts = Facts::default();
        assert!(facts.take(Err(status(CameraState::Starting, None, None))));
        assert!(facts.streaming().is_none());
        let failed = status(
            CameraState::Error,
            Some(StateReason::NotFound),
            Some("Not found (Not Found (404))"),
        );
        assert!(!facts.take(Err(failed)));
        assert_eq!(facts.json()["detail"], "Not Found (404)");
    }
}
