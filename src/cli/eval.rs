use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;

use crate::eval::{EvalOptions, Outcome, evaluate};
use crate::nn::DeviceChoice;

#[derive(clap::Args)]
pub struct Args {
    /// A folder below --dir, or a path.
    model: PathBuf,
    /// A folder or tar: images/ and labels/ (YOLO text, COCO numbers), or labels.csv beside sounds.
    dataset: PathBuf,
    /// Only rows of labels.csv with this value, such as fold=5.
    #[arg(long = "where", value_name = "COL=VALUE")]
    filters: Vec<String>,
    /// Leaves a modality out, for models that take both.
    #[arg(long, value_parser = ["audio", "video"])]
    drop: Option<String>,
    /// The figures as JSON.
    #[arg(long)]
    json: bool,
    /// Writes the raw result of each item as a line of JSON.
    #[arg(long)]
    predictions: Option<PathBuf>,
    /// auto, cpu or cuda:N
    #[arg(long, default_value = "auto")]
    device: String,
}

pub fn run(args: &Args, models: &Path) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(
        args.drop.is_none(),
        "--drop: no model of this version takes both sound and picture"
    );
    let filter = |text: &String| {
        let (column, value) = text.split_once('=').context("--where takes COLUMN=VALUE")?;
        Ok((column.to_owned(), value.to_owned()))
    };
    let below = models.join(&args.model);
    let options = EvalOptions {
        model: if below.join("model.toml").exists() {
            below
        } else {
            args.model.clone()
        },
        dataset: args.dataset.clone(),
        filters: args.filters.iter().map(filter).collect::<anyhow::Result<_>>()?,
        predictions: args.predictions.clone(),
        device: device(&args.device)?,
    };
    let outcome = evaluate(&options)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&outcome)?);
    } else {
        print(&outcome);
    }
    Ok(ExitCode::SUCCESS)
}

fn device(text: &str) -> anyhow::Result<DeviceChoice> {
    Ok(match (text, text.strip_prefix("cuda:").map(str::parse)) {
        ("auto", _) => DeviceChoice::Auto,
        ("cpu", _) => DeviceChoice::Cpu,
        (_, Some(Ok(n))) => DeviceChoice::Cuda(n),
        _ => anyhow::bail!("--device {text:?}: auto, cpu or cuda:N"),
    })
}

fn print(outcome: &Outcome) {
    println!("{} on {}: {} items", outcome.model, outcome.dataset, outcome.n);
    for (name, value) in &outcome.metrics {
        let range = outcome.interval95.get(name);
        let range = range.map_or_else(String::new, |[low, high]| format!("  95 % {low:.3} to {high:.3}"));
        println!("  {name:12} {value:.3}{range}");
    }
    for (class, figures) in &outcome.per_class {
        let figures: Vec<String> = figures
            .iter()
            .map(|(name, value)| format!("{name} {value:.3}"))
            .collect();
        println!("  {class:12} {}", figures.join("  "));
    }
}
