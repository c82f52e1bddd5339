//! The report of a moderation job: a verdict by kind for every file. `docs/moderation.md` describes it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::config::CameraConfig;
use crate::data::{Alert, Severity};
use crate::publish::payload::rounded;

const SCHEMA: &str = "watchfire.report/1";

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    pub schema: String,
    pub job: Job,
    pub totals: Totals,
    /// In the order of their names.
    pub files: Vec<FileReport>,
}

/// What the files were judged by. Results of another job are not carried over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    pub watchfire: String,
    /// `name@version`
    pub models: Vec<String>,
    pub kinds: Vec<String>,
    /// Of everything else that a camera's configuration says.
    pub rules_sha256: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    pub files: usize,
    pub finished: usize,
    /// Named, with the reason in `files`.
    pub unreadable: Vec<PathBuf>,
    /// Of recordings that were played to their end.
    pub hours: f64,
    /// Files in which a kind was found.
    pub flagged: BTreeMap<String, usize>,
    /// Files in which nothing was found.
    pub clean: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileReport {
    pub file: PathBuf,
    pub bytes: u64,
    /// Milliseconds since 1970; with `bytes` it tells a file that was replaced.
    pub modified_ms: i64,
    /// Null when the file could be read to its end.
    pub unreadable: Option<String>,
    pub seconds: f64,
    /// By kind; a kind that is missing was not found.
    pub verdicts: BTreeMap<String, KindVerdict>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KindVerdict {
    /// The highest of its spans, 0 to 1.
    pub score: f64,
    pub severity: String,
    /// Of all spans together.
    pub seconds: f64,
    pub spans: Vec<Span>,
}

/// One alert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Span {
    pub alert: String,
    /// From the file's first frame.
    pub from_s: f64,
    pub to_s: f64,
    pub score: f64,
    pub severity: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub zone: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub direction: Option<String>,
    pub tracks: usize,
    pub evidence: Vec<Evidence>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    pub modality: String,
    pub model: String,
    pub label: String,
    pub score: f64,
    /// Signed, in log-odds.
    pub contribution: f64,
    pub share: f64,
    pub at_s: f64,
}

impl Job {
    pub fn new(camera: &CameraConfig, models: &[String]) -> Self {
        let rules = Sha256::digest(camera.fingerprint().as_bytes());
        Self {
            watchfire: env!("CARGO_PKG_VERSION").into(),
            models: models.to_vec(),
            kinds: camera.policy.kinds.iter().map(|p| p.kind.to_string()).collect(),
            rules_sha256: rules.iter().map(|b| format!("{b:02x}")).collect(),
        }
    }
}

impl FileReport {
    /// # Errors
    /// The file is not there.
    pub fn new(file: &Path) -> anyhow::Result<Self> {
        let about = std::fs::metadata(file).with_context(|| file.display().to_string())?;
        let modified = about
            .modified()
            .ok()
            .and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
        Ok(Self {
            file: file.to_owned(),
            bytes: about.len(),
            modified_ms: modified.map_or(0, |t| t.as_millis() as i64),
            unreadable: None,
            seconds: 0.0,
            verdicts: BTreeMap::new(),
        })
    }

    /// A file that is not even there.
    pub fn unreadable(file: PathBuf, why: String) -> Self {
        Self {
            file,
            bytes: 0,
            modified_ms: 0,
            unreadable: Some(why),
            seconds: 0.0,
            verdicts: BTreeMap::new(),
        }
    }

    /// The verdicts of alerts as they stood at their ends; a later one of the same id replaces an earlier one.
    pub fn judge(&mut self, alerts: &[Alert], start_utc_ns: i64) {
        let mut last: BTreeMap<&str, &Alert> = BTreeMap::new();
        for alert in alerts {
            last.insert(&alert.id, alert);
        }
        let mut last: Vec<&Alert> = last.into_values().collect();
        last.sort_by(|a, b| (a.started_utc_ns, &a.id).cmp(&(b.started_utc_ns, &b.id)));
        for alert in last {
            let verdict = self.verdicts.entry(alert.kind.to_string()).or_default();
            let span = Span::new(alert, start_utc_ns);
            verdict.score = verdict.score.max(span.score);
            verdict.seconds = tenth(verdict.seconds + span.to_s - span.from_s);
            let known = verdict.severity.parse::<Severity>();
            verdict.severity = known.map_or(alert.severity, |s| s.max(alert.severity)).to_string();
            verdict.spans.push(span);
        }
    }
}

impl Span {
    fn new(alert: &Alert, start_utc_ns: i64) -> Self {
        let seconds = |utc_ns: i64| tenth((utc_ns - start_utc_ns) as f64 / 1e9);
        Self {
            alert: alert.id.clone(),
            from_s: seconds(alert.started_utc_ns),
            to_s: seconds(alert.ended_utc_ns.unwrap_or(alert.updated_utc_ns)),
            score: rounded(alert.score),
            severity: alert.severity.to_string(),
            zone: alert.zone.as_ref().map(ToString::to_string),
            direction: alert.direction.map(|d| d.to_string()),
            tracks: alert.tracks.len(),
            evidence: alert
                .evidence
                .iter()
                .map(|e| Evidence {
                    modality: e.modality.to_string(),
                    model: e.model.to_string(),
                    label: e.label.to_string(),
                    score: rounded(e.score),
                    contribution: rounded(e.contribution),
                    share: rounded(e.share),
                    at_s: seconds(e.at_utc_ns),
                })
                .collect(),
        }
    }
}

fn tenth(seconds: f64) -> f64 {
    (seconds * 10.0).round() / 10.0
}

impl Report {
    pub fn new(job: Job) -> Self {
        Self {
            schema: SCHEMA.into(),
            job,
            totals: Totals::default(),
            files: Vec::new(),
        }
    }

    /// The report at `path`, less what another job judged. None when there is no file.
    ///
    /// # Errors
    /// The file is there and is no report: it is not to be overwritten.
    pub fn resume(path: &Path, job: &Job) -> anyhow::Result<Option<Self>> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e).with_context(|| path.display().to_string()),
        };
        let old: Self = match serde_json::from_str(&text) {
            Ok(old) => old,
            Err(e) => bail!("{}: is there and is no report ({e}); name another file", path.display()),
        };
        if old.schema != SCHEMA {
            bail!(
                "{}: is a {}, not a {SCHEMA}; name another file",
                path.display(),
                old.schema
            );
        }
        Ok(Some(if old.job == *job { old } else { Self::new(job.clone()) }))
    }

    /// Whether this very file is finished.
    pub fn has(&self, file: &FileReport) -> bool {
        let same = |f: &&FileReport| f.file == file.file && f.bytes == file.bytes && f.modified_ms == file.modified_ms;
        self.files.iter().find(same).is_some_and(|f| f.unreadable.is_none())
    }

    /// Adds a file in its place.
    pub fn add(&mut self, file: FileReport) {
        match self.files.binary_search_by(|f| f.file.cmp(&file.file)) {
            Ok(at) => self.files[at] = file,
            Err(at) => self.files.insert(at, file),
        }
    }

    /// Writes it whole or not at all.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&mut self, path: &Path) -> anyhow::Result<()> {
        self.totals = self.count();
        let beside = path.with_extension("part");
        let text = serde_json::to_string_pretty(self)? + "\n";
        std::fs::write(&beside, text)
            .and_then(|()| std::fs::rename(&beside, path))
            .with_context(|| path.display().to_string())
    }

    fn count(&self) -> Totals {
        let mut totals = Totals {
            files: self.files.len(),
            ..Totals::default()
        };
        let mut seconds = 0.0;
        for file in &self.files {
            if file.unreadable.is_some() {
                totals.unreadable.push(file.file.clone());
                continue;
            }
            totals.finished += 1;
            seconds += file.seconds;
            totals.clean += usize::from(file.verdicts.is_empty());
            for kind in file.verdicts.keys() {
                *totals.flagged.entry(kind.clone()).or_default() += 1;
            }
        }
        totals.hours = (seconds / 3.6).round() / 1e3;
        totals
    }
}
