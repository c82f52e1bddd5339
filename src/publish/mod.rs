//! What leaves over MQTT.

pub mod home_assistant;
mod mqtt;
mod mqtt_subscribe;
mod orders;
pub mod payload;
mod topics;

pub use mqtt::{Publisher, PublisherState, check_tls};
pub use mqtt_subscribe::subscribe;
pub use orders::Order;
pub use topics::Topics;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::data::Secret;

/// What is spoken with the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum MqttVersion {
    #[default]
    V5,
    V311,
}

impl fmt::Display for MqttVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V5 => "5",
            Self::V311 => "3.1.1",
        })
    }
}

/// How the broker is reached, and under which names.
#[derive(Clone, Debug)]
pub struct MqttOptions {
    pub host: String,
    pub port: u16,
    pub version: MqttVersion,
    pub tls: bool,
    pub username: Option<String>,
    pub password: Option<Secret>,
    pub ca: Option<PathBuf>,
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
    pub site: String,
    pub box_name: String,
    /// Tell Home Assistant of every camera.
    pub home_assistant: bool,
    /// Take orders from `…/command/#`.
    pub commands: bool,
    pub keep_alive: Duration,
    pub backoff_first: Duration,
    pub backoff_cap: Duration,
}
