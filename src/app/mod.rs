//! The composition root: builds everything, is ready, waits for signals, and stops in order.

pub mod annotate;
mod camera;
pub mod cpu;
mod keep;
mod leftover;
pub mod log;
mod models;
pub mod moderation;
mod orders;
mod pages;
pub mod player;
pub mod plot;
mod record;
mod reload;
pub mod trace;
mod vocabulary;
pub mod whole;
pub mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use parking_lot::RwLock;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::clock::{Clock, SystemClock};
use crate::config::{self, Loaded, Surroundings};
use crate::console;
use crate::data::{CameraId, CameraStatus, Kind};
use crate::graph::{Graph, GraphOptions, Metrics, Models};
use crate::ingest::CameraCounters;
use crate::publish::payload::BoxStatusPayload;
use crate::publish::{Order, Publisher, Topics, check_tls};
use crate::service::Service;
use crate::store::{self, Store};
use camera::Running;
use leftover::{clear_gone_cameras, ends_of_what_a_crash_left_open};
pub use models::{LoadedModels, Wanted, fill_thresholds};
use pages::answers;
use record::Recorder;
pub use vocabulary::Vocabulary;

/// How long an ordered stop may take.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// A stage that has not beaten for so long hangs.
const HANGS_AFTER: Duration = Duration::from_secs(20);

/// What many threads read: cameras' states and counters. Not on the data path.
#[derive(Default)]
pub(crate) struct Board {
    pub metrics: RwLock<Metrics>,
    pub cameras: RwLock<BTreeMap<CameraId, CameraStatus>>,
    /// What is wrong with the configuration that runs; a reload judges it anew.
    pub config_problems: RwLock<Vec<String>>,
    /// What else is wrong, whatever the configuration says: it stands until who told it takes it back.
    pub problems: RwLock<Vec<String>>,
    pub evicted: std::sync::atomic::AtomicU64,
    /// Why the process has to end, in order, and to be started anew.
    pub gives_up: OnceLock<String>,
    /// Alerts that waited for the broker when the store was looked at last.
    pub outbox: std::sync::atomic::AtomicU64,
    /// What running cameras' streams did, since each was started.
    pub ingest: RwLock<BTreeMap<CameraId, Arc<CameraCounters>>>,
    /// Kinds that cameras alert on: of no other is anything retained.
    pub watched: RwLock<BTreeMap<CameraId, BTreeSet<Kind>>>,
    /// Cameras that have opted into emotion.
    pub emotion: RwLock<BTreeSet<CameraId>>,
}

impl Board {
    fn add_problem(&self, text: String) {
        self.problems.write().push(text);
    }

    fn set_config_problems(&self, texts: Vec<String>) {
        *self.config_problems.write() = texts;
    }

    /// What the box's status and `/healthz` say.
    fn all_problems(&self) -> Vec<String> {
        let mut all = self.config_problems.read().clone();
        all.extend(self.problems.read().iter().cloned());
        all
    }
}

/// The configuration at `path`; a wrong one falls back on the last that ran, and says so.
fn load_config(path: &Path, problems: &mut Vec<String>) -> anyhow::Result<Loaded> {
    let around = Surroundings::real();
    let errors = match config::load(path, &around) {
        Ok(loaded) => return Ok(loaded),
        Err(errors) => errors,
    };
    for error in &errors {
        tracing::error!("{error}");
    }
    let by_systemd = || std::env::var_os("STATE_DIRECTORY").map(PathBuf::from);
    let state = config::state_dir(path).or_else(by_systemd);
    let state = state.unwrap_or_else(|| "/var/lib/watchfire".into());
    match config::last_good(&state, &around) {
        Some(loaded) => {
            let told = format!("the configuration is wrong ({}); running the last good one", errors[0]);
            tracing::warn!("{told}");
            problems.push(told);
            Ok(loaded)
        }
        None => bail!(
            "the configuration is wrong, and {} holds no earlier one to run: {}",
            state.display(),
            errors[0]
        ),
    }
}

/// Says what is doubtful about a configuration that was read, and which cameras do not run for it.
fn log_doubts(loaded: &Loaded) {
    for diagnostic in loaded.warnings.iter().chain(&loaded.camera_errors) {
        tracing::warn!("{diagnostic}");
    }
}

/// The configuration with its models. Where these cannot be loaded, or a certificate for the broker cannot be used, the last
/// configuration that could be started with runs.
fn load(path: &Path, problems: &mut Vec<String>) -> anyhow::Result<(Loaded, LoadedModels)> {
    let with_models = |loaded: Loaded| -> anyhow::Result<(Loaded, LoadedModels)> {
        check_tls(&loaded.config.mqtt).map_err(|why| anyhow!(why))?;
        let models = LoadedModels::load(&loaded.config.models, &loaded.config.cameras);
        models.map(|models| (loaded, models))
    };
    let loaded = load_config(path, problems)?;
    let good = config::last_good(&loaded.config.store.dir, &Surroundings::real());
    let other = good.filter(|good| good.texts != loaded.texts);
    with_models(loaded).or_else(|error| {
        let good = other.ok_or_else(|| anyhow!("{error:#}"))?;
        tracing::error!("{error:#}");
        let started = with_models(good).context("the last good configuration")?;
        let told = format!("{error:#}; running the last good configuration");
        tracing::warn!("{told}");
        problems.push(told);
        Ok(started)
    })
}

/// Runs the daemon until a signal ends it.
///
/// # Errors
/// It could not start, a stage gave up, or it did not stop in time.
pub fn run(path: &Path) -> anyhow::Result<()> {
    run_with(path, |models| models)
}

/// As [`run`], with the loaded models passed through `wrap`: a test puts a model in between that misbehaves.
///
/// # Errors
/// As [`run`].
pub fn run_with(path: &Path, wrap: impl FnOnce(Models) -> Models) -> anyhow::Result<()> {
    let mut problems = Vec::new();
    let (loaded, models) = load(path, &mut problems)?;
    log_doubts(&loaded);
    problems.extend(loaded.camera_errors.iter().map(ToString::to_string));
    let (config, texts) = (loaded.config, loaded.texts);
    // Before anything of the state is touched, and for as long as this process lives.
    let _lock = store::lock(&config.store.dir)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let vocabulary = models.vocabulary();
    let (fight_threshold, emotion) = (models.fight_threshold(), models.emotion());
    let board: Arc<Board> = Arc::default();
    board.set_config_problems(problems);

    let (store, trouble) = Store::open_at_start(&config.store, clock.utc_ns() / 1_000_000)?;
    if let Some(text) = trouble {
        tracing::error!("{text}");
        board.add_problem(text);
    }
    let ends = ends_of_what_a_crash_left_open(&store, &config, clock.as_ref())?;
    let (publisher, publisher_thread) = Publisher::spawn(config.mqtt.clone(), &config.store).map_err(|e| anyhow!(e))?;
    let topics = Topics::new(&config.site, &config.box_name);
    clear_gone_cameras(&store, &config, &topics, &publisher);

    let mut metrics = Metrics::default();
    let (graph, verdicts) = Graph::start(&GraphOptions::live(), wrap(models.into()), clock.clone(), &mut metrics)?;
    *board.metrics.write() = metrics;
    let recorder = Recorder::new(store, publisher.clone(), topics.clone(), clock.clone(), board.clone());
    let recorder = recorder.spawn(verdicts, ends)?;

    if let Some(listen) = config.http {
        // Alerts go out without it.
        match console::serve(listen, answers(&board, &graph, &clock, &publisher)) {
            Ok(address) => tracing::info!(%address, "console"),
            Err(error) => {
                tracing::error!("no /metrics and /healthz: {error}");
                board.add_problem(format!("no /metrics and /healthz: {error}"));
            }
        }
    }
    let mut running = Running {
        config,
        vocabulary,
        fight_threshold,
        emotion,
        clock: clock.clone(),
        board,
        publisher,
        topics,
        cameras: BTreeMap::new(),
        ending: BTreeMap::new(),
        pictures: Arc::default(),
    };
    running.start_all(&graph)?;
    if running.config.cameras.is_empty() {
        tracing::warn!("{}", reload::NOTHING_WATCHED);
    }
    // Only now: what cannot be started with is no good one.
    if let Err(why) = config::keep_last_good(&texts, &running.config.store.dir) {
        let mut problems = running.board.config_problems.write();
        problems.push(why);
    }
    let needed = [("recorder", &recorder), ("publisher", &publisher_thread)];
    let end = serve(path, &mut running, &graph, needed);

    // Ordered stop: sources, graph, store, broker.
    Service::new().stopping();
    running.stop_all();
    let stopped = graph.stop(STOP_WITHIN);
    if stopped.is_ok() && recorder.join().is_err() {
        tracing::error!("the recorder panicked");
    }
    running.publisher.stop(Duration::from_secs(3));
    let _ = publisher_thread.join();
    match stopped {
        Err(stages) => bail!("still running at the deadline: {}", stages.join(", ")),
        Ok(()) => end,
    }
}

/// What the main thread is asked for.
enum Wish {
    Signal(i32),
    Order(Order),
    None,
}

/// Waits for signals and orders; meanwhile feeds the watchdog and tells the box's status. Ends too when one of `needed` does.
fn serve(
    path: &Path,
    running: &mut Running,
    graph: &Graph,
    needed: [(&str, &JoinHandle<()>); 2],
) -> anyhow::Result<()> {
    let (signals, received) = crossbeam_channel::bounded(4);
    let mut caught = signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGTERM]).context("signals")?;
    std::thread::Builder::new().name("wf-signals".into()).spawn(move || {
        let mut ends = 0;
        for signal in caught.forever() {
            ends += i32::from(signal != SIGHUP);
            if ends > 1 {
                // A second wish to end is granted at once; what is committed goes out after the next start.
                #[expect(
                    clippy::disallowed_methods,
                    reason = "the operator asked twice: no destructor may delay the end"
                )]
                std::process::exit(1);
            }
            let _ = signals.send(signal);
        }
    })?;
    let service = Service::new();
    let orders = running.publisher.orders().clone();
    service.ready();
    tracing::info!(cameras = running.cameras.len(), "ready");
    let started_ns = running.clock.monotonic_ns();
    running.tell_box_status(0);
    // Only now: what the broker holds of an earlier life is not taken for live.
    running.publisher.all_told();
    let mut told_ns = Some(started_ns);
    loop {
        let now_ns = running.clock.monotonic_ns();
        if told_ns.is_none_or(|t| now_ns - t > 30_000_000_000) {
            told_ns = Some(now_ns);
            running.tell_box_status((now_ns - started_ns) / 1_000_000_000);
        }
        let stuck = graph.health().stuck(now_ns, HANGS_AFTER);
        if stuck.is_empty() {
            service.alive();
        } else {
            tracing::error!("no heartbeat from {}", stuck.join(", "));
        }
        if let Some(stage) = graph.health().fatal() {
            bail!(
                "the stage {stage} panicked again and again (the log names the panics); giving up, to be started anew"
            );
        }
        if let Some(why) = running.board.gives_up.get() {
            bail!("{why}");
        }
        if let Some((who, _)) = needed.iter().find(|(_, thread)| thread.is_finished()) {
            bail!("the {who} ended by itself: alerts would be lost; giving up, to be started anew");
        }
        // An end is never kept waiting by orders.
        let wish = match received.try_recv() {
            Ok(signal) => Wish::Signal(signal),
            Err(_) => crossbeam_channel::select! {
                recv(received) -> signal => signal.map_or(Wish::None, Wish::Signal),
                recv(orders) -> order => order.map_or(Wish::None, Wish::Order),
                default(Duration::from_secs(1)) => Wish::None,
            },
        };
        match wish {
            Wish::Signal(SIGHUP) | Wish::Order(Order::Reload) => {
                service.reloading();
                running.reload(path, graph);
                service.ready();
                told_ns = None;
            }
            Wish::Signal(signal) => {
                tracing::info!("signal {signal}: stopping");
                return Ok(());
            }
            Wish::Order(order) => running.obey(order, graph),
            Wish::None => {}
        }
    }
}

impl Running {
    fn tell_box_status(&self, uptime_s: u64) {
        let mut cameras = BTreeMap::new();
        for status in self.board.cameras.read().values() {
            *cameras.entry(status.state.to_string()).or_insert(0) += 1;
        }
        let shed = {
            let metrics = self.board.metrics.read();
            metrics.edges.values().map(|e| e.dropped.load(Relaxed)).sum()
        };
        match Store::open(&self.config.store).and_then(|s| s.outbox_depth()) {
            Ok(waiting) => self.board.outbox.store(waiting, Relaxed),
            // The recorder and the publisher may not see it for long: they remember pages.
            Err(error) if error.is_damaged() => {
                let why = format!("{error}; giving up, to be started anew with a new database");
                let _ = self.board.gives_up.set(why);
            }
            // The number is left as it was.
            Err(_) => {}
        }
        let status = BoxStatusPayload {
            version: env!("CARGO_PKG_VERSION").into(),
            uptime_s,
            device: crate::nn::describe(self.config.models.device),
            cameras,
            outbox: self.board.outbox.load(Relaxed),
            shed,
            evicted: self.board.evicted.load(Relaxed),
            problems: self.board.all_problems(),
        };
        self.publisher.retain(
            self.topics.box_status(),
            serde_json::to_vec(&status).unwrap_or_default(),
        );
    }
}
