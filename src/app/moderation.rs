//! The report of a moderation job: a verdict by kind for every file. `docs/moderation.md` describes it.

mod lock;
mod media;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::player::Player;
use super::whole::Whole;
use super::words::shown;
use crate::data::{Alert, Severity};
use crate::ingest::Source;
use crate::nn::FusionMethod;
use crate::publish::payload::rounded;
pub use lock::ReportLock;
pub use media::Media;

const SCHEMA: &str = "watchfire.report/1";

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    pub schema: String,
    pub job: Job,
    pub totals: Totals,
    /// In the order of their names.
    pub files: Vec<FileReport>,
}

/// Which files are judged, and all that their verdicts depend on: those of another job do not stand beside them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Job {
    pub watchfire: String,
    /// `name@version`
    pub models: Vec<String>,
    /// Of all that the models are.
    #[serde(default)]
    pub models_sha256: String,
    /// How picture and sound of a fight are joined; null is the model's own way.
    #[serde(default)]
    pub fusion: Option<String>,
    pub kinds: Vec<String>,
    /// Of everything else that a camera's configuration says.
    pub rules_sha256: String,
    /// The time of each file's first frame: hours of the week are judged by it.
    #[serde(default)]
    pub start: String,
    /// The files and folders that were named.
    #[serde(default)]
    pub paths: Vec<PathBuf>,
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
    /// Files in which nothing was found, and all kinds could be judged.
    pub clean: usize,
    /// Files that say nothing about a kind, by kind.
    #[serde(default)]
    pub not_judged: BTreeMap<String, usize>,
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
    /// By kind; a kind that is in neither list was not found.
    pub verdicts: BTreeMap<String, KindVerdict>,
    /// Kinds about which the file says nothing, and why: a sound has no falls.
    #[serde(default)]
    pub not_judged: BTreeMap<String, String>,
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
    /// The probability before any evidence: its log-odds and the contributions make up the score's.
    pub prior: f64,
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
    pub fn new(player: &Player, fusion: Option<FusionMethod>, start: Timestamp, paths: Vec<PathBuf>) -> Self {
        let mut camera = player.camera().clone();
        // Where its stream comes from says nothing of recordings.
        camera.ingest.source = Source::File { path: PathBuf::new() };
        let word = |(word, method): &(&str, FusionMethod)| (Some(*method) == fusion).then(|| (*word).to_owned());
        Self {
            watchfire: env!("CARGO_PKG_VERSION").into(),
            models: player.models().to_vec(),
            models_sha256: player.models_sha256().into(),
            fusion: FusionMethod::ALL.iter().find_map(word),
            kinds: camera.policy.kinds.iter().map(|p| p.kind.to_string()).collect(),
            rules_sha256: camera.fingerprint(),
            start: start.to_string(),
            paths,
        }
    }

    /// What keeps its verdicts from standing beside those of `now`, in words. More paths than before do not.
    fn differences(&self, now: &Self) -> Vec<String> {
        let fusion = |job: &Self| job.fusion.clone().unwrap_or_else(|| "the model's own".into());
        let told = [
            ("watchfire", self.watchfire.clone(), now.watchfire.clone()),
            ("models", self.models.join(" "), now.models.join(" ")),
            ("fusion", fusion(self), fusion(now)),
            ("kinds", self.kinds.join(","), now.kinds.join(",")),
            ("start", self.start.clone(), now.start.clone()),
        ];
        let mut out: Vec<String> = told
            .into_iter()
            .filter(|(_, old, new)| old != new)
            .map(|(what, old, new)| format!("{what} was {old}, is {new}"))
            .collect();
        if self.models == now.models && self.models_sha256 != now.models_sha256 {
            out.push("a model is another of the same version".into());
        }
        // Kinds and thresholds of models are rules too: those were told.
        if out.is_empty() && self.rules_sha256 != now.rules_sha256 {
            out.push("zones, thresholds or other rules of the camera differ".into());
        }
        let gone = self.paths.iter().filter(|p| !now.paths.contains(p));
        out.extend(gone.map(|p| format!("{} was judged too", shown(p.display()))));
        out
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
            not_judged: BTreeMap::new(),
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
            not_judged: BTreeMap::new(),
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
            prior: rounded(alert.prior),
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
    fn new(job: Job) -> Self {
        Self {
            schema: SCHEMA.into(),
            job,
            totals: Totals::default(),
            files: Vec::new(),
        }
    }

    /// The report at `path` for going on with, or an empty one where there is no file or a `fresh` one is wanted.
    ///
    /// # Errors
    /// The file is there and is no report, or one of another job: it is not to be overwritten.
    pub fn resume(path: &Path, job: Job, fresh: bool) -> anyhow::Result<Self> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Self::new(job)),
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
        if fresh {
            return Ok(Self::new(job));
        }
        let differences = old.job.differences(&job);
        if !differences.is_empty() {
            bail!(
                "{}: is of another job ({}); name another file, or --fresh to start anew",
                path.display(),
                differences.join("; ")
            );
        }
        Ok(Self { job, ..old })
    }

    /// Whether this very file is finished.
    pub fn has(&self, file: &FileReport) -> bool {
        let known = self.finished(&file.file);
        known.is_some_and(|f| f.bytes == file.bytes && f.modified_ms == file.modified_ms)
    }

    /// What is told of a file that was played to its end, whatever lies there now.
    pub fn finished(&self, file: &Path) -> Option<&FileReport> {
        let at = self.files.binary_search_by(|f| f.file.as_path().cmp(file)).ok()?;
        self.files.get(at).filter(|f| f.unreadable.is_none())
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
        let text = serde_json::to_string_pretty(self)? + "\n";
        Whole::write(path, text.as_bytes())
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
            totals.clean += usize::from(file.verdicts.is_empty() && file.not_judged.is_empty());
            for kind in file.not_judged.keys() {
                *totals.not_judged.entry(kind.clone()).or_default() += 1;
            }
            for kind in file.verdicts.keys() {
                *totals.flagged.entry(kind.clone()).or_default() += 1;
            }
        }
        totals.hours = (seconds / 3.6).round() / 1e3;
        totals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> Job {
        Job {
            watchfire: "0.1.0".into(),
            models: vec!["sound@1.0.0".into()],
            models_sha256: "0a".into(),
            kinds: vec!["gunshot".into()],
            rules_sha256: "0b".into(),
            start: "1970-01-01T00:00:00Z".into(),
            paths: vec!["/uploads".into()],
            ..Job::default()
        }
    }

    #[test]
    fn a_report_of_another_job_is_neither_gone_on_with_nor_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("report.json");
        let resume = |change: fn(&mut Job), fresh| {
            let mut job = job();
            change(&mut job);
            Report::resume(&path, job, fresh)
        };
        let mut report = resume(|_| {}, false).unwrap();
        report.add(FileReport::unreadable("/uploads/a.mp4".into(), "no film".into()));
        report.save(&path).unwrap();
        type Change = fn(&mut Job);
        let changes: [(Change, &str); 7] = [
            (|j| j.watchfire = "0.2.0".into(), "watchfire was 0.1.0, is 0.2.0"),
            (|j| j.models[0] = "own@1".into(), "models was sound@1.0.0, is own@1"),
            (|j| j.models_sha256 = "0c".into(), "another of the same version"),
            (
                |j| j.fusion = Some("gated".into()),
                "fusion was the model's own, is gated",
            ),
            (|j| j.start = "2026-01-01T00:00:00Z".into(), "start was 1970"),
            (|j| j.rules_sha256 = "0c".into(), "other rules of the camera differ"),
            (|j| j.paths = vec!["/other".into()], "/uploads was judged too"),
        ];
        for (change, why) in changes {
            let error = resume(change, false).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains("--fresh"), "{error}");
            assert!(resume(change, true).unwrap().files.is_empty());
        }
        let more = resume(|j| j.paths.push("/other".into()), false).unwrap();
        assert_eq!((more.files.len(), more.job.paths.len()), (1, 2));
    }
}
