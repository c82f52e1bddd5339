//! Where log lines go.

use std::fmt;
use std::io::IsTerminal;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

/// To stderr: for the journal under systemd, as JSON, or for people. `RUST_LOG` filters; `info` by default.
pub fn start(json: bool, pretty: bool) {
    start_with(json, pretty, "info,rumqttd=off,rumqttc=warn");
}

/// As [`start`], with another filter by default.
pub fn start_with(json: bool, pretty: bool, default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let stderr = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    // The variable is inherited; whoever looks at a terminal is no journal.
    let to_people = pretty || std::io::stderr().is_terminal();
    let under_systemd = std::env::var_os("JOURNAL_STREAM").is_some() && !to_people;
    let layer: Box<dyn Layer<Registry> + Send + Sync> = if json {
        Box::new(stderr.json())
    } else if under_systemd {
        Box::new(stderr.with_ansi(false).event_format(ForJournal))
    } else {
        Box::new(stderr.with_target(false).with_ansi(std::io::stderr().is_terminal()))
    };
    // Fails only when something has set one before, which then stays.
    let _ = tracing_subscriber::registry()
        .with(layer.with_filter(filter))
        .try_init();
}

/// A line with its fields, and before it the priority as systemd reads it (sd-daemon(3)). The journal adds the time. Fields of the
/// journal's own would be shown by `journalctl -o verbose` alone, and whoever is awake at night would read that some camera is offline.
struct ForJournal;

impl<S, N> FormatEvent<S, N> for ForJournal
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let priority = match *event.metadata().level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            Level::DEBUG | Level::TRACE => 7,
        };
        let mut text = String::new();
        context.format_fields(Writer::new(&mut text), event)?;
        // Each line by itself: the rest of a long error is as grave as its beginning, and no text makes a priority of its own.
        text.lines().try_for_each(|line| writeln!(writer, "<{priority}>{line}"))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek};

    use super::*;

    #[test]
    fn a_line_in_the_journal_says_which_camera_and_how_grave_it_is() {
        let mut file = tempfile::tempfile().unwrap();
        let layer = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .event_format(ForJournal);
        let to_file = layer.with_writer(std::sync::Mutex::new(file.try_clone().unwrap()));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(to_file), || {
            tracing::warn!(camera = %"yard", detail = %"no route\n<0>to host", "camera is offline");
            tracing::info!("ready");
        });
        let mut said = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut said).unwrap();
        assert_eq!(
            said,
            "<4>camera is offline camera=yard detail=no route\n<4><0>to host\n<6>ready\n"
        );
    }
}
