//! THE loop: takes inputs, runs a stage, isolates its panics, measures, beats, and passes on what comes out.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::thread::JoinHandle;
use std::time::Duration;

use super::edge::{EdgeOut, Next};
use super::mailbox::Postman;
use super::metrics::StageMetrics;
use super::watch::{Health, Pulse};
use crate::clock::Clock;
use crate::stages::Stage;

/// So often an idle stage ticks and beats.
const TICK: Duration = Duration::from_millis(100);
/// More panics than this within a minute end the process.
const PANICS_A_MINUTE: usize = 5;

/// Where a stage's inputs come from.
pub(super) trait Intake<T>: Send + 'static {
    fn next(&mut self, wait: Duration) -> Next<T>;
}

impl<T: Send + 'static> Intake<T> for EdgeOut<T> {
    fn next(&mut self, wait: Duration) -> Next<T> {
        EdgeOut::next(self, wait)
    }
}

impl<T: Send + 'static> Intake<Vec<T>> for Postman<T> {
    fn next(&mut self, wait: Duration) -> Next<Vec<T>> {
        Postman::next(self, wait)
    }
}

/// What a runner needs beside its stage.
pub(super) struct Runner {
    pub name: &'static str,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<StageMetrics>,
    pub pulse: Arc<Pulse>,
    pub health: Health,
}

impl Runner {
    /// Runs `stage` on a thread of its own until its input closes. `sink` gets everything that comes out.
    pub fn spawn<S>(
        self,
        stage: S,
        intake: impl Intake<S::In>,
        sink: impl FnMut(S::Out) + Send + 'static,
    ) -> std::io::Result<JoinHandle<()>>
    where
        S: Stage + 'static,
    {
        self.pulse.beat(self.clock.monotonic_ns());
        std::thread::Builder::new()
            .name(format!("wf-{}", self.name))
            .spawn(move || self.run(stage, intake, sink))
    }

    fn run<S: Stage>(self, mut stage: S, mut intake: impl Intake<S::In>, mut sink: impl FnMut(S::Out)) {
        let mut out = Vec::new();
        let mut panics = VecDeque::new();
        loop {
            let input = intake.next(TICK);
            let start_ns = self.clock.monotonic_ns();
            self.pulse.beat(start_ns);
            match input {
                Next::Item(input) => {
                    if !self.step(&mut stage, input, &mut out, start_ns) && self.too_many(&mut panics, start_ns) {
                        break;
                    }
                }
                Next::Idle => {}
                Next::Closed => break,
            }
            self.guarded(&mut out, |out| stage.tick(start_ns, out));
            out.drain(..).for_each(&mut sink);
        }
        self.guarded(&mut out, |out| stage.finish(out));
        out.drain(..).for_each(&mut sink);
        drop(sink);
        self.pulse.stop();
    }

    /// One input. False after a panic.
    fn step<S: Stage>(&self, stage: &mut S, input: S::In, out: &mut Vec<S::Out>, start_ns: u64) -> bool {
        let kept = input.clone();
        let before = out.len();
        let result = catch_unwind(AssertUnwindSafe(|| stage.process(input, out)));
        self.metrics.processed.fetch_add(1, Relaxed);
        self.metrics
            .latency
            .observe_ns(self.clock.monotonic_ns().saturating_sub(start_ns));
        let panicked = result.is_err();
        match result {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => {
                self.metrics.failed.fetch_add(1, Relaxed);
                tracing::warn!(stage = self.name, %error, "a window could not be computed");
            }
            Err(_) => {
                self.metrics.panics.fetch_add(1, Relaxed);
                tracing::error!(
                    stage = self.name,
                    "the stage panicked; its state for the cameras at hand starts anew"
                );
                stage.recover(&kept);
            }
        }
        out.truncate(before);
        out.extend(S::failed(&kept));
        !panicked
    }

    fn guarded<T>(&self, out: &mut Vec<T>, work: impl FnOnce(&mut Vec<T>)) {
        if catch_unwind(AssertUnwindSafe(|| work(out))).is_err() {
            self.metrics.panics.fetch_add(1, Relaxed);
            tracing::error!(stage = self.name, "the stage panicked between inputs");
        }
    }

    fn too_many(&self, panics: &mut VecDeque<u64>, now_ns: u64) -> bool {
        panics.push_back(now_ns);
        while panics.front().is_some_and(|t| now_ns - t > 60_000_000_000) {
            panics.pop_front();
        }
        if panics.len() <= PANICS_A_MINUTE {
            return false;
        }
        tracing::error!(
            stage = self.name,
            "{} panics within a minute: giving up, so that the service manager can start the process anew",
            panics.len()
        );
        self.health.fatal.store(true, SeqCst);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::error::StageError;
    use crate::graph::edge::{Edge, Policy};
    use crossbeam_channel::unbounded;

    /// Panics on 13, fails on odd numbers, doubles the rest.
    struct Doubler;

    impl Stage for Doubler {
        type In = i32;
        type Out = i32;
        fn process(&mut self, input: i32, out: &mut Vec<i32>) -> Result<(), StageError> {
            out.push(-1);
            assert!(input != 13, "unlucky");
            if input % 2 == 1 {
                return Err(StageError::Input("odd".into()));
            }
            out.pop();
            out.push(input * 2);
            Ok(())
        }
        fn failed(input: &i32) -> Vec<i32> {
            vec![1000 + input]
        }
        fn finish(&mut self, out: &mut Vec<i32>) {
            out.push(9999);
        }
    }

    fn run(inputs: &[i32]) -> (Vec<i32>, Health, Arc<StageMetrics>) {
        let (tx, rx) = Edge::bounded(64, Policy::Block, Arc::default());
        let (results, got) = unbounded();
        let pulse = Arc::new(Pulse::default());
        let health = Health {
            pulses: vec![("doubler", pulse.clone())],
            ..Health::default()
        };
        let metrics: Arc<StageMetrics> = Arc::default();
        let clock = Arc::new(SystemClock::new());
        let runner = Runner {
            name: "doubler",
            clock,
            metrics: metrics.clone(),
            pulse,
            health: health.clone(),
        };
        let thread = runner.spawn(Doubler, rx, move |r| results.send(r).unwrap()).unwrap();
        for i in inputs {
            let _ = tx.push(*i);
        }
        drop(tx);
        thread.join().unwrap();
        (got.iter().collect(), health, metrics)
    }

    #[test]
    fn every_input_is_answered_also_after_a_failure_or_a_panic() {
        let (got, health, metrics) = run(&[2, 3, 13, 4]);
        assert_eq!(got, [4, 1003, 1013, 8, 9999]);
        assert!(!health.is_fatal());
        assert_eq!((metrics.failed.load(Relaxed), metrics.panics.load(Relaxed)), (1, 1));
        assert!(health.running().is_empty());
    }

    #[test]
    fn repeated_panics_are_fatal() {
        let (_, health, _) = run(&[13; 10]);
        assert!(health.is_fatal());
    }
}
