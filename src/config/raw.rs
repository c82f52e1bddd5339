//! The configuration as the user types it. The doc comments are the reference: docs/configuration.md is made of them.

use schemars::JsonSchema;
use serde::Deserialize;

/// `/etc/watchfire/watchfire.toml`, and the files `*.toml` of `cameras.d` beside it, which hold cameras only.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Raw {
    /// Where this is.
    pub site: Site,
    /// This machine.
    #[serde(rename = "box")]
    pub machine: Machine,
    /// The broker.
    pub mqtt: Mqtt,
    /// What models run on.
    pub inference: Inference,
    /// Which models.
    pub models: Models,
    /// How what was seen and what was heard become one.
    pub fusion: Fusion,
    /// How streams are cut.
    pub graph: Graph,
    /// What is kept on disk.
    pub state: State,
    /// Metrics and health.
    pub http: Http,
    /// Taken by every camera that does not say otherwise.
    pub camera_defaults: CameraDefaults,
    /// One table a camera.
    pub camera: Vec<Camera>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Site {
    /// Part of every topic: `watchfire/<name>/…`. Letters a to z, digits, `_` and `-`. Default: `home`.
    pub name: Option<String>,
    /// Time zone of the site, such as `Europe/Berlin`. Default: UTC.
    pub timezone: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Machine {
    /// Letters a to z, digits, `_` and `-`. Default: the host name.
    pub name: Option<String>,
}

/// Exactly two numbers: TOML would leave a third away without a word.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(try_from = "Vec<f32>")]
#[schemars(with = "[f32; 2]")]
pub struct Corner(pub [f32; 2]);

impl TryFrom<Vec<f32>> for Corner {
    type Error = String;

    fn try_from(numbers: Vec<f32>) -> Result<Self, String> {
        let n = numbers.len();
        let corner = numbers.try_into().map(Self);
        corner.map_err(|_| format!("a point is two numbers, [x, y], not {n}"))
    }
}

/// From one point to another.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(try_from = "Vec<Corner>")]
#[schemars(with = "[[f32; 2]; 2]")]
pub struct Arrow(pub [Corner; 2]);

impl TryFrom<Vec<Corner>> for Arrow {
    type Error = String;

    fn try_from(points: Vec<Corner>) -> Result<Self, String> {
        let n = points.len();
        let arrow = points.try_into().map(Self);
        arrow.map_err(|_| format!("a way is two points, [[x, y], [x, y]], not {n}"))
    }
}

/// A secret: a string, or where to find it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "a secret is a string, { env = \"NAME\" }, { file = \"/path\" } or { credential = \"name\" }"
)]
pub enum RawSecret {
    Plain(String),
    /// Name of an environment variable.
    Env {
        env: String,
    },
    /// Path of a file; the newline at its end is left away.
    File {
        file: String,
    },
    /// Name of a systemd credential (`LoadCredential=`).
    Credential {
        credential: String,
    },
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Mqtt {
    /// `mqtt://host:1883`, or `mqtts://host:8883` for TLS. Default: `mqtt://127.0.0.1:1883`.
    pub url: Option<String>,
    /// `"5"` or `"3.1.1"`, a string. Default: `"5"`.
    pub version: Option<String>,
    pub username: Option<String>,
    /// A string, `{ env = "NAME" }`, `{ file = "/path" }` or `{ credential = "name" }`.
    pub password: Option<RawSecret>,
    /// CA certificate (PEM) for `mqtts`. Default: the system's.
    pub ca: Option<String>,
    /// Client certificate (PEM).
    pub cert: Option<String>,
    /// The client certificate's key (PEM).
    pub key: Option<String>,
    /// Tell Home Assistant of every camera (`homeassistant/device/…/config`). Default: true.
    pub home_assistant: Option<bool>,
    /// Take orders from `watchfire/<site>/command/…`: whoever may publish there may stop cameras. Default: false.
    pub commands: Option<bool>,
    /// Seconds between signs of life, 5 to 65535. Default: 20.
    pub keep_alive_s: Option<u32>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Inference {
    /// `auto`, `cpu` or `cuda:N`. Default: `auto`.
    pub device: Option<String>,
    /// Threads for a model's arithmetic on the CPU, 0 to 1024. Default: 0, all cores.
    pub threads: Option<u32>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Models {
    /// Folder of the models. Default: `/usr/share/watchfire/models`.
    pub dir: Option<String>,
    /// Folder of the detector within it. Default: `detector`.
    pub detector: Option<String>,
    /// Folder of the sound model within it. Default: `sound`.
    pub sound: Option<String>,
    /// Folder of the face detector within it. Default: `face`.
    pub face: Option<String>,
    /// Folder of the face emotion model within it. Default: `face_emotion`.
    pub face_emotion: Option<String>,
    /// Folder of the clip model within it, which `fight` needs. Default: `action`.
    pub action: Option<String>,
    /// Folder of the learned fusion of clips and sounds within it, which `fight` uses where it is there and belongs to
    /// the clip model and the sound model beside it. Default: `av_fight`.
    pub av_fight: Option<String>,
    /// Folder of the speech emotion model within it. Default: `speech_emotion`.
    pub speech_emotion: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Fusion {
    /// How picture and sound of a fight are joined where `models.av_fight` is there: `sum`, `concat`, `attention`,
    /// `gated`, or `model`, the model's own way. Default: `model`.
    pub method: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Graph {
    /// Length of a window in milliseconds, 200 to 2000. Default: 500.
    pub window_ms: Option<u32>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct State {
    /// Store and snapshots. Default: systemd's `STATE_DIRECTORY`, else `/var/lib/watchfire`.
    pub dir: Option<String>,
    /// Days that events and snapshots are kept, 0.01 to 36500. Default: 30.
    pub keep_days: Option<f32>,
    /// Most alerts that wait for the broker, 10 to 10000000. Default: 10000.
    pub outbox_max: Option<u32>,
    /// Hours that an alert waits for the broker, 0.01 to 87600. Default: 72.
    pub outbox_max_age_h: Option<f32>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Http {
    /// Address of `/metrics` and `/healthz`, or `off`. Default: `127.0.0.1:9464`.
    pub listen: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CameraDefaults {
    /// Frames analysed a second, 1 to 30. Default: 5.
    pub analysis_fps: Option<f32>,
    /// Longest side of the analysed picture in pixels, 160 to 1920. Default: 640.
    pub analysis_px: Option<u32>,
    /// `tcp` or `udp`. Default: `tcp`.
    pub transport: Option<String>,
    /// `auto` (hardware where it works) or one of `nvh264dec`, `nvh265dec`, `nvjpegdec`, `vah264dec`, `vah265dec`, `v4l2h264dec`, `v4l2h265dec`, `avdec_h264`, `avdec_h265`, `openh264dec`, `jpegdec`. Recordings are always decoded by `auto`. Default: `auto`.
    pub decoder: Option<String>,
    /// Seconds without a picture after which the camera is rebuilt, 1 to 600. Default: 10.
    pub stall_s: Option<f32>,
    /// Seconds before the first new try of a camera that failed, 0.05 to 60; doubled each time. Default: 1.
    pub retry_s: Option<f32>,
    /// Most seconds between two tries, 1 to 3600. Default: 60.
    pub retry_max_s: Option<f32>,
    /// Kinds that may alert. Default: intrusion, line_crossing and the sounds gunshot, explosion, siren.
    pub kinds: Option<Vec<String>>,
    /// Classes that are tracked. Default: person.
    pub detect: Option<Vec<String>>,
    /// `off`, `store` (files) or `mqtt` (published too). Default: `store`.
    pub snapshots: Option<String>,
    /// `host` (this machine's clock gives UTC) or `camera`. Default: `host`.
    pub clock: Option<String>,
    /// `always` (the detector looks at every picture) or `motion` (it looks while something moves or is loud, and at one
    /// picture every 5 s in between). Default: `always`.
    pub gating: Option<String>,
    /// `auto` (the detector sees pictures whose noise is averaged away as far as the frames show noise: at night) or `off`.
    /// Snapshots, faces and clips are not touched. Default: `auto`.
    pub noise_reduction: Option<String>,
    /// `off`, or `auto` for a microphone whose loudest sounds stay below -50 dBFS: the sound model hears what is below -42 dBFS
    /// raised to that, by 30 dB at most. Levels, screams and voices are judged by what was heard. Default: `off`.
    pub audio_gain: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Camera {
    /// Part of the camera's topics. Letters a to z, digits, `_` and `-`.
    pub id: Option<String>,
    /// Default: true.
    pub enabled: Option<bool>,
    /// `rtsp://host/path`, `rtsps://host/path`, or `file:///path`, which plays in real time and loops.
    pub url: Option<String>,
    pub username: Option<String>,
    /// A string, `{ env = "NAME" }`, `{ file = "/path" }` or `{ credential = "name" }`.
    pub password: Option<RawSecret>,
    /// CA certificate (PEM) for `rtsps`. Default: the system's.
    pub ca: Option<String>,
    /// As in `[camera_defaults]`.
    pub analysis_fps: Option<f32>,
    /// As in `[camera_defaults]`.
    pub analysis_px: Option<u32>,
    /// As in `[camera_defaults]`.
    pub transport: Option<String>,
    /// As in `[camera_defaults]`.
    pub decoder: Option<String>,
    /// As in `[camera_defaults]`.
    pub stall_s: Option<f32>,
    /// As in `[camera_defaults]`.
    pub retry_s: Option<f32>,
    /// As in `[camera_defaults]`.
    pub retry_max_s: Option<f32>,
    /// As in `[camera_defaults]`.
    pub kinds: Option<Vec<String>>,
    /// As in `[camera_defaults]`.
    pub detect: Option<Vec<String>>,
    /// As in `[camera_defaults]`.
    pub snapshots: Option<String>,
    /// As in `[camera_defaults]`.
    pub clock: Option<String>,
    /// Reads what faces and voices seem to express; `aggression` and `distress` need it. The law limits this: see the
    /// models' cards. Default: false.
    pub emotion: Option<bool>,
    /// As in `[camera_defaults]`.
    pub gating: Option<String>,
    /// As in `[camera_defaults]`.
    pub noise_reduction: Option<String>,
    /// As in `[camera_defaults]`.
    pub audio_gain: Option<String>,
    /// Parts of the picture in which presence counts. A camera without zones has none.
    pub zone: Vec<Zone>,
    /// Lines whose crossing counts.
    pub line: Vec<Line>,
    /// Parts of the picture that are black before anything looks at them.
    pub mask: Vec<Mask>,
    /// What a kind needs, for this camera.
    pub rule: Vec<Rule>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Zone {
    /// Letters a to z, digits, `_` and `-`.
    pub name: Option<String>,
    /// Corners [x, y] in fractions of the picture, at least three.
    pub polygon: Vec<Corner>,
    /// What counts here: `intrusion`, `loitering`, `crowd`, `wrong_way`, `running`, `fall`, `left_or_taken`. The last
    /// three count everywhere in the picture unless a zone names them. Default: intrusion.
    pub kinds: Option<Vec<String>>,
    /// Classes that count; an empty list is every one that `detect` names. Default: person.
    pub classes: Option<Vec<String>>,
    /// Where a box stands: `bottom` (its feet) or `centre`. Default: `bottom`.
    pub anchor: Option<String>,
    /// Seconds inside before `loitering`, 1 to 86400. Default: 60.
    pub loiter_s: Option<f32>,
    /// Tracks inside at once for `crowd`, 2 to 10000. Default: 8.
    pub crowd_size: Option<u32>,
    /// Persons on an area of one body height squared, as it looks in the picture, that are a `crowd` too, from four
    /// persons on, 0 to 100. 0 is off. Default: 0.
    pub crowd_density: Option<f32>,
    /// The allowed way for `wrong_way`: from a point to another, `[[0.2, 0.9], [0.8, 0.9]]`.
    pub way: Option<Arrow>,
    /// Frames inside before a track counts for `intrusion`, `loitering` and `crowd`, 1 to 10000. Default: 3.
    pub min_frames: Option<u32>,
    /// Least height of a box, 0 to 1 of the picture's; `fall` takes any. Default: 0.
    pub min_height: Option<f32>,
    /// Greatest height of a box, 0 to 1 of the picture's; `fall` takes any. Default: 1.
    pub max_height: Option<f32>,
    /// Least detector score for `intrusion`, `loitering` and `crowd`, 0 to 1. Default: the model's threshold.
    pub min_score: Option<f32>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Line {
    /// Letters a to z, digits, `_` and `-`.
    pub name: Option<String>,
    /// [x, y] in fractions of the picture. Left and right are seen looking from `from` to `to`.
    pub from: Option<Corner>,
    pub to: Option<Corner>,
    /// `both`, `left_to_right` or `right_to_left`. Default: `both`.
    pub direction: Option<String>,
    /// The allowed way: `left_to_right` or `right_to_left`. A crossing the other way is a `wrong_way`. Default: none.
    pub way: Option<String>,
    /// Classes that count; an empty list is every one that `detect` names. Default: person.
    pub classes: Option<Vec<String>>,
    /// `bottom` or `centre`. Default: `bottom`.
    pub anchor: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Mask {
    /// For you; it appears nowhere.
    pub name: Option<String>,
    /// Corners [x, y] in fractions of the picture, at least three.
    pub polygon: Vec<Corner>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Rule {
    pub kind: Option<String>,
    /// Only for this zone or line; such a rule takes severity, times and hours, and goes before one without a zone.
    pub zone: Option<String>,
    /// Least probability of a patch of sound, or of a window for `fight`, `aggression` and `distress`: over 0, of the last
    /// two from 0.05 on, and 1 at most. Default: the model's threshold; 0.5 for aggression and distress.
    pub threshold: Option<f32>,
    /// Patches of sound in a row, 1 to 10000, each one hop of the model after the last (0.48 s with ours). Default: 2; gunshot, explosion, glass_break and scream 1.
    /// For `fight`: windows in a row. Default: 2.
    pub min_windows: Option<u32>,
    /// `running`: body heights a second, 0.5 to 10. Walking is 0.8, jogging 1.5 to 1.8; a child runs faster in heights of its own.
    /// Default: 1.7.
    pub speed: Option<f32>,
    /// `running`, `left_or_taken`, `tamper`, `aggression`, `distress`: seconds that it lasts; of the last two four times as
    /// long where only picture or only sound argues for it. Default: 1 for running, 60 for left_or_taken, 10 for tamper, 3
    /// for aggression and distress. In this order 0 to 60, 10 to 1200, 1 to 3600, 1 to 60 and 1 to 60.
    pub min_s: Option<f32>,
    /// `fight`, `aggression`, `distress`: the probability that a window of this camera holds it, before anything is seen or
    /// heard. Less where it is rare, and more evidence is needed then; 0.001 to 0.5. Default: 0.1 for fight, 0.05 for the others. With the
    /// learned fusion 0.1 leaves a fight at the prior that it learned (about one half), and other values move that by as much
    /// as they differ from 0.1 in log-odds.
    pub prior: Option<f32>,
    /// `fall`: seconds on the floor after which the alert becomes critical, 1 to 3600. Default: 10.
    pub stay_down_s: Option<f32>,
    /// `tamper`: seconds in which no pixel changes until the picture counts as frozen, 5 to 86400. Default: 60.
    pub frozen_s: Option<f32>,
    /// `anomaly`: hours of watching before anything is told, 0.1 to 8760. Default: 72.
    pub warm_up_h: Option<f32>,
    /// `anomaly`: days in which what was learned fades to a third, 1 to 3650. Default: 14.
    pub decay_days: Option<f32>,
    /// `anomaly`: alerts a day that the threshold aims at, 0.01 to 1000. Default: 2.
    pub per_day: Option<f32>,
    /// Seconds without evidence after which the alert ends, 0 to 3600. Default: by kind, see behaviours.md.
    pub hold_s: Option<f32>,
    /// Seconds after an end before the next alert of the same kind and zone (of a line also track and way, of a thing the same thing).
    /// 0 to 86400. Default: by kind, see behaviours.md.
    pub cooldown_s: Option<f32>,
    /// `info`, `warning` or `critical`. Default: by kind, see behaviours.md.
    pub severity: Option<String>,
    /// Seconds after an end before the same tracks alone open the next alert of the same kind and zone, 0 to
    /// 86400. Default: 60 for intrusion and loitering, 0 for the others.
    pub track_cooldown_s: Option<f32>,
    /// Alerts told in an hour, in one zone; what is more becomes one alert that counts it in `suppressed`. 0 is no limit.
    /// Default: 20, for crossings 0.
    pub max_per_hour: Option<u32>,
    /// Hours in which it may alert, on the site's clock: `["22:00-06:00", "sat,sun"]`, `["mon-fri 08:00-18:00"]`. A
    /// stretch over midnight belongs to the day on which it begins. Default: always.
    pub active: Option<Vec<String>>,
    /// Hours in which its alerts are critical. Default: none.
    pub critical_at: Option<Vec<String>>,
    /// Seconds after which an alert that is still open becomes critical, 0 to 86400. Default: never.
    pub critical_after_s: Option<f32>,
}
