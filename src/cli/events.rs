use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::{self, Secrets, Surroundings};
use crate::data::Kind;
use crate::publish::payload::AlertPayload;
use crate::store::Store;

#[derive(clap::Args)]
pub struct Args {
    #[arg(long, default_value = "/etc/watchfire/watchfire.toml")]
    config: PathBuf,
    #[arg(long)]
    camera: Option<String>,
    #[arg(long, value_parser = super::kind)]
    kind: Option<Kind>,
    /// From this time on, such as 2026-11-24T00:00:00Z.
    #[arg(long)]
    since: Option<jiff::Timestamp>,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let loaded = config::load(&args.config, &Surroundings::for_secrets(Secrets::Unused))
        .map_err(|e| anyhow::anyhow!("{}", e[0]))?;
    let store = Store::open_existing(&loaded.config.store)?;
    let since_ms = args.since.map_or(0, |t| t.as_millisecond());
    let events = store.events(since_ms, args.camera.as_deref(), args.kind.map(Kind::as_str))?;
    if let Some(camera) = args.camera.as_deref().filter(|_| events.is_empty()) {
        // Cameras of before are asked for too; a slip of the pen must not look like a quiet night.
        let known: Vec<&str> = loaded.config.cameras.iter().map(|c| c.ingest.id.as_str()).collect();
        if !known.contains(&camera) {
            eprintln!(
                "watchfire: the configuration has no camera {camera}; it has {}",
                known.join(", ")
            );
        }
    }
    for payload in events {
        if args.json {
            println!("{payload}");
            continue;
        }
        let a = match serde_json::from_str::<AlertPayload>(&payload) {
            Ok(alert) => alert,
            Err(error) => {
                eprintln!("watchfire: an event that cannot be read ({error}); --json shows it");
                continue;
            }
        };
        let until = a.ended_at.as_deref().unwrap_or("open");
        let zone = a.zone.as_deref().unwrap_or("-");
        println!(
            "{}  {:10} {:14} {:10} {:.2}  until {until}  {}",
            a.started_at, a.camera, a.kind, zone, a.score, a.id
        );
    }
    Ok(ExitCode::SUCCESS)
}
