use std::fs::File;
use std::io::{LineWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail, ensure};

use super::recordings::Recordings;
use super::stop::Stop;
use super::{gating, moderate};
use crate::app::Vocabulary;
use crate::app::annotate::Annotator;
use crate::app::player::Player;
use crate::app::plot;
use crate::app::trace::Trace;
use crate::app::whole::Whole;
use crate::app::words::shown;
use crate::behaviour::Zone;
use crate::config::{self, CameraConfig, Secrets, Surroundings, default_behaviour, default_policy};
use crate::data::{CameraId, Kind, Point, Snapshots};
use crate::ingest::{CameraOptions, Source};
use crate::nn::{DeviceChoice, ModelOptions};
use crate::publish::payload::AlertPayload;
use crate::stages::{AudioGain, Gating, NoiseReduction};

#[derive(clap::Args)]
pub struct Args {
    /// Recordings, or folders of them.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Takes cameras and models from a configuration. Without it: every kind but aggression and distress (with --report
    /// fall, fight and the sounds that the sound model knows), and the whole picture as a zone.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Which camera of the configuration; its first by default.
    // clap asks for no --config where --models rules it out.
    #[arg(long, requires = "config", conflicts_with = "models")]
    camera: Option<String>,
    /// The kinds that may alert, separated by commas.
    #[arg(long, value_delimiter = ',', value_parser = super::kind)]
    kinds: Option<Vec<Kind>>,
    /// One JSON alert a line; stdout by default.
    #[arg(long)]
    events: Option<PathBuf>,
    /// Writes the recording with boxes, tracks, zones, lines, sounds and alerts drawn in (one file only).
    #[arg(long)]
    annotate: Option<PathBuf>,
    /// Plots the scores of every modality over time, with thresholds, findings and alerts, as an SVG (one file only).
    #[arg(long)]
    explain: Option<PathBuf>,
    /// Judges all files, as many at once as there are cores or --jobs, and writes a verdict by kind for each; files that the report
    /// has finished already are skipped.
    #[arg(long, conflicts_with_all = ["events", "annotate", "explain"])]
    report: Option<PathBuf>,
    /// Starts the report anew, whatever job the file at hand is of.
    // As with --camera: whatever rules out --report.
    #[arg(long, requires = "report", conflicts_with_all = ["events", "annotate", "explain", "gating"])]
    fresh: bool,
    /// How many files are judged at once: less than there are cores where something else runs here, such as the daemon.
    #[arg(long, requires = "report", conflicts_with_all = ["events", "annotate", "explain", "gating"],
          value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Plays every file twice, with everything awake and with `gating` "motion", and tells the CPU-seconds of both and
    /// whether their alerts are the same. Exit status 1 where they are not.
    #[arg(long, conflicts_with_all = ["events", "annotate", "explain", "report"])]
    gating: bool,
    /// Writes over files that are there where --events, --annotate or --explain name them; without it only lists of events and plots are
    /// made anew.
    #[arg(long)]
    overwrite: bool,
    /// The time of a file's first frame, such as 2026-11-24T00:00:00Z.
    #[arg(long, default_value = "1970-01-01T00:00:00Z", value_parser = time)]
    start: jiff::Timestamp,
    /// Folder of the models, without --config. Default: /usr/share/watchfire/models where there is one, else models.
    #[arg(long, conflicts_with = "config")]
    models: Option<PathBuf>,
}

fn time(text: &str) -> Result<jiff::Timestamp, String> {
    let time = text.parse::<jiff::Timestamp>();
    time.map_err(|_| "not a time such as 2026-11-24T00:00:00Z".into())
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let setup = setup(args)?;
    for unknown in Vocabulary::unknown(&setup.models, std::slice::from_ref(&setup.camera)) {
        eprintln!("watchfire: {}", shown(unknown));
    }
    if let Some(report) = &args.report {
        let well = moderate::run(&setup, args.start, &args.files, report, args.fresh, args.jobs)?;
        return Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let Recordings { files, unreadable } = Recordings::find(&args.files)?;
    for (_, why) in &unreadable {
        eprintln!("watchfire: {}", shown(why));
    }
    let start_utc_ns = utc_ns(args.start)?;
    let stop = Stop::default();
    let well = if args.gating {
        gating::run(&setup, start_utc_ns, &files)?
    } else {
        play(args, setup, start_utc_ns, &files, &stop)?
    };
    if let Some(status) = stop.status() {
        return Ok(status);
    }
    Ok(if well && unreadable.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Nanoseconds since 1970.
pub(super) fn utc_ns(start: jiff::Timestamp) -> anyhow::Result<i64> {
    i64::try_from(start.as_nanosecond()).with_context(|| format!("--start {start} is not between 1677 and 2262"))
}

/// A recording is evidence: none is written over by a slip, such as a `*.mp4` behind --annotate, whatever its name ends with.
fn outputs_harm_nothing(args: &Args, files: &[PathBuf]) -> anyhow::Result<()> {
    let outputs = [&args.events, &args.annotate, &args.explain];
    let outputs: Vec<&PathBuf> = outputs.into_iter().flatten().collect();
    if let Some(film) = args.annotate.as_ref().filter(|path| path.to_str().is_none()) {
        bail!(
            "{}: its name is not UTF-8, and GStreamer takes no other",
            shown(film.display())
        );
    }
    let same = |a: &Path, b: &Path| a == b || a.canonicalize().is_ok_and(|a| b.canonicalize().is_ok_and(|b| a == b));
    for (i, output) in outputs.iter().enumerate() {
        let named = shown(output.display());
        let folder = output.parent().filter(|p| !p.as_os_str().is_empty());
        ensure!(folder.is_none_or(Path::is_dir), "{named}: there is no such folder");
        ensure!(
            !files.iter().any(|f| same(f, output)),
            "{named} is the recording that is read: name another file"
        );
        ensure!(
            !outputs[..i].iter().any(|o| same(o, output)),
            "{named} is named for two things"
        );
        let is_for = |option: &Option<PathBuf>| option.as_ref() == Some(*output);
        let made_anew = (is_for(&args.events) && ends_with(output, &["json", "jsonl", "ndjson", "txt", "log"]))
            || (is_for(&args.explain) && ends_with(output, &["svg"]));
        ensure!(
            args.overwrite || made_anew || !output.is_file(),
            "{named} is there already: name another file, or add --overwrite"
        );
    }
    Ok(())
}

fn ends_with(path: &Path, endings: &[&str]) -> bool {
    let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    endings.iter().any(|e| ending.eq_ignore_ascii_case(e))
}

/// One file after another; false when one could not be read to its end. Where it is stopped, all that was asked for is there
/// and whole up to that moment.
fn play(args: &Args, setup: Setup, start_utc_ns: i64, files: &[PathBuf], stop: &Stop) -> anyhow::Result<bool> {
    let single = files.len() == 1 || (args.annotate.is_none() && args.explain.is_none());
    ensure!(single, "--annotate and --explain take one file");
    outputs_harm_nothing(args, files)?;
    let mut player = Player::start(setup.camera, &setup.models)?;
    // Until here there is nothing to finish.
    stop.listen()?;
    player.heed(stop.flag());
    let mut out: Box<dyn Write> = match &args.events {
        Some(path) => Box::new(LineWriter::new(
            File::create(path).with_context(|| path.display().to_string())?,
        )),
        None => Box::new(std::io::stdout()),
    };
    let bar = indicatif::ProgressBar::new(files.len() as u64);
    let mut well = true;
    for file in files {
        let mut film = args.annotate.as_ref().map(|path| {
            let file = Whole::at(path);
            (Annotator::new(file.beside(), player.camera()), file)
        });
        let mut trace = args.explain.as_ref().map(|path| (path, Trace::new(player.camera())));
        let mut played_ns = 0u64;
        let played = player.play(file, start_utc_ns, |verdict| {
            for alert in &verdict.alerts {
                let mut payload = AlertPayload::new(alert, &setup.site, &setup.box_name);
                payload.source = Some(file.display().to_string());
                writeln!(out, "{}", serde_json::to_string(&payload)?)?;
            }
            if let Some((_, trace)) = &mut trace {
                trace.take(verdict);
            }
            played_ns = verdict.window.as_ref().map_or(played_ns, |w| w.end_ns);
            film.as_mut().map_or(Ok(()), |(annotator, _)| annotator.take(verdict))
        });
        let finished = film.map_or(Ok(()), |(annotator, file)| {
            let named = || {
                args.annotate
                    .as_ref()
                    .map_or_else(String::new, |p| p.display().to_string())
            };
            annotator.finish().with_context(named)?;
            file.done()
        });
        let plotted = trace.map_or(Ok(()), |(path, trace)| {
            let title = format!("{}, camera {}", file.display(), player.camera().ingest.id);
            Whole::write(path, plot::svg(&trace, &title).as_bytes())
        });
        for error in [played, finished, plotted].into_iter().filter_map(Result::err) {
            bar.suspend(|| eprintln!("watchfire: {}", shown(format!("{error:#}"))));
            well = false;
        }
        if stop.is_asked() {
            let at_s = played_ns as f64 / 1e9;
            bar.suspend(|| eprintln!("watchfire: stopped, {at_s:.1} s into {}", shown(file.display())));
            break;
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    out.flush()?;
    player.stop()?;
    Ok(well)
}

/// What the files are played as.
pub(super) struct Setup {
    pub camera: CameraConfig,
    pub models: ModelOptions,
    site: String,
    box_name: String,
}

fn setup(args: &Args) -> anyhow::Result<Setup> {
    let mut setup = match &args.config {
        Some(path) => configured(args, path)?,
        None => default(args.models.as_deref()),
    };
    let kinds = match &args.kinds {
        Some(kinds) => Some(kinds.clone()),
        None if args.report.is_some() && args.config.is_none() => Some(moderate::kinds(&setup.models)?),
        None => None,
    };
    if let Some(kinds) = kinds {
        if let Some(kind) = kinds.iter().find(|k| k.is_mood()) {
            // Whoever names such a kind for a recording has opted in; a configured camera's own word is law.
            ensure!(
                args.config.is_none() || setup.camera.emotion,
                "{kind} needs emotion = true for camera {}",
                setup.camera.ingest.id
            );
            setup.camera.emotion = true;
            setup.camera.ingest.native = true;
        }
        // What the camera's rules say of a kind stands.
        let own = std::mem::take(&mut setup.camera.policy.kinds);
        let is_known = |kind: Kind| own.iter().any(|p| p.kind == kind && p.zone.is_none());
        let new = default_policy(&kinds).kinds.into_iter().filter(|p| !is_known(p.kind));
        let kept = own.iter().filter(|p| kinds.contains(&p.kind)).cloned();
        setup.camera.policy.kinds = kept.chain(new).collect();
        setup.camera.behaviour.take_kinds(default_behaviour(&kinds));
    }
    Ok(setup)
}

fn configured(args: &Args, path: &Path) -> anyhow::Result<Setup> {
    let loaded = config::load(path, &Surroundings::for_secrets(Secrets::Unused)).map_err(|e| anyhow!("{}", e[0]))?;
    for told in loaded.warnings.iter().chain(&loaded.camera_errors) {
        eprintln!("watchfire: {told}");
    }
    let config = loaded.config;
    // Its first camera may be one of those.
    ensure!(
        loaded.camera_errors.is_empty() || args.camera.is_some() || config.cameras.is_empty(),
        "not every camera of the configuration works: name one with --camera"
    );
    let wanted = |c: &&CameraConfig| args.camera.as_deref().is_none_or(|id| c.ingest.id.as_str() == id);
    let Some(camera) = config.cameras.iter().find(wanted) else {
        let known: Vec<&str> = config.cameras.iter().map(|c| c.ingest.id.as_str()).collect();
        match &args.camera {
            Some(id) if !known.is_empty() => bail!(
                "the configuration has no camera {id} that works; it has {}",
                known.join(", ")
            ),
            _ => bail!("the configuration has no such camera that works"),
        }
    };
    if args.camera.is_none() && config.cameras.len() + config.disabled.len() > 1 {
        eprintln!(
            "watchfire: played as camera {}; --camera names another",
            camera.ingest.id
        );
    }
    Ok(Setup {
        camera: camera.clone(),
        models: config.models,
        site: config.site,
        box_name: config.box_name,
    })
}

/// Every kind but those that a camera must opt into, and the whole picture as a zone.
fn default(models: Option<&Path>) -> Setup {
    let kinds: Vec<Kind> = Kind::ALL.iter().copied().filter(|k| !k.is_mood()).collect();
    let corners = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)].map(|(x, y)| Point { x, y });
    let mut zone = Zone::new("picture", corners.to_vec());
    zone.kinds = vec![Kind::Intrusion, Kind::Loitering, Kind::Crowd];
    let mut behaviour = default_behaviour(&kinds);
    behaviour.zones.push(zone);
    let camera = CameraConfig {
        ingest: CameraOptions::new(CameraId::new("replay"), Source::File { path: PathBuf::new() }),
        detect: vec![
            "person".into(),
            "bicycle".into(),
            "car".into(),
            "motorcycle".into(),
            "bus".into(),
            "truck".into(),
        ],
        behaviour,
        policy: default_policy(&kinds),
        snapshots: Snapshots::Off,
        emotion: false,
        gating: Gating::default(),
        noise_reduction: NoiseReduction::default(),
        audio_gain: AudioGain::default(),
    };
    let models = ModelOptions {
        dir: models.map_or_else(super::models_dir, Path::to_owned),
        detector: "detector".into(),
        sound: "sound".into(),
        action: "action".into(),
        av_fight: "av_fight".into(),
        fusion: None,
        speech_emotion: "speech_emotion".into(),
        face: "face".into(),
        face_emotion: "face_emotion".into(),
        device: DeviceChoice::Auto,
        threads: 0,
    };
    Setup {
        camera,
        models,
        site: "replay".into(),
        box_name: "replay".into(),
    }
}
