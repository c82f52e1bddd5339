//! `replay --gating`: what gating saves, and whether it changes the alerts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::replay::Setup;
use crate::app::cpu;
use crate::app::player::Player;
use crate::app::words::shown;
use crate::data::{Branch, Phase, Status};
use crate::stages::Gating;

/// One recording, played one way.
#[derive(Default)]
struct Played {
    seconds: f64,
    cpu_s: BTreeMap<String, f64>,
    windows: u32,
    /// Windows in which the detector looked at nothing.
    gated: u32,
    /// Kind with zone, and start.
    alerts: Vec<(String, i64)>,
}

/// Plays every file with everything awake and with `motion`, and tells CPU-seconds of both and how their alerts compare.
/// Returns whether all files could be read and all alerts are the same.
///
/// # Errors
/// The models cannot be loaded.
pub(super) fn run(setup: &Setup, start_utc_ns: i64, files: &[PathBuf]) -> anyhow::Result<bool> {
    println!(
        "{:40} {:>7} {:>19} {:>19} {:>6} {:>14}  alerts",
        "", "seconds", "CPU-s, awake", "CPU-s, motion", "saved", "windows gated"
    );
    // Alerts of one kind and zone are the same when they start at most a window apart.
    let window_ns = u64::from(setup.camera.ingest.window.window_ms) * 1_000_000;
    let (mut well, mut all) = (true, [Played::default(), Played::default()]);
    let mut all_same = 0;
    for file in files {
        let awake = play(setup, Gating::Never, file, start_utc_ns);
        let motion = play(setup, Gating::Motion, file, start_utc_ns);
        let (awake, motion) = match (awake, motion) {
            (Ok(awake), Ok(motion)) => (awake, motion),
            (Err(error), _) | (_, Err(error)) => {
                eprintln!("watchfire: {}", shown(format!("{error:#}")));
                well = false;
                continue;
            }
        };
        let (only_awake, only_motion) = differences(&awake.alerts, &motion.alerts, window_ns);
        let same = awake.alerts.len() - only_awake.len();
        let name = shown(file.file_name().unwrap_or_default().to_string_lossy());
        println!("{}", row(&name, &awake, &motion, same));
        for (whose, alerts) in [("everything awake", only_awake), ("motion", only_motion)] {
            for (what, start_ns) in alerts {
                well = false;
                let at_s = (start_ns - start_utc_ns) as f64 / 1e9;
                println!("{:40} only with {whose}: {what} at {at_s:.1} s", "");
            }
        }
        all_same += same;
        for (sum, one) in all.iter_mut().zip([awake, motion]) {
            sum.add(one);
        }
    }
    println!("{}", row("all", &all[0], &all[1], all_same));
    Ok(well)
}

fn row(name: &str, awake: &Played, motion: &Played, same: usize) -> String {
    let gated = format!("{} of {}", motion.gated, motion.windows);
    let saved = 100.0 * (1.0 - motion.total() / awake.total().max(f64::MIN_POSITIVE));
    format!(
        "{name:40} {:7.1} {:>19} {:>19} {saved:5.0}% {gated:>14}  {same} of {} the same",
        awake.seconds,
        awake.parts(),
        motion.parts(),
        awake.alerts.len()
    )
}

impl Played {
    fn add(&mut self, other: Self) {
        self.seconds += other.seconds;
        self.windows += other.windows;
        self.gated += other.gated;
        self.alerts.extend(other.alerts);
        for (thread, spent) in other.cpu_s {
            *self.cpu_s.entry(thread).or_default() += spent;
        }
    }

    fn total(&self) -> f64 {
        self.cpu_s.values().sum()
    }

    /// In all, and of it the detector's and the clip model's.
    fn parts(&self) -> String {
        let of = |thread| self.cpu_s.get(thread).copied().unwrap_or_default();
        let (detector, clips) = (of("vision") + of("detector"), of("action"));
        format!("{:.1} ({detector:.1}, {clips:.1})", self.total())
    }
}

fn play(setup: &Setup, gating: Gating, file: &Path, start_utc_ns: i64) -> anyhow::Result<Played> {
    let mut camera = setup.camera.clone();
    camera.gating = gating;
    let mut player = Player::start(camera, &setup.models)?;
    let before = cpu::by_thread();
    let mut played = Played::default();
    player.play(file, start_utc_ns, |verdict| {
        if let Some(window) = &verdict.window {
            played.seconds += (window.end_ns - window.start_ns) as f64 / 1e9;
            played.windows += 1;
        }
        let vision = verdict.reports.get(Branch::Vision);
        played.gated += u32::from(vision.is_some_and(|v| v.status == Status::Gated));
        for alert in verdict.alerts.iter().filter(|a| a.phase == Phase::Start) {
            let zone = alert.zone.as_deref().unwrap_or_default();
            played
                .alerts
                .push((format!("{} {zone}", alert.kind), alert.started_utc_ns));
        }
        Ok(())
    })?;
    for (thread, spent) in cpu::by_thread() {
        // What it takes to read the recording is the same both ways.
        if thread != "other" {
            let spent = spent - before.get(&thread).copied().unwrap_or_default();
            played.cpu_s.insert(thread, spent);
        }
    }
    player.stop()?;
    Ok(played)
}

type Starts = Vec<(String, i64)>;

/// What one list has and the other has not, each alert counted once.
fn differences(awake: &Starts, motion: &Starts, window_ns: u64) -> (Starts, Starts) {
    let mut only_motion = motion.clone();
    let mut only_awake = Vec::new();
    for alert in awake {
        let same = |other: &(String, i64)| other.0 == alert.0 && other.1.abs_diff(alert.1) <= window_ns;
        match only_motion.iter().position(same) {
            Some(at) => drop(only_motion.remove(at)),
            None => only_awake.push(alert.clone()),
        }
    }
    (only_awake, only_motion)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_are_the_same_within_a_window_and_each_counts_once() {
        let starts = |list: &[(&str, i64)]| -> Starts {
            let ms = |(what, ms): &(&str, i64)| ((*what).to_owned(), ms * 1_000_000);
            list.iter().map(ms).collect()
        };
        let awake = starts(&[("intrusion yard", 1_000), ("intrusion yard", 1_200), ("fall ", 3_000)]);
        let motion = starts(&[("intrusion yard", 1_500), ("intrusion gate", 1_200), ("fall ", 3_501)]);
        let (only_awake, only_motion) = differences(&awake, &motion, 500_000_000);
        assert_eq!(only_awake, starts(&[("intrusion yard", 1_200), ("fall ", 3_000)]));
        assert_eq!(only_motion, starts(&[("intrusion gate", 1_200), ("fall ", 3_501)]));
    }
}
