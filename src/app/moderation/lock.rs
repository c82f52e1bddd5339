//! One process at a time writes a report.

use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::store::is_ours;

/// Held while a job writes a report. The lock is the kernel's and ends with the process: a file that a killed one left
/// behind keeps nobody out.
#[derive(Debug)]
pub struct ReportLock {
    path: PathBuf,
    _locked: File,
}

impl ReportLock {
    /// # Errors
    /// Another process writes the report, or its folder cannot be written.
    pub fn take(report: &Path) -> anyhow::Result<Self> {
        let mut path = report.as_os_str().to_owned();
        path.push(".lock");
        let path = PathBuf::from(path);
        loop {
            let file = File::create(&path).with_context(|| path.display().to_string())?;
            if !is_ours(&file, &path) {
                bail!(
                    "{}: another process writes this report; wait for it, or name another file",
                    report.display()
                );
            }
            // Whoever held it may have removed the file since it was opened here: that one keeps nobody out.
            let which = |about: Metadata| (about.dev(), about.ino());
            let locked = file.metadata().map(which)?;
            if std::fs::metadata(&path).map(which).is_ok_and(|there| there == locked) {
                return Ok(Self { path, _locked: file });
            }
        }
    }
}

impl Drop for ReportLock {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_job_on_a_report_is_refused_and_what_a_killed_one_left_keeps_nobody_out() {
        let dir = tempfile::tempdir().unwrap();
        let report = dir.path().join("report.json");
        std::fs::write(dir.path().join("report.json.lock"), b"").unwrap();
        let first = ReportLock::take(&report).unwrap();
        let error = ReportLock::take(&report).unwrap_err().to_string();
        assert!(
            error.contains("report.json: another process writes this report"),
            "{error}"
        );
        let _beside = ReportLock::take(&dir.path().join("other.json")).unwrap();
        drop(first);
        assert!(!dir.path().join("report.json.lock").exists(), "litter");
        ReportLock::take(&report).unwrap();
    }
}
