//! Raw → each owner's options. Collects every error, with its place.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::document::{Document, Step};
use super::raw::{Camera, RawSecret, Rule};
use super::{CameraConfig, Config, Diagnostic, Loaded, Surroundings};
use crate::behaviour::{Anchor, BehaviourOptions, Line, SoundRule, Zone};
use crate::data::{CameraId, Direction, Kind, Point, Redactor, Secret, Severity, Snapshots};
use crate::ingest::{CameraOptions, ClockSource, Source, Transport};
use crate::nn::{DeviceChoice, ModelOptions};
use crate::policy::{KindPolicy, PolicyOptions};
use crate::publish::MqttOptions;
use crate::store::StoreOptions;
use crate::window::WindowOptions;
use Step::{Index, Key};

const DEFAULT_KINDS: [Kind; 6] = [
    Kind::Intrusion,
    Kind::LineCrossing,
    Kind::Gunshot,
    Kind::Explosion,
    Kind::GlassBreak,
    Kind::Siren,
];
/// Below any threshold of a model: it takes the model's own.
const MODEL_THRESHOLD: f32 = 0.0;

/// Sound rules of these kinds with the models' thresholds.
pub fn default_behaviour(kinds: &[Kind]) -> BehaviourOptions {
    let sounds = kinds.iter().filter(|k| k.is_sound()).map(|kind| SoundRule {
        kind: *kind,
        threshold: MODEL_THRESHOLD,
        min_windows: if matches!(kind, Kind::Gunshot | Kind::Explosion | Kind::GlassBreak) {
            1
        } else {
            2
        },
    });
    BehaviourOptions {
        zones: Vec::new(),
        lines: Vec::new(),
        sounds: sounds.collect(),
    }
}

pub fn default_policy(kinds: &[Kind]) -> PolicyOptions {
    PolicyOptions {
        kinds: kinds.iter().map(|k| KindPolicy::default_for(*k)).collect(),
    }
}

/// What is wrong with one document, gathered on the way.
struct Judge<'a> {
    document: &'a Document,
    camera: Option<String>,
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    around: &'a Surroundings,
    redactor: Redactor,
}

impl Judge<'_> {
    fn at(&self, steps: &[Step], message: String) -> Diagnostic {
        let (line, column) = self.document.place(steps);
        Diagnostic {
            file: self.document.path.clone(),
            line,
            column,
            message,
            camera: self.camera.clone(),
        }
    }

    fn error(&mut self, steps: &[Step], message: impl Into<String>) {
        let diagnostic = self.at(steps, message.into());
        self.errors.push(diagnostic);
    }

    fn name(&mut self, steps: &[Step], what: &str, name: Option<&str>) -> String {
        let good = |n: &str| {
            (1..=64).contains(&n.len())
                && n.bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
        };
        match name {
            None => self.error(steps, format!("{what} is missing")),
            Some(n) if !good(n) => {
                self.error(
                    steps,
                    format!("{what} {n:?} must be 1 to 64 of the letters a to z, 0 to 9, `_` and `-`"),
                );
            }
            Some(_) => {}
        }
        name.unwrap_or_default().to_owned()
    }

    /// One of a list of words.
    fn word<T: Copy>(&mut self, steps: &[Step], given: Option<&str>, words: &[(&str, T)], default: T) -> T {
        let Some(given) = given else { return default };
        if let Some((_, value)) = words.iter().find(|(w, _)| *w == given) {
            return *value;
        }
        let all = words.iter().map(|(w, _)| *w).collect::<Vec<_>>();
        let near = all.iter().map(|w| (strsim::damerau_levenshtein(w, given), *w)).min();
        let hint = match near {
            Some((d, w)) if d <= 3 => format!("did you mean `{w}`?"),
            _ => format!("known are {}", all.join(", ")),
        };
        self.error(steps, format!("unknown value `{given}`; {hint}"));
        default
    }

    fn number(&mut self, steps: &[Step], given: Option<f32>, low: f32, high: f32, default: f32) -> f32 {
        match given {
            Some(v) if !(low..=high).contains(&v) => {
                self.error(steps, format!("{v} is out of range: {low} to {high}"));
                default
            }
            other => other.unwrap_or(default),
        }
    }

    fn kinds(&mut self, steps: &[Step], given: Option<&Vec<String>>) -> Option<Vec<Kind>> {
        let words: Vec<(&str, Kind)> = Kind::ALL.iter().map(|k| (k.as_str(), *k)).collect();
        let before = self.errors.len();
        let kinds: Vec<Kind> = given?
            .iter()
            .map(|w| self.word(steps, Some(w), &words, Kind::Intrusion))
            .collect();
        (self.errors.len() == before).then_some(kinds)
    }

    fn point(&mut self, steps: &[Step], p: [f32; 2]) -> Point {
        if !p.iter().all(|v| (0.0..=1.0).contains(v)) {
            self.error(
                steps,
                format!(
                    "[{}, {}] is outside the picture: both are fractions from 0 to 1",
                    p[0], p[1]
                ),
            );
        }
        Point { x: p[0], y: p[1] }
    }

    fn polygon(&mut self, steps: &[Step], corners: &[[f32; 2]]) -> Vec<Point> {
        if corners.len() < 3 {
            self.error(
                steps,
                format!("a polygon needs three corners at least, not {}", corners.len()),
            );
        }
        corners.iter().map(|c| self.point(steps, *c)).collect()
    }

    fn secret(&mut self, steps: &[Step], raw: &RawSecret) -> Option<Secret> {
        let found = match raw {
            RawSecret::Plain(text) => Ok(text.clone()),
            RawSecret::Env { env } => {
                (self.around.env)(env).ok_or_else(|| format!("environment variable {env} is not set"))
            }
            RawSecret::File { file } => std::fs::read_to_string(file).map_err(|e| format!("{file}: {e}")),
            RawSecret::Credential { credential } => match (self.around.env)("CREDENTIALS_DIRECTORY") {
                None => Err("there are no credentials: add LoadCredential= to the service".to_owned()),
                Some(dir) => std::fs::read_to_string(PathBuf::from(dir).join(credential))
                    .map_err(|e| format!("credential {credential}: {e}")),
            },
        };
        match found {
            Ok(text) => {
                let secret = Secret::new(text.trim_end_matches(['\n', '\r']).to_owned());
                self.redactor.add(&secret);
                Some(secret)
            }
            Err(why) => {
                self.error(steps, why);
                None
            }
        }
    }
}

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
    if let Some(zone) = &raw.site.timezone {
        if jiff::tz::TimeZone::get(zone).is_err() {
            judge.error(&[Key("site"), Key("timezone")], format!("unknown time zone `{zone}`"));
        }
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

/// `scheme`, user info, host and port, and what follows.
struct Url<'a> {
    scheme: &'a str,
    user: Option<(String, Option<String>)>,
    host: &'a str,
    rest: &'a str,
}

fn url(text: &str) -> Option<Url<'_>> {
    let (scheme, after) = text.split_once("://")?;
    let end = after.find('/').unwrap_or(after.len());
    let (authority, rest) = after.split_at(end);
    let (user, host) = match authority.rsplit_once('@') {
        None => (None, authority),
        Some((info, host)) => {
            let (user, password) = info.split_once(':').map_or((info, None), |(u, p)| (u, Some(p)));
            (Some((percent_decoded(user), password.map(percent_decoded))), host)
        }
    };
    Some(Url {
        scheme,
        user,
        host,
        rest,
    })
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(b) = rest.next() {
        let mut ahead = rest.clone();
        let pair = (b == b'%').then(|| Some([ahead.next()?, ahead.next()?])).flatten();
        let decoded = pair.and_then(|p| u8::from_str_radix(std::str::from_utf8(&p).ok()?, 16).ok());
        if decoded.is_some() {
            rest = ahead;
        }
        bytes.push(decoded.unwrap_or(b));
    }
    String::from_utf8_lossy(&bytes).into_owned()
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

fn camera(
    judge: &mut Judge,
    i: usize,
    raw: &Camera,
    defaults: &super::raw::CameraDefaults,
    window: &WindowOptions,
) -> CameraConfig {
    let at = |key| [Key("camera"), Index(i), Key(key)];
    let id = judge.name(&at("id"), "camera.id", raw.id.as_deref());
    let mut ingest = CameraOptions::new(CameraId::new(&id), source(judge, i, raw, defaults));
    let least = judge.around.needs_fps.max(1.0);
    let fps = raw.analysis_fps.or(defaults.analysis_fps);
    if fps.is_some_and(|f| f < least) {
        judge.error(
            &at("analysis_fps"),
            format!("the detector needs {least} frames a second at least"),
        );
    }
    ingest.analysis_fps = judge.number(&at("analysis_fps"), fps.map(|f| f.max(least)), 1.0, 30.0, 5.0);
    let px = raw.analysis_px.or(defaults.analysis_px).map(|p| p as f32);
    ingest.analysis_px = judge.number(&at("analysis_px"), px, 160.0, 1920.0, 640.0) as u32;
    let stall_s = judge.number(&at("stall_s"), raw.stall_s.or(defaults.stall_s), 1.0, 600.0, 10.0);
    ingest.stall_after = Duration::from_secs_f32(stall_s);
    let clocks = [("host", ClockSource::Host), ("camera", ClockSource::Camera)];
    let clock = raw.clock.as_ref().or(defaults.clock.as_ref());
    ingest.clock = judge.word(&at("clock"), clock.map(String::as_str), &clocks, ClockSource::Host);
    ingest.decoder = raw
        .decoder
        .clone()
        .or_else(|| defaults.decoder.clone())
        .unwrap_or_else(|| "auto".into());
    ingest.window = window.clone();
    let etc = PathBuf::from("/etc/watchfire/pipelines");
    ingest.pipelines_dir = etc.is_dir().then_some(etc);
    for (m, mask) in raw.mask.iter().enumerate() {
        let place = [Key("camera"), Index(i), Key("mask"), Index(m), Key("polygon")];
        ingest.masks.push(judge.polygon(&place, &mask.polygon));
    }
    if raw.emotion == Some(true) {
        judge.error(
            &at("emotion"),
            "emotion is not available in this version; leave it false",
        );
    }
    if raw.gating.as_deref().is_some_and(|g| g != "always") {
        judge.error(
            &at("gating"),
            "gating is not available in this version; leave it \"always\"",
        );
    }
    let kinds = judge
        .kinds(&at("kinds"), raw.kinds.as_ref().or(defaults.kinds.as_ref()))
        .unwrap_or_else(|| DEFAULT_KINDS.to_vec());
    let detect: Vec<Arc<str>> = match raw.detect.as_ref().or(defaults.detect.as_ref()) {
        Some(classes) => classes.iter().map(|c| c.as_str().into()).collect(),
        None => vec!["person".into()],
    };
    let snapshots = [
        ("off", Snapshots::Off),
        ("store", Snapshots::Store),
        ("mqtt", Snapshots::Mqtt),
    ];
    let wanted = raw.snapshots.as_ref().or(defaults.snapshots.as_ref());
    let snapshots = judge.word(
        &at("snapshots"),
        wanted.map(String::as_str),
        &snapshots,
        Snapshots::Store,
    );
    let mut behaviour = default_behaviour(&kinds);
    zones(judge, i, raw, &mut behaviour);
    lines(judge, i, raw, &mut behaviour);
    let mut policy = default_policy(&kinds);
    for (r, rule) in raw.rule.iter().enumerate() {
        self::rule(
            judge,
            &[Key("camera"), Index(i), Key("rule"), Index(r)],
            rule,
            &mut behaviour,
            &mut policy,
        );
    }
    CameraConfig {
        ingest,
        detect,
        behaviour,
        policy,
        snapshots,
    }
}

fn source(judge: &mut Judge, i: usize, raw: &Camera, defaults: &super::raw::CameraDefaults) -> Source {
    let place = [Key("camera"), Index(i), Key("url")];
    let text = raw.url.clone().unwrap_or_default();
    let secret_place = [Key("camera"), Index(i), Key("password")];
    let mut password = raw.password.as_ref().and_then(|p| judge.secret(&secret_place, p));
    let transports = [("tcp", Transport::Tcp), ("udp", Transport::Udp)];
    let given = raw.transport.as_ref().or(defaults.transport.as_ref());
    let transport = judge.word(
        &[Key("camera"), Index(i), Key("transport")],
        given.map(String::as_str),
        &transports,
        Transport::Tcp,
    );
    let parsed = url(&text);
    match parsed {
        Some(u) if u.scheme == "file" => {
            let path = PathBuf::from(u.rest);
            if !path.exists() {
                judge.error(&place, format!("{} is not there", path.display()));
            }
            Source::File { path }
        }
        Some(u) if matches!(u.scheme, "rtsp" | "rtsps") && !u.host.is_empty() => {
            let mut username = raw.username.clone();
            if let Some((user, secret)) = u.user {
                username.get_or_insert(user);
                if let Some(secret) = secret {
                    let message = "a password in the url is easily shown; use `password`".to_owned();
                    let warning = judge.at(&place, message);
                    judge.warnings.push(warning);
                    let secret = judge.secret(&place, &RawSecret::Plain(secret));
                    password = password.or(secret);
                }
            }
            let url = format!("{}://{}{}", u.scheme, u.host, u.rest);
            Source::Rtsp {
                url,
                username,
                password,
                transport,
                ca: raw.ca.clone().map(Into::into),
            }
        }
        _ => {
            judge.error(
                &place,
                "the url must be rtsp://host/path, rtsps://host/path or file:///path",
            );
            Source::File { path: PathBuf::new() }
        }
    }
}

const ANCHORS: [(&str, Anchor); 2] = [("bottom", Anchor::Bottom), ("centre", Anchor::Centre)];

fn classes(given: Option<&Vec<String>>) -> Vec<Arc<str>> {
    given.map_or_else(
        || vec!["person".into()],
        |c| c.iter().map(|c| c.as_str().into()).collect(),
    )
}

fn zones(judge: &mut Judge, i: usize, raw: &Camera, behaviour: &mut BehaviourOptions) {
    for (z, given) in raw.zone.iter().enumerate() {
        let at = |key| [Key("camera"), Index(i), Key("zone"), Index(z), Key(key)];
        let name = judge.name(&at("name"), "zone.name", given.name.as_deref());
        let mut zone = Zone::new(&name, judge.polygon(&at("polygon"), &given.polygon));
        if let Some(kinds) = judge.kinds(&at("kinds"), given.kinds.as_ref()) {
            zone.kinds = kinds;
        }
        zone.classes = classes(given.classes.as_ref());
        zone.anchor = judge.word(&at("anchor"), given.anchor.as_deref(), &ANCHORS, Anchor::Bottom);
        zone.loiter_s = judge.number(&at("loiter_s"), given.loiter_s, 1.0, 86_400.0, zone.loiter_s);
        zone.crowd_size = given.crowd_size.unwrap_or(zone.crowd_size).max(2);
        zone.min_frames = given.min_frames.unwrap_or(zone.min_frames).max(1);
        zone.min_height = judge.number(&at("min_height"), given.min_height, 0.0, 1.0, 0.0);
        zone.max_height = judge.number(&at("max_height"), given.max_height, 0.0, 1.0, 1.0);
        if let Some(score) = given.min_score {
            let score = judge.number(&at("min_score"), Some(score), 0.0, 1.0, 0.0);
            zone.min_score = zone.classes.iter().map(|c| (c.clone(), score)).collect();
        }
        behaviour.zones.push(zone);
    }
}

fn lines(judge: &mut Judge, i: usize, raw: &Camera, behaviour: &mut BehaviourOptions) {
    let ways = [
        ("both", None),
        ("left_to_right", Some(Direction::LeftToRight)),
        ("right_to_left", Some(Direction::RightToLeft)),
    ];
    for (l, given) in raw.line.iter().enumerate() {
        let at = |key| [Key("camera"), Index(i), Key("line"), Index(l), Key(key)];
        let name = judge.name(&at("name"), "line.name", given.name.as_deref());
        let (Some(from), Some(to)) = (given.from, given.to) else {
            judge.error(&at("name"), "a line needs `from` and `to`");
            continue;
        };
        let (from, to) = (judge.point(&at("from"), from), judge.point(&at("to"), to));
        if from == to {
            judge.error(&at("to"), "`from` and `to` are the same point");
        }
        behaviour.lines.push(Line {
            name: name.as_str().into(),
            from,
            to,
            direction: judge.word(&at("direction"), given.direction.as_deref(), &ways, None),
            classes: classes(given.classes.as_ref()),
            anchor: judge.word(&at("anchor"), given.anchor.as_deref(), &ANCHORS, Anchor::Bottom),
        });
    }
}

fn rule(
    judge: &mut Judge,
    place: &[Step; 4],
    raw: &Rule,
    behaviour: &mut BehaviourOptions,
    policy: &mut PolicyOptions,
) {
    let at = |key| {
        [
            place[0].clone(),
            place[1].clone(),
            place[2].clone(),
            place[3].clone(),
            Key(key),
        ]
    };
    let Some(kind) = judge
        .kinds(&at("kind"), raw.kind.clone().map(|k| vec![k]).as_ref())
        .and_then(|k| k.first().copied())
    else {
        if raw.kind.is_none() {
            judge.error(&at("kind"), "a rule needs its `kind`");
        }
        return;
    };
    let Some(own) = policy.kinds.iter_mut().find(|p| p.kind == kind) else {
        let message = format!("the rule for {kind} does nothing: {kind} is not among the camera's kinds");
        let warning = judge.at(&at("kind"), message);
        judge.warnings.push(warning);
        return;
    };
    let severities = Severity::ALL.iter().map(|s| (s.as_str(), *s)).collect::<Vec<_>>();
    own.hold_s = judge.number(&at("hold_s"), raw.hold_s, 0.0, 3600.0, own.hold_s);
    own.cooldown_s = judge.number(&at("cooldown_s"), raw.cooldown_s, 0.0, 86_400.0, own.cooldown_s);
    own.severity = judge.word(&at("severity"), raw.severity.as_deref(), &severities, own.severity);
    match behaviour.sounds.iter_mut().find(|s| s.kind == kind) {
        Some(sound) => {
            sound.threshold = judge.number(&at("threshold"), raw.threshold, 0.0, 1.0, sound.threshold);
            sound.min_windows = raw.min_windows.unwrap_or(sound.min_windows).max(1);
        }
        None if raw.threshold.is_some() || raw.min_windows.is_some() => {
            judge.error(
                &at("kind"),
                format!("threshold and min_windows are for sounds; {kind} takes its zone's min_score"),
            );
        }
        None => {}
    }
}
