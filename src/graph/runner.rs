//! THE loop: takes inputs, runs a stage, isolates its panics, measures, beats, and passes on what comes out.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::Duration;

use super::edge::{EdgeOut, Next};
use super::mailbox::Postman;
use super::metrics::StageMetrics;
use super::watch::{Health, Pulse};
use crate::clock::Clock;
use crate::error::{is_news, panic_words};
use crate::stages::{Input, Stage};

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

impl<T: Send + 'static> Intake<T> for Postman<T> {
    fn next(&mut self, wait: Duration) -> Next<T> {
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
            let worked = match input {
                Next::Item(input) => self.step(&mut stage, input, &mut out, start_ns),
                Next::Idle => true,
                Next::Closed => break,
            };
            let ticked = self.between(&mut stage, &mut out, |stage, out| stage.tick(start_ns, out));
            // Before the answers leave: whoever has them all knows whether the stage goes on.
            let gives_up = !(worked && ticked) && self.too_many(&mut panics, start_ns);
            out.drain(..).for_each(&mut sink);
            if gives_up {
                break;
            }
        }
        // The last words of one camera may fail; those of the others are still said.
        if !self.between(&mut stage, &mut out, |stage, out| stage.finish(out)) {
            self.between(&mut stage, &mut out, |stage, out| stage.finish(out));
        }
        out.drain(..).for_each(&mut sink);
        drop(sink);
        self.pulse.stop();
    }

    /// One input. False after a panic.
    fn step<S: Stage>(&self, stage: &mut S, input: S::In, out: &mut Vec<S::Out>, start_ns: u64) -> bool {
        let kept = input.clone();
        let before = out.len();
        let result = self.attempt(stage, input, out);
        let calm = !result.as_ref().is_err_and(|failure| failure.panicked);
        if let Err(failure) = result {
            self.give_up(stage, &kept, failure, out, before);
        }
        self.metrics.processed.fetch_add(1, Relaxed);
        self.metrics
            .latency
            .observe_ns(self.clock.monotonic_ns().saturating_sub(start_ns));
        calm
    }

    fn attempt<S: Stage>(&self, stage: &mut S, input: S::In, out: &mut Vec<S::Out>) -> Result<(), Failure> {
        match catch_unwind(AssertUnwindSafe(|| stage.process(input, out))) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Failure {
                panicked: false,
                why: error.to_string(),
            }),
            Err(payload) => {
                self.metrics.panics.fetch_add(1, Relaxed);
                Err(Failure {
                    panicked: true,
                    why: panic_words(&*payload),
                })
            }
        }
    }

    /// What stands for an input that cannot be computed, in the place of all that came out of it: from `before` on. Where nothing
    /// does, that stays: `fuse` had judged those windows, and told their alerts' lives as changed.
    fn give_up<S: Stage>(&self, stage: &mut S, input: &S::In, failure: Failure, out: &mut Vec<S::Out>, before: usize) {
        self.metrics.failed.fetch_add(1, Relaxed);
        let (stage_name, camera, error) = (self.name, input.camera(), failure.why);
        if failure.panicked {
            tracing::error!(stage = stage_name, %camera, error, "the stage panicked on a window; its camera starts anew");
            stage.recover(input);
        } else if is_news(&format!("{stage_name} {camera} {error}")) {
            tracing::warn!(stage = stage_name, %camera, error, "a window could not be computed");
        }
        let instead = S::failed(input);
        if !instead.is_empty() {
            out.truncate(before);
            out.extend(instead);
        }
    }

    /// Work that belongs to no input. False after a panic.
    fn between<S: Stage>(
        &self,
        stage: &mut S,
        out: &mut Vec<S::Out>,
        work: impl FnOnce(&mut S, &mut Vec<S::Out>),
    ) -> bool {
        let result = catch_unwind(AssertUnwindSafe(|| work(stage, out)));
        if let Err(payload) = &result {
            self.metrics.panics.fetch_add(1, Relaxed);
            tracing::error!(
                stage = self.name,
                error = panic_words(&**payload),
                "the stage panicked between windows"
            );
            stage.recover_between();
        }
        result.is_ok()
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
        self.health.give_up(self.name);
        true
    }
}

/// Why an input was not computed.
struct Failure {
    panicked: bool,
    why: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::data::CameraId;
    use crate::error::StageError;
    use crate::graph::edge::{Edge, EdgeMeter, Policy};
    use crossbeam_channel::unbounded;

    #[derive(Clone, Debug, PartialEq)]
    struct Numbers {
        camera: CameraId,
        all: Vec<i32>,
    }

    impl Numbers {
        fn new(all: &[i32]) -> Self {
            Self {
                camera: CameraId::new("yard"),
                all: all.to_vec(),
            }
        }
    }

    impl Input for Numbers {
        fn camera(&self) -> &CameraId {
            &self.camera
        }
    }

    /// Doubles one number after the other; panics on 13, and fails on other odd ones.
    #[derive(Default)]
    struct Doubler {
        forgotten: Vec<i32>,
    }

    impl Stage for Doubler {
        type In = Numbers;
        type Out = i32;
        fn process(&mut self, input: Numbers, out: &mut Vec<i32>) -> Result<(), StageError> {
            for number in input.all {
                assert!(number != 13, "unlucky");
                if number % 2 == 1 {
                    return Err(StageError::Input("odd".into()));
                }
                out.push(number * 2);
            }
            Ok(())
        }
        fn failed(input: &Numbers) -> Vec<i32> {
            input.all.iter().map(|i| 1000 + i).collect()
        }
        fn recover(&mut self, input: &Numbers) {
            self.forgotten.extend(&input.all);
        }
        fn finish(&mut self, out: &mut Vec<i32>) {
            out.extend(self.forgotten.drain(..).map(|i| -i));
            out.push(9999);
        }
    }

    fn run(inputs: &[&[i32]]) -> (Vec<i32>, Health, Arc<StageMetrics>) {
        let (tx, rx) = Edge::bounded(64, Policy::Block, EdgeMeter::default());
        let (results, got) = unbounded();
        let (runner, health, metrics) = runner("doubler", Arc::new(SystemClock::new()));
        for i in inputs {
            assert_eq!(tx.push(Numbers::new(i)), None);
        }
        let thread = runner
            .spawn(Doubler::default(), rx, move |r| results.send(r).unwrap())
            .unwrap();
        drop(tx);
        thread.join().unwrap();
        (got.iter().collect(), health, metrics)
    }

    fn runner(name: &'static str, clock: Arc<dyn Clock>) -> (Runner, Health, Arc<StageMetrics>) {
        let pulse = Arc::new(Pulse::default());
        let health = Health {
            pulses: vec![(name, pulse.clone())],
            ..Health::default()
        };
        let metrics: Arc<StageMetrics> = Arc::default();
        let runner = Runner {
            name,
            clock,
            metrics: metrics.clone(),
            pulse,
            health: health.clone(),
        };
        (runner, health, metrics)
    }

    #[test]
    fn every_input_is_answered_also_after_a_failure_or_a_panic() {
        // What came out of an input that fails later is taken back: it is answered once.
        let (got, health, metrics) = run(&[&[2], &[6, 3], &[13], &[4]]);
        assert_eq!(got, [4, 1006, 1003, 1013, 8, -13, 9999]);
        assert_eq!(health.fatal(), None);
        assert_eq!((metrics.failed.load(Relaxed), metrics.panics.load(Relaxed)), (2, 1));
        assert_eq!(metrics.latency.count(), 4);
        assert!(health.running().is_empty());
    }

    /// Answers every number by itself and panics on 13; nothing stands for what fails.
    struct Teller;

    impl Stage for Teller {
        type In = Numbers;
        type Out = i32;
        fn process(&mut self, input: Numbers, out: &mut Vec<i32>) -> Result<(), StageError> {
            for number in input.all {
                assert!(number != 13, "unlucky");
                out.push(number);
            }
            Ok(())
        }
        fn failed(_: &Numbers) -> Vec<i32> {
            Vec::new()
        }
    }

    #[test]
    fn what_came_out_before_a_panic_is_told_where_nothing_stands_for_it() {
        let (tx, rx) = Edge::bounded(2, Policy::Block, EdgeMeter::default());
        let (results, got) = unbounded();
        let (runner, _, _) = runner("teller", Arc::new(SystemClock::new()));
        for numbers in [&[1, 2, 13, 3][..], &[4]] {
            assert_eq!(tx.push(Numbers::new(numbers)), None);
        }
        drop(tx);
        let thread = runner.spawn(Teller, rx, move |r| results.send(r).unwrap()).unwrap();
        thread.join().unwrap();
        assert_eq!(got.iter().collect::<Vec<_>>(), [1, 2, 4]);
    }

    #[test]
    fn repeated_panics_are_fatal_and_name_their_stage() {
        let (got, health, _) = run(&[&[13][..]; 10]);
        assert_eq!(health.fatal(), Some("doubler"));
        assert_eq!(got.iter().filter(|i| **i == 1013).count(), PANICS_A_MINUTE + 1);
    }

    #[test]
    fn panics_that_are_far_between_end_nothing() {
        let clock = Arc::new(crate::clock::ManualClock::default());
        let (tx, rx) = Edge::bounded(1, Policy::Block, EdgeMeter::default());
        let (results, got) = unbounded();
        let (runner, health, _) = runner("doubler", clock.clone());
        let thread = runner
            .spawn(Doubler::default(), rx, move |r| results.send(r).unwrap())
            .unwrap();
        for _ in 0..3 * PANICS_A_MINUTE {
            assert_eq!(tx.push(Numbers::new(&[13])), None);
            assert_eq!(got.recv_timeout(Duration::from_secs(20)), Ok(1013));
            clock.advance_ns(60_000_000_000 / PANICS_A_MINUTE as u64 + 1);
        }
        assert_eq!(health.fatal(), None);
        drop(tx);
        thread.join().unwrap();
    }

    /// Tells of every tick, and panics in those that it is asked to.
    struct Ticker {
        ticks: crossbeam_channel::Sender<u64>,
        panics: u32,
        recovered: Arc<std::sync::atomic::AtomicU64>,
    }

    impl Stage for Ticker {
        type In = Numbers;
        type Out = i32;
        fn process(&mut self, _: Numbers, _: &mut Vec<i32>) -> Result<(), StageError> {
            Ok(())
        }
        fn failed(_: &Numbers) -> Vec<i32> {
            Vec::new()
        }
        fn recover_between(&mut self) {
            self.recovered.fetch_add(1, Relaxed);
        }
        fn tick(&mut self, now_ns: u64, _: &mut Vec<i32>) {
            let _ = self.ticks.send(now_ns);
            self.panics = self.panics.saturating_sub(1);
            assert!(self.panics == 0, "tick");
        }
    }

    #[test]
    fn an_idle_stage_ticks_and_beats() {
        let clock = Arc::new(crate::clock::ManualClock::default());
        let (tx, rx) = Edge::bounded::<Numbers>(1, Policy::Block, EdgeMeter::default());
        let (runner, health, _) = runner("ticker", clock.clone());
        let (ticks, ticked) = unbounded();
        let stage = Ticker {
            ticks,
            panics: 0,
            recovered: Arc::default(),
        };
        let thread = runner.spawn(stage, rx, |_| {}).unwrap();
        let limit = Duration::from_secs(20);
        assert_eq!(ticked.recv_timeout(limit), Ok(0));
        clock.advance_ns(60_000_000_000);
        // A tick that began after the clock moved has beaten before.
        while ticked.recv_timeout(limit).unwrap() == 0 {}
        assert!(health.stuck(clock.monotonic_ns(), limit).is_empty());
        drop(tx);
        thread.join().unwrap();
        assert_eq!(health.stuck(u64::MAX, limit), [""; 0], "what has ended is not stuck");
    }

    #[test]
    fn panics_between_inputs_are_recovered_from_and_counted_too() {
        let (tx, rx) = Edge::bounded::<Numbers>(1, Policy::Block, EdgeMeter::default());
        let (runner, health, metrics) = runner("ticker", Arc::new(SystemClock::new()));
        let recovered: Arc<std::sync::atomic::AtomicU64> = Arc::default();
        let stage = Ticker {
            ticks: unbounded().0,
            panics: u32::MAX,
            recovered: recovered.clone(),
        };
        runner.spawn(stage, rx, |_| {}).unwrap().join().unwrap();
        drop(tx);
        assert_eq!(health.fatal(), Some("ticker"));
        let panics = metrics.panics.load(Relaxed);
        assert_eq!((panics, recovered.load(Relaxed)), (PANICS_A_MINUTE as u64 + 1, panics));
    }
}
