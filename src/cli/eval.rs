use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::eval::{EvalOptions, Filter, Outcome, evaluate, shown};
use crate::nn::DeviceChoice;

#[derive(clap::Args)]
pub struct Args {
    /// A folder below --dir, or a path.
    model: PathBuf,
    /// A folder or tar with images/ and labels/ (YOLO text, COCO numbers) or with labels.csv beside sounds or clips,
    /// or an .npz with images and votes or labels.
    dataset: PathBuf,
    /// Only rows of labels.csv with this value, such as fold=5; of several for one column any, of several columns all.
    /// COL!=VALUE leaves rows out. Pictures have the column `image`.
    #[arg(long = "where", value_name = "COL=VALUE")]
    filters: Vec<Filter>,
    /// Leaves a modality out, for models that take both.
    #[arg(long, value_parser = ["audio", "video"])]
    drop: Option<String>,
    /// Tells what these thresholds would give too, in place of the manifest's.
    #[arg(long, value_name = "T,T,…", value_delimiter = ',', value_parser = threshold)]
    thresholds: Vec<f32>,
    /// The figures as JSON.
    #[arg(long)]
    json: bool,
    /// Writes the raw result of each item as a line of JSON.
    #[arg(long)]
    predictions: Option<PathBuf>,
    /// auto, cpu or cuda:N
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
}

pub fn run(args: &Args, models: &Path) -> anyhow::Result<ExitCode> {
    let below = models.join(&args.model);
    let options = EvalOptions {
        model: if below.join("model.toml").exists() {
            below
        } else {
            args.model.clone()
        },
        dataset: args.dataset.clone(),
        filters: args.filters.clone(),
        drop: args.drop.as_deref().and_then(|word| word.parse().ok()),
        thresholds: args.thresholds.clone(),
        predictions: args.predictions.clone(),
        device: args.device,
    };
    let outcome = evaluate(&options)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&outcome)?);
    } else {
        print(&outcome);
    }
    Ok(ExitCode::SUCCESS)
}

fn threshold(text: &str) -> Result<f32, String> {
    let value = text.parse::<f32>().ok().filter(|t| (0.01..=1.0).contains(t));
    value.ok_or_else(|| "a threshold is a number from 0.01 to 1".to_owned())
}

fn print(outcome: &Outcome) {
    println!("{} on {}: {} items", outcome.model, outcome.dataset, outcome.n);
    for (name, value) in &outcome.metrics {
        let range = outcome.interval95.get(name);
        let range = range.map_or_else(String::new, |[low, high]| format!("  95 % {low:.3} to {high:.3}"));
        println!("  {name:18} {}{range}", shown(name, *value));
    }
    for (class, figures) in &outcome.per_class {
        println!("  {class:12} {}", listed(figures));
    }
    for (class, thresholds) in &outcome.at_threshold {
        for (threshold, figures) in thresholds {
            println!("  {class:12} at {threshold:5} {}", listed(figures));
        }
    }
}

fn listed(figures: &BTreeMap<String, f64>) -> String {
    let each: Vec<String> = figures
        .iter()
        .map(|(name, value)| format!("{name} {}", shown(name, *value)))
        .collect();
    each.join("  ")
}
