//! What leaves over MQTT.

mod mqtt;
pub mod payload;
mod topics;

pub use mqtt::{Publisher, PublisherState};
pub use topics::Topics;

use std::path::PathBuf;
use std::time::Duration;

use crate::data::Secret;

/// How the broker is reached, and under which names.
#[derive(Clone, Debug)]
pub struct MqttOptions {
    pub host: String,
    pub port: u16,
    pub tls: bool,
    pub username: Option<String>,
    pub password: Option<Secret>,
    pub ca: Option<PathBuf>,
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
    pub site: String,
    pub box_name: String,
    pub keep_alive: Duration,
    pub backoff_first: Duration,
    pub backoff_cap: Duration,
}
