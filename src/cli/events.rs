use std::path::PathBuf;
use std::process::ExitCode;

use jiff::{Span, SpanRelativeTo, Timestamp};

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
    /// From this time on, such as 2026-11-24T00:00:00Z, or from so long ago, such as 90m, 12h or 2d.
    #[arg(long, value_parser = since)]
    since: Option<Timestamp>,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

fn since(text: &str) -> Result<Timestamp, String> {
    let ago = || {
        let span: Span = text.parse()?;
        // `-2d` and `2d ago` are in the past too.
        Timestamp::now().checked_sub(span.to_duration(SpanRelativeTo::days_are_24_hours())?.abs())
    };
    let time = text.parse().or_else(|_: jiff::Error| ago());
    time.map_err(|_| "neither a time such as 2026-11-24T00:00:00Z nor a while such as 90m, 12h or 2d".into())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_or_a_while_ago_is_understood_and_anything_else_named() {
        assert_eq!(since("1970-01-02T00:00:00Z").unwrap().as_second(), 86_400);
        for (text, hours) in [("90m", 1.5), ("12h", 12.0), ("2d", 48.0), ("2d ago", 48.0)] {
            let ago = Timestamp::now().duration_since(since(text).unwrap());
            assert!((ago.as_secs_f64() / 3600.0 - hours).abs() < 0.01, "{text}: {ago:?}");
        }
        for text in ["", "yesterday", "12", "99999999999y"] {
            assert!(since(text).unwrap_err().contains("neither a time"), "{text}");
        }
    }
}
