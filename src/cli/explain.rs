//! Why did this alert fire?

mod needs;
mod sane;
mod story;

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail, ensure};
use serde_json::Value;

use crate::app::words::shown;
use crate::config::{self, Config, Secrets, Surroundings};
use crate::publish::payload::AlertPayload;
use crate::store::Store;

#[derive(clap::Args)]
pub struct Args {
    /// An alert of the store. Without it, alerts are read from stdin: JSON objects as they are published, the lines of
    /// `replay --events`, or an array of them.
    alert_id: Option<String>,
    /// Where the store is, and what the thresholds are. For an alert on stdin it may be missing: thresholds are then
    /// not told.
    #[arg(long)]
    config: Option<PathBuf>,
}

/// Where the configuration is when an id is given and no --config.
const CONFIG: &str = "/etc/watchfire/watchfire.toml";
/// More on stdin is no list of alerts.
const MAX_STDIN_BYTES: u64 = 64 << 20;

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let path = args.config.clone();
    let path = path.or_else(|| args.alert_id.is_some().then(|| CONFIG.into()));
    let config = path.map(|path| load(&path)).transpose()?;
    let messages = match (&args.alert_id, &config) {
        (Some(id), Some(config)) => stored(id, config)?,
        _ => from_stdin()?,
    };
    for (i, life) in lives(messages).iter().enumerate() {
        if i > 0 {
            println!();
        }
        let needs = config.as_ref().map(|c| needs::of(c, &life[life.len() - 1]));
        print!("{}", story::tell(life, needs.as_deref()));
    }
    Ok(ExitCode::SUCCESS)
}

fn load(path: &std::path::Path) -> anyhow::Result<Config> {
    let loaded = config::load(path, &Surroundings::for_secrets(Secrets::Unused));
    loaded.map(|l| l.config).map_err(|errors| anyhow!("{}", errors[0]))
}

fn stored(id: &str, config: &Config) -> anyhow::Result<Vec<AlertPayload>> {
    let life = Store::open_existing(&config.store)?.life(id)?;
    ensure!(
        !life.is_empty(),
        "the store in {} has no alert {}; `watchfire events` lists those that it has",
        config.store.dir.display(),
        shown(id)
    );
    let messages = life
        .iter()
        .map(|payload| serde_json::from_value(harmless(serde_json::from_str(payload)?)));
    messages
        .collect::<Result<_, _>>()
        .with_context(|| format!("the stored alert {id}"))
}

fn from_stdin() -> anyhow::Result<Vec<AlertPayload>> {
    let mut text = String::new();
    std::io::stdin()
        .take(MAX_STDIN_BYTES + 1)
        .read_to_string(&mut text)
        .context("stdin")?;
    ensure!(text.len() as u64 <= MAX_STDIN_BYTES, "stdin: more than 64 MiB");
    let mut values = Vec::new();
    for value in serde_json::Deserializer::from_str(&text).into_iter::<Value>() {
        match value.with_context(|| format!("stdin, object {}", values.len() + 1))? {
            Value::Array(list) => values.extend(list),
            one => values.push(one),
        }
    }
    let mut messages = Vec::new();
    for (i, value) in values.into_iter().map(harmless).enumerate() {
        let nth = || format!("stdin, object {}", i + 1);
        let schema = value["schema"].as_str().unwrap_or("none");
        ensure!(
            schema.starts_with("watchfire.alert/"),
            "{}: its schema is {schema}, not watchfire.alert/1",
            nth()
        );
        let message: AlertPayload = serde_json::from_value(value).with_context(nth)?;
        sane::check(&message).map_err(|why| anyhow!("{}: {why}", nth()))?;
        messages.push(message);
    }
    if messages.is_empty() {
        bail!("stdin holds no alert; give an alert's id, or its JSON on stdin");
    }
    Ok(messages)
}

/// Anybody may have written it: no name in it steers the terminal on which it is told.
fn harmless(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(shown(text)),
        Value::Array(list) => Value::Array(list.into_iter().map(harmless).collect()),
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(name, value)| (shown(name), harmless(value)));
            Value::Object(fields.collect())
        }
        other => other,
    }
}

/// The messages of each alert in the order of their numbers, alerts in the order of their first message.
fn lives(messages: Vec<AlertPayload>) -> Vec<Vec<AlertPayload>> {
    let mut lives: Vec<Vec<AlertPayload>> = Vec::new();
    for message in messages {
        match lives
            .iter_mut()
            .find(|l| l[0].id == message.id && l[0].source == message.source)
        {
            Some(life) => life.push(message),
            None => lives.push(vec![message]),
        }
    }
    for life in &mut lives {
        life.sort_by_key(|m| m.seq);
        life.dedup_by_key(|m| m.seq);
    }
    lives
}
