//! The cameras of the running daemon.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use parking_lot::RwLock;

use super::{Board, Vocabulary, fill_thresholds};
use crate::clock::Clock;
use crate::config::{CameraConfig, Config};
use crate::data::{CameraId, CameraState, CameraStatus, EndReason, Kind, Picture, Snapshots, StateReason, Window};
use crate::graph::{CameraExit, CameraInlet, Graph};
use crate::ingest::{Camera, CameraSink, Ending};
use crate::publish::payload::CameraStatusPayload;
use crate::publish::{Publisher, Topics, home_assistant};
use crate::stages::CameraProfile;
use crate::store::Store;

/// Everything that a reload may change.
pub(super) struct Running {
    pub config: Config,
    pub vocabulary: Vocabulary,
    /// None: no clip model was loaded at the start.
    pub fight_threshold: Option<f32>,
    /// The models of faces and voices are loaded.
    pub emotion: bool,
    pub clock: Arc<dyn Clock>,
    pub board: Arc<Board>,
    pub publisher: Publisher,
    pub topics: Topics,
    pub cameras: BTreeMap<CameraId, RunningCamera>,
    /// Pipelines of cameras that were stopped.
    pub ending: BTreeMap<CameraId, Ending>,
    /// The newest picture of each, with its masks.
    pub pictures: Pictures,
}

pub(super) struct RunningCamera {
    camera: Camera,
    /// Of the configuration that it runs.
    pub fingerprint: String,
    exit: CameraExit,
}

/// Not on the data path: written once a window, read when somebody orders a picture.
pub(super) type Pictures = Arc<RwLock<BTreeMap<CameraId, Arc<Picture>>>>;

impl Running {
    pub fn start_all(&mut self, graph: &Graph) -> std::io::Result<()> {
        for camera in self.config.cameras.clone() {
            self.start(graph, &camera)?;
        }
        for (camera, why) in self.config.disabled.clone() {
            self.tell_disabled(&camera, &why);
        }
        Ok(())
    }

    pub fn start(&mut self, graph: &Graph, config: &CameraConfig) -> std::io::Result<()> {
        let id = config.ingest.id.clone();
        let mut behaviour = config.behaviour.clone();
        fill_thresholds(
            &mut behaviour,
            &self.vocabulary.detector,
            &self.vocabulary.sound,
            self.fight_threshold,
        );
        for text in self.vocabulary.unknown_to(config) {
            tracing::warn!("{text}");
        }
        let profile = CameraProfile {
            behaviour,
            learned: self.learned(&id),
            ..config.profile()
        };
        let metrics = {
            let mut all = self.board.metrics.write();
            all.cameras.entry(id.clone()).or_default().clone()
        };
        // A camera that never comes up ages too, and one that comes back from being off is not as old as that.
        let told = self.board.cameras.read();
        if told.get(&id).is_none_or(|c| c.state == CameraState::Disabled) {
            metrics.last_ok_ns.store(self.clock.monotonic_ns(), Relaxed);
        }
        drop(told);
        let kinds = config.policy.kinds.iter().map(|p| p.kind).collect();
        let mut watched = self.board.watched.write();
        watched.insert(id.clone(), kinds);
        drop(watched);
        // Nothing is open yet: subscribers that still see ON from before learn it.
        for policy in &config.policy.kinds {
            self.publisher
                .retain(self.topics.active(id.as_str(), policy.kind.as_str()), b"OFF".to_vec());
        }
        if self.config.mqtt.home_assistant {
            let kinds: Vec<Kind> = config.policy.kinds.iter().map(|p| p.kind).collect();
            let pictures = config.snapshots == Snapshots::Mqtt;
            self.publisher.retain(
                home_assistant::topic(&self.topics, id.as_str()),
                home_assistant::device(&self.topics, id.as_str(), &kinds, pictures),
            );
        }
        if config.emotion {
            let mut opted_in = self.board.emotion.write();
            opted_in.insert(id.clone());
        } else if self.emotion {
            // A reload may have switched it off.
            self.tell_no_emotion(&id);
        }
        let inlet = graph.camera(id.clone(), profile, metrics);
        let exit = inlet.exit();
        let sink = Box::new(ToGraph {
            pictures: self.config.mqtt.commands.then(|| self.pictures.clone()),
            inlet,
            board: self.board.clone(),
            publisher: self.publisher.clone(),
            topics: self.topics.clone(),
            box_name: self.config.box_name.clone(),
        });
        let camera = Camera::spawn(
            config.ingest.clone(),
            self.clock.clone(),
            self.config.redactor.clone(),
            sink,
            self.ending.remove(&id),
        )?;
        let mut ingest = self.board.ingest.write();
        ingest.insert(id.clone(), camera.counters().clone());
        drop(ingest);
        let fingerprint = config.fingerprint();
        self.cameras.insert(
            id,
            RunningCamera {
                camera,
                fingerprint,
                exit,
            },
        );
        Ok(())
    }

    /// What the camera's people expressed is cleared, and no window that is still on its way brings it back.
    pub fn tell_no_emotion(&self, id: &CameraId) {
        self.board.emotion.write().remove(id);
        self.publisher.retain(self.topics.emotion(id.as_str()), Vec::new());
    }

    /// What the camera's behaviour learned before the last stop.
    fn learned(&self, id: &CameraId) -> Option<Arc<str>> {
        let found = Store::open(&self.config.store).and_then(|store| store.learned(id.as_str()));
        match found {
            Ok(learned) => learned.map(Into::into),
            Err(error) => {
                tracing::warn!(camera = %id, %error, "what was learned could not be read and begins anew");
                None
            }
        }
    }

    /// Ends a camera and waits for its thread; its alerts end with the reason `reload`.
    pub fn stop(&mut self, id: &CameraId) {
        if let Some(running) = self.cameras.remove(id) {
            if let Ok(Some(ending)) = running.camera.stop().join() {
                self.ending.insert(id.clone(), ending);
                // Only those that hang still: the channel says nothing, it closes.
                self.ending
                    .retain(|_, e| e.try_recv() == Err(crossbeam_channel::TryRecvError::Empty));
            }
            running.exit.over(EndReason::Reload);
            self.board.ingest.write().remove(id);
            // It may have other masks when it is started again.
            self.pictures.write().remove(id);
        }
    }

    pub fn stop_all(&mut self) {
        let threads: Vec<_> = std::mem::take(&mut self.cameras)
            .into_values()
            .map(|c| c.camera.stop())
            .collect();
        for thread in threads {
            let _ = thread.join();
        }
    }

    pub fn tell_disabled(&self, camera: &CameraId, why: &str) {
        let wrong = !why.starts_with("switched off");
        let status = CameraStatus {
            camera: camera.clone(),
            state: CameraState::Disabled,
            since_utc_ns: self.clock.utc_ns(),
            reason: wrong.then_some(StateReason::Config),
            detail: Some(self.config.redactor.clean(why)),
            attempts: 0,
            retry_at_utc_ns: None,
            clock_offset_ms: None,
            video: None,
            audio: None,
        };
        // With a slash in its id its topic is read as another camera's, and is cleared with what that one has left.
        if self.topics.camera_of(&self.topics.camera_status(camera.as_str())) != Some(camera.as_str()) {
            let mut cameras = self.board.cameras.write();
            cameras.insert(camera.clone(), status);
            return;
        }
        tell(
            &self.publisher,
            &self.topics,
            &self.config.box_name,
            &self.board,
            status,
        );
    }
}

/// A camera's way into the graph.
struct ToGraph {
    /// None where nobody may order a picture.
    pictures: Option<Pictures>,
    inlet: CameraInlet,
    board: Arc<Board>,
    publisher: Publisher,
    topics: Topics,
    box_name: String,
}

impl CameraSink for ToGraph {
    fn window(&mut self, window: Window) {
        if let (Some(pictures), Some(frame)) = (&self.pictures, window.frames.last()) {
            pictures.write().insert(window.camera.clone(), frame.picture.clone());
        }
        self.inlet.push(window);
    }

    fn status(&mut self, status: CameraStatus) {
        tell(&self.publisher, &self.topics, &self.box_name, &self.board, status);
    }

    fn lost(&mut self) {
        self.inlet.over(EndReason::CameraLost);
    }
}

fn tell(publisher: &Publisher, topics: &Topics, box_name: &str, board: &Board, status: CameraStatus) {
    let payload = CameraStatusPayload::new(&status, box_name);
    let topic = topics.camera_status(status.camera.as_str());
    publisher.retain(topic, serde_json::to_vec(&payload).unwrap_or_default());
    board.cameras.write().insert(status.camera.clone(), status);
}
