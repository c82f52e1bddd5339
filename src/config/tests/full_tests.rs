//! A configuration with every key: what each comes to.

use crate::data::Secret;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::*;
use crate::behaviour::{
    Anchor, AnomalyOptions, FallOptions, Line, MoodRule, RunningOptions, SoundRule, TamperOptions, Zone,
};
use crate::data::{Direction, Kind, Point, Severity};
use crate::ingest::{ClockSource, Source, Transport};
use crate::nn::DeviceChoice;
use crate::policy::{KindPolicy, Schedule};
use crate::publish::MqttVersion;

fn yard() -> CameraConfig {
    load_one(FULL).unwrap().config.cameras.remove(0)
}

fn berlin() -> TimeZone {
    TimeZone::get("Europe/Berlin").unwrap()
}

fn point(x: f32, y: f32) -> Point {
    Point { x, y }
}

fn classes(names: &[&str]) -> Vec<Arc<str>> {
    names.iter().map(|name| Arc::from(*name)).collect()
}

#[test]
fn the_box_is_as_its_tables_say() {
    let config = load_one(FULL).unwrap().config;
    assert_eq!(
        (config.site.as_str(), config.box_name.as_str()),
        ("gatehouse", "edge-9")
    );
    assert_eq!(config.http, None);
    let store = StoreOptions {
        dir: "/state".into(),
        keep_for: Duration::from_secs(36 * 3600),
        outbox_max: 500,
        outbox_max_age: Duration::from_secs(3 * 3600),
    };
    assert_eq!(config.store, store);
    let models = ModelOptions {
        dir: "/models".into(),
        detector: "d".into(),
        sound: "s".into(),
        action: "action".into(),
        av_fight: "av_fight".into(),
        fusion: None,
        speech_emotion: "v".into(),
        face: "f".into(),
        face_emotion: "e".into(),
        device: DeviceChoice::Cpu,
        threads: 2,
    };
    assert_eq!(config.models, models);
}

#[test]
fn the_broker_is_as_its_table_says() {
    let mqtt = load_one(FULL).unwrap().config.mqtt;
    assert_eq!((mqtt.host.as_str(), mqtt.port, mqtt.tls), ("10.0.0.9", 8884, true));
    assert_eq!((mqtt.site.as_str(), mqtt.box_name.as_str()), ("gatehouse", "edge-9"));
    let password = mqtt.password.as_ref().map(Secret::expose);
    assert_eq!((mqtt.username.as_deref(), password), (Some("w"), Some("canary-17")));
    for file in [mqtt.ca, mqtt.cert, mqtt.key] {
        assert_eq!(file.as_deref(), Some(Path::new("/dev/null")));
    }
    assert_eq!(
        (mqtt.version, mqtt.keep_alive, mqtt.home_assistant, mqtt.commands),
        (MqttVersion::V311, Duration::from_secs(30), false, true)
    );
}

#[test]
fn a_camera_is_reached_and_looked_at_as_its_table_says() {
    let camera = yard();
    let ingest = camera.ingest;
    let Source::Rtsp {
        url,
        username,
        password,
        transport,
        ca,
    } = &ingest.source
    else {
        panic!("{:?}", ingest.source);
    };
    let password = password.as_ref().map(Secret::expose);
    assert_eq!(
        (url.as_str(), username.as_deref(), password),
        ("rtsps://10.0.0.21/stream2", Some("viewer"), Some("canary-18"))
    );
    assert_eq!(
        (transport, ca.as_deref()),
        (&Transport::Udp, Some(Path::new("/cam.pem")))
    );
    assert_eq!((ingest.id.as_str(), ingest.clock), ("yard", ClockSource::Camera));
    assert_eq!(
        (
            ingest.analysis_fps,
            ingest.analysis_px,
            ingest.native,
            ingest.window.window_ms
        ),
        (6.0, 512, true, 400)
    );
    assert_eq!(
        (ingest.stall_after, ingest.backoff_first, ingest.backoff_cap),
        (
            Duration::from_secs(4),
            Duration::from_millis(500),
            Duration::from_secs(20)
        )
    );
    assert_eq!(ingest.decoder, "avdec_h264");
    assert_eq!(ingest.masks, [[point(0.8, 0.0), point(1.0, 0.0), point(1.0, 0.3)]]);
    assert_eq!(camera.detect, classes(&["person", "car"]));
    assert_eq!((camera.snapshots, camera.emotion), (Snapshots::Mqtt, true));
    assert_eq!(
        (camera.gating, camera.noise_reduction, camera.audio_gain),
        (Gating::Motion, NoiseReduction::Off, AudioGain::Auto)
    );
}

#[test]
fn a_camera_looks_for_what_its_zones_lines_and_rules_say() {
    let zone = Zone {
        name: "fence".into(),
        polygon: vec![point(0.0, 0.6), point(1.0, 0.6), point(1.0, 0.7)],
        kinds: vec![Kind::Loitering, Kind::Crowd, Kind::WrongWay],
        classes: classes(&["car"]),
        anchor: Anchor::Centre,
        loiter_s: 12.0,
        crowd_size: 3,
        crowd_density: 2.5,
        way: Some((point(0.1, 0.7), point(0.9, 0.7))),
        min_frames: 2,
        min_height: 0.1,
        max_height: 0.9,
        min_score: vec![("car".into(), 0.4)],
    };
    let line = Line {
        name: "gate".into(),
        from: point(0.5, 1.0),
        to: point(0.5, 0.1),
        direction: Some(Direction::LeftToRight),
        way: Some(Direction::RightToLeft),
        classes: classes(&["person", "car"]),
        anchor: Anchor::Centre,
    };
    let sound = |kind, threshold, min_windows| SoundRule {
        kind,
        threshold,
        min_windows,
    };
    let expected = BehaviourOptions {
        zones: vec![zone],
        lines: vec![line],
        sounds: vec![sound(Kind::Gunshot, 0.8, 3), sound(Kind::Siren, MODEL_THRESHOLD, 2)],
        moods: vec![MoodRule {
            prior: 0.02,
            ..MoodRule::default_for(Kind::Distress)
        }],
        running: Some(RunningOptions { speed: 2.0, min_s: 2.0 }),
        fall: Some(FallOptions { stay_down_s: 20.0 }),
        fight: None,
        left: None,
        tamper: Some(TamperOptions {
            min_s: 5.0,
            frozen_s: 90.0,
        }),
        anomaly: Some(AnomalyOptions {
            warm_up_h: 24.0,
            decay_days: 7.0,
            per_day: 1.0,
            timezone: berlin(),
        }),
    };
    assert_eq!(yard().behaviour, expected);
}

#[test]
fn alerts_live_as_the_rules_say() {
    let policy = yard().policy;
    assert_eq!(policy.timezone, berlin());
    let [of_gunshots, others @ .., of_the_fence] = &policy.kinds[..] else {
        panic!("{:?}", policy.kinds);
    };
    let gunshots = KindPolicy {
        severity: Severity::Info,
        hold_s: 7.0,
        cooldown_s: 70.0,
        ..KindPolicy::default_for(Kind::Gunshot)
    };
    assert_eq!(*of_gunshots, gunshots);
    let fence = KindPolicy {
        zone: Some("fence".into()),
        track_cooldown_s: 90.0,
        active: Schedule::parse(&["mon-fri 22:00-06:00", "sat,sun"]).unwrap(),
        critical_at: Schedule::parse(&["00:00-04:00"]).unwrap(),
        critical_after_s: 600.0,
        max_per_hour: 7,
        ..KindPolicy::default_for(Kind::Loitering)
    };
    assert_eq!(*of_the_fence, fence);
    let kinds = [
        Kind::Intrusion,
        Kind::Loitering,
        Kind::Crowd,
        Kind::LineCrossing,
        Kind::Siren,
        Kind::WrongWay,
        Kind::Running,
        Kind::Fall,
        Kind::Tamper,
        Kind::Anomaly,
        Kind::Distress,
    ];
    assert_eq!(others, kinds.map(KindPolicy::default_for));
}
