//! `watchfire demo`: simulated RTSP cameras, a broker, the daemon as a process of its own with a real configuration
//! file, and its alerts on the screen.

mod broker;
pub mod capacity;
mod daemon;
pub mod media;
pub mod rig;
mod screen;
mod summary;

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use crossbeam_channel::TrySendError;
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::ingest::gst::sim::{Mount, Show, SimServer};
use crate::publish::subscribe;
use crate::store::is_ours;
use daemon::Daemon;
use screen::Screen;
use summary::{Summary, metrics_page};

/// What must be seen and heard in one pass, by (camera, kind).
const EXPECTED: [(&str, &str); 3] = [
    ("square", "line_crossing"),
    ("garden", "intrusion"),
    ("garden", "siren"),
];

/// The first line of a configuration that a demo may replace.
const WRITTEN: &str = "# Written by `watchfire demo`.";

pub struct Options {
    /// `mqtt://host:port` of a broker that is there already.
    pub broker: Option<String>,
    /// Runs on until interrupted.
    pub looped: bool,
    /// The vtest.avi of Debian's opencv-doc.
    pub footage: PathBuf,
    /// Clips, configuration, log and state of the demo.
    pub dir: PathBuf,
    pub models: PathBuf,
    /// Where the figures go as JSON.
    pub report: Option<PathBuf>,
}

/// Runs the demo. Exit status 1 when an expected alert did not come, 128 and the signal's number when it was stopped before it
/// was over.
///
/// # Errors
/// Something could not be started, or the daemon ended.
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let interrupted = interrupts()?;
    is_free(&options.dir)?;
    let _alone = alone(&options.dir)?;
    println!("Making the cameras' clips (the first time takes a moment) …");
    let clips = media::prepare_unless(&options.footage, &options.dir, &|| !interrupted.is_empty());
    if let Ok(signal) = interrupted.try_recv() {
        println!("Stopped before anything was started.");
        return Ok(stopped_by(signal));
    }
    let [square, garden] = clips?;
    let mount = |name: &str, path| Mount {
        name: name.into(),
        show: Show::Clip {
            path,
            looped: options.looped,
        },
    };
    let cameras = SimServer::start(&[mount("square", square), mount("garden", garden)], None, None)?;
    let broker = match &options.broker {
        Some(url) => url.clone(),
        None => format!("mqtt://127.0.0.1:{}", broker::start()?),
    };
    let http = free_port()?;
    let state = std::path::absolute(options.dir.join("state"))?;
    let _ = std::fs::remove_dir_all(&state);
    let config = options.dir.join("watchfire.toml");
    let models = options
        .models
        .canonicalize()
        .with_context(|| options.models.display().to_string())?;
    std::fs::write(&config, configuration(&cameras, &broker, &http, &state, &models))?;
    println!("cameras  {}  {}", cameras.url("square"), cameras.url("garden"));
    println!("broker   {broker}");
    let (host, port) = address(&broker)?;
    // An MQTT 3.1.1 client, which mosquitto_sub is by default, gets no answer from the embedded broker.
    let version = if options.broker.is_none() { " -V mqttv5" } else { "" };
    println!("listen   mosquitto_sub{version} -h {host} -p {port} -v -t 'watchfire/demo/#'");
    println!("config   {}", config.display());
    println!("metrics  http://{http}/metrics\n");

    let messages = subscribe(host, port, "watchfire/demo/#")?;
    let mut daemon = Daemon::start(&std::env::current_exe()?, &config, &options.dir.join("daemon.log"))?;
    let mut screen = Screen::new();
    let stopped = screen.watch(&messages, &interrupted, &mut daemon, 2, options.looped)?;
    let seen = screen.seen();
    let page = metrics_page(&http);
    if let Some(signal) = stopped.filter(|_| !options.looped) {
        // One that has hardly begun has no figures, and no order in which to end.
        drop(daemon);
        let summary = page.map(|page| Summary::new(&page, seen, Vec::new()));
        if let Some(summary) = summary.ok().filter(|s| s.windows > 0) {
            summary.tell();
        }
        println!("\nStopped before the clips were over; the daemon, the broker and the cameras have ended.");
        return Ok(stopped_by(signal));
    }
    let page = match stopped {
        Some(_) => page.unwrap_or_default(),
        None => page?,
    };
    daemon.stop()?;

    let missing: Vec<String> = EXPECTED
        .iter()
        .filter(|(camera, kind)| !seen.contains_key(&((*camera).to_owned(), (*kind).to_owned())))
        .map(|(camera, kind)| format!("{kind} at {camera}"))
        .collect();
    let summary = Summary::new(&page, seen, missing);
    summary.tell();
    if let Some(path) = &options.report {
        std::fs::write(path, serde_json::to_vec_pretty(&summary)?).with_context(|| path.display().to_string())?;
    }
    if options.looped {
        println!("\nStopped; the daemon, the broker and the cameras have ended.");
    }
    if options.looped || summary.missing.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("Expected alerts did not come: {}", summary.missing.join(", "));
    Ok(ExitCode::FAILURE)
}

/// Whether a configuration and a state there are those of a demo.
fn is_free(dir: &Path) -> anyhow::Result<()> {
    let config = std::fs::read_to_string(dir.join("watchfire.toml"));
    let own = config.as_ref().is_ok_and(|text| text.starts_with(WRITTEN));
    anyhow::ensure!(
        own || (config.is_err() && !dir.join("state").exists()),
        "{} holds a configuration or a state that no demo made: name another --dir",
        dir.display()
    );
    Ok(())
}

/// Held while a demo uses its folder: a second one would take state and clips from under it. The lock is the kernel's and ends
/// with the process.
fn alone(dir: &Path) -> anyhow::Result<File> {
    std::fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
    let path = dir.join("demo.lock");
    let file = File::create(&path).with_context(|| path.display().to_string())?;
    if !is_ours(&file, &path) {
        bail!(
            "{}: another demo uses this folder; stop it, or name another --dir",
            dir.display()
        );
    }
    Ok(file)
}

/// As a shell tells of a process that a signal has ended.
fn stopped_by(signal: i32) -> ExitCode {
    ExitCode::from(128 + signal as u8)
}

/// Ctrl-C and SIGTERM as messages, so that the daemon is always ended with us.
fn interrupts() -> anyhow::Result<crossbeam_channel::Receiver<i32>> {
    let (wish, received) = crossbeam_channel::bounded(1);
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for signal in signals.forever() {
            // Nobody is left who would end in order.
            if let Err(TrySendError::Disconnected(signal)) = wish.try_send(signal) {
                let _ = signal_hook::low_level::emulate_default_handler(signal);
            }
        }
    })?;
    Ok(received)
}

fn address(broker: &str) -> anyhow::Result<(&str, u16)> {
    let rest = broker
        .strip_prefix("mqtt://")
        .context("the demo's broker must be mqtt://host:port")?
        .trim_end_matches('/');
    let (host, port) = rest.rsplit_once(':').unwrap_or((rest, "1883"));
    Ok((host, port.parse().with_context(|| format!("`{port}` is no port"))?))
}

fn free_port() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn configuration(cameras: &SimServer, broker: &str, http: &SocketAddr, state: &Path, models: &Path) -> String {
    format!(
        r#"{WRITTEN}
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
[[camera.line]]
name = "path"
from = [0.62, 1.0]
to = [0.62, 0.3]

[[camera]]
id = "garden"
url = "{garden}"
[[camera.zone]]
name = "lawn"
polygon = [[0.0, 0.52], [0.2, 0.52], [0.42, 0.68], [0.58, 1.0], [0.0, 1.0]]
"#,
        models = models.display(),
        state = state.display(),
        square = cameras.url("square"),
        garden = cameras.url("garden"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_demo_on_a_folder_is_refused_and_one_after_the_first_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("demo");
        let first = alone(&dir).unwrap();
        let error = alone(&dir).unwrap_err().to_string();
        assert!(
            error.contains("another demo uses this folder") && error.contains("--dir"),
            "{error}"
        );
        drop(first);
        alone(&dir).unwrap();
        // The lock alone makes no foreign folder of it.
        is_free(&dir).unwrap();
    }
}
