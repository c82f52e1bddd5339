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
