//! An alert's life: start, update, end. Pure.

use crate::data::{Kind, Severity};

/// How alerts of one kind live.
#[derive(Clone, Debug, PartialEq)]
pub struct KindPolicy {
    pub kind: Kind,
    pub severity: Severity,
    /// The alert ends when its evidence has been gone for so long.
    pub hold_s: f32,
    /// No new alert of the same (kind, zone) for so long after an end.
    pub cooldown_s: f32,
}

/// The life of one camera's alerts: one entry for every kind that may alert.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct PolicyOptions {
    pub kinds: Vec<KindPolicy>,
}
