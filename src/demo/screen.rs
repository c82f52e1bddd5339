//! What the demo shows: alerts as they arrive, pleasant to read.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use anyhow::bail;
use crossbeam_channel::Receiver;

use super::daemon::Daemon;
use crate::publish::payload::AlertPayload;

/// A clip lasts half a minute; the rest is for slow machines.
const PATIENCE: Duration = Duration::from_secs(150);

/// Alerts that started, by (camera, kind).
pub(super) type Seen = BTreeMap<(String, String), u32>;

/// The subscriber's screen.
pub(super) struct Screen {
    colours: bool,
    seen: Seen,
    /// What each camera's state was said to be last.
    states: BTreeMap<String, String>,
    /// Cameras that streamed, and that are over.
    streamed: BTreeSet<String>,
    over: BTreeSet<String>,
}

impl Screen {
    pub fn new() -> Self {
        Self {
            colours: std::io::stdout().is_terminal(),
            seen: Seen::new(),
            states: BTreeMap::new(),
            streamed: BTreeSet::new(),
            over: BTreeSet::new(),
        }
    }

    /// Shows what arrives until `cameras` cameras have shown their clip to the end, or somebody interrupts: then by which
    /// signal.
    ///
    /// # Errors
    /// The daemon ended by itself, or the clips did not end in time.
    pub fn watch(
        &mut self,
        messages: &Receiver<(String, Vec<u8>)>,
        interrupted: &Receiver<i32>,
        daemon: &mut Daemon,
        cameras: usize,
        looped: bool,
    ) -> anyhow::Result<Option<i32>> {
        let deadline = Instant::now() + PATIENCE;
        let look = crossbeam_channel::tick(Duration::from_secs(1));
        while looped || self.over.len() < cameras {
            crossbeam_channel::select! {
                recv(messages) -> message => match message {
                    Ok((topic, payload)) => self.take(&topic, &payload)?,
                    Err(_) => bail!("the subscriber ended"),
                },
                recv(interrupted) -> signal => return Ok(Some(signal?)),
                recv(look) -> _ => {
                    daemon.check()?;
                    if !looped && Instant::now() > deadline {
                        bail!("the cameras did not come to an end within {} s", PATIENCE.as_secs());
                    }
                }
            }
        }
        Ok(None)
    }

    /// What it has shown.
    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    fn take(&mut self, topic: &str, payload: &[u8]) -> anyhow::Result<()> {
        let mut parts = topic.split('/').skip(2);
        match (parts.next(), parts.next(), parts.next()) {
            (Some("camera"), Some(camera), Some("status")) => {
                let status: serde_json::Value = serde_json::from_slice(payload)?;
                let state = status["state"].as_str().unwrap_or_default();
                // A status is told again when something else in it changes.
                if self.states.insert(camera.to_owned(), state.to_owned()).as_deref() != Some(state) {
                    println!("{:12} {:8} {camera:8} {state}", "", "camera");
                }
                if state == "streaming" {
                    self.streamed.insert(camera.to_owned());
                } else if self.streamed.contains(camera) {
                    self.over.insert(camera.to_owned());
                }
            }
            (Some("camera"), Some(_), Some("alert")) => {
                let alert: AlertPayload = serde_json::from_slice(payload)?;
                self.alert(&alert);
            }
            _ => {}
        }
        Ok(())
    }

    fn alert(&mut self, alert: &AlertPayload) {
        if alert.phase == "start" {
            *self.seen.entry((alert.camera.clone(), alert.kind.clone())).or_default() += 1;
        }
        let time = alert.updated_at.get(11..23).unwrap_or_default();
        let place: Vec<&str> = [&alert.zone, &alert.direction]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect();
        let proof: Vec<String> = alert
            .evidence
            .iter()
            .map(|e| format!("{} {} {:.2} ({:+.1})", e.modality, e.label, e.score, e.contribution))
            .collect();
        let (on, off) = match (self.colours, alert.phase.as_str(), alert.severity.as_str()) {
            (false, ..) => ("", ""),
            (_, "end", _) => ("\x1b[2m", "\x1b[0m"),
            (_, _, "critical") => ("\x1b[1;31m", "\x1b[0m"),
            (_, _, "warning") => ("\x1b[33m", "\x1b[0m"),
            _ => ("\x1b[36m", "\x1b[0m"),
        };
        println!(
            "{time} {on}{:8} {:8} {:13} {:24}{off} {}",
            alert.phase,
            alert.camera,
            alert.kind,
            place.join(" "),
            proof.join(", ")
        );
    }
}
