//! Recordings through a graph of their own, one after another, as fast as it goes.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Context, anyhow};
use crossbeam_channel::TryRecvError;

use super::words::counted;
use super::{LoadedModels, fill_thresholds};
use crate::clock::SystemClock;
use crate::config::{CameraConfig, digest};
use crate::data::{EndReason, Snapshots};
use crate::graph::{EdgeOut, Graph, GraphOptions, Metrics, Models, Next};
use crate::ingest::replay;
use crate::nn::ModelOptions;
use crate::stages::{CameraProfile, Verdict};

/// The daemon's graph with one camera, whose windows come from files.
pub struct Player {
    graph: Graph,
    verdicts: EdgeOut<Verdict>,
    camera: CameraConfig,
    options: ModelOptions,
    wrap: fn(Models) -> Models,
    models: Vec<String>,
    models_sha256: String,
    stop: Arc<AtomicBool>,
}

impl Player {
    /// Loads the models and starts the graph. The camera's missing thresholds are filled in from the models.
    ///
    /// # Errors
    /// A model is missing or damaged, or a thread could not be started.
    pub fn start(camera: CameraConfig, options: &ModelOptions) -> anyhow::Result<Self> {
        Self::start_with(camera, options, |models| models)
    }

    /// As [`Self::start`], with the loaded models passed through `wrap`: a test puts a model in between that misbehaves.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with(
        mut camera: CameraConfig,
        options: &ModelOptions,
        wrap: fn(Models) -> Models,
    ) -> anyhow::Result<Self> {
        let models = LoadedModels::load(options, std::slice::from_ref(&camera))?;
        fill_thresholds(
            &mut camera.behaviour,
            models.detector.manifest(),
            models.sound.manifest(),
            models.fight_threshold(),
        );
        let names = models.manifests().iter().map(|m| m.id().to_string()).collect();
        let sums: String = models.manifests().iter().map(|m| m.sha256()).collect();
        let clock = Arc::new(SystemClock::new());
        let models = wrap(models.into());
        let (graph, verdicts) = Graph::start(&GraphOptions::replay(), models, clock, &mut Metrics::default())?;
        Ok(Self {
            graph,
            verdicts,
            camera,
            options: options.clone(),
            wrap,
            models: names,
            models_sha256: digest(&sums),
            stop: Arc::default(),
        })
    }

    /// Once `stop` is set, what is played ends where it is: its open alerts end with the reason `shutdown`, and it counts as
    /// played.
    pub fn heed(&mut self, stop: Arc<AtomicBool>) {
        self.stop = stop;
    }

    /// As it is played, with all thresholds.
    pub fn camera(&self) -> &CameraConfig {
        &self.camera
    }

    /// `name@version` of the models that were loaded.
    pub fn models(&self) -> &[String] {
        &self.models
    }

    /// Equal for the same models only, thresholds and weights included.
    pub fn models_sha256(&self) -> &str {
        &self.models_sha256
    }

    /// One file to its end: its windows go in while the verdicts come out, then its open alerts end. The first frame's
    /// time is `start_utc_ns`.
    ///
    /// # Errors
    /// The file cannot be read to its end (its verdicts up to there were given), a window could not be computed, or
    /// `take` failed: it is not asked again, and the rest of the file is not read. Or a stage had given up on the file before,
    /// and the models cannot be loaded once more.
    pub fn play(
        &mut self,
        file: &Path,
        start_utc_ns: i64,
        mut take: impl FnMut(&Verdict) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        // What a stage gave up on is that file's fault alone.
        if self.graph.health().fatal().is_some() {
            self.start_anew().with_context(|| file.display().to_string())?;
        }
        let profile = CameraProfile {
            snapshots: Snapshots::Off,
            recording: Some(identity(file)),
            ..self.camera.profile()
        };
        let inlet = self
            .graph
            .camera(self.camera.ingest.id.clone(), profile, Arc::default());
        let (enough, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
        let (reading, read_on) = crossbeam_channel::bounded::<()>(0);
        let fatal = || self.graph.health().fatal();
        let (mut failed, mut wrong) = (0, None);
        let read = std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let _closes_at_the_end = reading;
                replay(file, &self.camera.ingest, start_utc_ns, |window| {
                    sent.fetch_add(1, Relaxed);
                    inlet.push(window);
                    if enough.load(Relaxed) {
                        ControlFlow::Break(())
                    } else {
                        ControlFlow::Continue(())
                    }
                })
            });
            // To the last verdict in any case: the reader waits for room, and the next file's verdicts are not to be mixed
            // with this one's. A stage that gave up leaves some out.
            let is_read = || read_on.try_recv() == Err(TryRecvError::Disconnected);
            let mut judged = 0;
            while !is_read() || (judged < sent.load(Relaxed) && fatal().is_none()) {
                if let Next::Item(verdict) = self.verdicts.next(Duration::from_millis(50)) {
                    judged += usize::from(verdict.window.is_some());
                    failed += usize::from(verdict.has_failed());
                    if wrong.is_none() {
                        wrong = take(&verdict).err();
                    }
                }
                let over = wrong.is_some() || fatal().is_some() || self.stop.load(Relaxed);
                enough.store(over, Relaxed);
            }
            reader
                .join()
                .map_err(|_| anyhow!("{}: the reader panicked", file.display()))?
                .map_err(anyhow::Error::from)
        });
        inlet.over(EndReason::Eof);
        // Always answered, also when no alert was open.
        let last = self.verdicts.next(Duration::from_secs(5));
        if let (Next::Item(mut verdict), None) = (last, &wrong) {
            // The graph knows of an end only; whoever reads the alerts must not take it for the recording's.
            if self.stop.load(Relaxed) {
                let ends = verdict.alerts.iter_mut().filter_map(|a| a.end_reason.as_mut());
                ends.for_each(|reason| *reason = EndReason::Shutdown);
            }
            wrong = take(&verdict).err();
        }
        if let Some(stage) = fatal().filter(|_| wrong.is_none()) {
            wrong = Some(anyhow!(
                "{}: the stage {stage} panicked again and again",
                file.display()
            ));
        }
        wrong.map_or(read, Err)?;
        if failed > 0 {
            return Err(anyhow!(
                "{}: {} could not be computed; the log says why",
                file.display(),
                counted(failed, "window")
            ));
        }
        Ok(())
    }

    /// With a graph that runs, in the place of one that gave up.
    fn start_anew(&mut self) -> anyhow::Result<()> {
        let mut new = Self::start_with(self.camera.clone(), &self.options, self.wrap)?;
        new.heed(self.stop.clone());
        if let Err(why) = std::mem::replace(self, new).stop() {
            tracing::warn!("the graph that gave up: {why:#}");
        }
        Ok(())
    }

    /// # Errors
    /// A stage did not end in time.
    pub fn stop(self) -> anyhow::Result<()> {
        let Self { graph, verdicts, .. } = self;
        // A stage must not wait for somebody to read its last words.
        drop(verdicts);
        graph
            .stop(Duration::from_secs(10))
            .map_err(|stages| anyhow!("still running: {}", stages.join(", ")))
    }
}

/// Which recording it is, wherever it lies. Names repeat from folder to folder; with the same size they hardly do.
fn identity(file: &Path) -> Arc<str> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let bytes = std::fs::metadata(file).map_or(0, |about| about.len());
    format!("{name}|{bytes}").into()
}
