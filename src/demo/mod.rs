//! `watchfire demo`: simulated RTSP cameras, a broker, the daemon as a process of its own with a real configuration
//! file, and its alerts on the screen.

mod broker;
pub mod capacity;
mod daemon;
pub mod media;
pub mod rig;
mod screen;
mod summary;

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::ingest::gst::sim::{Mount, Show, SimServer};
use crate::publish::subscribe;
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

/// Runs the demo. Exit status 1 when an expected alert did not come.
///
/// # Errors
/// Something could not be started, or the daemon ended.
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let interrupted = interrupts()?;
    is_free(&options.dir)?;
    println!("Making the cameras' clips (the first time takes a moment) …");
    let [square, garden] = media::prepare(&options.footage, &options.dir)?;
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
    println!("config   {}", config.display());
    println!("metrics  http://{http}/metrics\n");

    let (host, port) = address(&broker)?;
    let messages = subscribe(host, port, "watchfire/demo/#")?;
    let mut daemon = Daemon::start(&std::env::current_exe()?, &config, &options.dir.join("daemon.log"))?;
    let seen = Screen::new().watch(&messages, &interrupted, &mut daemon, 2, options.looped)?;
    let page = metrics_page(&http)?;
    daemon.stop()?;

    let missing: Vec<String> = EXPECTED
        .iter()
        .filter(|(camera, kind)| !seen.contains_key(&((*camera).to_owned(), (*kind).to_owned())))
        .map(|(camera, kind)| format!("{kind} at {camera}"))
        .collect();
    let summary = Summary::new(&page, &seen, missing);
    summary.tell();
    if let Some(path) = &options.report {
        std::fs::write(path, serde_json::to_vec_pretty(&summary)?).with_context(|| path.display().to_string())?;
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

/// Ctrl-C and SIGTERM as messages, so that the daemon is always ended with us.
fn interrupts() -> anyhow::Result<crossbeam_channel::Receiver<()>> {
    let (wish, received) = crossbeam_channel::bounded(1);
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for _ in signals.forever() {
            let _ = wish.try_send(());
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
