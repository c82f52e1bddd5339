use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::{self, Surroundings};

#[derive(clap::Args)]
pub struct Args {
    #[arg(long, default_value = "/etc/watchfire/watchfire.toml")]
    config: PathBuf,
    /// Prints what the configuration comes to: TOML with every default filled in, secrets masked.
    #[arg(long)]
    print: bool,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match config::load(&args.config, &Surroundings::real()) {
        Err(errors) => {
            errors.iter().for_each(|e| eprintln!("{e}"));
            Ok(ExitCode::FAILURE)
        }
        Ok(loaded) => {
            loaded.warnings.iter().for_each(|w| eprintln!("warning: {w}"));
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
