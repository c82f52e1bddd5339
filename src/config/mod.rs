//! What the operator wrote, checked, and turned into each owner's options.

mod camera;
mod common;
mod docs;
mod document;
mod idle;
mod judge;
mod mqtt;
mod print;
mod raw;
mod resolve;
mod rules;
mod url;
mod wording;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::DeTable;

pub use camera::{MODEL_THRESHOLD, default_behaviour, default_policy};
pub use docs::markdown;

use crate::behaviour::BehaviourOptions;
use crate::data::{CameraId, Redactor, Snapshots};
use crate::ingest::{CameraOptions, Source};
use crate::nn::{Manifest, ModelOptions};
use crate::policy::PolicyOptions;
use crate::publish::MqttOptions;
use crate::stages::{AudioGain, CameraProfile, Gating, NoiseReduction};
use crate::store::StoreOptions;
use document::Document;

/// Everything, resolved.
#[derive(Clone, Debug)]
pub struct Config {
    pub site: String,
    pub box_name: String,
    pub mqtt: MqttOptions,
    pub store: StoreOptions,
    pub models: ModelOptions,
    pub http: Option<SocketAddr>,
    pub cameras: Vec<CameraConfig>,
    /// Cameras that are switched off or wrong, with the reason.
    pub disabled: BTreeMap<CameraId, String>,
    pub redactor: Redactor,
}

/// One camera, resolved.
#[derive(Clone, Debug)]
pub struct CameraConfig {
    pub ingest: CameraOptions,
    pub detect: Vec<Arc<str>>,
    pub behaviour: BehaviourOptions,
    pub policy: PolicyOptions,
    pub snapshots: Snapshots,
    /// What faces and voices express is read: only where the operator has opted in.
    pub emotion: bool,
    pub gating: Gating,
    pub noise_reduction: NoiseReduction,
    pub audio_gain: AudioGain,
}

impl CameraConfig {
    /// What the stages are told of it.
    pub fn profile(&self) -> CameraProfile {
        let place = match &self.ingest.source {
            Source::Rtsp { url, .. } => url.clone(),
            Source::File { path } => path.display().to_string(),
        };
        CameraProfile {
            view: digest(&place).into(),
            detect: self.detect.clone(),
            gating: self.gating,
            noise_reduction: self.noise_reduction,
            audio_gain: self.audio_gain,
            behaviour: self.behaviour.clone(),
            policy: self.policy.clone(),
            snapshots: self.snapshots,
            learned: None,
            emotion: self.emotion,
            recording: None,
        }
    }
}

impl Config {
    /// Takes over from the configuration that runs what a running daemon cannot change.
    pub fn keep_what_is_fixed(&mut self, running: &Self) {
        self.site = running.site.clone();
        self.box_name = running.box_name.clone();
        self.mqtt = running.mqtt.clone();
        self.store = running.store.clone();
        self.models = running.models.clone();
        self.http = running.http;
    }
}

/// What can be compared and shown without telling what it was made of.
pub fn digest(text: &str) -> String {
    use sha2::{Digest, Sha256};
    let hash = Sha256::digest(text.as_bytes());
    hash.iter().map(|b| format!("{b:02x}")).collect()
}

impl CameraConfig {
    /// Equal for two cameras that are configured alike, secrets included.
    pub fn fingerprint(&self) -> String {
        let password = match &self.ingest.source {
            Source::Rtsp { password: Some(p), .. } => p.expose(),
            _ => "",
        };
        digest(&format!("{self:?}|{password}"))
    }
}

/// Something wrong (or doubtful), where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    pub file: PathBuf,
    /// 1-based; 0 when the whole file is meant.
    pub line: usize,
    pub column: usize,
    pub message: String,
    /// Set when only this camera is affected: the others run.
    pub camera: Option<String>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        // 0: the file as a whole.
        if self.line > 0 {
            write!(f, "{}:{}:", self.line, self.column)?;
        }
        write!(f, " {}", self.message)
    }
}

/// A configuration that can run, and what is doubtful about it.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    pub warnings: Vec<Diagnostic>,
    /// Of cameras that do not run for it.
    pub camera_errors: Vec<Diagnostic>,
    /// The texts, for the last good configuration.
    pub texts: Vec<(PathBuf, String)>,
    /// What it all comes to, as TOML with every default filled in and secrets masked. Wrong cameras are left out, and
    /// so are thresholds that are the model's own.
    pub resolved: String,
}

/// What the resolver needs of the world; tests bring their own.
pub struct Surroundings {
    pub env: fn(&str) -> Option<String>,
    pub host_name: String,
    /// Frames a second that the model in a folder needs; None when there is no model.
    pub needs_fps: fn(&Path) -> Option<f32>,
    pub secrets: Secrets,
}

/// What a secret is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrets {
    /// To log in with it.
    Needed,
    /// To see whether it is there. systemd hands its credentials and the unit's environment to the service alone: elsewhere
    /// these are not missed.
    Checked,
    /// For nothing: neither a secret nor a recording that cannot be read is a fault, as neither broker nor camera is asked.
    Unused,
}

impl Surroundings {
    /// This machine, for whoever has other use for secrets than to log in.
    pub fn for_secrets(secrets: Secrets) -> Self {
        Self {
            secrets,
            ..Self::real()
        }
    }

    /// This machine.
    pub fn real() -> Self {
        let host_name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Self {
            env: |name| std::env::var(name).ok(),
            host_name: host_name.trim().to_lowercase(),
            needs_fps: |dir| Manifest::read(dir).ok().map(|m| m.needs.fps),
            secrets: Secrets::Needed,
        }
    }
}

/// Reads `path` and `cameras.d/*.toml` beside it.
///
/// # Errors
/// Every error that keeps the whole configuration from running, at once. A wrong camera is no such error: it is in
/// [`Loaded::camera_errors`].
pub fn load(path: &Path, around: &Surroundings) -> Result<Loaded, Vec<Diagnostic>> {
    let mut paths = vec![path.to_owned()];
    let folder = path.parent().unwrap_or(Path::new(".")).join("cameras.d");
    // Not there is empty; not readable is a fault, as its cameras would silently be gone.
    let entries = match std::fs::read_dir(&folder) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        entries => entries
            .and_then(Iterator::collect::<std::io::Result<Vec<_>>>)
            .map_err(|e| unreadable(&folder, &e))?,
    };
    let entries = entries.iter().map(std::fs::DirEntry::path);
    let (mut more, mut others): (Vec<PathBuf>, Vec<PathBuf>) =
        entries.partition(|p| p.extension().is_some_and(|e| e == "toml"));
    // An editor's own files are nobody's cameras.
    others.retain(|p| {
        let name = p.file_name().unwrap_or_default().to_string_lossy();
        !name.starts_with('.') && !name.ends_with('~')
    });
    more.sort();
    others.sort();
    paths.extend(more);
    let mut texts = Vec::new();
    for path in paths {
        let bytes = std::fs::read(&path).map_err(|e| unreadable(&path, &e))?;
        let text = String::from_utf8(bytes).map_err(|e| not_utf8(&path, &e))?;
        texts.push((path, text));
    }
    let mut loaded = load_texts(texts, around)?;
    let ignored = others.iter().map(|path| {
        let message = "is not read: of cameras.d only files that end in .toml are";
        of_file(path, message.into())
    });
    loaded.warnings.extend(ignored);
    Ok(loaded)
}

/// Of a file as a whole.
fn of_file(path: &Path, message: String) -> Diagnostic {
    Diagnostic {
        file: path.to_owned(),
        line: 0,
        column: 0,
        message,
        camera: None,
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Vec<Diagnostic> {
    vec![of_file(path, format!("cannot be read ({error})"))]
}

/// At its first byte that is none of UTF-8.
fn not_utf8(path: &Path, error: &std::string::FromUtf8Error) -> Vec<Diagnostic> {
    let good = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]);
    let (line, column) = document::line_column(&good, good.len());
    vec![Diagnostic {
        line,
        column,
        ..of_file(path, "this is not UTF-8: save the file as UTF-8".into())
    }]
}

/// As [`load`], from texts.
pub fn load_texts(texts: Vec<(PathBuf, String)>, around: &Surroundings) -> Result<Loaded, Vec<Diagnostic>> {
    // The first is the main file.
    let documents = texts.iter().enumerate();
    let documents = documents.map(|(n, (path, text))| Document::parse(path, text, n > 0));
    let documents: Vec<Document> = documents.collect();
    resolve::resolve(documents, around).map(|mut loaded| {
        loaded.texts = texts;
        loaded
    })
}

/// Keeps the texts of a configuration that runs, so that a wrong one later does not stop the box. `dir` is its `state.dir`.
///
/// # Errors
/// A sentence: it cannot be written there.
pub fn keep_last_good(texts: &[(PathBuf, String)], dir: &Path) -> Result<(), String> {
    write_last_good(texts, dir)
        .map_err(|error| format!("the configuration could not be kept as the last good one ({error})"))
}

fn write_last_good(texts: &[(PathBuf, String)], dir: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let json = serde_json::to_vec(texts)?;
    let path = last_good_path(dir);
    std::fs::create_dir_all(dir)?;
    // Whole or not at all: a full disk or a power cut leaves the one before.
    let half = path.with_extension("part");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&half)?;
    std::io::Write::write_all(&mut file, &json)?;
    file.sync_all()?;
    std::fs::rename(half, path)
}

/// `state.dir` of a file that may be wrong elsewhere, also where it is no TOML.
pub fn state_dir(path: &Path) -> Option<PathBuf> {
    let bytes = std::fs::read(path).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let dir = |text: &str| -> Option<PathBuf> {
        let (tree, _) = DeTable::parse_recoverable(text);
        let state = tree.get_ref().get("state")?.get_ref();
        Some(state.get("dir")?.get_ref().as_str()?.into())
    };
    // A list that was left open swallows the tables behind it: this one is then read from its own line on.
    dir(&text).or_else(|| dir(&text[text.find("\n[state]")?..]))
}

/// The last configuration that ran, if there is one in `dir`.
pub fn last_good(dir: &Path, around: &Surroundings) -> Option<Loaded> {
    let json = std::fs::read(last_good_path(dir)).ok()?;
    load_texts(serde_json::from_slice(&json).ok()?, around).ok()
}

fn last_good_path(dir: &Path) -> PathBuf {
    dir.join("last-good-config.json")
}

#[cfg(test)]
mod tests;
