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
    /// What the card's row with these figures says beside them. A figure of a class stands in a row that names the class, one at a
    /// threshold in the row of that threshold.
    row: Option<String>,
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
    /// 95 %, as the card says it: `0.813 to 0.838`.
    interval: Option<String>,
    /// Instead of the evaluation's.
    row: Option<String>,
}

impl Figure {
    /// Whether a row of the card is the one in which this figure stands.
    fn is_told_in(&self, eval: &Eval, line: &str) -> bool {
        let named = match (self.metric.split_once('.'), self.metric.split_once('@')) {
            (_, Some((_, threshold))) => line.starts_with(&format!("| {threshold} |")),
            (Some((class, _)), None) => line.contains(class),
            (None, None) => {
                assert!(self.row.is_some() || eval.row.is_some(), "{}: no row", self.metric);
                true
            }
        };
        let row = self.row.as_ref().or(eval.row.as_ref());
        let is_number = |c: char| c.is_ascii_digit() || c == '.';
        let mut numbers = line.split(|c| !is_number(c)).map(|n| n.trim_end_matches('.'));
        let says_interval = self.interval.as_ref().is_none_or(|i| line.contains(i.as_str()));
        named && row.is_none_or(|row| line.contains(row.as_str())) && numbers.any(|n| n == self.value) && says_interval
    }

    /// How far the interval is from the card's; None where it is not computed.
    fn interval_off(&self, told: &Value) -> Option<f64> {
        let Some(interval) = &self.interval else {
            return Some(0.0);
        };
        let (low, high) = interval.split_once(" to ")?;
        let now = match self.metric.split_once('.') {
            None => [0, 1].map(|i| told["interval95"][&self.metric][i].as_f64()),
            Some((class, figure)) => {
                ["low", "high"].map(|end| told["per_class"][class][format!("{figure}_{end}")].as_f64())
            }
        };
        let off = |now: Option<f64>, then: &str| Some((now? - then.parse::<f64>().ok()?).abs());
        Some(off(now[0], low)?.max(off(now[1], high)?))
    }
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
                    card.lines().any(|line| figure.is_told_in(eval, line)),
                    "{}: no row of the card says {} {} {:?}",
                    folder.display(),
                    figure.metric,
                    figure.value,
                    figure.interval
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
                // An interval by resampling hangs on what was drawn.
                let well = value.is_some_and(|v| (v - expected).abs() <= figure.tolerance)
                    && figure.interval_off(&told).is_some_and(|off| off <= 0.02);
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
