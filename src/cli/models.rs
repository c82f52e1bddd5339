use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow, ensure};
use serde_json::json;

use crate::app::Wanted;
use crate::config::{self, Secrets, Surroundings};
use crate::nn::{Checked, DeviceChoice, describe};

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    /// Folder of the models. Default: /usr/share/watchfire/models where there is one, else models.
    #[arg(long, global = true)]
    dir: Option<PathBuf>,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Name, task, size, device, milliseconds a call and labels of every model.
    List {
        /// Lists the models of a configuration, with its device and threads, and marks those that it loads with a star.
        #[arg(long)]
        config: Option<PathBuf>,
        /// auto, cpu or cuda:N
        #[arg(long, default_value = "auto", conflicts_with = "config")]
        device: DeviceChoice,
        /// Threads on the CPU; 0 takes every core.
        #[arg(long, default_value_t = 1, conflicts_with = "config", value_parser = clap::value_parser!(u16).range(..=1024))]
        threads: u16,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// sha256, names and shapes of every model, and its reference results where its folder carries them.
    Verify {
        /// auto, cpu or cuda:N
        #[arg(long, default_value = "auto")]
        device: DeviceChoice,
    },
    /// Brings weights of a known architecture in as a model folder.
    Import {
        /// A local .onnx, .pth or .safetensors file.
        source: PathBuf,
        /// yolox-nano, yolox-nano-dense, yolox-tiny, yolox-s, yolox-m, yolox-l or yolox-x.
        #[arg(long)]
        arch: String,
        /// The folder that is made.
        #[arg(long)]
        to: PathBuf,
    },
    /// Measures a model on a labelled data set.
    Eval(super::eval::Args),
    /// Milliseconds a call of every model, on one thread and on all.
    Bench(super::models_bench::Args),
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let dir = args.dir.clone().unwrap_or_else(super::models_dir);
    let well = match &args.command {
        Command::Import { source, arch, to } => {
            crate::nn::import(source, arch, to)?;
            println!(
                "{}: made; models.detector chooses it by its folder's name",
                to.display()
            );
            true
        }
        Command::Eval(eval) => return super::eval::run(eval, &dir),
        Command::Bench(bench) => return super::models_bench::run(bench, &folders(&dir)?),
        Command::List {
            config: None,
            device,
            threads,
            json,
        } => {
            device.ensure_usable()?;
            each(&dir, |folder| list(folder, *device, usize::from(*threads), None, *json))?
        }
        Command::List {
            config: Some(path),
            json,
            ..
        } => {
            ensure!(
                args.dir.is_none(),
                "--dir does not go with --config, whose models.dir names the folder"
            );
            let loaded =
                config::load(path, &Surroundings::for_secrets(Secrets::Unused)).map_err(|e| anyhow!("{}", e[0]))?;
            let models = loaded.config.models;
            models.device.ensure_usable()?;
            let wanted = Wanted::of(&models, &loaded.config.cameras);
            let chosen = wanted.folders();
            each(&models.dir, |folder| {
                list(folder, models.device, models.threads, Some(&chosen), *json)
            })?
        }
        Command::Verify { device } => {
            device.ensure_usable()?;
            each(&dir, |folder| verify(folder, *device))?
        }
    };
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn folders(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(dir)
        .with_context(|| format!("{}: no folder of models here; --dir names another", dir.display()))?;
    let mut folders: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
    // Whatever else keeps a model.toml from being read is told by whoever reads it.
    folders.retain(|folder| match folder.join("model.toml").symlink_metadata() {
        Ok(_) => true,
        Err(e) => !matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory),
    });
    folders.sort();
    ensure!(
        !folders.is_empty(),
        "{}: no folder in it has a model.toml",
        dir.display()
    );
    Ok(folders)
}

/// Does `what` with every model's folder in `dir`; those that fail are named and the others still done.
fn each(dir: &Path, what: impl Fn(&Path) -> anyhow::Result<()>) -> anyhow::Result<bool> {
    let mut well = true;
    for folder in folders(dir)? {
        if let Err(error) = what(&folder) {
            well = false;
            eprintln!("{error:#}");
        }
    }
    Ok(well)
}

fn list(
    folder: &Path,
    device: DeviceChoice,
    threads: usize,
    chosen: Option<&[&PathBuf]>,
    json: bool,
) -> anyhow::Result<()> {
    let model = Checked::load(folder, device, threads)?;
    let (manifest, ms) = (model.manifest(), model.milliseconds()?);
    let names: Vec<&str> = manifest.labels.iter().map(|l| &*l.name).collect();
    let loaded = chosen.map(|c| c.iter().any(|f| *f == folder));
    if json {
        let line = json!({
            "model": *manifest.id(), "task": manifest.task, "arch": manifest.arch, "folder": folder,
            "parameters": model.parameters, "device": describe(device), "ms": ms, "labels": names, "loaded": loaded,
        });
        println!("{line}");
        return Ok(());
    }
    let star = if loaded == Some(true) { "*" } else { " " };
    println!(
        "{star} {:22} {:14} {:6.2} M  {:7} {ms:8.1} ms  {}",
        manifest.id(),
        manifest.task,
        model.parameters as f64 / 1e6,
        describe(device),
        folder.display()
    );
    println!("    {}", shortened(&names));
    Ok(())
}

/// Eighty labels would hide the rest.
fn shortened(names: &[&str]) -> String {
    const SHOWN: usize = 12;
    let more = names.len().saturating_sub(SHOWN);
    let shown = names[..names.len() - more].join(", ");
    if more > 0 {
        format!("{shown} and {more} more")
    } else {
        shown
    }
}

fn verify(folder: &Path, device: DeviceChoice) -> anyhow::Result<()> {
    let model = Checked::load(folder, device, 0)?;
    model.example()?;
    let golden = match model.golden()? {
        Some(off) => format!("answers as the reference does (off by {off:.0e} at most)"),
        None => "carries no reference results".into(),
    };
    println!(
        "{}: sha256, names and shapes are right; {golden}",
        model.manifest().id()
    );
    Ok(())
}
