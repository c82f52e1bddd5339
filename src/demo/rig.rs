//! Simulated cameras, a broker and the daemon, under a load that somebody wants measured: `watchfire bench` asks how
//! many cameras a box carries, `make bench` asks how late alerts are.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use crossbeam_channel::Receiver;

use super::daemon::Daemon;
use super::summary::{metrics_page, shed, sum};
use crate::ingest::gst::sim::{Mount, Show, SimServer};
use crate::publish::subscribe;

/// A daemon takes so long to start, or to take up cameras, at worst.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Options {
    /// The daemon's binary.
    pub program: PathBuf,
    /// What every camera shows, again and again: H.264 and perhaps AAC.
    pub clip: PathBuf,
    /// Cameras that can be asked for.
    pub most: usize,
    /// Configuration, log and state go there.
    pub dir: PathBuf,
    pub models: PathBuf,
}

pub struct Rig {
    options: Options,
    cameras: SimServer,
    broker: u16,
    http: SocketAddr,
    messages: Receiver<(String, Vec<u8>)>,
    interrupted: Receiver<i32>,
    daemon: Option<Daemon>,
    streaming: BTreeSet<String>,
}

/// What happened in a stretch of time.
#[derive(Clone, Debug)]
pub struct Span {
    pub seconds: f64,
    /// Of the daemon, all its threads.
    pub cpu_s: f64,
    pub windows: u64,
    /// Windows of which at least one branch was shed; windows counted by the branch that lost most.
    pub shed: u64,
    pub frames: u64,
    /// Share of the time in which each stage worked.
    pub busy: BTreeMap<String, f64>,
    /// From the end of a window at the camera to its `levels` message at a subscriber, in order of size.
    pub latency_ms: Vec<f64>,
}

/// The daemon's counters at a moment.
struct Reading {
    at: Instant,
    cpu_s: f64,
    page: String,
}

impl Rig {
    /// Cameras and broker; the daemon starts with the first [`Rig::carry`].
    ///
    /// # Errors
    /// Something could not be started.
    pub fn start(options: Options) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&options.dir).with_context(|| options.dir.display().to_string())?;
        let mounts: Vec<Mount> = (0..options.most)
            .map(|i| Mount {
                name: name(i),
                show: Show::Clip {
                    path: options.clip.clone(),
                    looped: true,
                },
            })
            .collect();
        let cameras = SimServer::start(&mounts, None, None)?;
        let broker = super::broker::start()?;
        let messages = subscribe("127.0.0.1", broker, "watchfire/bench/camera/#")?;
        let http = super::free_port()?;
        let _ = std::fs::remove_dir_all(options.dir.join("state"));
        Ok(Self {
            options,
            cameras,
            broker,
            http,
            messages,
            interrupted: super::interrupts()?,
            daemon: None,
            streaming: BTreeSet::new(),
        })
    }

    /// Lets the daemon carry the first `n` cameras, and waits until all of them stream and no other does.
    ///
    /// # Errors
    /// The daemon ended, or a camera did not come.
    pub fn carry(&mut self, n: usize) -> anyhow::Result<()> {
        let config = self.options.dir.join("watchfire.toml");
        std::fs::write(&config, self.configuration(n)?)?;
        match &self.daemon {
            Some(daemon) => daemon.reload(),
            None => {
                let log = self.options.dir.join("daemon.log");
                self.daemon = Some(Daemon::start(&self.options.program, &config, &log)?);
            }
        }
        let wanted: BTreeSet<String> = (0..n).map(name).collect();
        let until = Instant::now() + PATIENCE;
        while self.streaming != wanted {
            if Instant::now() > until {
                let missing: Vec<&String> = wanted.difference(&self.streaming).collect();
                bail!(
                    "these cameras do not stream after {} s: {missing:?}",
                    PATIENCE.as_secs()
                );
            }
            self.listen(Instant::now() + Duration::from_secs(1), &mut Vec::new())?;
        }
        Ok(())
    }

    /// Watches for so long.
    ///
    /// # Errors
    /// The daemon ended.
    pub fn watch(&mut self, time: Duration) -> anyhow::Result<Span> {
        let mut latency_ms = Vec::new();
        let before = self.read()?;
        self.listen(before.at + time, &mut latency_ms)?;
        let after = self.read()?;
        let grown = |metric: &str, label: &str| sum(&after.page, metric, label) - sum(&before.page, metric, label);
        let seconds = (after.at - before.at).as_secs_f64();
        let stages = after.page.lines().filter_map(|l| {
            let rest = l.strip_prefix("watchfire_stage_seconds_sum{stage=\"")?;
            Some(rest.split('"').next()?.to_owned())
        });
        latency_ms.sort_by(f64::total_cmp);
        Ok(Span {
            seconds,
            cpu_s: after.cpu_s - before.cpu_s,
            windows: grown("watchfire_windows_total", "") as u64,
            shed: shed(&before.page, &after.page),
            frames: grown("watchfire_frames_total", "") as u64,
            busy: stages
                .map(|stage| {
                    let part = format!("stage=\"{stage}\"");
                    let share = grown("watchfire_stage_seconds_sum", &part) / seconds;
                    (stage, share)
                })
                .collect(),
            latency_ms,
        })
    }

    /// Ends the daemon in order.
    ///
    /// # Errors
    /// It ended with an error.
    pub fn stop(self) -> anyhow::Result<()> {
        self.daemon.map_or(Ok(()), Daemon::stop)
    }

    fn read(&self) -> anyhow::Result<Reading> {
        let daemon = self.daemon.as_ref().context("no daemon runs")?;
        Ok(Reading {
            at: Instant::now(),
            cpu_s: daemon.cpu_s()?,
            page: metrics_page(&self.http)?,
        })
    }

    /// Takes messages until then.
    ///
    /// # Errors
    /// The daemon ended, or somebody has stopped us: then it is to be ended with us.
    fn listen(&mut self, until: Instant, latency_ms: &mut Vec<f64>) -> anyhow::Result<()> {
        while let Ok((topic, payload)) = self.messages.recv_deadline(until) {
            ensure!(self.interrupted.is_empty(), "stopped");
            let now_ms = jiff::Timestamp::now().as_nanosecond() as f64 / 1e6;
            let mut parts = topic.split('/').skip(3);
            let (Some(camera), Some(what)) = (parts.next(), parts.next()) else {
                continue;
            };
            let said: serde_json::Value = serde_json::from_slice(&payload).unwrap_or_default();
            match what {
                "status" if said["state"] == "streaming" => drop(self.streaming.insert(camera.to_owned())),
                "status" => drop(self.streaming.remove(camera)),
                "levels" => {
                    let at = said["at"].as_str().and_then(|t| t.parse::<jiff::Timestamp>().ok());
                    latency_ms.extend(at.map(|t| now_ms - t.as_nanosecond() as f64 / 1e6));
                }
                _ => {}
            }
        }
        ensure!(self.interrupted.is_empty(), "stopped");
        self.daemon.as_mut().map_or(Ok(()), Daemon::check)
    }

    /// Every camera has the defaults, and its whole picture as a zone. Times are the cameras' own, whose clock is that
    /// of this machine: so latency counts from when a picture was taken, not from when it arrived.
    fn configuration(&self, n: usize) -> anyhow::Result<String> {
        let quoted = |path: &Path| toml::Value::String(path.display().to_string()).to_string();
        let state = std::path::absolute(self.options.dir.join("state"))?;
        let models = std::path::absolute(&self.options.models)?;
        let mut text = format!(
            "[site]\nname = \"bench\"\n[box]\nname = \"bench\"\n[mqtt]\nurl = \"mqtt://127.0.0.1:{}\"\n\
             [models]\ndir = {}\n[state]\ndir = {}\n[http]\nlisten = \"{}\"\n",
            self.broker,
            quoted(&models),
            quoted(&state),
            self.http
        );
        for i in 0..n {
            text += &format!(
                "[[camera]]\nid = \"{}\"\nurl = \"{}\"\nclock = \"camera\"\n[[camera.zone]]\nname = \"picture\"\n\
                 polygon = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]\n",
                name(i),
                self.cameras.url(&name(i))
            );
        }
        Ok(text)
    }
}

impl Span {
    pub fn shed_share(&self) -> f64 {
        self.shed as f64 / self.windows.max(1) as f64
    }

    /// Quantile `q` of the latency; None when no message came.
    pub fn latency_ms(&self, q: f64) -> Option<f64> {
        let last = self.latency_ms.len().checked_sub(1)?;
        self.latency_ms.get((last as f64 * q).round() as usize).copied()
    }
}

fn name(i: usize) -> String {
    format!("c{i:03}")
}
