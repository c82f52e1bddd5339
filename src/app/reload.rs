//! SIGHUP: what changed, camera by camera. A wrong configuration changes nothing and says so.

use std::path::Path;

use super::camera::Running;
use super::leftover::clear_gone_cameras;
use super::log_doubts;
use crate::config::{self, CameraConfig, Surroundings};
use crate::data::{CameraId, StateReason};
use crate::graph::Graph;
use crate::publish::{check_tls, home_assistant};
use crate::store::Store;

/// What a wrong configuration's problem ends with.
const GOES_ON: &str = "the one before goes on";

impl Running {
    pub(super) fn reload(&mut self, path: &Path, graph: &Graph) {
        let loaded = match config::load(path, &Surroundings::real()) {
            Ok(loaded) => loaded,
            Err(errors) => {
                for error in &errors {
                    tracing::error!("{error}");
                }
                let mut told = self.board.config_problems.write().unwrap_or_else(|e| e.into_inner());
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
        let waits = old.fixed_at_start() != self.config.fixed_at_start();
        if waits {
            let text = "what changed in site.name, box, mqtt, state, models, fusion, inference and http takes effect at a restart";
            tracing::warn!("{text}");
            problems.push(text.into());
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
        } else if !waits
            && no_start.is_none()
            && let Err(why) = config::keep_last_good(&loaded.texts, &self.config.store.dir)
        {
            // Only now: what waits for a restart is no good one yet.
            problems.push(why);
        }
        let running: Vec<CameraId> = self.cameras.keys().cloned().collect();
        for id in running {
            let wanted = self
                .config
                .cameras
                .iter()
                .find(|c| c.ingest.id == id)
                .map(config::CameraConfig::fingerprint);
            // An account may have been mended on the camera's side.
            let locked_out = self.reason(&id) == Some(StateReason::AuthFailed);
            if locked_out || wanted.as_ref() != self.cameras.get(&id).map(|c| &c.fingerprint) {
                tracing::info!(camera = %id, "stops for a reload");
                self.stop(&id);
            }
        }
        for camera in self.config.cameras.clone() {
            if !self.cameras.contains_key(&camera.ingest.id) {
                tracing::info!(camera = %camera.ingest.id, "starts after a reload");
                if let Err(error) = self.start(graph, &camera) {
                    problems.push(format!("camera {}: {error}", camera.ingest.id));
                }
            }
        }
        for (camera, why) in self.config.disabled.clone() {
            self.tell_disabled(&camera, &why);
        }
        self.forget_gone(&old);
        self.board.set_config_problems(problems);
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
        let told = self.board.cameras.read().unwrap_or_else(|e| e.into_inner());
        let gone: Vec<CameraId> = told.keys().filter(|id| !known(id)).cloned().collect();
        drop(told);
        // First: last windows are still on their way, and nothing of them may be retained after this.
        let mut watched = self.board.watched.write().unwrap_or_else(|e| e.into_inner());
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
        self.board.cameras.write().unwrap_or_else(|e| e.into_inner()).remove(id);
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
        let cameras = self.board.cameras.read().unwrap_or_else(|e| e.into_inner());
        cameras.get(id)?.reason
    }
}
