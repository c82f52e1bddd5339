//! Orders that came over MQTT. Off unless `mqtt.commands` is on.

use super::camera::Running;
use crate::config::Config;
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
            return Err(not_running(id, &self.config));
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
        let picture = self.pictures.read().get(id).cloned();
        let picture = picture.ok_or_else(|| match self.config.cameras.iter().any(|c| c.ingest.id == *id) {
            false => not_running(id, &self.config),
            true if !self.cameras.contains_key(id) => format!("camera {id} is switched off: there is no picture of it"),
            true => format!("no picture of camera {id} has come yet"),
        })?;
        let topic = self.topics.snapshot(id.as_str(), "command");
        self.publisher.send_acknowledged(topic, jpeg(&picture)?);
        Ok(())
    }
}

/// Why a camera that the configuration does not run cannot obey; of one that it does not know, which ones there are.
fn not_running(id: &CameraId, config: &Config) -> String {
    if let Some(why) = config.disabled.get(id) {
        return format!("camera {id} does not run: {why}");
    }
    let running = config.cameras.iter().map(|c| c.ingest.id.to_string());
    let others = config.disabled.keys().map(|id| format!("{id} (does not run)"));
    let all: Vec<String> = running.chain(others).collect();
    // Anybody may have written it.
    let id = id.as_str().escape_debug();
    if all.is_empty() {
        return format!("there is no camera {id}; the configuration has none at all");
    }
    format!("there is no camera {id}; there are {}", all.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Surroundings, load_texts};

    #[test]
    fn an_order_for_a_camera_that_is_not_there_is_told_which_ones_are() {
        let told = |cameras: &str| {
            let text = format!("[box]\nname = \"b\"\n{cameras}");
            let loaded = load_texts(vec![("w.toml".into(), text)], &Surroundings::real()).unwrap();
            move |id: &str| not_running(&CameraId::new(id), &loaded.config)
        };
        let camera = |id: &str, more: &str| format!("[[camera]]\nid = \"{id}\"\nurl = \"rtsp://10.0.0.1/x\"\n{more}");
        let two = told(&(camera("yard", "") + &camera("gate", "") + &camera("old", "enabled = false\n")));
        assert_eq!(
            two("shed"),
            "there is no camera shed; there are yard, gate, old (does not run)"
        );
        assert!(
            two("old").contains("camera old does not run: switched off"),
            "{}",
            two("old")
        );
        assert!(!two("shed\nready").contains('\n'), "nobody makes a line of the log");
        assert!(told("")("shed").contains("none at all"));
    }
}
