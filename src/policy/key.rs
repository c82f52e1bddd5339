//! Which alerts are one.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::data::{Direction, Kind};

/// What makes an alert the same one: presence and sounds by zone, crossings by track and way as well.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub kind: Kind,
    pub zone: Option<Arc<str>>,
    pub track: Option<u64>,
    pub direction: Option<Direction>,
}

/// What `max_per_hour` is counted by.
pub(super) type KindInZone = (Kind, Option<Arc<str>>);

impl Key {
    pub fn kind_in_zone(&self) -> KindInZone {
        (self.kind, self.zone.clone())
    }

    /// That of what stands for all of its kind in its zone.
    pub fn of_all(&self) -> Self {
        Self {
            track: None,
            direction: None,
            ..self.clone()
        }
    }
}

/// A ULID (its time is the alert's start) whose random part is a hash of what the alert is about: the same recording
/// gives the same ids.
pub(super) fn id(source: &str, key: &Key, started_utc_ns: i64, counter: u64) -> String {
    let text = format!(
        "{source}|{}|{:?}|{:?}|{started_utc_ns}|{counter}",
        key.kind, key.zone, key.track
    );
    let hash = Sha256::digest(text.as_bytes());
    let mut random = [0u8; 16];
    random[6..].copy_from_slice(&hash[..10]);
    ulid::Ulid::from_parts((started_utc_ns / 1_000_000).max(0) as u64, u128::from_be_bytes(random)).to_string()
}
