//! Where a kind counts: in the zones that name it, or everywhere when none does.

use std::sync::Arc;

use super::{Zone, anchor_point, counts};
use crate::data::{Kind, Track};
use crate::geometry::inside;

pub(super) struct Places {
    zones: Vec<Zone>,
    /// Who lies is low: a fall is not measured by the heights of those who stand.
    any_height: bool,
}

impl Places {
    pub fn of(kind: Kind, zones: &[Zone]) -> Self {
        Self {
            zones: zones.iter().filter(|z| z.kinds.contains(&kind)).cloned().collect(),
            any_height: kind == Kind::Fall,
        }
    }

    /// None: it does not count here. `Some(None)`: it counts, and no zone is named.
    pub fn of_track(&self, track: &Track) -> Option<Option<Arc<str>>> {
        if self.zones.is_empty() {
            return (&*track.class == "person").then_some(None);
        }
        let is_about = |z: &Zone| z.is_about(track) || (self.any_height && counts(&z.classes, track));
        let holds = |z: &&Zone| is_about(z) && inside(&z.polygon, anchor_point(z.anchor, &track.bbox));
        self.zones.iter().find(holds).map(|z| Some(z.name.clone()))
    }
}
