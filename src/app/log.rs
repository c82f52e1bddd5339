//! Where log lines go.

use std::io::IsTerminal;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

/// Journald under systemd, else stderr: JSON, or for people. `RUST_LOG` filters; `info` by default.
pub fn start(json: bool, pretty: bool) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,rumqttd=off,rumqttc=warn"));
    let stderr = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let under_systemd = std::env::var_os("JOURNAL_STREAM").is_some() && !json && !pretty;
    let journald = under_systemd.then(|| tracing_journald::layer().ok()).flatten();
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match journald {
        Some(journald) => Box::new(journald),
        None if json => Box::new(stderr.json()),
        None => Box::new(stderr.with_target(false).with_ansi(std::io::stderr().is_terminal())),
    };
    // Fails only when something has set one before, which then stays.
    let _ = tracing_subscriber::registry()
        .with(layer.with_filter(filter))
        .try_init();
}
