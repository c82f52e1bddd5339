use std::path::PathBuf;
use std::process::ExitCode;

use crate::app::Vocabulary;
use crate::config::{self, Config, Secrets, Surroundings};

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
    let Ok(vocabulary) = Vocabulary::read(&config.models) else {
        return Vec::new();
    };
    config
        .cameras
        .iter()
        .flat_map(|camera| vocabulary.unknown_to(camera))
        .collect()
}
