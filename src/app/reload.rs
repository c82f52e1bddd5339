//! SIGHUP: what changed, camera by camera. A wrong configuration changes nothing and says so.

mod changes;

use std::path::Path;

use super::camera::Running;
use super::leftover::clear_gone_cameras;
use super::log_doubts;
use crate::config::{self, CameraConfig, Surroundings};
use crate::data::{CameraId, StateReason};
use crate::graph::Graph;
use crate::publish::{check_tls, home_assistant};
use crate::store::Store;
use changes::{Changes, waiting_for_a_restart};

/// What a wrong configuration's problem ends with.
const GOES_ON: &str = "the one before goes on";
pub(super) const NOTHING_WATCHED: &str = "no camera is switched on and right: nothing is watched";

impl Running {
    pub(super) fn reload(&mut self, path: &Path, graph: &Graph) {
        let loaded = match config::load(path, &Surroundings::real()) {
            Ok(loaded) => loaded,
            Err(errors) => {
                for error in &errors {
                    tracing::error!("{error}");
                }
                tracing::error!("reload: nothing was changed; {GOES_ON}");
                let mut told = self.board.config_problems.write();
                // What was wrong with the one that goes on still is.
                told.retain(|text| !text.ends_with(GOES_ON));
                told.push(format!("the configuration is wrong ({}); {GOES_ON}", errors[0]));
                return;
            }
        };
        let mut problems: Vec<String> = loaded.camera_errors.iter().map(ToString::to_string).collect();
        log_doubts(&loaded);
        let no_start = check_tls(&loaded.config.mqtt).err();
        if let Some(why) = &no_start {
            tracing::error!("{why}; a restart would fail");
            problems.push(format!("{why}; a restart would fail"));
        }
        let old = std::mem::replace(&mut self.config, loaded.config);
        let waiting = waiting_for_a_restart(&old, &self.config);
        if !waiting.is_empty() {
            let text = format!("what changed in {} takes effect at a restart", waiting.join(", "));
            tracing::warn!("{text}");
            problems.push(text);
            self.config.keep_what_is_fixed(&old);
        }
        let not_yet: Vec<String> = self
            .config
            .cameras
            .iter()
            .flat_map(|c| self.asks_for_a_restart(c))
            .collect();
        if !not_yet.is_empty() {
            not_yet.iter().for_each(|text| tracing::warn!("{text}"));
            problems.extend(not_yet);
        } else if waiting.is_empty()
            && no_start.is_none()
            && let Err(why) = config::keep_last_good(&loaded.texts, &self.config.store.dir)
        {
            // Only now: what waits for a restart is no good one yet.
            problems.push(why);
        }
        let changes = self.exchange_cameras(graph, &old, &mut problems);
        for (camera, why) in self.config.disabled.clone() {
            self.tell_disabled(&camera, &why);
        }
        self.forget_gone(&old);
        tracing::info!("reload: {changes}");
        if self.config.cameras.is_empty() {
            tracing::warn!("{NOTHING_WATCHED}");
        }
        self.board.set_config_problems(problems);
    }

    /// Ends the cameras that are gone or changed, and starts those that are new or changed.
    fn exchange_cameras(&mut self, graph: &Graph, old: &config::Config, problems: &mut Vec<String>) -> Changes {
        let mut changes = Changes::default();
        let running: Vec<CameraId> = self.cameras.keys().cloned().collect();
        for id in &running {
            let wanted = self
                .config
                .cameras
                .iter()
                .find(|c| c.ingest.id == *id)
                .map(config::CameraConfig::fingerprint);
            // An account may have been mended on the camera's side.
            let locked_out = self.reason(id) == Some(StateReason::AuthFailed);
            if !locked_out && wanted.as_ref() == self.cameras.get(id).map(|c| &c.fingerprint) {
                changes.unchanged += 1;
                continue;
            }
            tracing::info!(camera = %id, "stops for a reload");
            self.stop(id);
            match (wanted, self.config.disabled.get(id)) {
                (Some(_), _) => {}
                (None, Some(why)) if why.starts_with("switched off") => changes.switched_off.push(id.clone()),
                (None, Some(_)) => changes.wrong.push(id.clone()),
                (None, None) => changes.removed.push(id.clone()),
            }
        }
        // Cameras that did not run may be gone as well.
        let did_not_run = old.disabled.keys().chain(old.cameras.iter().map(|c| &c.ingest.id));
        let lives = |id: &CameraId| {
            self.config.disabled.contains_key(id) || self.config.cameras.iter().any(|c| c.ingest.id == *id)
        };
        let gone = did_not_run.filter(|id| !running.contains(id) && !lives(id));
        changes.removed.extend(gone.cloned());
        for camera in self.config.cameras.clone() {
            let id = &camera.ingest.id;
            if self.cameras.contains_key(id) {
                continue;
            }
            tracing::info!(camera = %id, "starts after a reload");
            let known = old.disabled.contains_key(id) || old.cameras.iter().any(|c| c.ingest.id == *id);
            if let Err(error) = self.start(graph, &camera) {
                problems.push(format!("camera {id}: {error}"));
                changes.failed.push(id.clone());
            } else if running.contains(id) {
                changes.restarted.push(id.clone());
            } else if known {
                changes.switched_on.push(id.clone());
            } else {
                changes.added.push(id.clone());
            }
        }
        changes
    }

    /// A camera may ask for models that were not loaded at the start.
    fn asks_for_a_restart(&self, camera: &CameraConfig) -> Vec<String> {
        let emotion = (camera.emotion && !self.emotion)
            .then_some("emotion takes effect at a restart: no camera had it at the start");
        let fight = (camera.behaviour.fight.is_some() && self.fight_threshold.is_none())
            .then_some("fight takes effect at a restart: the clip model was not there at the start");
        let told = emotion.into_iter().chain(fight);
        told.map(|what| format!("camera {}: {what}", camera.ingest.id))
            .collect()
    }

    /// What is retained of cameras and kinds that are not there any more goes.
    fn forget_gone(&self, old: &config::Config) {
        let known = |id: &CameraId| {
            self.config.cameras.iter().any(|c| c.ingest.id == *id) || self.config.disabled.contains_key(id)
        };
        let told = self.board.cameras.read();
        let gone: Vec<CameraId> = told.keys().filter(|id| !known(id)).cloned().collect();
        drop(told);
        // First: last windows are still on their way, and nothing of them may be retained after this.
        let mut watched = self.board.watched.write();
        watched.retain(|id, _| self.cameras.contains_key(id));
        drop(watched);
        gone.iter().for_each(|id| self.clear(id, old));
        // Nothing is open of a camera that was switched off; the store may not know yet what was on its way then.
        let off = |c: &&CameraConfig| self.config.disabled.contains_key(&c.ingest.id);
        for camera in old.cameras.iter().filter(off) {
            for policy in &camera.policy.kinds {
                let topic = self.topics.active(camera.ingest.id.as_str(), policy.kind.as_str());
                self.publisher.retain(topic, b"OFF".to_vec());
            }
        }
        match Store::open(&self.config.store) {
            Ok(store) => clear_gone_cameras(&store, &self.config, &self.topics, &self.publisher),
            Err(error) => tracing::warn!(%error, "what is retained of cameras that are gone stays until a restart"),
        }
    }

    /// A removed camera's retained topics go.
    fn clear(&self, id: &CameraId, old: &config::Config) {
        self.board.cameras.write().remove(id);
        self.tell_no_emotion(id);
        let was = old.cameras.iter().find(|c| c.ingest.id == *id);
        for policy in was.iter().flat_map(|c| &c.policy.kinds) {
            self.publisher
                .retain(self.topics.active(id.as_str(), policy.kind.as_str()), Vec::new());
        }
        self.publisher
            .retain(self.topics.camera_status(id.as_str()), Vec::new());
        if old.mqtt.home_assistant {
            let device = home_assistant::topic(&self.topics, id.as_str());
            self.publisher.retain(device, Vec::new());
        }
    }

    fn reason(&self, id: &CameraId) -> Option<StateReason> {
        let cameras = self.board.cameras.read();
        cameras.get(id)?.reason
    }
}
