use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use crate::data::Picture;
use crate::nn::{Detector, DeviceChoice, FaceDetector, FaceEmotion, Manifest, SoundModel};

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
    let manifest = Manifest::read(folder)?;
    let grey = Picture {
        width: 640,
        height: 360,
        rgb: vec![114; 640 * 360 * 3],
    };
    let call: Box<dyn Fn() -> anyhow::Result<()>> = match manifest.task.as_str() {
        "detector" => {
            let model = Detector::load(folder, DeviceChoice::Auto, 1)?;
            Box::new(move || Ok(model.detect(&[&grey], 0.5).map(|_| ())?))
        }
        "face" => {
            let model = FaceDetector::load(folder, DeviceChoice::Auto, 1)?;
            Box::new(move || Ok(model.find(&grey, 0.5).map(|_| ())?))
        }
        "face_emotion" => {
            let model = FaceEmotion::load(folder, DeviceChoice::Auto, 1)?;
            let crop = vec![114; model.side() * model.side()];
            Box::new(move || Ok(model.classify(&[&crop]).map(|_| ())?))
        }
        _ => {
            let model = SoundModel::load(folder, DeviceChoice::Auto, 1)?;
            let silence = vec![0f32; model.manifest().input.patch_samples];
            Box::new(move || Ok(model.classify(&[&silence]).map(|_| ())?))
        }
    };
    call()?;
    let start = Instant::now();
    call()?;
    Ok((manifest, start.elapsed().as_secs_f64() * 1e3))
}
