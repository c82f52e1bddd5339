//! Whose camera an error is of.

use super::*;

const GATE: &str = "[[camera]]\nid = \"gate\"\nurl = \"rtsp://10.0.0.2/x\"\n";

#[test]
fn an_error_is_of_the_camera_whose_table_holds_it_however_the_file_is_written() {
    let zone = "[[camera.zone]]\nname = \"z\"\npolygon = [\n[0.0, 0.0],\n[1.0, 0.0],\n[1.0, 1.0],\n]\n";
    for (id, rest, line) in [
        ("\"yard\"", format!("{zone}kind = [\"crowd\"]\n"), 11),
        ("\"yard\"", format!("{zone}loiter_s = \"long\"\n"), 11),
        (
            "'yard'",
            "[[camera.masks]]\npolygon = [[0, 0], [1, 0], [1, 1]]\n".into(),
            4,
        ),
        ("'yard'", "stall_s = \"long\"\n".into(), 4),
        ("\"\"\"yard\"\"\"", "stal_s = 3\n".into(), 4),
        ("\"y\\u0061rd\"", "stal_s = 3\n".into(), 4),
    ] {
        for text in [
            format!("[[camera]]\nid = {id}\nurl = \"rtsp://10.0.0.1/x\"\n{rest}{GATE}"),
            format!("[[ camera ]]\nid = {id}\nurl = \"rtsp://10.0.0.1/x\"\n{rest}{GATE}"),
        ] {
            let loaded = load_one(&text).unwrap_or_else(|errors| panic!("{text}: {errors:#?}"));
            let runs: Vec<&str> = loaded.config.cameras.iter().map(|c| c.ingest.id.as_str()).collect();
            assert_eq!(runs, ["gate"], "{text}");
            let errors = &loaded.camera_errors;
            assert_eq!(errors.len(), 1, "{text}: {errors:#?}");
            assert_eq!(
                (errors[0].camera.as_deref(), errors[0].line),
                (Some("yard"), line),
                "{text}"
            );
        }
    }
}

#[test]
fn however_many_mistakes_one_camera_has_the_others_run() {
    let zones: String = (0..120)
        .map(|n| format!("[[camera.zone]]\nname = \"z{n}\"\nloiter_s = \"long\"\n"))
        .collect();
    let text = format!("[[camera]]\nid = \"yard\"\nurl = \"rtsp://10.0.0.1/x\"\n{zones}{GATE}");
    let loaded = load_one(&text).unwrap();
    assert_eq!(loaded.config.cameras.len(), 1);
    assert_eq!(loaded.config.cameras[0].ingest.id.as_str(), "gate");
}

#[test]
fn an_error_of_a_camera_without_an_id_is_of_the_whole_configuration() {
    let text = format!("{GATE}[[camera]]\nurl = \"rtsp://10.0.0.1/x\"\nstal_s = 3\n");
    assert!(load_one(&text).unwrap_err().iter().all(|e| e.camera.is_none()));
}

#[test]
fn a_file_of_cameras_holds_nothing_else() {
    let load = |text: &str| {
        let texts = vec![
            ("w.toml".into(), String::new()),
            ("cameras.d/gate.toml".into(), text.into()),
        ];
        load_texts(texts, &around())
    };
    assert_eq!(load(GATE).unwrap().config.cameras.len(), 1);
    for (more, said) in [
        (
            "[camera_defaults]\nanalysis_fps = 2.0\n",
            "all else stands in the main file",
        ),
        (
            "[mqtt]\nurl = \"mqtt://10.0.0.9\"\n",
            "all else stands in the main file",
        ),
        ("[sites]\n", "all else stands in the main file"),
        ("[[cameras]]\nid = \"b\"\n", "did you mean `camera`?"),
    ] {
        let errors = load(&format!("{GATE}{more}")).unwrap_err();
        assert!(
            errors.len() == 1 && errors[0].message.contains(said),
            "{more}: {errors:#?}"
        );
        let error = &errors[0];
        assert_eq!((error.line, &error.camera), (4, &None), "{more}");
        assert_eq!(error.file, Path::new("cameras.d/gate.toml"), "{more}");
    }
}

/// Every message about the good configuration with one part of it replaced.
fn told(from: &str, to: &str) -> String {
    let text = GOOD.replace(from, to);
    assert_ne!(text, GOOD);
    match load_one(&text) {
        Ok(loaded) => loaded.camera_errors.iter().map(|e| format!("{e}\n")).collect(),
        Err(errors) => errors.iter().map(|e| format!("{e}\n")).collect(),
    }
}

#[test]
fn what_encloses_nothing_and_points_of_more_than_two_numbers_are_refused() {
    let corners = "[[0.0, 0.6], [1.0, 0.6], [1.0, 1.0]]";
    for (given, why) in [
        // As boxes are written.
        ("[[0.1, 0.1, 0.4, 0.9], [0.5, 0.1], [0.5, 0.5]]", "not 4"),
        ("[[0.1], [0.5, 0.1], [0.5, 0.5]]", "not 1"),
        ("[[0.5, 0.5], [0.5, 0.5], [0.5, 0.5]]", "encloses nothing"),
        ("[[0.1, 0.1], [0.5, 0.5], [0.9, 0.9]]", "encloses nothing"),
        // A bow tie.
        ("[[0.1, 0.1], [0.9, 0.9], [0.9, 0.1], [0.1, 0.9]]", "its sides cross"),
    ] {
        let told = told(corners, given);
        assert!(told.contains(why) && told.contains("w.toml:13"), "{given}: {told}");
    }
    let told = told("polygon =", "way = [[0.1, 0.1], [0.2, 0.1], [0.3, 0.1]]\npolygon =");
    assert!(told.contains("a way is two points") && told.contains("not 3"), "{told}");
}
