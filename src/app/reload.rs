//! SIGHUP: what changed, camera by camera. A wrong configuration changes nothing and says so.

use std::path::Path;

use super::camera::Running;
use crate::config::{self, Surroundings};
use crate::data::CameraId;
use crate::graph::Graph;
use crate::publish::home_assistant;

impl Running {
    pub(super) fn reload(&mut self, path: &Path, graph: &Graph) {
        let loaded = match config::load(path, &Surroundings::real()) {
            Ok(loaded) => loaded,
            Err(errors) => {
                for error in &errors {
                    tracing::error!("{error}");
                }
                self.problems(vec![format!(
                    "the configuration is wrong ({}); the one before goes on",
                    errors[0]
                )]);
                return;
            }
        };
        let mut problems: Vec<String> = loaded.camera_errors.iter().map(ToString::to_string).collect();
        for text in &problems {
            tracing::error!("{text}");
        }
        if let Err(error) = config::keep_last_good(&loaded) {
            problems.push(format!(
                "the configuration could not be kept as the last good one ({error})"
            ));
        }
        let new = loaded.config;
        let old = std::mem::replace(&mut self.config, new);
        if old.fixed_at_start() != self.config.fixed_at_start() {
            problems.push("mqtt, state, models, inference and http take effect at a restart".into());
            self.config.keep_what_is_fixed(&old);
        }
        if let Some(camera) = self.config.cameras.iter().find(|c| c.emotion && !self.emotion) {
            let id = &camera.ingest.id;
            let text = format!("camera {id}: emotion takes effect at a restart: no camera had it at the start");
            tracing::warn!("{text}");
            problems.push(text);
        }
        let running: Vec<CameraId> = self.cameras.keys().cloned().collect();
        for id in running {
            let wanted = self
                .config
                .cameras
                .iter()
                .find(|c| c.ingest.id == id)
                .map(config::CameraConfig::fingerprint);
            if wanted.as_ref() != self.cameras.get(&id).map(|c| &c.fingerprint) {
                tracing::info!(camera = %id, "stops for a reload");
                self.stop(&id);
                if wanted.is_none() && !self.config.disabled.contains_key(&id) {
                    self.clear(&id, &old);
                }
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
        self.problems(problems);
    }

    /// A removed camera's retained topics go.
    fn clear(&self, id: &CameraId, old: &config::Config) {
        // First: its last windows are still on their way, and nothing of them may be retained after this.
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
        self.pictures.write().unwrap_or_else(|e| e.into_inner()).remove(id);
    }

    fn problems(&self, problems: Vec<String>) {
        *self.board.problems.write().unwrap_or_else(|e| e.into_inner()) = problems;
    }
}
