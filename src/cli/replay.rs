use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};

use super::super::app::{ClipModels, annotate::Annotator, fill_thresholds, load_models};
use crate::behaviour::Zone;
use crate::clock::SystemClock;
use crate::config::{self, CameraConfig, Surroundings, default_behaviour, default_policy};
use crate::data::{CameraId, EndReason, Kind, Point, Snapshots};
use crate::graph::{EdgeOut, Graph, GraphOptions, Metrics, Models, Next};
use crate::ingest::{CameraOptions, Source, replay};
use crate::nn::{DeviceChoice, ModelOptions};
use crate::publish::payload::AlertPayload;
use crate::stages::{ActionGate, CameraProfile, Verdict};

#[derive(clap::Args)]
pub struct Args {
    /// Recordings.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Takes cameras and models from a configuration. Without it: every kind, and the whole picture as a zone.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Which camera of the configuration; its first by default.
    #[arg(long)]
    camera: Option<String>,
    /// The kinds that may alert, separated by commas.
    #[arg(long, value_delimiter = ',')]
    kinds: Option<Vec<String>>,
    /// One JSON alert a line; stdout by default.
    #[arg(long)]
    events: Option<PathBuf>,
    /// Writes the recording with boxes, tracks, zones, lines, sounds and alerts drawn in (one file only).
    #[arg(long)]
    annotate: Option<PathBuf>,
    /// The time of a file's first frame.
    #[arg(long, default_value = "1970-01-01T00:00:00Z")]
    start: jiff::Timestamp,
    /// Folder of the models, without --config.
    #[arg(long)]
    models: Option<PathBuf>,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (mut camera, models, site, box_name) = camera(args)?;
    if let Some(words) = &args.kinds {
        let kinds = words
            .iter()
            .map(|w| w.parse::<Kind>().map_err(|()| anyhow!("unknown kind `{w}`")));
        let kinds = kinds.collect::<anyhow::Result<Vec<Kind>>>()?;
        camera.policy = default_policy(&kinds);
        let wanted = default_behaviour(&kinds);
        camera.behaviour.sounds = wanted.sounds;
        let own = camera.behaviour.fight.take();
        camera.behaviour.fight = wanted.fight.map(|new| own.unwrap_or(new));
    }
    let (detector, sound) = load_models(&models)?;
    let clips = ClipModels::load(&models, camera.behaviour.fight.is_some())?;
    fill_thresholds(
        &mut camera.behaviour,
        detector.manifest(),
        sound.manifest(),
        clips.threshold(),
    );
    let mut metrics = Metrics::default();
    let models = Models {
        detector: Box::new(detector),
        action: clips.action.map(|m| Box::new(m) as _),
        fusion: clips.fusion.map(|m| Box::new(m) as _),
        sound: Box::new(sound),
    };
    let clock = Arc::new(SystemClock::new());
    let (graph, verdicts) = Graph::start(&GraphOptions::replay(), models, clock, &mut metrics)?;
    let mut out: Box<dyn Write + Send> = match &args.events {
        Some(path) => Box::new(BufWriter::new(
            File::create(path).with_context(|| path.display().to_string())?,
        )),
        None => Box::new(std::io::stdout()),
    };
    let bar = indicatif::ProgressBar::new(args.files.len() as u64);
    let mut well = true;
    for file in &args.files {
        let annotator = args.annotate.as_ref().map(|path| Annotator::new(path, &camera));
        let one = Job {
            graph: &graph,
            verdicts: &verdicts,
            camera: &camera,
            site: &site,
            box_name: &box_name,
        };
        if let Err(error) = one.run(file, args.start.as_nanosecond() as i64, &mut out, annotator) {
            bar.suspend(|| eprintln!("watchfire: {error:#}"));
            well = false;
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    out.flush()?;
    graph
        .stop(Duration::from_secs(10))
        .map_err(|stages| anyhow!("still running: {}", stages.join(", ")))?;
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The camera and models that the files are played as.
fn camera(args: &Args) -> anyhow::Result<(CameraConfig, ModelOptions, String, String)> {
    if let Some(path) = &args.config {
        let loaded = config::load(path, &Surroundings::real()).map_err(|e| anyhow!("{}", e[0]))?;
        let config = loaded.config;
        let wanted = |c: &&CameraConfig| args.camera.as_deref().is_none_or(|id| c.ingest.id.as_str() == id);
        let camera = config
            .cameras
            .iter()
            .find(wanted)
            .context("the configuration has no such camera that works")?;
        return Ok((camera.clone(), config.models, config.site, config.box_name));
    }
    let kinds = Kind::ALL;
    let corners = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)].map(|(x, y)| Point { x, y });
    let mut zone = Zone::new("picture", corners.to_vec());
    zone.kinds = vec![Kind::Intrusion, Kind::Loitering, Kind::Crowd];
    let mut behaviour = default_behaviour(kinds);
    behaviour.zones.push(zone);
    let id = CameraId::new(args.camera.as_deref().unwrap_or("replay"));
    let camera = CameraConfig {
        ingest: CameraOptions::new(id, Source::File { path: PathBuf::new() }),
        detect: vec![
            "person".into(),
            "bicycle".into(),
            "car".into(),
            "motorcycle".into(),
            "bus".into(),
            "truck".into(),
        ],
        behaviour,
        policy: default_policy(kinds),
        snapshots: Snapshots::Off,
    };
    let dir = args.models.clone().unwrap_or_else(super::models_dir);
    let models = ModelOptions {
        dir,
        detector: "detector".into(),
        sound: "sound".into(),
        action: "action".into(),
        av_fight: "av_fight".into(),
        fusion: None,
        device: DeviceChoice::Auto,
        threads: 0,
    };
    Ok((camera, models, "replay".into(), "replay".into()))
}

struct Job<'a> {
    graph: &'a Graph,
    verdicts: &'a EdgeOut<Verdict>,
    camera: &'a CameraConfig,
    site: &'a str,
    box_name: &'a str,
}

impl Job<'_> {
    /// One file to its end: its windows go in while the verdicts come out, then its open alerts end.
    fn run(
        &self,
        file: &Path,
        start_ns: i64,
        out: &mut (dyn Write + Send),
        mut annotator: Option<Annotator>,
    ) -> anyhow::Result<()> {
        let profile = CameraProfile {
            detect: self.camera.detect.clone(),
            action: ActionGate::of(&self.camera.behaviour),
            behaviour: self.camera.behaviour.clone(),
            policy: self.camera.policy.clone(),
            snapshots: Snapshots::Off,
        };
        let id = self.camera.ingest.id.clone();
        let inlet = self.graph.camera(id, profile, Arc::default());
        let (ended, end) = crossbeam_channel::bounded(1);
        let mut write = |verdict: &Verdict| -> anyhow::Result<()> {
            for alert in &verdict.alerts {
                let mut payload = AlertPayload::new(alert, self.site, self.box_name);
                payload.source = Some(file.display().to_string());
                writeln!(out, "{}", serde_json::to_string(&payload)?)?;
            }
            annotator.as_mut().map_or(Ok(()), |a| a.take(verdict))
        };
        let mut failed = 0;
        let read = std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut sent = BTreeSet::new();
                let result = replay(file, &self.camera.ingest, start_ns, |window| {
                    sent.insert(window.seq);
                    inlet.push(window);
                });
                let _ = ended.send(sent.len());
                result
            });
            let (mut judged, mut expected) = (0, None);
            while expected.is_none_or(|n| judged < n) {
                if let Next::Item(verdict) = self.verdicts.next(Duration::from_millis(50)) {
                    judged += usize::from(verdict.window.is_some());
                    failed += usize::from(verdict.has_failed());
                    write(&verdict)?;
                }
                expected = expected.or_else(|| end.try_recv().ok());
                if let Some(stage) = self.graph.health().fatal() {
                    return Err(anyhow!("the stage {stage} panicked again and again"));
                }
            }
            reader
                .join()
                .map_err(|_| anyhow!("{}: the reader panicked", file.display()))?
                .map_err(anyhow::Error::from)
        });
        inlet.over(EndReason::Eof);
        if let Next::Item(verdict) = self.verdicts.next(Duration::from_secs(5)) {
            write(&verdict)?;
        }
        if let Some(annotator) = annotator {
            annotator.finish()?;
        }
        read?;
        if failed > 0 {
            return Err(anyhow!(
                "{}: {failed} windows could not be computed; the log says why",
                file.display()
            ));
        }
        Ok(())
    }
}
