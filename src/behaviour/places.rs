//! Where a kind counts: in the zones that name it, or everywhere when none does.

use std::sync::Arc;

use super::{Zone, anchor_point, counts};
use crate::data::{Kind, Track};
use crate::geometry::inside;

pub(super) struct Places {
    zones: Vec<Zone>,
}

impl Places {
    pub fn of(kind: Kind, zones: &[Zone]) -> Self {
        Self {
            zones: zones.iter().filter(|z| z.kinds.contains(&kind)).cloned().collect(),
        }
    }

    /// None: it does not count here. `Some(None)`: it counts, and no zone is named.
    pub fn of_track(&self, track: &Track) -> Option<Option<Arc<str>>> {
        if self.zones.is_empty() {
            return (&*track.class == "person").then_some(None);
        }
        let holds = |z: &&Zone| counts(&z.classes, track) && inside(&z.polygon, anchor_point(z.anchor, &track.bbox));
        self.zones.iter().find(holds).map(|z| Some(z.name.clone()))
    }
}
