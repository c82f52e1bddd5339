//! `[camera_defaults]`: a mistake there is nobody's camera's.

use super::*;

const CAMERAS: &str = "[[camera]]\nid = \"a\"\nurl = \"rtsp://10.0.0.1/x\"\n\
                       [[camera]]\nid = \"b\"\nurl = \"rtsp://10.0.0.2/x\"\n";

#[test]
fn a_wrong_default_is_the_whole_configurations_fault_and_told_once_at_its_own_key() {
    for (line, said) in [
        ("analysis_fps = 500.0", "500 is out of range: 1 to 30"),
        ("analysis_fps = 1.0", "the model detector needs 2 at least"),
        ("analysis_px = 5", "5 is out of range"),
        ("stall_s = 0.5", "0.5 is out of range"),
        ("retry_s = 0.0", "0 is out of range"),
        ("retry_max_s = 0.5", "0.5 is out of range"),
        ("transport = \"tpc\"", "did you mean `tcp`?"),
        ("decoder = \"gpu\"", "unknown value `gpu`"),
        ("snapshots = \"always\"", "unknown value `always`"),
        ("clock = \"hots\"", "did you mean `host`?"),
        ("gating = \"moton\"", "did you mean `motion`?"),
        ("noise_reduction = \"aut\"", "did you mean `auto`?"),
        ("audio_gain = \"aut\"", "did you mean `auto`?"),
        ("kinds = [\"intrusoin\"]", "did you mean `intrusion`?"),
        ("kinds = [\"fight\"]", "fight needs the clip model"),
        ("kinds = [\"distress\"]", "no camera that takes it from here"),
        ("stall_s = \"long\"", "this must be a number"),
        ("stall = 3.0", "unknown key `stall` in [camera_defaults]"),
    ] {
        // Behind the cameras too, where the table must not be taken for a part of the last one.
        for (text, place) in [
            (format!("[camera_defaults]\n{line}\n{CAMERAS}"), 2),
            (format!("{CAMERAS}[camera_defaults]\n{line}\n"), 8),
        ] {
            let errors = load_one(&text).unwrap_err();
            assert!(
                errors.len() == 1 && errors[0].message.contains(said),
                "{line}: {errors:#?}"
            );
            assert_eq!((&errors[0].camera, errors[0].line), (&None, place), "{line}");
        }
    }
}

#[test]
fn a_wrong_default_stands_in_the_main_file_whoever_takes_it() {
    let main = "[site]\nname = \"home\"\n[camera_defaults]\nanalysis_fps = 500.0\n".to_owned();
    let texts = vec![("w.toml".into(), main), ("cameras.d/a.toml".into(), CAMERAS.into())];
    let errors = load_texts(texts, &around()).unwrap_err();
    assert_eq!(errors.len(), 1, "{errors:#?}");
    assert!(errors[0].to_string().starts_with("w.toml:4:16:"), "{errors:#?}");
}

#[test]
fn good_defaults_are_taken_and_a_camera_goes_its_own_way() {
    let text = format!("[camera_defaults]\nanalysis_fps = 6.0\ntransport = \"udp\"\n{CAMERAS}analysis_fps = 7.0\n");
    let loaded = load_one(&text).unwrap();
    let rates: Vec<f32> = loaded.config.cameras.iter().map(|c| c.ingest.analysis_fps).collect();
    assert_eq!(rates, [6.0, 7.0]);
    assert!(!loaded.resolved.contains("camera_defaults"), "{}", loaded.resolved);
    assert_eq!(loaded.resolved.matches("transport = \"udp\"").count(), 2);
}

#[test]
fn kinds_that_read_emotion_may_be_defaults_where_a_camera_opts_in() {
    let text = format!("[camera_defaults]\nkinds = [\"distress\"]\n{CAMERAS}emotion = true\n");
    let loaded = load_one(&text).unwrap();
    assert_eq!(loaded.config.cameras.len(), 1);
    assert_eq!(loaded.camera_errors[0].camera.as_deref(), Some("a"));
}

#[test]
fn defaults_that_no_running_camera_takes_together_need_not_fit_together() {
    let own = |line: &str| CAMERAS.replace("\nurl", &format!("\n{line}\nurl"));
    for (defaults, cameras) in [
        ("kinds = [\"running\"]\nanalysis_fps = 2.0", own("analysis_fps = 5.0")),
        ("kinds = [\"fight\"]", own("kinds = [\"siren\"]")),
        ("kinds = [\"distress\"]", own("enabled = false")),
    ] {
        let loaded = load_one(&format!("[camera_defaults]\n{defaults}\n{cameras}")).unwrap();
        // One that is switched off is told what is wrong with it all the same, and costs nobody else anything.
        let well = loaded.camera_errors.is_empty();
        assert_eq!(
            well,
            !cameras.contains("enabled"),
            "{defaults}: {:#?}",
            loaded.camera_errors
        );
    }
    // A word that is none is one for whomever.
    let wrong = format!(
        "[camera_defaults]\nkinds = [\"runing\"]\n{}",
        own("kinds = [\"siren\"]")
    );
    assert_eq!(load_one(&wrong).unwrap_err().len(), 1);
}
