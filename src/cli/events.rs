use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::{self, Secrets, Surroundings};
use crate::publish::payload::AlertPayload;
use crate::store::Store;

#[derive(clap::Args)]
pub struct Args {
    #[arg(long, default_value = "/etc/watchfire/watchfire.toml")]
    config: PathBuf,
    #[arg(long)]
    camera: Option<String>,
    #[arg(long)]
    kind: Option<String>,
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
    for payload in store.events(since_ms, args.camera.as_deref(), args.kind.as_deref())? {
        if args.json {
            println!("{payload}");
        } else if let Ok(a) = serde_json::from_str::<AlertPayload>(&payload) {
            let until = a.ended_at.as_deref().unwrap_or("open");
            let zone = a.zone.as_deref().unwrap_or("-");
            println!(
                "{}  {:10} {:14} {:10} {:.2}  until {until}  {}",
                a.started_at, a.camera, a.kind, zone, a.score, a.id
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}
