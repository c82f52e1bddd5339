use std::path::PathBuf;
use std::process::ExitCode;

use jiff::{Span, SpanRelativeTo, Timestamp};

use crate::app::words::counted;
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
    /// One JSON object a line, with all that is known of an alert.
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
    let (mut rows, mut left_out) = (Vec::new(), 0);
    for payload in events {
        if args.json {
            println!("{payload}");
            continue;
        }
        let a = match serde_json::from_str::<AlertPayload>(&payload) {
            Ok(alert) => alert,
            Err(error) => {
                eprintln!("watchfire: an event that cannot be read ({error}); --json shows it");
                left_out += 1;
                continue;
            }
        };
        rows.push(row(a));
    }
    if !args.json {
        print!("{}", table(&rows));
    }
    if left_out > 0 {
        eprintln!("watchfire: the table lacks {}", counted(left_out, "event"));
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// A table has its header always: whoever wants no words takes --json.
const HEADER: [&str; 9] = [
    "started",
    "until",
    "camera",
    "kind",
    "severity",
    "place",
    "direction",
    "score",
    "id",
];

fn row(a: AlertPayload) -> [String; 9] {
    let or_none = |word: Option<String>| word.unwrap_or_else(|| "-".into());
    [
        a.started_at,
        a.ended_at.unwrap_or_else(|| "open".into()),
        a.camera,
        a.kind,
        a.severity,
        or_none(a.zone),
        or_none(a.direction),
        format!("{:.2}", a.score),
        a.id,
    ]
}

/// Columns as wide as what stands in them.
fn table(rows: &[[String; 9]]) -> String {
    let mut widths = HEADER.map(|word| word.chars().count());
    for row in rows {
        for (width, word) in widths.iter_mut().zip(row) {
            *width = word.chars().count().max(*width);
        }
    }
    let mut out = String::new();
    let header = HEADER.map(str::to_owned);
    for row in std::iter::once(&header).chain(rows) {
        let words = row.iter().zip(widths);
        let line: Vec<String> = words.map(|(word, width)| format!("{word:width$}")).collect();
        out += line.join("  ").trim_end();
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(camera: &str, zone: Option<&str>, direction: Option<&str>, ended_at: Option<&str>) -> AlertPayload {
        serde_json::from_value(serde_json::json!({
            "schema": "watchfire.alert/1", "id": "01J", "seq": 0, "phase": "start", "site": "s", "box": "b",
            "camera": camera, "kind": "intrusion", "severity": "critical", "score": 0.876,
            "started_at": "1970-01-01T00:00:05.000Z", "updated_at": "1970-01-01T00:00:07.500Z", "ended_at": ended_at,
            "end_reason": null, "zone": zone, "direction": direction, "tracks": [], "emotion": null, "evidence": [],
            "snapshot": null, "clip": null}))
        .unwrap()
    }

    #[test]
    fn a_table_names_its_columns_and_tells_how_grave_and_which_way() {
        let until = Some("1970-01-01T00:00:09.000Z");
        let alerts = [
            alert("yard", Some("fence"), Some("left_to_right"), until),
            alert("the-gate-of-the-yard", None, None, None),
        ];
        let told = table(&alerts.map(row));
        let lines: Vec<&str> = told.lines().collect();
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(lines.len(), 3, "{told}");
        assert_eq!(words(lines[0]), HEADER);
        let [first, second] = [lines[1], lines[2]].map(words);
        let closed = "1970-01-01T00:00:09.000Z yard intrusion critical fence left_to_right 0.88 01J";
        assert_eq!(first[1..].join(" "), closed);
        let open = "open the-gate-of-the-yard intrusion critical - - 0.88 01J";
        assert_eq!(second[1..].join(" "), open);
        for column in ["kind", "severity", "score"] {
            let at = lines[0].find(column).unwrap();
            assert!(
                lines
                    .iter()
                    .all(|l| l.as_bytes()[at - 1] == b' ' && l.as_bytes()[at] != b' '),
                "{told}"
            );
        }
        assert_eq!(table(&[]).lines().count(), 1);
    }

    #[test]
    fn a_table_that_lacks_an_event_is_incomplete_and_a_list_of_json_lacks_none() {
        use crate::store::{Message, StoreOptions};
        let dir = tempfile::tempdir().unwrap();
        let (config, state) = (dir.path().join("w.toml"), dir.path().join("state"));
        let models = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
        let text = format!("[site]\nname = \"s\"\n[models]\ndir = {models:?}\n[state]\ndir = {state:?}\n");
        std::fs::write(&config, text).unwrap();
        let day = std::time::Duration::from_secs(86_400);
        let mut store = Store::open(&StoreOptions {
            dir: state,
            keep_for: day,
            outbox_max: 10,
            outbox_max_age: day,
        })
        .unwrap();
        let mut add = |id: &str, payload: String| {
            let message = Message {
                alert_id: id.into(),
                camera: "yard".into(),
                kind: "intrusion".into(),
                phase: "end".into(),
                started_utc_ms: 5_000,
                topic: "t".into(),
                payload,
            };
            store.commit(&[message], 5_000).unwrap();
        };
        let status = |json| {
            let args = Args {
                config: config.clone(),
                camera: None,
                kind: None,
                since: None,
                json,
            };
            format!("{:?}", run(&args).unwrap())
        };
        let [well, failed] = [ExitCode::SUCCESS, ExitCode::FAILURE].map(|code| format!("{code:?}"));
        add("a", serde_json::to_string(&alert("yard", None, None, None)).unwrap());
        assert_eq!([status(false), status(true)], [well.clone(), well.clone()]);
        add("b", "{}".into());
        assert_eq!([status(false), status(true)], [failed, well]);
    }

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
