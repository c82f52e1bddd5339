use std::path::PathBuf;
use std::process::ExitCode;

use crate::app::unknown_labels;
use crate::config::{self, Config, Secrets, Surroundings};
use crate::nn::Manifest;

#[derive(clap::Args)]
pub struct Args {
    #[arg(long, default_value = "/etc/watchfire/watchfire.toml")]
    config: PathBuf,
    /// Prints what the configuration comes to: TOML with every default filled in, secrets masked.
    #[arg(long)]
    print: bool,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match config::load(&args.config, &Surroundings::for_secrets(Secrets::Checked)) {
        Err(errors) => {
            errors.iter().for_each(|e| eprintln!("{e}"));
            Ok(ExitCode::FAILURE)
        }
        Ok(loaded) => {
            loaded.warnings.iter().for_each(|w| eprintln!("warning: {w}"));
            strangers(&loaded.config).iter().for_each(|w| eprintln!("warning: {w}"));
            loaded.camera_errors.iter().for_each(|e| eprintln!("{e}"));
            let well = loaded.camera_errors.is_empty();
            if args.print {
                print!("{}", loaded.resolved);
            } else if well {
                println!("{} cameras, all well", loaded.config.cameras.len());
            }
            Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}

/// What the models do not know, where they are installed: a configuration may be written on another machine.
fn strangers(config: &Config) -> Vec<String> {
    let read = |name: &String| Manifest::read(&config.models.dir.join(name));
    let (Ok(detector), Ok(sound)) = (read(&config.models.detector), read(&config.models.sound)) else {
        return Vec::new();
    };
    let cameras = config.cameras.iter();
    cameras
        .flat_map(|camera| unknown_labels(camera, &detector, &sound))
        .collect()
}
