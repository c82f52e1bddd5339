//! `watchfire demo`: simulated RTSP cameras, a broker, the daemon as a process of its own with a real configuration
//! file, and its alerts on the screen.

mod broker;
pub mod media;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};

use crate::ingest::gst::sim::{Mount, Show, SimServer};
use crate::publish::payload::AlertPayload;
use crate::publish::subscribe;

pub struct Options {
    /// `mqtt://host:port` of a broker that is there already.
    pub broker: Option<String>,
    pub looped: bool,
    pub footage: PathBuf,
    pub dir: PathBuf,
    pub models: PathBuf,
}

/// Runs the demo. Exit status 1 when an expected alert did not come.
///
/// # Errors
/// Something could not be started.
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    println!("preparing clips (the first time takes a moment) …");
    let [walk, siren] = media::prepare(&options.footage, &options.dir)?;
    let show = |path, looped| Show::Clip { path, looped };
    let mounts = [
        Mount {
            name: "square".into(),
            show: show(walk, options.looped),
        },
        Mount {
            name: "street".into(),
            show: show(siren, options.looped),
        },
    ];
    let cameras = SimServer::start(&mounts, None, None)?;
    let broker = match &options.broker {
        Some(url) => url.clone(),
        None => format!("mqtt://127.0.0.1:{}", broker::start()?),
    };
    let http = free_port()?;
    let config = options.dir.join("watchfire.toml");
    let state = options.dir.join("state");
    let _ = std::fs::remove_dir_all(&state);
    std::fs::write(
        &config,
        configuration(&cameras, &broker, &http, &state, &options.models)?,
    )?;
    println!("cameras  {}  {}", cameras.url("square"), cameras.url("street"));
    println!(
        "broker   {broker}\nconfig   {}\nmetrics  http://{http}/metrics\n",
        config.display()
    );

    let address = broker.trim_start_matches("mqtt://");
    let (host, port) = address.rsplit_once(':').context("the broker's url lacks a port")?;
    let alerts = subscribe(host, port.trim_end_matches('/').parse()?, "watchfire/demo/#")?;
    let mut daemon = Daemon::start(&config, &options.dir)?;
    let seen = watch(&alerts, &mut daemon, options.looped)?;
    let summary = metrics(&http).unwrap_or_default();
    daemon.stop()?;
    drop(cameras);
    tell_summary(&summary, &seen);

    let missing: Vec<&str> = ["intrusion", "line_crossing", "siren"]
        .into_iter()
        .filter(|kind| !seen.contains_key(*kind))
        .collect();
    if missing.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("expected alerts did not come: {}", missing.join(", "));
    Ok(ExitCode::FAILURE)
}

fn free_port() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn configuration(
    cameras: &SimServer,
    broker: &str,
    http: &SocketAddr,
    state: &Path,
    models: &Path,
) -> anyhow::Result<String> {
    let models = models.canonicalize().with_context(|| models.display().to_string())?;
    let state = std::path::absolute(state)?;
    Ok(format!(
        r#"# Written by `watchfire demo`.
[site]
name = "demo"
[box]
name = "demo"
[mqtt]
url = "{broker}"
[models]
dir = "{models}"
[state]
dir = "{state}"
[http]
listen = "{http}"

[[camera]]
id = "square"
url = "{square}"
kinds = ["intrusion", "line_crossing", "siren"]
[[camera.zone]]
name = "lawn"
polygon = [[0.0, 0.45], [0.45, 0.45], [0.45, 1.0], [0.0, 1.0]]
[[camera.line]]
name = "path"
from = [0.5, 1.0]
to = [0.5, 0.0]

[[camera]]
id = "street"
url = "{street}"
kinds = ["line_crossing", "siren", "gunshot", "glass_break"]
[[camera.line]]
name = "path"
from = [0.5, 1.0]
to = [0.5, 0.0]
"#,
        models = models.display(),
        state = state.display(),
        square = cameras.url("square"),
        street = cameras.url("street"),
    ))
}

/// The daemon's process. It ends with this value.
struct Daemon(Option<Child>);

impl Daemon {
    fn start(config: &Path, dir: &Path) -> anyhow::Result<Self> {
        let log = std::fs::File::create(dir.join("daemon.log"))?;
        let child = Command::new(std::env::current_exe()?)
            .args(["run", "--config"])
            .arg(config)
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .context("the daemon does not start")?;
        Ok(Self(Some(child)))
    }

    fn has_ended(&mut self) -> bool {
        self.0.as_mut().is_none_or(|c| !matches!(c.try_wait(), Ok(None)))
    }

    fn stop(mut self) -> anyhow::Result<()> {
        let Some(mut child) = self.0.take() else { return Ok(()) };
        terminate(child.id())?;
        let status = child.wait()?;
        if status.success() {
            Ok(())
        } else {
            Err(anyhow!("the daemon ended with {status}; see daemon.log"))
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn terminate(id: u32) -> anyhow::Result<()> {
    let status = Command::new("kill").args(["-TERM", &id.to_string()]).status()?;
    if status.success() {
        Ok(())
    } else {
        Err(anyhow!("the daemon's process could not be ended"))
    }
}

/// Prints alerts as they come, until both cameras have shown their clips. Returns starts by kind.
fn watch(
    messages: &crossbeam_channel::Receiver<(String, Vec<u8>)>,
    daemon: &mut Daemon,
    looped: bool,
) -> anyhow::Result<BTreeMap<String, u32>> {
    let mut seen = BTreeMap::new();
    let mut over = std::collections::BTreeSet::new();
    let mut streamed = std::collections::BTreeSet::new();
    let deadline = Instant::now() + Duration::from_secs(150);
    while looped || (over.len() < 2 && Instant::now() < deadline) {
        if daemon.has_ended() {
            bail!("the daemon ended by itself; see daemon.log");
        }
        let Ok((topic, payload)) = messages.recv_timeout(Duration::from_millis(500)) else {
            continue;
        };
        if topic.ends_with("/status") && topic.contains("/camera/") {
            let status: serde_json::Value = serde_json::from_slice(&payload).unwrap_or_default();
            let state = status["state"].as_str().unwrap_or_default();
            println!("         {topic} {state}");
            if state == "streaming" {
                streamed.insert(topic);
            } else if streamed.contains(&topic) {
                over.insert(topic);
            }
        } else if topic.contains("/alert/") {
            let alert: AlertPayload = serde_json::from_slice(&payload)?;
            tell(&alert);
            if alert.phase == "start" && (alert.kind != "line_crossing" || alert.direction.is_some()) {
                *seen.entry(alert.kind).or_insert(0) += 1;
            }
        }
    }
    Ok(seen)
}

fn tell(alert: &AlertPayload) {
    let time = alert.updated_at.get(11..23).unwrap_or_default();
    let zone = alert.zone.as_deref().unwrap_or("");
    let way = alert.direction.as_deref().unwrap_or("");
    let proof: Vec<String> = alert
        .evidence
        .iter()
        .map(|e| format!("{} {} {:+.1}", e.modality, e.label, e.contribution))
        .collect();
    println!(
        "{time} {:6} {:8} {:13} {zone:6} {way:13} {:.2}  {}",
        alert.phase,
        alert.camera,
        alert.kind,
        alert.score,
        proof.join(", ")
    );
}

fn metrics(http: &SocketAddr) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect_timeout(http, Duration::from_secs(2))?;
    write!(
        stream,
        "GET /metrics HTTP/1.1\r\nHost: {http}\r\nConnection: close\r\n\r\n"
    )?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

fn tell_summary(text: &str, seen: &BTreeMap<String, u32>) {
    let value = |line: &str| {
        line.rsplit(' ')
            .next()
            .and_then(|v| v.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    let sum = |name: &str| -> f64 { text.lines().filter(|l| l.starts_with(name)).map(value).sum() };
    let seconds = sum("watchfire_stream_seconds_total").max(0.1);
    let windows = sum("watchfire_windows_total");
    let shed: f64 = text.lines().filter(|l| l.contains("status=\"shed\"")).map(value).sum();
    println!(
        "\n{:.1} frames a second and camera, {windows} windows, {shed} reports shed",
        sum("watchfire_frames_total") / seconds
    );
    let buckets: Vec<(String, f64)> = text
        .lines()
        .filter(|l| l.starts_with("watchfire_window_latency_seconds_bucket"))
        .map(|l| {
            (
                l.split("le=\"")
                    .nth(1)
                    .unwrap_or("")
                    .split('"')
                    .next()
                    .unwrap_or("")
                    .to_owned(),
                value(l),
            )
        })
        .fold(Vec::new(), |mut all: Vec<(String, f64)>, (le, n)| {
            match all.iter_mut().find(|(l, _)| *l == le) {
                Some((_, sum)) => *sum += n,
                None => all.push((le, n)),
            }
            all
        });
    let total = buckets.last().map_or(0.0, |b| b.1);
    for q in [0.5, 0.99] {
        if let Some((le, _)) = buckets.iter().find(|(_, n)| *n >= total * q && total > 0.0) {
            println!(
                "latency p{:.0} at most {le} s from the window's last data to its verdict",
                q * 100.0
            );
        }
    }
    for (kind, n) in seen {
        println!("{n:4} × {kind}");
    }
}
