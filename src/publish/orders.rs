//! What may be told to a box over MQTT, where the operator has switched that on.

use std::fmt;

use super::Topics;

/// An order from `…/command/<name>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Read the configuration again.
    Reload,
    /// Start or stop a camera, until the next reload or start.
    Enable { camera: String, on: bool },
    /// Publish the newest picture of a camera.
    Snapshot { camera: String },
}

/// For the log; ids are quoted, because anybody may have written them.
impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reload => f.write_str("reload"),
            Self::Enable { camera, on: true } => write!(f, "camera {camera:?} on"),
            Self::Enable { camera, on: false } => write!(f, "camera {camera:?} off"),
            Self::Snapshot { camera } => write!(f, "snapshot of camera {camera:?}"),
        }
    }
}

/// The order in a message.
///
/// # Errors
/// Nobody understands it; the text says what would be understood.
pub(super) fn order(topics: &Topics, topic: &str, payload: &[u8]) -> Result<Order, String> {
    let name = topic.strip_prefix(&topics.command("")).unwrap_or(topic);
    let word = String::from_utf8_lossy(payload).trim().to_owned();
    let camera = |rest: &str| rest.strip_suffix("/enable").map(str::to_owned);
    match (name, name.strip_prefix("camera/").and_then(camera), word.as_str()) {
        ("reload", ..) => Ok(Order::Reload),
        ("snapshot", _, camera) if !camera.is_empty() => Ok(Order::Snapshot { camera: camera.into() }),
        ("snapshot", ..) => Err("command/snapshot takes the camera's id as its payload".into()),
        (_, Some(camera), "ON") => Ok(Order::Enable { camera, on: true }),
        (_, Some(camera), "OFF") => Ok(Order::Enable { camera, on: false }),
        (_, Some(_), other) => Err(format!("command/{name} takes ON or OFF, not {other:?}")),
        _ => Err(format!(
            "unknown command {name:?}; known are reload, snapshot and camera/<id>/enable"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_read_and_nonsense_is_explained() {
        let topics = Topics::new("gatehouse", "edge-1");
        let read = |name: &str, payload: &str| order(&topics, &topics.command(name), payload.as_bytes());
        assert_eq!(read("reload", ""), Ok(Order::Reload));
        let off = Order::Enable {
            camera: "yard".into(),
            on: false,
        };
        assert_eq!(off.to_string(), "camera \"yard\" off");
        assert_eq!(read("camera/yard/enable", "OFF"), Ok(off));
        assert_eq!(
            read("snapshot", "yard\n"),
            Ok(Order::Snapshot { camera: "yard".into() })
        );
        assert!(read("camera/yard/enable", "maybe").unwrap_err().contains("ON or OFF"));
        assert!(read("snapshot", "").unwrap_err().contains("camera's id"));
        assert!(read("reboot", "").unwrap_err().contains("unknown command"));
    }
}
