use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::nn::{Checked, DeviceChoice};

/// Milliseconds a call, on one thread and on all.
#[derive(clap::Args)]
pub struct Args {
    /// Folder names; every model by default.
    models: Vec<String>,
    /// Seconds a measurement, 0.1 to 3600.
    #[arg(long, default_value_t = 2.0, value_parser = seconds)]
    seconds: f64,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

#[derive(serde::Serialize)]
struct Line {
    model: String,
    task: String,
    /// 0: one a core.
    threads: usize,
    calls: usize,
    ms_p50: f64,
    ms_p95: f64,
}

pub fn run(args: &Args, folders: &[PathBuf]) -> anyhow::Result<ExitCode> {
    for name in &args.models {
        anyhow::ensure!(folders.iter().any(|f| f.ends_with(name)), "there is no model `{name}`");
    }
    let wanted = |f: &&PathBuf| args.models.is_empty() || args.models.iter().any(|m| f.ends_with(m));
    for folder in folders.iter().filter(wanted) {
        for threads in [1, 0] {
            let line = measure(folder, threads, Duration::from_secs_f64(args.seconds))?;
            if args.json {
                println!("{}", serde_json::to_string(&line)?);
            } else {
                let threads = if threads == 0 { "all threads" } else { "1 thread" };
                println!(
                    "{:20} {:14} {threads:11}  half within {:7.2} ms a call, 95 % within {:7.2} ms ({} calls)",
                    line.model, line.task, line.ms_p50, line.ms_p95, line.calls
                );
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn seconds(text: &str) -> Result<f64, String> {
    let value = text.parse().ok().filter(|s| (0.1..=3600.0).contains(s));
    value.ok_or_else(|| "a number from 0.1 to 3600 is needed".to_owned())
}

fn measure(folder: &std::path::Path, threads: usize, time: Duration) -> anyhow::Result<Line> {
    let model = Checked::load(folder, DeviceChoice::Auto, threads)?;
    // The first call touches memory that the later ones find warm.
    model.example()?;
    let (mut calls_ms, until) = (Vec::new(), Instant::now() + time);
    while Instant::now() < until || calls_ms.len() < 3 {
        let start = Instant::now();
        model.example()?;
        calls_ms.push(start.elapsed().as_secs_f64() * 1e3);
    }
    calls_ms.sort_by(f64::total_cmp);
    let quantile = |q: f64| calls_ms[((calls_ms.len() - 1) as f64 * q).round() as usize];
    Ok(Line {
        model: model.manifest().id().to_string(),
        task: model.manifest().task.clone(),
        threads,
        calls: calls_ms.len(),
        ms_p50: quantile(0.5),
        ms_p95: quantile(0.95),
    })
}
