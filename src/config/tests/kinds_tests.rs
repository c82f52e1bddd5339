//! Kinds that need more than their word: models, and an opt-in.

use super::*;

#[test]
fn fight_needs_the_clip_model_and_its_rate() {
    let load = |around: &Surroundings, rate: &str| {
        let text = format!("[[camera]]\nid = \"a\"\nurl = \"rtsp://10.0.0.1/x\"\nkinds = [\"fight\"]\n{rate}");
        load_texts(vec![("w.toml".into(), text)], around).unwrap()
    };
    let errors = load(&around(), "").camera_errors;
    assert!(
        errors[0].to_string().contains("fight needs the clip model"),
        "{errors:?}"
    );

    let with_model = Surroundings {
        needs_fps: |dir| dir.ends_with("action").then_some(6.0),
        ..around()
    };
    let loaded = load(&with_model, "");
    assert_eq!(loaded.config.cameras[0].ingest.analysis_fps, 6.0);
    assert!(loaded.config.cameras[0].behaviour.fight.is_some());
    let errors = load(&with_model, "analysis_fps = 5.0\n").camera_errors;
    assert!(errors[0].to_string().contains("the model action needs 6"), "{errors:?}");
}

#[test]
fn the_way_to_join_picture_and_sound_is_one_of_four() {
    let load = |word: &str| {
        load_texts(
            vec![("w.toml".into(), format!("[fusion]\nmethod = \"{word}\"\n"))],
            &around(),
        )
    };
    assert_eq!(
        load("gated").unwrap().config.models.fusion,
        Some(crate::nn::FusionMethod::Gated)
    );
    let errors = load("gate").unwrap_err();
    assert!(errors[0].to_string().contains("did you mean `gated`"), "{errors:?}");
}

#[test]
fn what_reads_emotion_must_be_opted_into_and_takes_a_threshold_and_seconds() {
    let text = |emotion: &str, rule: &str| {
        let rule = format!("[[camera.rule]]\nkind = \"aggression\"\n{rule}\n");
        format!("[[camera]]\nid = \"a\"\nurl = \"rtsp://10.0.0.1/x\"\nkinds = [\"aggression\"]\n{emotion}\n{rule}")
    };
    let refused = load_texts(vec![("w.toml".into(), text("", ""))], &around()).unwrap();
    assert!(
        refused.camera_errors[0]
            .to_string()
            .contains("needs the camera's emotion = true")
    );
    let with = text("emotion = true", "threshold = 0.7\nmin_s = 5");
    let loaded = load_texts(vec![("w.toml".into(), with)], &around()).unwrap();
    let rule = &loaded.config.cameras[0].behaviour.moods[0];
    assert_eq!(
        (rule.kind, rule.threshold, rule.min_s),
        (crate::data::Kind::Aggression, 0.7, 5.0)
    );
    let wrong = load_texts(
        vec![("w.toml".into(), text("emotion = true", "min_windows = 3"))],
        &around(),
    )
    .unwrap();
    assert!(
        wrong.camera_errors[0]
            .to_string()
            .contains("threshold for aggression and distress")
    );
}

#[test]
fn every_stretch_of_the_week_that_is_none_is_told_at_once() {
    let text = "[[camera]]\nid = \"a\"\nurl = \"rtsp://10.0.0.1/x\"\nkinds = [\"siren\"]\n[[camera.rule]]\nkind = \"siren\"\n\
                active = [\"at night\", \"22:00-06:00\", \"sun-day\"]\ncritical_at = [\"noon\"]\n";
    let errors = load_one(text).unwrap().camera_errors;
    let told: Vec<&str> = errors.iter().map(|e| &*e.message).collect();
    assert_eq!(told.len(), 3, "{told:?}");
    for (text, error) in ["`at night`", "`sun-day`", "`noon`"].iter().zip(&told) {
        assert!(error.starts_with(text), "{told:?}");
    }
}

/// What is said of a camera that listens for sirens and has these lines: errors and warnings, each with its line.
fn siren_camera(rules: &str) -> [Vec<String>; 2] {
    let text = format!("[[camera]]\nid = \"a\"\nurl = \"rtsp://10.0.0.1/x\"\nkinds = [\"siren\"]\n{rules}");
    let loaded = load_one(&text).unwrap();
    let told = |all: &[Diagnostic]| all.iter().map(|d| format!("{}: {}", d.line, d.message)).collect();
    [told(&loaded.camera_errors), told(&loaded.warnings)]
}

#[test]
fn what_is_wrong_with_the_rule_of_a_kind_that_is_off_is_told_before_the_kind_is_switched_on() {
    let [errors, warnings] = siren_camera(
        "[[camera.rule]]\nkind = \"gunshot\"\nthreshold = 2\nactive = [\"zzz\"]\n\
         [[camera.rule]]\nkind = \"fall\"\nspeed = 2\nzone = \"lawn\"\n\
         [[camera.rule]]\nkind = \"fight\"\nprior = 0.9\n\
         [[camera.rule]]\nkind = \"gunshot\"\nhold_s = 9\n",
    );
    let mut lines: Vec<&str> = errors.iter().filter_map(|e| e.split(':').next()).collect();
    lines.sort_by_key(|line| line.parse::<u32>().unwrap());
    assert_eq!(lines, ["7", "8", "11", "12", "15"], "{errors:#?}");
    let told = errors.join("\n");
    for part in [
        "2 is out of range",
        "`zzz`",
        "speed is for running",
        "no line `lawn`",
        "0.001 to 0.5",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    // Each is still said to do nothing, and a rule that is right is no more than that.
    let off: Vec<&String> = warnings.iter().filter(|w| w.contains("does nothing")).collect();
    assert_eq!(off.len(), 4, "{warnings:#?}");
}

#[test]
fn a_rule_of_an_unknown_kind_or_place_is_judged_to_its_end() {
    let [errors, _] = siren_camera(
        "[[camera.rule]]\nkind = \"sirne\"\nzone = \"lawn\"\nseverity = \"loud\"\nhold_s = -1\n\
         [[camera.rule]]\nmax_per_hour = 3\ncooldown_s = -2\n\
         [[camera.rule]]\nkind = \"siren\"\nzone = \"lawn\"\nactive = [\"zzz\"]\n",
    );
    let told = errors.join("\n");
    for part in [
        "6: unknown value `sirne`",
        "7: the camera has no zone and no line `lawn`",
        "8: unknown value `loud`",
        "9: -1 is out of range",
        "a rule needs its `kind`",
        "12: -2 is out of range",
        "15: the camera has no zone and no line `lawn`",
        "16: `zzz`",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert_eq!(errors.len(), 8, "{errors:#?}");
}

#[test]
fn a_threshold_that_everything_reaches_and_no_window_at_all_are_refused() {
    for kind in ["siren", "gunshot", "fight"] {
        let rule = |lines: &str| siren_camera(&format!("[[camera.rule]]\nkind = \"{kind}\"\n{lines}"))[0].clone();
        let wrong = rule("threshold = 0\nmin_windows = 0\n");
        assert_eq!(
            wrong,
            [
                "7: 0 is out of range: over 0, and 1 at most",
                "8: 0 is out of range: 1 to 10000"
            ],
            "{kind}"
        );
        for threshold in ["-0.1", "1.01", "nan", "-0.0"] {
            let wrong = rule(&format!("threshold = {threshold}\n"));
            assert!(
                wrong.len() == 1 && wrong[0].contains("over 0"),
                "{kind}, {threshold}: {wrong:?}"
            );
        }
        assert!(rule("threshold = 0.01\nmin_windows = 1\n").is_empty(), "{kind}");
        assert!(rule("threshold = 1\n").is_empty(), "{kind}");
    }
    // What nobody gave is the model's own still, and no threshold is printed for it.
    let text = "[[camera]]\nid = \"a\"\nurl = \"rtsp://10.0.0.1/x\"\nkinds = [\"siren\"]\n";
    let loaded = load_one(text).unwrap();
    let siren = &loaded.config.cameras[0].behaviour.sounds[0];
    assert_eq!((siren.threshold, siren.min_windows), (MODEL_THRESHOLD, 2));
    assert!(!loaded.resolved.contains("threshold"), "{}", loaded.resolved);
}

#[test]
fn a_mood_with_a_key_that_it_does_not_take_has_its_threshold_judged_too() {
    let [errors, _] = siren_camera("[[camera.rule]]\nkind = \"distress\"\nthreshold = 0.01\nmin_windows = 3\n");
    let told = errors.join("\n");
    assert!(told.contains("7: 0.01 is out of range: 0.05 to 1"), "{told}");
    assert!(
        told.contains("threshold for aggression and distress") && errors.len() == 2,
        "{told}"
    );
}
