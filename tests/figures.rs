//! `models/*/figures.toml`: what the cards say, and the commands that say it again. `make eval` runs the second test.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use serde_json::Value;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Figures {
    eval: Vec<Eval>,
}

/// One run of `models eval`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Eval {
    /// Below `WATCHFIRE_DATA`.
    dataset: String,
    /// Conditions for `--where`.
    #[serde(default, rename = "where")]
    filters: Vec<String>,
    drop: Option<String>,
    /// For `--thresholds`.
    #[serde(default)]
    thresholds: Vec<f64>,
    /// The command that makes the data set, below `models/training`: it is in no data pack, and its figures are not
    /// recomputed where it is missing.
    made_by: Option<String>,
    /// Items that must be left.
    n: u64,
    figure: Vec<Figure>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Figure {
    /// A metric, or `class.figure` of the table by class, or `class.figure@threshold`.
    metric: String,
    /// With as many decimals as the card has.
    value: String,
    tolerance: f64,
}

/// Every model's folder with its figures.
fn models() -> Vec<(PathBuf, Figures)> {
    let mut out = Vec::new();
    for folder in std::fs::read_dir(Path::new(ROOT).join("models")).unwrap() {
        let folder = folder.unwrap().path();
        let path = folder.join("figures.toml");
        if let Ok(text) = std::fs::read_to_string(&path) {
            let figures = toml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            out.push((folder, figures));
        }
    }
    out.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(out.len() >= 2);
    out
}

#[test]
fn every_card_quotes_its_figures() {
    for (folder, figures) in models() {
        let card = std::fs::read_to_string(folder.join("card.md")).unwrap();
        for eval in &figures.eval {
            for figure in &eval.figure {
                figure.value.parse::<f64>().unwrap();
                assert!(
                    card.contains(&figure.value),
                    "{}: the card does not say {} {}",
                    folder.display(),
                    figure.metric,
                    figure.value
                );
            }
        }
    }
}

#[test]
#[ignore = "minutes of work on data that is not in the repository: make eval"]
fn every_figure_is_what_models_eval_says() {
    let Some(data) = std::env::var_os("WATCHFIRE_DATA") else {
        println!("skipped: WATCHFIRE_DATA does not name the data folder");
        return;
    };
    let only = std::env::var("MODEL").ok();
    let (mut wrong, mut skipped) = (Vec::new(), 0);
    for (folder, figures) in models() {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        if only.as_ref().is_some_and(|only| *only != name) {
            continue;
        }
        for eval in &figures.eval {
            println!("{name} on {} {}", eval.dataset, short(&eval.filters));
            let dataset = Path::new(&data).join(&eval.dataset);
            if let Some(command) = eval.made_by.as_ref().filter(|_| !dataset.exists()) {
                println!("  skipped: {} is not there; it is made by {command}", dataset.display());
                skipped += eval.figure.len();
                continue;
            }
            let told = run(&folder, &dataset, eval);
            if told["n"] != eval.n {
                wrong.push(format!(
                    "{name} on {}: n is {}, not {}",
                    eval.dataset, told["n"], eval.n
                ));
            }
            for figure in &eval.figure {
                let value = look_up(&told, &figure.metric);
                let expected: f64 = figure.value.parse().unwrap();
                let well = value.is_some_and(|v| (v - expected).abs() <= figure.tolerance);
                let mark = if well { "" } else { "   ← differs" };
                let shown = value.map_or("nothing".into(), |v| format!("{v:.4}"));
                println!("  {:28} {shown}, the card says {}{mark}", figure.metric, figure.value);
                if !well {
                    wrong.push(format!("{name} on {}: {} is {shown}", eval.dataset, figure.metric));
                }
            }
        }
    }
    println!("{skipped} figures were not computed again: their data is not there");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// onnxruntime gives the reference file an AP50 of 0.869 on these pictures (the same letterbox, suppression and rule for AP, in
/// Python); pictures are scaled by another library there.
#[test]
#[ignore = "needs data that is not in the repository: make eval"]
fn an_imported_official_yolox_nano_scores_the_references_ap() {
    let Some(data) = std::env::var_os("WATCHFIRE_DATA").map(PathBuf::from) else {
        println!("skipped: WATCHFIRE_DATA does not name the data folder");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let nano = dir.path().join("nano");
    let import = Command::new(env!("CARGO_BIN_EXE_watchfire"))
        .args(["models", "import", "--arch", "yolox-nano", "--to"])
        .arg(&nano)
        .arg(data.join("reference/yolox_nano.onnx"))
        .output()
        .unwrap();
    assert!(import.status.success(), "{}", String::from_utf8_lossy(&import.stderr));
    // The detector's own held-out pictures with boxes that people drew.
    let models = models();
    let detector = models.iter().find(|(folder, _)| folder.ends_with("detector"));
    let evals = &detector.unwrap().1.eval;
    let by_hand = evals.iter().find(|e| e.dataset == "capston2_coco.tar").unwrap();
    let told = run(&nano, &data.join(&by_hand.dataset), by_hand);
    let ap = look_up(&told, "person.ap50").unwrap();
    println!("person AP50 {ap:.4} of {} pictures", told["n"]);
    assert!(told["n"] == by_hand.n && (ap - 0.869).abs() < 0.01, "{told}");
}

fn short(filters: &[String]) -> String {
    match filters.len() {
        0..=3 => filters.join(" "),
        n => format!("({n} conditions)"),
    }
}

fn run(model: &Path, dataset: &Path, eval: &Eval) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_watchfire"));
    command.args(["models", "eval"]).arg(model).arg(dataset).arg("--json");
    for filter in &eval.filters {
        command.args(["--where", filter]);
    }
    if let Some(drop) = &eval.drop {
        command.args(["--drop", drop]);
    }
    if !eval.thresholds.is_empty() {
        let each: Vec<String> = eval.thresholds.iter().map(f64::to_string).collect();
        command.args(["--thresholds", &each.join(",")]);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", dataset.display());
    serde_json::from_slice(&output.stdout).unwrap()
}

fn look_up(told: &Value, metric: &str) -> Option<f64> {
    let Some((class, figure)) = metric.split_once('.') else {
        return told["metrics"][metric].as_f64();
    };
    match figure.split_once('@') {
        Some((figure, threshold)) => told["at_threshold"][class][threshold][figure].as_f64(),
        None => told["per_class"][class][figure].as_f64(),
    }
}
