//! Events and outbox in one transaction; snapshots; retention.

use std::path::PathBuf;
use std::time::Duration;

#[derive(Clone, Debug, PartialEq)]
pub struct StoreOptions {
    /// `state.dir`
    pub dir: PathBuf,
    /// Events and snapshots older than this are removed.
    pub keep_for: Duration,
    /// Most alerts waiting for the broker; beyond it updates go first, then the oldest alerts.
    pub outbox_max: usize,
    /// Alerts that waited longer are dropped, counted.
    pub outbox_max_age: Duration,
}
