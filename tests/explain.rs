//! `watchfire explain`: an alert's account, from the store and from stdin; and the plot beside it.

#[path = "support/wav.rs"]
mod wav;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use watchfire::demo::media::siren;
use wav::wav;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn watchfire(args: &[&str], stdin: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_watchfire"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that reads no stdin may be gone before it is all written.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    child.wait_with_output().unwrap()
}

fn alert(seq: u32, phase: &str) -> String {
    let ended = if phase == "end" {
        "\"1970-01-01T00:00:09.000Z\""
    } else {
        "null"
    };
    let reason = if phase == "end" { "\"cleared\"" } else { "null" };
    format!(
        r#"{{"schema":"watchfire.alert/1","id":"01HZZZZZZZZZZZZZZZZZZZZZZZ","seq":{seq},"phase":"{phase}","site":"gatehouse",
        "box":"edge-1","camera":"yard","kind":"gunshot","severity":"critical","score":0.9,
        "started_at":"1970-01-01T00:00:05.000Z","updated_at":"1970-01-01T00:00:05.500Z","ended_at":{ended},
        "end_reason":{reason},"zone":null,"direction":null,"tracks":[],"emotion":null,"evidence":[{{"modality":"audio",
        "model":"sound@1.0.0","label":"gunshot","score":0.9,"contribution":4.3944,"share":1.0,
        "at":"1970-01-01T00:00:05.000Z"}}],"snapshot":null,"clip":null}}"#
    )
}

/// A configuration with one camera whose gunshots need 0.7 in two patches.
fn config(dir: &Path) -> String {
    let path = dir.join("watchfire.toml");
    let text = format!(
        "[site]\nname = \"gatehouse\"\n[models]\ndir = {:?}\n[state]\ndir = {:?}\n[[camera]]\nid = \"yard\"\n\
         url = \"rtsp://127.0.0.1:1/x\"\nkinds = [\"gunshot\"]\n[[camera.rule]]\nkind = \"gunshot\"\nthreshold = 0.7\n\
         min_windows = 2\nhold_s = 5\ncooldown_s = 60\n",
        Path::new(ROOT).join("models"),
        dir.join("state")
    );
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn an_alert_on_stdin_is_told_with_prior_evidence_life_and_thresholds() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let both = format!("{}\n{}\n", alert(0, "start"), alert(1, "end"));
    let output = watchfire(&["explain", "--config", &config], &both);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for words in [
        "gunshot: critical, score 0.90",
        "before any evidence: 10 %",
        "+4.39  audio “gunshot” by sound@1.0.0",
        "together: 90 %",
        "its evidence ended (+4.0 s)",
        "threshold 0.70 in 2 patches in a row",
        "hold_s 5",
    ] {
        assert!(told.contains(words), "{words:?} is missing in\n{told}");
    }
    // Without a configuration thresholds are not made up.
    let output = watchfire(&["explain"], &alert(0, "start"));
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        told.contains("still open then") && !told.contains("threshold"),
        "{told}"
    );
}

#[test]
fn a_fight_is_told_with_its_threshold_and_a_mood_with_its_seconds() {
    let dir = tempfile::tempdir().unwrap();
    let path = config(dir.path());
    let text = std::fs::read_to_string(&path).unwrap();
    let kinds = "kinds = [\"gunshot\", \"fight\", \"distress\"]\nemotion = true";
    let rules = "[[camera.rule]]\nkind = \"distress\"\nmin_s = 4\n";
    std::fs::write(&path, text.replace("kinds = [\"gunshot\"]", kinds) + rules).unwrap();
    for (kind, words) in [
        ("fight", "threshold 0.50 in 2 windows in a row"),
        (
            "distress",
            "threshold 0.50 for 4 s with picture and sound, 16 s with one of them",
        ),
    ] {
        let alert = alert(0, "start").replace("\"kind\":\"gunshot\"", &format!("\"kind\":\"{kind}\""));
        let output = watchfire(&["explain", "--config", &path], &alert);
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(told.contains(words), "{words:?} is missing in\n{told}");
    }
}

/// What is asked of presence is not asked of a fall, and the other way round.
#[test]
fn each_kind_is_told_with_its_own_conditions() {
    let dir = tempfile::tempdir().unwrap();
    let path = config(dir.path());
    let text = std::fs::read_to_string(&path).unwrap();
    let kinds = "kinds = [\"gunshot\", \"intrusion\", \"fall\", \"wrong_way\"]";
    let zone = "[[camera.zone]]\nname = \"lane\"\npolygon = [[0, 0], [1, 0], [1, 1], [0, 1]]\nmin_height = 0.2\n\
                kinds = [\"intrusion\", \"fall\", \"wrong_way\"]\nway = [[0.2, 0.9], [0.8, 0.9]]\n";
    std::fs::write(&path, text.replace("kinds = [\"gunshot\"]", kinds) + zone).unwrap();
    let told = |kind: &str| {
        let alert = alert(0, "start")
            .replace("\"kind\":\"gunshot\"", &format!("\"kind\":\"{kind}\""))
            .replace("\"zone\":null", "\"zone\":\"lane\"");
        let output = watchfire(&["explain", "--config", &path], &alert);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    for (kind, asked, not_asked) in [
        (
            "intrusion",
            &["at least 3 frames", "20 to 100 %", "counts from score 0.35"][..],
            &["way is", "stay_down_s"][..],
        ),
        (
            "fall",
            &["stay_down_s 10"],
            &["frames", "% of the picture high", "counts from"],
        ),
        (
            "wrong_way",
            &["way is from [0.2, 0.9] to [0.8, 0.9]", "20 to 100 %"],
            &["frames", "counts from"],
        ),
    ] {
        let told = told(kind);
        let needs = told.split_once("What the configuration asks for now").unwrap().1;
        assert!(asked.iter().all(|words| needs.contains(words)), "{kind}: {needs}");
        assert!(not_asked.iter().all(|words| !needs.contains(words)), "{kind}: {needs}");
    }
}

#[test]
fn what_is_no_alert_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    for (args, stdin, word) in [
        (&["explain"][..], "", "no alert"),
        (&["explain"], "no json", "object 1"),
        (&["explain"], "{\"schema\":\"other/1\"}", "other/1"),
        (&["explain"], "{\"schema\":\"watchfire.alert/1\"}", "id"),
        (
            &["explain", "01NOBODY", "--config", config.as_str()],
            "",
            "there is none",
        ),
    ] {
        let output = watchfire(args, stdin);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(word) && !said.contains("panicked"), "{word}: {said}");
    }
}

/// Whoever may publish to the broker, and whoever named a file, has written what is told.
#[test]
fn nothing_in_an_alert_steers_the_terminal() {
    let mut alert: serde_json::Value = serde_json::from_str(&alert(0, "start")).unwrap();
    let steering = |name: &str| format!("{name}\u{1b}[31m\nBürgersteig");
    for field in [
        "id",
        "site",
        "box",
        "camera",
        "kind",
        "severity",
        "zone",
        "direction",
        "snapshot",
        "source",
    ] {
        alert[field] = steering(field).into();
    }
    for field in ["modality", "model", "label"] {
        alert["evidence"][0][field] = steering(field).into();
    }
    alert["tracks"] = serde_json::json!([{"id": 1, "class": steering("class"), "score": 0.5, "bbox": [0, 0, 1, 1]}]);
    alert["emotion"] = serde_json::json!({ steering("anger"): 0.5 });
    let output = watchfire(&["explain"], &alert.to_string());
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!told.contains('\u{1b}'), "{told}");
    assert!(!told.lines().any(|line| line.starts_with("Bürgersteig")), "{told}");
    for name in ["id", "site", "camera", "zone", "source", "label", "class", "anger"] {
        let harmless = format!("{name}\\u{{1b}}[31m\\nBürgersteig");
        assert!(told.contains(&harmless), "{harmless} is missing in\n{told}");
    }
    let output = watchfire(&["explain"], "{\"schema\": \"\\u001b[31mother\"}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("its schema is \\u{1b}[31mother"), "{said}");
}

#[test]
fn numbers_that_no_alert_has_are_refused_by_their_field_and_a_sum_that_is_wrong_is_told() {
    let own = "\"severity\":\"critical\",\"score\":0.9";
    let evidence = "\"score\":0.9,\"contribution\":4.3944,\"share\":1.0";
    let track = |bbox: &str| format!("\"tracks\":[{{\"id\":1,\"class\":\"person\",\"score\":0.5,\"bbox\":{bbox}}}]");
    for (from, to, why) in [
        (own, own.replace("0.9", "7"), "its score is 7.0, not between 0 and 1"),
        (own, format!("{own},\"prior\":-0.1"), "its prior is -0.1"),
        (evidence, evidence.replace("0.9", "1.5"), "its evidence[0].score is 1.5"),
        (evidence, evidence.replace("1.0", "9"), "its evidence[0].share is 9.0"),
        (
            evidence,
            evidence.replace("4.3944", "1e300"),
            "its evidence[0].contribution is 1e300",
        ),
        (
            "\"tracks\":[]",
            track("[0, 0, 1e300, 1]"),
            "its tracks[0].bbox is 1e300",
        ),
    ] {
        let alert = alert(0, "start");
        assert!(alert.contains(from), "{alert}");
        let output = watchfire(&["explain"], &alert.replace(from, &to));
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&format!("stdin, object 1: {why}")), "{said}");
    }
    for (prior, adds_up) in [("0.1", true), ("0.5", false)] {
        let alert = alert(0, "start").replace(own, &format!("{own},\"prior\":{prior}"));
        let output = watchfire(&["explain"], &alert);
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(
            !told.contains("it does not add up: prior and contributions come to"),
            adds_up,
            "{told}"
        );
    }
}

#[test]
fn a_stored_alert_is_found_by_its_id_with_its_life() {
    use watchfire::store::{Message, Store, StoreOptions};
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let day = std::time::Duration::from_secs(86_400);
    let mut store = Store::open(&StoreOptions {
        dir: dir.path().join("state"),
        keep_for: day,
        outbox_max: 10,
        outbox_max_age: day,
    })
    .unwrap();
    let message = |(seq, phase): (u32, &str)| Message {
        alert_id: "01HZZZZZZZZZZZZZZZZZZZZZZZ".into(),
        camera: "yard".into(),
        kind: "gunshot".into(),
        phase: phase.into(),
        started_utc_ms: 5_000,
        topic: "t".into(),
        payload: alert(seq, phase),
    };
    let life = [(0, "start"), (1, "update"), (2, "end")].map(message);
    store.commit(&life, 5_000).unwrap();
    let output = watchfire(&["explain", "01NOBODY", "--config", &config], "");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.code() == Some(1) && said.contains("no alert 01NOBODY"),
        "{said}"
    );
    let output = watchfire(&["explain", "01HZZZZZZZZZZZZZZZZZZZZZZZ", "--config", &config], "");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for words in [
        "camera yard of gatehouse on edge-1",
        "updated: score 0.90",
        "messages: 3",
    ] {
        assert!(told.contains(words), "{words:?} is missing in\n{told}");
    }
}

#[test]
fn a_plot_has_scores_thresholds_findings_and_alerts_on_one_axis() {
    let dir = tempfile::tempdir().unwrap();
    let [film, plot] = ["yard.wav", "yard.svg"].map(|name| dir.path().join(name));
    let sound = [vec![0.0; 16_000 * 3], siren(4.0), vec![0.0; 16_000 * 8]].concat();
    std::fs::write(&film, wav(&sound)).unwrap();
    let models = Path::new(ROOT).join("models");
    let args: Vec<String> = [&film, Path::new("--explain"), &plot, Path::new("--models"), &models]
        .iter()
        .map(|p| p.display().to_string())
        .collect();
    let args: Vec<&str> = ["replay", "--kinds", "siren"]
        .into_iter()
        .chain(args.iter().map(String::as_str))
        .collect();
    let output = watchfire(&args, "");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let alerts = String::from_utf8_lossy(&output.stdout).into_owned();
    let first: serde_json::Value = serde_json::from_str(alerts.lines().next().expect("an alert")).unwrap();
    let plot = std::fs::read_to_string(&plot).unwrap();
    for part in [
        "bold\">audio</text>",
        "bold\">level</text>",
        "siren (from 0.50)",
        "stroke-dasharray",
        "bold\">findings</text>",
        "bold\">alerts</text>",
        first["id"].as_str().unwrap(),
    ] {
        assert!(plot.contains(part), "{part:?} is missing in\n{plot}");
    }
}

/// A plot is about what was asked for, whatever else the branches said.
#[test]
fn a_plot_of_crowds_shows_no_sounds() {
    let dir = tempfile::tempdir().unwrap();
    let [film, plot] = ["yard.wav", "yard.svg"].map(|name| dir.path().join(name).display().to_string());
    std::fs::write(&film, wav(&siren(4.0))).unwrap();
    let models = Path::new(ROOT).join("models").display().to_string();
    let args = [
        "replay",
        "--kinds",
        "crowd",
        &film,
        "--explain",
        &plot,
        "--models",
        &models,
    ];
    let output = watchfire(&args, "");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let plot = std::fs::read_to_string(&plot).unwrap();
    assert!(plot.contains("bold\">alerts</text>"), "{plot}");
    for part in ["siren", "bold\">audio", "bold\">level"] {
        assert!(!plot.contains(part), "{part:?} is in\n{plot}");
    }
}

/// What each kind's rule asks for is told in one line at least, beside what holds for all kinds.
#[test]
fn every_kind_has_conditions_of_its_own() {
    use watchfire::data::Kind;
    let dir = tempfile::tempdir().unwrap();
    let path = config(dir.path());
    let text = std::fs::read_to_string(&path).unwrap();
    let words: Vec<String> = Kind::ALL.iter().map(|kind| format!("{:?}", kind.as_str())).collect();
    let kinds = format!("kinds = [{}]\nemotion = true", words.join(", "));
    let zone = "[[camera.zone]]\nname = \"lane\"\npolygon = [[0, 0], [1, 0], [1, 1], [0, 1]]\n\
                kinds = [\"intrusion\", \"loitering\", \"crowd\", \"wrong_way\"]\nway = [[0.2, 0.9], [0.8, 0.9]]\n\
                [[camera.line]]\nname = \"path\"\nfrom = [0.5, 0.1]\nto = [0.5, 0.9]\n";
    std::fs::write(&path, text.replace("kinds = [\"gunshot\"]", &kinds) + zone).unwrap();
    let place = |kind: Kind| match kind {
        Kind::LineCrossing => "\"path\"",
        Kind::Intrusion | Kind::Loitering | Kind::Crowd | Kind::WrongWay => "\"lane\"",
        _ => "null",
    };
    let alerts: Vec<String> = Kind::ALL
        .iter()
        .map(|kind| {
            alert(0, "start")
                .replace("\"kind\":\"gunshot\"", &format!("\"kind\":\"{kind}\""))
                .replace("01HZZZZZZZZZZZZZZZZZZZZZZZ", &format!("01{kind}"))
                .replace("\"zone\":null", &format!("\"zone\":{}", place(*kind)))
        })
        .collect();
    let output = watchfire(&["explain", "--config", &path], &alerts.join("\n"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let accounts: Vec<&str> = told.split("What the configuration asks for now\n").skip(1).collect();
    assert_eq!(accounts.len(), Kind::ALL.len(), "{told}");
    for (kind, account) in Kind::ALL.iter().zip(accounts) {
        let first = account.lines().next().unwrap_or_default();
        assert!(!first.is_empty() && !first.contains("hold_s"), "{kind}: {account}");
        assert!(!account.contains("does not alert"), "{kind}: {account}");
    }
}
