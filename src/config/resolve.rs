//! Raw → each owner's options. Collects every error, with its place.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::tz::TimeZone;

use super::camera::camera;
use super::document::Document;
use super::document::Step::{Index, Key};
use super::judge::Judge;
use super::print::Printed;
use super::raw::RawSecret;
use super::url::url;
use super::{Config, Diagnostic, Loaded, Secrets, Surroundings};
use crate::data::{CameraId, Redactor};
use crate::nn::{DeviceChoice, FusionMethod, ModelOptions};
use crate::publish::{MqttOptions, MqttVersion};
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
    errors.append(&mut judge.errors);
    warnings.append(&mut judge.warnings);
    let mut printed = std::mem::take(&mut judge.printed);

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
            let camera = camera(&mut judge, i, raw, &main.raw.camera_defaults, &window, &timezone);
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

fn mqtt(judge: &mut Judge, site: &str, box_name: &str) -> MqttOptions {
    let raw = judge.document.raw.mqtt.clone();
    let text = raw.url.as_deref().unwrap_or("mqtt://127.0.0.1:1883");
    let place = [Key("mqtt"), Key("url")];
    let parsed = url(text).filter(|u| matches!(u.scheme, "mqtt" | "mqtts") && !u.host.is_empty());
    if parsed.is_none() {
        judge.error(
            &place,
            "the broker's url must be mqtt://host:port or mqtts://host:port; a `/` in a password is written %2F",
        );
    }
    let tls = parsed.as_ref().is_some_and(|u| u.scheme == "mqtts");
    let host_port = parsed.as_ref().map_or("", |u| u.host);
    let (host, port) = match host_port.rsplit_once(':') {
        Some((host, port)) => match port.parse() {
            Ok(port) => (host, port),
            Err(_) => {
                judge.error(&place, format!("`{port}` is no port"));
                (host, 1883)
            }
        },
        None => (host_port, if tls { 8883 } else { 1883 }),
    };
    let mut username = raw.username;
    let mut password = raw
        .password
        .as_ref()
        .and_then(|p| judge.secret(&[Key("mqtt"), Key("password")], p));
    if let Some((user, secret)) = parsed.as_ref().and_then(|u| u.user.clone()) {
        username.get_or_insert(user);
        if let Some(secret) = secret {
            let warning = judge.at(
                &place,
                "a password in the url is easily shown; use mqtt.password".into(),
            );
            judge.warnings.push(warning);
            let secret = judge.secret(&[Key("mqtt"), Key("password")], &RawSecret::Plain(secret));
            password = password.or(secret);
        }
    }
    let scheme = if tls { "mqtts" } else { "mqtt" };
    judge.note(&place, format!("{scheme}://{host}:{port}"));
    if let Some(username) = &username {
        judge.note(&[Key("mqtt"), Key("username")], username.clone());
    }
    for (key, file) in [("ca", &raw.ca), ("cert", &raw.cert), ("key", &raw.key)] {
        let Some(file) = file else { continue };
        judge.note(&[Key("mqtt"), Key(key)], file.clone());
        if judge.around.secrets != Secrets::Unused
            && let Err(error) = std::fs::File::open(file)
        {
            judge.error(&[Key("mqtt"), Key(key)], format!("{file} cannot be read ({error})"));
        }
    }
    let keep_alive_s = judge.whole(&[Key("mqtt"), Key("keep_alive_s")], raw.keep_alive_s, 5, 65_535, 20);
    let versions = [("5", MqttVersion::V5), ("3.1.1", MqttVersion::V311)];
    let version = judge.word(
        &[Key("mqtt"), Key("version")],
        raw.version.as_deref(),
        &versions,
        MqttVersion::V5,
    );
    if raw.cert.is_some() != raw.key.is_some() {
        judge.error(&[Key("mqtt")], "a client certificate needs both `cert` and `key`");
    }
    let switch = |judge: &mut Judge, key, given: Option<bool>, default| {
        judge.note(&[Key("mqtt"), Key(key)], given.unwrap_or(default))
    };
    MqttOptions {
        home_assistant: switch(judge, "home_assistant", raw.home_assistant, true),
        commands: switch(judge, "commands", raw.commands, false),
        version,
        host: host.trim_matches(['[', ']']).to_owned(),
        port,
        tls,
        username,
        password,
        ca: raw.ca.map(Into::into),
        cert: raw.cert.map(Into::into),
        key: raw.key.map(Into::into),
        site: site.to_owned(),
        box_name: box_name.to_owned(),
        keep_alive: Duration::from_secs(u64::from(keep_alive_s)),
        backoff_first: Duration::from_millis(500),
        backoff_cap: Duration::from_secs(30),
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
