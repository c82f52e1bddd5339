//! How many cameras does this box carry? Cameras are added until windows are shed.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::rig::{Rig, Span};

/// More shed windows than this are an overload; fewer are a hiccup of the machine.
const SHED_LIMIT: f64 = 0.01;
/// Cameras settle for so long before they are watched for so long.
const SETTLE: Duration = Duration::from_secs(3);
const WATCH: Duration = Duration::from_secs(8);

/// One number of cameras, tried.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    pub cameras: usize,
    pub carried: bool,
    pub windows: u64,
    pub shed: u64,
    /// Analysed frames a second and camera.
    pub fps: f64,
    /// CPU-seconds a second, all threads of the daemon.
    pub cores: f64,
    pub busiest_stage: String,
    /// Share of the time in which it worked.
    pub busy: f64,
    pub latency_p50_ms: Option<f64>,
    pub latency_p99_ms: Option<f64>,
}

#[derive(Debug, Serialize)]
pub struct Capacity {
    /// The most cameras of which at most 1 % of the windows were shed.
    pub cameras: usize,
    /// What gave out beyond that.
    pub limit: String,
    pub steps: Vec<Step>,
}

/// Doubles the cameras until windows are shed, then halves the gap, until the limit is known or the time is up.
///
/// # Errors
/// The rig failed.
pub fn find(rig: &mut Rig, most: usize, within: Duration, mut tell: impl FnMut(&Step)) -> anyhow::Result<Capacity> {
    let until = Instant::now() + within;
    let (mut carried, mut too_many, mut steps) = (0, None, Vec::new());
    let mut next = Some(1);
    while let Some(cameras) = next.filter(|_| steps.is_empty() || Instant::now() + SETTLE + WATCH < until) {
        rig.carry(cameras)?;
        rig.watch(SETTLE)?;
        let step = Step::new(cameras, &rig.watch(WATCH)?);
        tell(&step);
        if step.carried {
            carried = cameras;
        } else {
            too_many = Some(cameras);
        }
        steps.push(step);
        next = next_try(carried, too_many, most);
    }
    let over = steps.iter().filter(|s: &&Step| !s.carried).min_by_key(|s| s.cameras);
    let limit = match over {
        Some(over) => what_limits(over, std::thread::available_parallelism().map_or(1, usize::from)),
        None if carried == most => format!("nothing: more than {most} cameras were not tried"),
        None => "not reached in the time that was given".into(),
    };
    Ok(Capacity {
        cameras: carried,
        limit,
        steps,
    })
}

/// The number of cameras to try next; None when the limit is known.
fn next_try(carried: usize, too_many: Option<usize>, most: usize) -> Option<usize> {
    match too_many {
        Some(over) => Some((carried + over) / 2).filter(|n| *n > carried && *n < over),
        None => Some((carried * 2).min(most)).filter(|n| *n > carried),
    }
}

fn what_limits(step: &Step, cores: usize) -> String {
    let mut reasons = Vec::new();
    if step.busy > 0.85 {
        reasons.push(format!(
            "the stage {} works {:.0} % of the time",
            step.busiest_stage,
            step.busy * 100.0
        ));
    }
    if step.cores > 0.8 * cores as f64 {
        reasons.push(format!(
            "{:.1} of {cores} cores are busy with the daemon alone",
            step.cores
        ));
    }
    if reasons.is_empty() {
        reasons.push(format!(
            "neither a stage nor the cores: {} works {:.0} % of the time, {:.1} of {cores} cores are busy; other work on this \
             machine (the simulated cameras too) may delay the daemon",
            step.busiest_stage,
            step.busy * 100.0,
            step.cores
        ));
    }
    format!("with {} cameras {}", step.cameras, reasons.join(", and "))
}

impl Step {
    fn new(cameras: usize, span: &Span) -> Self {
        let busiest = span.busy.iter().max_by(|a, b| a.1.total_cmp(b.1));
        Self {
            cameras,
            carried: span.windows > 0 && span.shed_share() <= SHED_LIMIT,
            windows: span.windows,
            shed: span.shed,
            fps: span.frames as f64 / span.seconds / cameras as f64,
            cores: span.cpu_s / span.seconds,
            busiest_stage: busiest.map(|(stage, _)| stage.clone()).unwrap_or_default(),
            busy: busiest.map_or(0.0, |(_, share)| *share),
            latency_p50_ms: span.latency_ms(0.5),
            latency_p99_ms: span.latency_ms(0.99),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers that are tried when the box carries `limit`.
    fn tries(limit: usize, most: usize) -> Vec<usize> {
        let (mut carried, mut too_many, mut tried) = (0, None, Vec::new());
        let mut next = Some(1);
        while let Some(n) = next {
            tried.push(n);
            if n <= limit {
                carried = n;
            } else {
                too_many = Some(n);
            }
            next = next_try(carried, too_many, most);
        }
        assert_eq!(carried, limit.min(most));
        tried
    }

    #[test]
    fn the_limit_is_found_by_doubling_and_halving() {
        assert_eq!(tries(0, 32), [1]);
        assert_eq!(tries(6, 32), [1, 2, 4, 8, 6, 7]);
        assert_eq!(tries(100, 12), [1, 2, 4, 8, 12]);
        for limit in 0..40 {
            assert!(tries(limit, 32).len() <= 10, "{limit}");
        }
    }

    #[test]
    fn the_limit_is_named_by_what_is_busy() {
        let step = |busy, cores| Step {
            cameras: 9,
            carried: false,
            windows: 100,
            shed: 20,
            fps: 5.0,
            cores,
            busiest_stage: "vision".into(),
            busy,
            latency_p50_ms: None,
            latency_p99_ms: None,
        };
        assert!(what_limits(&step(0.97, 1.2), 4).ends_with("the stage vision works 97 % of the time"));
        let both = what_limits(&step(0.97, 3.9), 4);
        assert!(both.contains("vision") && both.contains("3.9 of 4 cores"), "{both}");
        assert!(what_limits(&step(0.4, 1.0), 4).contains("neither"));
    }
}
