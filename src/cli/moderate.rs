//! `replay --report`: a moderation job over many recordings.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;

use super::replay::Setup;
use crate::app::moderation::{FileReport, Job, Report};
use crate::app::player::Player;
use crate::data::Alert;

/// The report is written at least so often.
const SAVE_EVERY: Duration = Duration::from_secs(2);

/// Judges `files` on as many players as there are cores and writes the report to `out`; files that an existing report
/// has finished are skipped. Returns whether all files could be read.
///
/// # Errors
/// The models cannot be loaded, or the report cannot be written.
pub(super) fn run(setup: &Setup, start_utc_ns: i64, files: &[PathBuf], out: &Path) -> anyhow::Result<bool> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    // A player a core, each with one thread for its arithmetic, shares the work better than one with them all.
    let mut models = setup.models.clone();
    models.threads = 1;
    let first = Player::start(setup.camera.clone(), &models)?;
    let job = Job::new(first.camera(), first.models());
    let mut report = match Report::resume(out, &job)? {
        Some(report) => report,
        None => Report::new(job),
    };
    let (todo, next) = crossbeam_channel::unbounded();
    let mut missing = Vec::new();
    let (mut waiting, mut known) = (0, 0);
    for file in files {
        match FileReport::new(file) {
            Ok(entry) if report.has(&entry) => known += 1,
            Ok(entry) => {
                waiting += 1;
                let _ = todo.send(entry);
            }
            Err(error) => missing.push((file.clone(), format!("{error:#}"))),
        }
    }
    drop(todo);
    // What is no longer asked for is no longer told.
    report.files.retain(|f| files.contains(&f.file));
    for (file, why) in missing {
        eprintln!("watchfire: {why}");
        report.add(FileReport::unreadable(file, why));
    }
    // At once, so that a report that cannot be written is not found out about after hours.
    report.save(out)?;
    let mut players = vec![first];
    while players.len() < cores.min(waiting) {
        players.push(Player::start(setup.camera.clone(), &models)?);
    }

    let bar = indicatif::ProgressBar::new(waiting as u64).with_style(
        indicatif::ProgressStyle::with_template("{pos} of {len} files  {wide_bar}  {eta} left  {msg}")
            .context("progress bar")?,
    );
    let (done, finished) = crossbeam_channel::bounded(2 * players.len());
    let written = std::thread::scope(|scope| {
        for player in &players {
            let (next, done, bar) = (next.clone(), done.clone(), &bar);
            scope.spawn(move || {
                for entry in next {
                    bar.set_message(entry.file.display().to_string());
                    if done.send(judge(player, entry, start_utc_ns)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(done);
        let mut saved = Instant::now();
        for entry in finished {
            if let Some(why) = &entry.unreadable {
                bar.suspend(|| eprintln!("watchfire: {why}"));
            }
            report.add(entry);
            bar.inc(1);
            if saved.elapsed() >= SAVE_EVERY {
                report.save(out)?;
                saved = Instant::now();
            }
        }
        report.save(out)
    });
    bar.finish_and_clear();
    written?;
    for player in players {
        player.stop()?;
    }
    tell(&report, known);
    Ok(report.totals.unreadable.is_empty())
}

/// One file to its end.
fn judge(player: &Player, mut entry: FileReport, start_utc_ns: i64) -> FileReport {
    let (mut alerts, mut end_utc_ns): (Vec<Alert>, i64) = (Vec::new(), start_utc_ns);
    let played = player.play(&entry.file, start_utc_ns, |verdict| {
        alerts.extend(verdict.alerts.iter().cloned());
        if let Some(window) = &verdict.window {
            end_utc_ns = end_utc_ns.max(window.utc_ns(window.end_ns));
        }
        Ok(())
    });
    entry.judge(&alerts, start_utc_ns);
    entry.seconds = (end_utc_ns - start_utc_ns) as f64 / 1e9;
    entry.unreadable = played.err().map(|error| format!("{error:#}"));
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
        "{} files: {} finished{kept}, {} unreadable; {:.2} hours",
        t.files,
        t.finished,
        t.unreadable.len(),
        t.hours
    );
    for (kind, n) in &t.flagged {
        println!("  {kind:14} in {n}");
    }
    println!("  {:14} in {}", "nothing", t.clean);
}
