use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::app::words::counted;
use crate::app::{Vocabulary, Wanted};
use crate::config::{self, Config, Secrets, Surroundings};
use crate::publish::check_tls;

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
            let config = &loaded.config;
            let (mut faults, mut doubts) = models(config);
            // As a start would: with another device than the one that was asked for nothing runs.
            faults.extend(config.models.device.ensure_usable().err().map(|e| e.to_string()));
            faults.extend(check_tls(&config.mqtt).err());
            doubts.extend(nothing_watched(config).map(|why| format!("{}: {why}", args.config.display())));
            loaded.warnings.iter().for_each(|w| eprintln!("warning: {w}"));
            doubts.iter().for_each(|w| eprintln!("warning: {w}"));
            loaded.camera_errors.iter().for_each(|e| eprintln!("{e}"));
            faults.iter().for_each(|e| eprintln!("{}: {e}", args.config.display()));
            let well = loaded.camera_errors.is_empty() && faults.is_empty();
            if args.print {
                print!("{}", loaded.resolved);
            } else if well && !config.cameras.is_empty() {
                println!("{}, all well", counted(config.cameras.len(), "camera"));
            }
            Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}

/// A configuration that can run and watches nothing: right while a box is set up, and never meant later.
fn nothing_watched(config: &Config) -> Option<String> {
    if !config.cameras.is_empty() {
        return None;
    }
    Some(match config.disabled.len() {
        0 => "there is no [[camera]]: nothing will be watched".into(),
        off => format!("no camera is switched on and right, of {off}: nothing will be watched"),
    })
}

/// What keeps the daemon from starting with these models, and what they do not know.
fn models(config: &Config) -> (Vec<String>, Vec<String>) {
    let (options, cameras) = (&config.models, &config.cameras);
    let found = std::fs::metadata(&options.dir);
    if found.is_err_and(|e| e.kind() == ErrorKind::NotFound) {
        // A configuration may be written on another machine.
        let dir = options.dir.display();
        return (
            Vec::new(),
            vec![format!("{dir}: no models here, so none were looked at")],
        );
    }
    let wanted = Wanted::of(options, cameras);
    let mut doubts = Vocabulary::unknown(options, cameras);
    let fights = cameras.iter().any(|c| c.behaviour.fight.is_some());
    doubts.extend(wanted.left_out().filter(|_| fights));
    (wanted.faults(options, cameras), doubts)
}
