//! What leaves over MQTT.

use std::path::PathBuf;
use std::time::Duration;

use crate::data::Secret;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum MqttVersion {
    #[default]
    V5,
    V311,
}

/// How the broker is reached, and under which names.
#[derive(Clone, Debug)]
pub struct MqttOptions {
    pub host: String,
    pub port: u16,
    pub tls: bool,
    pub version: MqttVersion,
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
