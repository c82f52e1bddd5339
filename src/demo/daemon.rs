//! The daemon as a process of its own, as an operator runs it.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A running daemon. Its process ends with this value.
pub(super) struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts the binary with `run --config`. Its log goes to `log`.
    pub fn start(program: &Path, config: &Path, log: &Path) -> anyhow::Result<Self> {
        let file = std::fs::File::create(log).with_context(|| log.display().to_string())?;
        let child = Command::new(program)
            .args(["run", "--config"])
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            // A Ctrl-C in the terminal goes to the whole group. It is the demo that tells the daemon to end: two signals
            // would end it at once, without waiting for its work.
            .process_group(0)
            .spawn()
            .context("the daemon does not start")?;
        let log = log.to_owned();
        Ok(Self { child, log })
    }

    /// # Errors
    /// It has ended by itself.
    pub fn check(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("the daemon ended by itself ({status}); see {}", self.log.display()),
        }
    }

    /// Asks it to stop (SIGTERM) and waits.
    ///
    /// # Errors
    /// It ended with an error.
    pub fn stop(mut self) -> anyhow::Result<()> {
        self.terminate();
        let status = self.child.wait()?;
        if !status.success() {
            bail!("the daemon ended with {status}; see {}", self.log.display());
        }
        Ok(())
    }

    /// Makes it read its configuration again.
    pub fn reload(&self) {
        self.signal(Signal::SIGHUP);
    }

    /// CPU time that its threads have used.
    ///
    /// # Errors
    /// It has ended.
    pub fn cpu_s(&self) -> anyhow::Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let seconds = crate::app::cpu::seconds(&stat);
        seconds.with_context(|| format!("/proc/{}/stat reads {stat:?}", self.child.id()))
    }

    fn terminate(&self) {
        self.signal(Signal::SIGTERM);
    }

    fn signal(&self, signal: Signal) {
        // Fails only when it has ended already.
        let _ = kill(Pid::from_raw(self.child.id() as i32), signal);
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            self.terminate();
            let _ = self.child.wait();
        }
    }
}
