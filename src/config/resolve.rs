//! Raw → each owner's options. Collects every error, with its place.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::camera::camera;
use super::document::Document;
use super::document::Step::{Index, Key};
use super::judge::Judge;
use super::raw::RawSecret;
use super::url::url;
use super::{Config, Diagnostic, Loaded, Surroundings};
use crate::data::{CameraId, Redactor};
use crate::nn::{DeviceChoice, ModelOptions};
use crate::publish::MqttOptions;
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
    };
    let raw = &main.raw;
    let site = judge.name(
        &[Key("site"), Key("name")],
        "site.name",
        Some(raw.site.name.as_deref().unwrap_or("home")),
    );
    if let Some(zone) = &raw.site.timezone
        && jiff::tz::TimeZone::get(zone).is_err()
    {
        judge.error(&[Key("site"), Key("timezone")], format!("unknown time zone `{zone}`"));
    }
    let box_name = match &raw.machine.name {
        Some(name) => judge.name(&[Key("box"), Key("name")], "box.name", Some(name)),
        None => around
            .host_name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' })
            .collect(),
    };
    let mqtt = mqtt(&mut judge, &site, &box_name);
    let models = models(&mut judge);
    let window_ms = raw.graph.window_ms.unwrap_or(500);
    if !(200..=2000).contains(&window_ms) {
        judge.error(
            &[Key("graph"), Key("window_ms")],
            format!("{window_ms} is out of range: 200 to 2000"),
        );
    }
    let state_dir = raw.state.dir.clone().or_else(|| (around.env)("STATE_DIRECTORY"));
    let hours = |h: f64| Duration::from_secs_f64(h.max(0.0) * 3600.0);
    let store = StoreOptions {
        dir: state_dir.unwrap_or_else(|| "/var/lib/watchfire".into()).into(),
        keep_for: hours(raw.state.keep_days.unwrap_or(30.0) * 24.0),
        outbox_max: raw.state.outbox_max.unwrap_or(10_000).max(10),
        outbox_max_age: hours(raw.state.outbox_max_age_h.unwrap_or(72.0)),
    };
    let listen = raw.http.listen.as_deref().unwrap_or("127.0.0.1:9464");
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

    let mut cameras = Vec::new();
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
            };
            let camera = camera(&mut judge, i, raw, &main.raw.camera_defaults, &window);
            let id = raw.id.clone().unwrap_or_default();
            if !seen.insert(id.clone()) {
                judge.error(
                    &[Key("camera"), Index(i), Key("id")],
                    format!("camera {id:?} is there twice"),
                );
            }
            let own_errors = errors
                .iter()
                .chain(&judge.errors)
                .any(|e| e.camera.as_deref() == Some(&*id));
            if raw.enabled == Some(false) {
                disabled.insert(CameraId::new(&id), "switched off in the configuration".into());
            } else if own_errors {
                let first = errors
                    .iter()
                    .chain(&judge.errors)
                    .find(|e| e.camera.as_deref() == Some(&*id));
                disabled.insert(CameraId::new(&id), first.map(ToString::to_string).unwrap_or_default());
            } else {
                cameras.push(camera);
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
    })
}

fn mqtt(judge: &mut Judge, site: &str, box_name: &str) -> MqttOptions {
    let raw = judge.document.raw.mqtt.clone();
    let text = raw.url.as_deref().unwrap_or("mqtt://127.0.0.1:1883");
    let place = [Key("mqtt"), Key("url")];
    let parsed = url(text).filter(|u| matches!(u.scheme, "mqtt" | "mqtts") && !u.host.is_empty());
    if parsed.is_none() {
        judge.error(&place, "the broker's url must be mqtt://host:port or mqtts://host:port");
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
            let secret = judge.secret(&place, &RawSecret::Plain(secret));
            password = password.or(secret);
        }
    }
    MqttOptions {
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
        keep_alive: Duration::from_secs(u64::from(raw.keep_alive_s.unwrap_or(20).max(5))),
        backoff_first: Duration::from_millis(500),
        backoff_cap: Duration::from_secs(30),
    }
}

fn models(judge: &mut Judge) -> ModelOptions {
    let raw = &judge.document.raw;
    let device = match raw.inference.device.as_deref().unwrap_or("auto") {
        "auto" => Some(DeviceChoice::Auto),
        "cpu" => Some(DeviceChoice::Cpu),
        other => other
            .strip_prefix("cuda:")
            .and_then(|n| n.parse().ok())
            .map(DeviceChoice::Cuda),
    };
    let models = ModelOptions {
        dir: raw
            .models
            .dir
            .clone()
            .unwrap_or_else(|| "/usr/share/watchfire/models".into())
            .into(),
        detector: raw.models.detector.clone().unwrap_or_else(|| "detector".into()),
        sound: raw.models.sound.clone().unwrap_or_else(|| "sound".into()),
        device: device.unwrap_or_default(),
        threads: raw.inference.threads.unwrap_or(0),
    };
    if device.is_none() {
        judge.error(
            &[Key("inference"), Key("device")],
            "unknown device; known are auto, cpu and cuda:N",
        );
    }
    models
}
