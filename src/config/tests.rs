use super::*;

fn around() -> Surroundings {
    Surroundings {
        env: |name| (name == "SECRET").then(|| "canary-17".to_owned()),
        host_name: "edge-1".into(),
        needs_fps: 2.0,
    }
}

fn load_one(text: &str) -> Result<Loaded, Vec<Diagnostic>> {
    load_texts(vec![("w.toml".into(), text.into())], &around())
}

const GOOD: &str = r#"
[site]
name = "gatehouse"
[mqtt]
url = "mqtt://127.0.0.1:1884"
[[camera]]
id = "yard"
url = "rtsp://10.0.0.21/stream2"
username = "viewer"
password = { env = "SECRET" }
[[camera.zone]]
name = "fence"
polygon = [[0.0, 0.6], [1.0, 0.6], [1.0, 1.0]]
[[camera.rule]]
kind = "gunshot"
threshold = 0.8
"#;

#[test]
fn a_good_configuration_resolves_with_every_default() {
    let loaded = load_one(GOOD).unwrap();
    assert!(loaded.camera_errors.is_empty() && loaded.warnings.is_empty());
    let config = loaded.config;
    assert_eq!(
        (config.site.as_str(), config.box_name.as_str(), config.mqtt.port),
        ("gatehouse", "edge-1", 1884)
    );
    let camera = &config.cameras[0];
    assert_eq!((camera.ingest.analysis_fps, camera.behaviour.zones.len()), (5.0, 1));
    assert_eq!(
        camera
            .behaviour
            .sounds
            .iter()
            .find(|s| s.kind.as_str() == "gunshot")
            .unwrap()
            .threshold,
        0.8
    );
}

#[test]
fn secrets_are_in_no_debug_text_and_known_to_the_redactor() {
    let config = load_one(GOOD).unwrap().config;
    assert!(!format!("{config:?}").contains("canary-17"));
    assert_eq!(config.redactor.clean("x canary-17 y"), "x *** y");
}

#[test]
fn every_error_is_told_at_once_with_its_place_and_a_suggestion() {
    let text = "[site]\nname = \"Bad Name\"\n[mqtt]\nurl = \"http://x\"\nkeep_alive_s = \"soon\"\nprot = 3\n\
                [graph]\nwindow_ms = 5\n[http]\nlisten = \"nowhere\"\n";
    let errors: Vec<String> = load_one(text).unwrap_err().iter().map(ToString::to_string).collect();
    let has = |start: &str, part: &str| errors.iter().any(|e| e.starts_with(start) && e.contains(part));
    assert!(has("w.toml:2:8:", "Bad Name"), "{errors:#?}");
    assert!(has("w.toml:4:7:", "mqtt://"), "{errors:#?}");
    assert!(has("w.toml:5:16:", "invalid type"), "{errors:#?}");
    assert!(has("w.toml:6:1:", "unknown key `prot` in [mqtt]"), "{errors:#?}");
    assert!(has("w.toml:8:13:", "200 to 2000"), "{errors:#?}");
    assert!(has("w.toml:10:10:", "address:port"), "{errors:#?}");
}

#[test]
fn a_wrong_camera_disables_itself_only() {
    let text = format!("{GOOD}treshold = 1\n[[camera]]\nid = \"gate\"\nurl = \"rtsp://10.0.0.22/x\"\n");
    let loaded = load_one(&text).unwrap();
    assert_eq!(loaded.config.cameras.len(), 1);
    assert_eq!(loaded.config.cameras[0].ingest.id.as_str(), "gate");
    assert!(loaded.config.disabled.contains_key(&CameraId::new("yard")));
    let error = loaded.camera_errors[0].to_string();
    assert!(
        error.contains("unknown key `treshold` in [[camera.rule]]; did you mean `threshold`?"),
        "{error}"
    );
}

#[test]
fn a_password_in_a_url_is_taken_out_and_warned_about() {
    let text = "[[camera]]\nid = \"a\"\nurl = \"rtsp://u:s%40crets@10.0.0.1/x\"\n";
    let loaded = load_one(text).unwrap();
    assert_eq!(loaded.warnings.len(), 1);
    match &loaded.config.cameras[0].ingest.source {
        crate::ingest::Source::Rtsp {
            url,
            username,
            password,
            ..
        } => {
            assert_eq!((url.as_str(), username.as_deref()), ("rtsp://10.0.0.1/x", Some("u")));
            assert_eq!(password.as_ref().unwrap().expose(), "s@crets");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn two_cameras_of_one_id_are_an_error() {
    let text = "[[camera]]\nid = \"a\"\nurl = \"rtsp://h/x\"\n";
    let loaded = load_one(&format!("{text}{text}")).unwrap();
    assert!(loaded.camera_errors[0].message.contains("twice"));
}

#[test]
fn the_reference_of_the_keys_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");
    if std::env::var_os("WATCHFIRE_BLESS").is_some() {
        std::fs::write(path, markdown()).unwrap();
    }
    assert_eq!(
        std::fs::read_to_string(path).unwrap_or_default(),
        markdown(),
        "run WATCHFIRE_BLESS=1 cargo test"
    );
}
