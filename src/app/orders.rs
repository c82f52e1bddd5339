//! Orders that came over MQTT. Off unless `mqtt.commands` is on.

use super::camera::Running;
use crate::data::CameraId;
use crate::graph::Graph;
use crate::publish::Order;
use crate::store::jpeg;

impl Running {
    pub(super) fn obey(&mut self, order: Order, graph: &Graph) {
        let done = match order {
            Order::Enable { camera, on } => self.enable(&CameraId::new(&camera), on, graph),
            Order::Snapshot { camera } => self.picture(&CameraId::new(&camera)),
            // The caller's: it has the path and tells systemd.
            Order::Reload => Ok(()),
        };
        if let Err(why) = done {
            tracing::warn!("ordered over MQTT: {why}");
        }
    }

    /// Until the next reload or start: the configuration is not changed.
    fn enable(&mut self, id: &CameraId, on: bool, graph: &Graph) -> Result<(), String> {
        let Some(camera) = self.config.cameras.iter().find(|c| c.ingest.id == *id).cloned() else {
            return Err(match self.config.disabled.get(id) {
                Some(why) => format!("camera {id} does not run: {why}"),
                None => format!("there is no camera {id}"),
            });
        };
        match (on, self.cameras.contains_key(id)) {
            (true, false) => self.start(graph, &camera).map_err(|e| format!("camera {id}: {e}")),
            (false, true) => {
                self.stop(id);
                self.tell_disabled(id, "switched off over MQTT");
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The newest picture, with its masks, as `…/snapshot/command`.
    fn picture(&self, id: &CameraId) -> Result<(), String> {
        let picture = self.pictures.read().unwrap_or_else(|e| e.into_inner()).get(id).cloned();
        let picture = picture.ok_or_else(|| format!("no picture of a camera {id} has come yet"))?;
        let topic = self.topics.snapshot(id.as_str(), "command");
        self.publisher.send_acknowledged(topic, jpeg(&picture)?);
        Ok(())
    }
}
