//! What `[camera_defaults]` says for every camera and a camera for itself, judged alike in both places.

use std::sync::Arc;
use std::time::Duration;

use super::document::Step::{self, Key};
use super::judge::Judge;
use super::raw::{Camera, CameraDefaults};
use crate::data::{Kind, Snapshots};
use crate::ingest::{ClockSource, Transport, VIDEO_DECODERS};
use crate::stages::{AudioGain, Gating, NoiseReduction};

/// Without `glass_break`: no real clip was left to measure it with (models/sound/card.md, "Glass").
const DEFAULT_KINDS: [Kind; 5] = [
    Kind::Intrusion,
    Kind::LineCrossing,
    Kind::Gunshot,
    Kind::Explosion,
    Kind::Siren,
];
/// What `behaviour::gait` needs to tell a speed within a second.
const RUNNING_FPS: f32 = 3.0;

const CLOCKS: [(&str, ClockSource); 2] = [("host", ClockSource::Host), ("camera", ClockSource::Camera)];
const TRANSPORTS: [(&str, Transport); 2] = [("tcp", Transport::Tcp), ("udp", Transport::Udp)];
const GATINGS: [(&str, Gating); 2] = [("always", Gating::Always), ("motion", Gating::Motion)];
const NOISE_REDUCTIONS: [(&str, NoiseReduction); 2] = [("auto", NoiseReduction::Auto), ("off", NoiseReduction::Off)];
const AUDIO_GAINS: [(&str, AudioGain); 2] = [("off", AudioGain::Off), ("auto", AudioGain::Auto)];
const SNAPSHOTS: [(&str, Snapshots); 3] = [
    ("off", Snapshots::Off),
    ("store", Snapshots::Store),
    ("mqtt", Snapshots::Mqtt),
];

/// What the keys of both came to.
pub(super) struct Common {
    pub transport: Transport,
    pub analysis_fps: f32,
    pub analysis_px: u32,
    pub stall_after: Duration,
    pub backoff_first: Duration,
    pub backoff_cap: Duration,
    pub clock: ClockSource,
    pub decoder: String,
    pub gating: Gating,
    pub noise_reduction: NoiseReduction,
    pub audio_gain: AudioGain,
    pub kinds: Vec<Kind>,
    pub detect: Vec<Arc<str>>,
    pub snapshots: Snapshots,
}

/// Judges `[camera_defaults]` once, as no camera's fault: a mistake there is one of the whole configuration, or it would
/// disable every camera. What is wrong is left to no camera, so that none tells it again.
pub(super) fn defaults(judge: &mut Judge, cameras: &[&Camera]) -> CameraDefaults {
    let given = judge.document.raw.camera_defaults.clone();
    let before = judge.errors.len();
    let place = [Key("camera_defaults")];
    let running = || cameras.iter().filter(|c| c.enabled != Some(false));
    // What only fits together is asked of those that take it together.
    let kinds = if running().any(|c| c.kinds.is_none() && c.analysis_fps.is_none()) {
        common(judge, &place, &given).kinds
    } else {
        let rest = CameraDefaults {
            kinds: None,
            ..given.clone()
        };
        common(judge, &place, &rest);
        judge.kinds(
            &[Key("camera_defaults"), Key("kinds")],
            given.kinds.as_ref(),
            &DEFAULT_KINDS,
        )
    };
    let mut takers = running().filter(|c| c.kinds.is_none()).peekable();
    if let Some(kind) = kinds.iter().find(|k| k.is_mood())
        && takers.peek().is_some()
        && takers.all(|c| c.emotion != Some(true))
    {
        judge.error(
            &[Key("camera_defaults"), Key("kinds")],
            format!("{kind} reads what faces and voices seem to express: no camera that takes it from here has emotion = true"),
        );
    }
    if judge.errors.len() > before {
        CameraDefaults::default()
    } else {
        given
    }
}

/// The camera's own word, or else that of the defaults.
pub(super) fn inherited(own: &Camera, defaults: &CameraDefaults) -> CameraDefaults {
    fn or<T: Clone>(own: &Option<T>, general: &Option<T>) -> Option<T> {
        own.as_ref().or(general.as_ref()).cloned()
    }
    CameraDefaults {
        analysis_fps: or(&own.analysis_fps, &defaults.analysis_fps),
        analysis_px: or(&own.analysis_px, &defaults.analysis_px),
        transport: or(&own.transport, &defaults.transport),
        decoder: or(&own.decoder, &defaults.decoder),
        stall_s: or(&own.stall_s, &defaults.stall_s),
        retry_s: or(&own.retry_s, &defaults.retry_s),
        retry_max_s: or(&own.retry_max_s, &defaults.retry_max_s),
        kinds: or(&own.kinds, &defaults.kinds),
        detect: or(&own.detect, &defaults.detect),
        snapshots: or(&own.snapshots, &defaults.snapshots),
        clock: or(&own.clock, &defaults.clock),
        gating: or(&own.gating, &defaults.gating),
        noise_reduction: or(&own.noise_reduction, &defaults.noise_reduction),
        audio_gain: or(&own.audio_gain, &defaults.audio_gain),
    }
}

/// `place` is the table's.
pub(super) fn common(judge: &mut Judge, place: &[Step], given: &CameraDefaults) -> Common {
    let at = |key: &'static str| -> Vec<Step> { place.iter().cloned().chain([Key(key)]).collect() };
    let transport = given.transport.as_deref();
    let transport = judge.word(&at("transport"), transport, &TRANSPORTS, Transport::Tcp);
    let analysis_fps = analysis_fps(judge, &at("analysis_fps"), &at("kinds"), given);
    let analysis_px = judge.whole(&at("analysis_px"), given.analysis_px, 160, 1920, 640);
    let stall_s = judge.number(&at("stall_s"), given.stall_s, 1.0, 600.0, 10.0);
    let retry_s = judge.number(&at("retry_s"), given.retry_s, 0.05, 60.0, 1.0);
    let retry_max_s = judge.number(&at("retry_max_s"), given.retry_max_s, 1.0, 3600.0, 60.0);
    let clock = judge.word(&at("clock"), given.clock.as_deref(), &CLOCKS, ClockSource::Host);
    let decoders: Vec<(&str, &str)> = ["auto"]
        .iter()
        .chain(VIDEO_DECODERS.into_iter().flatten())
        .map(|d| (*d, *d))
        .collect();
    let decoder = judge.word(&at("decoder"), given.decoder.as_deref(), &decoders, "auto");
    let gating = judge.word(&at("gating"), given.gating.as_deref(), &GATINGS, Gating::default());
    let noise_reduction = judge.word(
        &at("noise_reduction"),
        given.noise_reduction.as_deref(),
        &NOISE_REDUCTIONS,
        NoiseReduction::default(),
    );
    let audio_gain = given.audio_gain.as_deref();
    let audio_gain = judge.word(&at("audio_gain"), audio_gain, &AUDIO_GAINS, AudioGain::default());
    let kinds = judge.kinds(&at("kinds"), given.kinds.as_ref(), &DEFAULT_KINDS);
    let detect: Vec<Arc<str>> = match &given.detect {
        Some(classes) => classes.iter().map(|c| c.as_str().into()).collect(),
        None => vec!["person".into()],
    };
    judge.note_words(&at("detect"), &detect);
    let snapshots = given.snapshots.as_deref();
    let snapshots = judge.word(&at("snapshots"), snapshots, &SNAPSHOTS, Snapshots::Store);
    Common {
        transport,
        analysis_fps,
        analysis_px,
        stall_after: Duration::from_secs_f32(stall_s),
        backoff_first: Duration::from_secs_f32(retry_s),
        backoff_cap: Duration::from_secs_f32(retry_max_s.max(retry_s)),
        clock,
        decoder: decoder.to_owned(),
        gating,
        noise_reduction,
        audio_gain,
        kinds,
        detect,
        snapshots,
    }
}

/// At least what the models and the kinds need.
fn analysis_fps(judge: &mut Judge, at: &[Step], at_kinds: &[Step], given: &CameraDefaults) -> f32 {
    let wants = |kind: Kind| {
        let kinds = given.kinds.as_ref();
        kinds.is_some_and(|kinds| kinds.iter().any(|k| k == kind.as_str()))
    };
    let (fps, model) = judge.least_fps.clone();
    let mut needs = vec![(fps, format!("the model {model}"))];
    if wants(Kind::Fight) {
        match judge.action_fps {
            Some(fps) => needs.push((fps, "the model action".into())),
            None => judge.error(
                at_kinds,
                "fight needs the clip model, and models.action names no folder with one",
            ),
        }
    }
    if wants(Kind::Running) {
        needs.push((RUNNING_FPS, "running".into()));
    }
    let fps = given.analysis_fps;
    let mut least = 0f32;
    for (needed, who) in needs {
        if let Some(fps) = fps.filter(|f| *f < needed && needed > least) {
            let message = format!("{fps} frames a second are too few: {who} needs {needed} at least");
            judge.error(at, message);
        }
        least = least.max(needed);
    }
    judge.number(at, fps.map(|f| f.max(least)), 1.0, 30.0, least.max(5.0))
}
