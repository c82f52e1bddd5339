//! Ctrl-C, SIGTERM and a terminal that is closed, for commands that have something to finish: the first one asks for it, a second one ends the process.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use anyhow::Context;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

/// Whether somebody has asked for an end.
#[derive(Default)]
pub(super) struct Stop {
    asked: Arc<AtomicBool>,
    signal: Arc<AtomicUsize>,
}

impl Stop {
    /// Hears signals from now on. Before, they end the process as they would without this.
    ///
    /// # Errors
    /// The system takes no handler.
    pub fn listen(&self) -> anyhow::Result<()> {
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            // They act in this order: the first sees what an earlier signal has left, not what this one leaves.
            flag::register_conditional_default(signal, self.asked.clone()).context("signals")?;
            flag::register_usize(signal, self.signal.clone(), signal as usize).context("signals")?;
            flag::register(signal, self.asked.clone()).context("signals")?;
        }
        Ok(())
    }

    /// Set once somebody has.
    pub fn flag(&self) -> Arc<AtomicBool> {
        self.asked.clone()
    }

    pub fn is_asked(&self) -> bool {
        self.asked.load(Relaxed)
    }

    /// 128 and the signal's number, as a shell tells of a process that a signal has ended; None when nobody has asked.
    pub fn status(&self) -> Option<ExitCode> {
        let signal = self.signal.load(Relaxed) as u8;
        self.is_asked().then(|| ExitCode::from(128 + signal))
    }
}
