//! Raw → each owner's options. Collects every error, with its place.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::tz::TimeZone;

use super::camera::camera;
use super::common::defaults;
use super::document::Document;
use super::document::Step::{Index, Key};
use super::judge::Judge;
use super::mqtt::mqtt;
use super::print::Printed;
use super::{Config, Diagnostic, Loaded, Surroundings};
use crate::data::{CameraId, Redactor};
use crate::nn::{DeviceChoice, FusionMethod, ModelOptions};
use crate::store::StoreOptions;
use crate::window::WindowOptions;

/// The first document is the main file; the others hold cameras only.
pub(super) fn resolve(documents: Vec<Document>, around: &Surroundings) -> Result<Loaded, Vec<Diagnostic>> {
    let redactor = Redactor::default();
    let mut errors: Vec<Diagnostic> = documents.iter().flat_map(|d| d.errors.clone()).collect();
    let mut warnings = Vec::new();
    let Some(main) = documents.first() else {
        return Err(errors);
    };
    let mut judge = Judge {
        document: main,
        camera: None,
        errors: Vec::new(),
        warnings: Vec::new(),
        around,
        redactor: redactor.clone(),
        least_fps: (1.0, String::new()),
        action_fps: None,
        printed: Printed::default(),
    };
    let raw = &main.raw;
    let site = judge.name(
        &[Key("site"), Key("name")],
        "site.name",
        Some(raw.site.name.as_deref().unwrap_or("home")),
    );
    let timezone = match raw.site.timezone.as_deref().map(TimeZone::get) {
        None => TimeZone::UTC,
        Some(Ok(zone)) => zone,
        Some(Err(_)) => {
            let name = raw.site.timezone.as_deref().unwrap_or_default();
            judge.error(&[Key("site"), Key("timezone")], format!("unknown time zone `{name}`"));
            TimeZone::UTC
        }
    };
    let name = raw.site.timezone.clone().unwrap_or_else(|| "UTC".into());
    judge.note(&[Key("site"), Key("timezone")], name);
    let box_name = match &raw.machine.name {
        Some(name) => judge.name(&[Key("box"), Key("name")], "box.name", Some(name)),
        None => around
            .host_name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' })
            .collect(),
    };
    judge.note(&[Key("box"), Key("name")], box_name.clone());
    let mqtt = mqtt(&mut judge, &site, &box_name);
    let models = models(&mut judge);
    let least_fps = least_fps(&models, around);
    let action_fps = (around.needs_fps)(&models.dir.join(&models.action));
    let window_ms = judge.whole(&[Key("graph"), Key("window_ms")], raw.graph.window_ms, 200, 2000, 500);
    let store = store(&mut judge);
    let listen = raw.http.listen.as_deref().unwrap_or("127.0.0.1:9464");
    judge.note(&[Key("http"), Key("listen")], listen);
    let http = match listen {
        "off" | "" => None,
        text => text.parse().map_err(|_| ()).map_or_else(
            |()| {
                judge.error(&[Key("http"), Key("listen")], format!("`{text}` is no address:port"));
                None
            },
            Some,
        ),
    };
    let window = WindowOptions {
        window_ms,
        ..WindowOptions::default()
    };
    // What follows is printed with every camera.
    let mut printed = std::mem::take(&mut judge.printed);
    judge.least_fps = least_fps.clone();
    judge.action_fps = action_fps;
    let all: Vec<_> = documents.iter().flat_map(|d| d.raw.camera.iter()).collect();
    let defaults = defaults(&mut judge, &all);
    errors.append(&mut judge.errors);
    warnings.append(&mut judge.warnings);

    let mut cameras: Vec<super::CameraConfig> = Vec::new();
    let mut disabled = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for document in &documents {
        for (i, raw) in document.raw.camera.iter().enumerate() {
            let mut judge = Judge {
                document,
                camera: raw.id.clone(),
                errors: Vec::new(),
                warnings: Vec::new(),
                around,
                redactor: redactor.clone(),
                least_fps: least_fps.clone(),
                action_fps,
                printed: Printed::default(),
            };
            let camera = camera(&mut judge, i, raw, &defaults, &window, &timezone);
            let id = raw.id.clone().unwrap_or_default();
            if !seen.insert(id.clone()) {
                judge.error(
                    &[Key("camera"), Index(i), Key("id")],
                    format!("camera {id:?} is there twice"),
                );
            }
            // The first of two of one id runs; the second is told as an error.
            let runs = cameras.iter().any(|c| c.ingest.id.as_str() == id);
            let own_error = || {
                errors
                    .iter()
                    .chain(&judge.errors)
                    .find(|e| e.camera.as_deref() == Some(&*id))
            };
            if !runs {
                if raw.enabled == Some(false) {
                    disabled.insert(CameraId::new(&id), "switched off in the configuration".into());
                } else if let Some(first) = own_error() {
                    disabled.insert(CameraId::new(&id), first.to_string());
                } else {
                    cameras.push(camera);
                }
            }
            if own_error().is_none() {
                printed.add_cameras(judge.printed);
            }
            errors.append(&mut judge.errors);
            warnings.append(&mut judge.warnings);
        }
    }
    let (camera_errors, fatal): (Vec<_>, Vec<_>) = errors.into_iter().partition(|e| e.camera.is_some());
    if !fatal.is_empty() {
        return Err(fatal.into_iter().chain(camera_errors).collect());
    }
    let config = Config {
        site,
        box_name,
        mqtt,
        store,
        models,
        http,
        cameras,
        disabled,
        redactor,
    };
    Ok(Loaded {
        config,
        warnings,
        camera_errors,
        texts: Vec::new(),
        resolved: printed.text(),
    })
}

/// What the most demanding of the chosen models needs, and its name.
fn least_fps(models: &ModelOptions, around: &Surroundings) -> (f32, String) {
    [&models.detector, &models.sound]
        .iter()
        .filter_map(|name| Some(((around.needs_fps)(&models.dir.join(name))?, (*name).clone())))
        .fold(
            (1.0, String::new()),
            |most, one| if one.0 > most.0 { one } else { most },
        )
}

fn store(judge: &mut Judge) -> StoreOptions {
    let at = |key| [Key("state"), Key(key)];
    let raw = judge.document.raw.state.clone();
    let dir = raw.dir.or_else(|| (judge.around.env)("STATE_DIRECTORY"));
    let dir = judge.note(&at("dir"), dir.unwrap_or_else(|| "/var/lib/watchfire".into()));
    let hours = |h: f32| Duration::from_secs_f64(f64::from(h) * 3600.0);
    let keep_days = judge.number(&at("keep_days"), raw.keep_days, 0.01, 36_500.0, 30.0);
    let max_age_h = judge.number(&at("outbox_max_age_h"), raw.outbox_max_age_h, 0.01, 87_600.0, 72.0);
    StoreOptions {
        dir: dir.into(),
        keep_for: hours(keep_days * 24.0),
        outbox_max: judge.whole(&at("outbox_max"), raw.outbox_max, 10, 10_000_000, 10_000) as usize,
        outbox_max_age: hours(max_age_h),
    }
}

fn models(judge: &mut Judge) -> ModelOptions {
    let raw = &judge.document.raw;
    let wanted = raw.inference.device.as_deref().unwrap_or("auto");
    let device = match wanted {
        "auto" => Some(DeviceChoice::Auto),
        "cpu" => Some(DeviceChoice::Cpu),
        other => other
            .strip_prefix("cuda:")
            .and_then(|n| n.parse().ok())
            .map(DeviceChoice::Cuda),
    };
    judge.note(&[Key("inference"), Key("device")], wanted);
    let mut methods = vec![("model", None)];
    methods.extend(FusionMethod::ALL.map(|(word, method)| (word, Some(method))));
    let fusion = raw.fusion.method.as_deref();
    let fusion = judge.word(&[Key("fusion"), Key("method")], fusion, &methods, None);
    let mut chosen = |key, given: &Option<String>, default: &str| {
        judge.note(
            &[Key("models"), Key(key)],
            given.clone().unwrap_or_else(|| default.into()),
        )
    };
    let models = ModelOptions {
        dir: chosen("dir", &raw.models.dir, "/usr/share/watchfire/models").into(),
        detector: chosen("detector", &raw.models.detector, "detector"),
        sound: chosen("sound", &raw.models.sound, "sound"),
        action: chosen("action", &raw.models.action, "action"),
        av_fight: chosen("av_fight", &raw.models.av_fight, "av_fight"),
        fusion,
        speech_emotion: chosen("speech_emotion", &raw.models.speech_emotion, "speech_emotion"),
        face: chosen("face", &raw.models.face, "face"),
        face_emotion: chosen("face_emotion", &raw.models.face_emotion, "face_emotion"),
        device: device.unwrap_or_default(),
        threads: judge.whole(&[Key("inference"), Key("threads")], raw.inference.threads, 0, 1024, 0) as usize,
    };
    if device.is_none() {
        judge.error(
            &[Key("inference"), Key("device")],
            "unknown device; known are auto, cpu and cuda:N",
        );
    }
    models
}
