use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use crate::nn::{DeviceChoice, Exercise, Manifest};

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    /// Folder of the models.
    #[arg(long, global = true, default_value = "/usr/share/watchfire/models")]
    dir: PathBuf,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Name, version, task, labels, and milliseconds a call on one thread.
    List,
    /// sha256 and shapes of every model.
    Verify,
    /// Brings weights of a known architecture in as a model folder.
    Import {
        /// A local .onnx, .pth or .safetensors file.
        source: PathBuf,
        /// yolox-nano, yolox-tiny, yolox-s, yolox-m, yolox-l or yolox-x.
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
    if let Command::Import { source, arch, to } = &args.command {
        crate::nn::import(source, arch, to)?;
        println!(
            "{}: made; models.detector chooses it by its folder's name",
            to.display()
        );
        return Ok(ExitCode::SUCCESS);
    }
    if let Command::Eval(eval) = &args.command {
        return super::eval::run(eval, &args.dir);
    }
    let mut folders: Vec<PathBuf> = std::fs::read_dir(&args.dir)?.flatten().map(|e| e.path()).collect();
    folders.retain(|f| f.join("model.toml").exists());
    folders.sort();
    if let Command::Bench(bench) = &args.command {
        return super::models_bench::run(bench, &folders);
    }
    let mut well = true;
    for folder in folders {
        match load(&folder) {
            Ok((manifest, ms)) => {
                let labels = manifest.labels.iter().map(|l| &*l.name).collect::<Vec<_>>().join(", ");
                match &args.command {
                    Command::List => println!("{:18} {:9} {ms:6.1} ms  {labels}", manifest.id(), manifest.task),
                    _ => println!("{}: well", manifest.id()),
                }
            }
            Err(error) => {
                well = false;
                eprintln!("{error}");
            }
        }
    }
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Loads a model (which checks sha256 and shapes) and times its second call.
fn load(folder: &std::path::Path) -> anyhow::Result<(Manifest, f64)> {
    let mut model = Exercise::load(folder, DeviceChoice::Auto, 1)?;
    model.call()?;
    let start = Instant::now();
    model.call()?;
    Ok((model.manifest, start.elapsed().as_secs_f64() * 1e3))
}
