//! `replay --report`: a moderation job over many recordings.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::recordings::Recordings;
use super::replay::Setup;
use crate::app::moderation::{FileReport, Job, Media, Report, ReportLock};
use crate::app::player::Player;
use crate::app::words::{counted, shown};
use crate::data::{Alert, Kind};
use crate::nn::{Manifest, ModelOptions};

/// What is finished is written at most so much later.
const SAVE_EVERY: Duration = Duration::from_secs(2);

/// What is looked for when nobody names kinds: accidents, violence and sounds of danger, not that somebody is there.
///
/// # Errors
/// The sound model is not there.
pub(super) fn kinds(models: &ModelOptions) -> anyhow::Result<Vec<Kind>> {
    let sounds = Manifest::read(&models.dir.join(&models.sound))?.label_names();
    let heard = |kind: &Kind| kind.is_sound() && sounds.iter().any(|l| **l == *kind.as_str());
    let mut kinds = vec![Kind::Fall, Kind::Fight];
    kinds.extend(Kind::ALL.iter().copied().filter(heard));
    Ok(kinds)
}

/// Judges what `paths` name on as many players as there are `jobs`, or cores, and writes the report to `out`; files that an
/// existing report has finished are skipped, unless a `fresh` one is wanted. Returns whether everything could be read.
///
/// # Errors
/// There is nothing to judge, the models cannot be loaded, `out` is no report of this job or another process writes it, or it
/// cannot be written.
pub(super) fn run(
    setup: &Setup,
    start: jiff::Timestamp,
    paths: &[PathBuf],
    out: &Path,
    fresh: bool,
    jobs: Option<u16>,
) -> anyhow::Result<bool> {
    let start_utc_ns = super::replay::utc_ns(start)?;
    // One spelling for each: however a folder is named, its files are the same.
    if let Some(path) = paths.iter().find(|p| p.to_str().is_none()) {
        bail!("{}: its name is not UTF-8, and a report is text", shown(path.display()));
    }
    let mut paths: Vec<PathBuf> = paths.iter().map(|p| one_spelling(p)).collect();
    paths.sort();
    paths.dedup();
    let Recordings { mut files, unreadable } = Recordings::find(&paths)?;
    files.sort();
    files.dedup();
    let _lock = ReportLock::take(out)?;
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = jobs.map_or_else(cores, usize::from);
    // A player a core, each with one thread for its arithmetic, shares the work better than one with them all.
    let mut models = setup.models.clone();
    models.threads = 1;
    let mut camera = setup.camera.clone();
    // Whoever reads a report wants every span, and nobody is woken by it.
    for policy in &mut camera.policy.kinds {
        (policy.max_per_hour, policy.cooldown_s, policy.track_cooldown_s) = (0, 0.0, 0.0);
    }
    let first = Player::start(camera.clone(), &models)?;
    let mut report = Report::resume(out, Job::new(&first, models.fusion, start, paths), fresh)?;
    let (todo, next) = crossbeam_channel::unbounded();
    // A report is text: a name that is none is told as nearly as it can be.
    let told = |(path, why): (PathBuf, String)| (PathBuf::from(path.to_string_lossy().into_owned()), why);
    let mut missing: Vec<(PathBuf, String)> = unreadable.into_iter().map(told).collect();
    let (mut waiting, mut again) = (0, 0);
    for file in &files {
        match FileReport::new(file) {
            Ok(entry) if report.has(&entry) => {}
            Ok(entry) => {
                waiting += 1;
                again += usize::from(report.finished(file).is_some());
                let _ = todo.send(entry);
            }
            Err(error) => missing.push((file.clone(), format!("{error:#}"))),
        }
    }
    drop(todo);
    // A share that is not mounted leaves an empty folder.
    for folder in report.files.iter().filter_map(|f| emptied(&f.file)) {
        if !missing.iter().any(|(path, _)| *path == folder) {
            let why = format!("{}: nothing is in it any more", shown(folder.display()));
            missing.push((folder, why));
        }
    }
    // What is no longer there is no longer told. Where nobody could look this time everything may still be there.
    let unseen = |file: &Path| missing.iter().any(|(path, _)| file.starts_with(path));
    report
        .files
        .retain(|f| files.binary_search(&f.file).is_ok() || unseen(&f.file));
    let all_seen = missing.is_empty();
    for (path, why) in missing {
        eprintln!("watchfire: {}", shown(&why));
        // A verdict stands until the file is seen to be another, or none at all: a pipe in its place.
        let is_no_file = std::fs::metadata(&path).is_ok_and(|about| !about.is_file());
        if is_no_file || report.finished(&path).is_none() {
            report.add(FileReport::unreadable(path, why));
        }
    }
    // At once, so that a report that cannot be written is not found out about after hours.
    report.save(out)?;
    let known = report.totals.finished - again;
    let mut players = vec![first];
    while players.len() < jobs.min(waiting) {
        players.push(Player::start(camera.clone(), &models)?);
    }

    let of = counted(waiting, "file");
    let bar = indicatif::ProgressBar::new(waiting as u64).with_style(
        indicatif::ProgressStyle::with_template(&format!("{{pos}} of {of}  {{wide_bar}}  {{eta}} left  {{msg}}"))
            .context("progress bar")?,
    );
    let (done, finished) = crossbeam_channel::bounded(2 * players.len());
    let written = std::thread::scope(|scope| {
        for player in &mut players {
            let (next, done, bar) = (next.clone(), done.clone(), &bar);
            scope.spawn(move || {
                for entry in next {
                    bar.set_message(shown(entry.file.display()));
                    if done.send(judge(player, entry, start_utc_ns)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(done);
        gather(finished, &mut report, out, &bar, SAVE_EVERY)
    });
    bar.finish_and_clear();
    written?;
    for player in players {
        player.stop()?;
    }
    tell(&report, known);
    Ok(all_seen && report.totals.unreadable.is_empty())
}

/// The folder in which a file must have been, if nothing is left there at all.
fn emptied(file: &Path) -> Option<PathBuf> {
    let folder = file.ancestors().skip(1).find(|folder| folder.is_dir())?;
    let mut entries = folder.read_dir().ok()?;
    entries.next().is_none().then(|| folder.to_owned())
}

fn one_spelling(path: &Path) -> PathBuf {
    let absolute = || std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    // What is not there has no other name.
    path.canonicalize().unwrap_or_else(|_| absolute())
}

/// Takes in what is finished until nothing more comes, and writes the report: whoever plays a long file for hours keeps
/// nothing from it that is finished.
fn gather(
    finished: Receiver<FileReport>,
    report: &mut Report,
    out: &Path,
    bar: &indicatif::ProgressBar,
    save_every: Duration,
) -> anyhow::Result<()> {
    let (mut saved, mut unsaved) = (Instant::now(), false);
    loop {
        let wait = if unsaved {
            save_every.saturating_sub(saved.elapsed())
        } else {
            Duration::MAX
        };
        match finished.recv_timeout(wait) {
            Ok(entry) => {
                if let Some(why) = &entry.unreadable {
                    bar.suspend(|| eprintln!("watchfire: {}", shown(why)));
                }
                report.add(entry);
                bar.inc(1);
                unsaved = true;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return report.save(out),
        }
        if unsaved && saved.elapsed() >= save_every {
            report.save(out)?;
            (saved, unsaved) = (Instant::now(), false);
        }
    }
}

/// One file to its end.
fn judge(player: &mut Player, mut entry: FileReport, start_utc_ns: i64) -> FileReport {
    let (mut alerts, mut end_utc_ns): (Vec<Alert>, i64) = (Vec::new(), start_utc_ns);
    let mut media = Media::default();
    let played = player.play(&entry.file, start_utc_ns, |verdict| {
        alerts.extend(verdict.alerts.iter().cloned());
        media.take(verdict);
        if let Some(window) = &verdict.window {
            end_utc_ns = end_utc_ns.max(window.utc_ns(window.filled_ns()));
        }
        Ok(())
    });
    entry.judge(&alerts, start_utc_ns);
    entry.seconds = ((end_utc_ns - start_utc_ns) as f64 / 1e7).round() / 1e2;
    entry.unreadable = played.err().map(|error| format!("{error:#}"));
    let camera = player.camera();
    for kind in camera.policy.kinds.iter().map(|p| p.kind) {
        if let Some(why) = media.lacks(kind, &camera.behaviour, entry.seconds) {
            entry.not_judged.insert(kind.to_string(), why.into());
        }
    }
    entry
}

fn tell(report: &Report, known: usize) {
    let t = &report.totals;
    let kept = if known > 0 {
        format!(" ({known} of them before)")
    } else {
        String::new()
    };
    println!(
        "{}: {} finished{kept}, {} unreadable; {:.2} hours",
        counted(t.files, "file"),
        t.finished,
        t.unreadable.len(),
        t.hours
    );
    for (kind, n) in &t.flagged {
        println!("  {kind:14} in {n}");
    }
    println!("  {:14} in {}", "nothing", t.clean);
    for (kind, n) in &t.not_judged {
        println!("  {kind:14} not judged in {n}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_finished_is_written_while_a_longer_file_is_still_played() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("report.json");
        let mut report = Report::resume(&out, Job::default(), false).unwrap();
        let (done, finished) = crossbeam_channel::bounded(1);
        let bar = indicatif::ProgressBar::hidden();
        std::thread::scope(|scope| {
            let gathered = scope.spawn(|| gather(finished, &mut report, &out, &bar, Duration::from_millis(5)));
            done.send(FileReport::unreadable("a.mp4".into(), "no film".into()))
                .unwrap();
            // The sender stays: another file is still being played.
            let until = Instant::now() + Duration::from_secs(10);
            while !out.exists() {
                assert!(Instant::now() < until, "nothing was written");
                std::thread::park_timeout(Duration::from_millis(5));
            }
            drop(done);
            gathered.join().unwrap().unwrap();
        });
        assert_eq!(report.totals.files, 1);
    }
}
