//! docs/schema/*.json are those of the Rust types. `WATCHFIRE_BLESS=1 cargo test` writes them anew.

use std::path::Path;

use watchfire::publish::payload::schemas;

#[test]
fn the_published_schemas_are_current() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema");
    for (name, schema) in schemas() {
        let path = folder.join(name);
        if std::env::var_os("WATCHFIRE_BLESS").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, &schema).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(written, schema, "{name}: run WATCHFIRE_BLESS=1 cargo test");
    }
}

#[test]
fn the_contract_s_example_fits_the_alert_schema_and_a_broken_one_does_not() {
    let (_, text) = schemas().into_iter().find(|(name, _)| *name == "alert.json").unwrap();
    let validator = jsonschema::validator_for(&serde_json::from_str(&text).unwrap()).unwrap();
    let mut alert = serde_json::json!({
        "schema": "watchfire.alert/1", "id": "01JDB3", "seq": 0, "phase": "start", "site": "gatehouse",
        "box": "edge-1", "camera": "yard", "kind": "line_crossing", "severity": "warning", "score": 0.93,
        "started_at": "2026-11-24T02:35:46.120Z", "updated_at": "2026-11-24T02:35:46.120Z", "ended_at": null,
        "end_reason": null, "zone": "gate", "direction": "left_to_right",
        "tracks": [{"id": 17, "class": "person", "score": 0.91, "bbox": [0.41, 0.52, 0.47, 0.88]}], "emotion": null,
        "evidence": [{"modality": "video", "model": "detector@1.0.0", "label": "person", "score": 0.93,
                      "contribution": 2.6, "share": 1.0, "at": "2026-11-24T02:35:46.120Z"}],
        "snapshot": null, "clip": null
    });
    assert!(validator.is_valid(&alert));
    alert["score"] = 1.5.into();
    assert!(!validator.is_valid(&alert));
}
