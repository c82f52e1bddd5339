//! Where a kind counts: in the zones that name it, or everywhere when none does.

use std::sync::Arc;

use super::{Zone, anchor_point};
use crate::data::{Kind, Track};
use crate::geometry::inside;

pub(super) struct Places {
    zones: Vec<Zone>,
}

impl Places {
    pub fn of(kind: Kind, zones: &[Zone]) -> Self {
        let mut zones: Vec<Zone> = zones.iter().filter(|z| z.kinds.contains(&kind)).cloned().collect();
        if kind == Kind::Fall {
            // Who lies is low: a fall is not measured by the heights of those who stand.
            for zone in &mut zones {
                (zone.min_height, zone.max_height) = (0.0, f32::INFINITY);
            }
        }
        Self { zones }
    }

    /// None: it does not count here. `Some(None)`: it counts, and no zone is named.
    pub fn of_track(&self, track: &Track) -> Option<Option<Arc<str>>> {
        if self.zones.is_empty() {
            return (&*track.class == "person").then_some(None);
        }
        let holds = |z: &&Zone| z.is_about(track) && inside(&z.polygon, anchor_point(z.anchor, &track.bbox));
        self.zones.iter().find(holds).map(|z| Some(z.name.clone()))
    }
}
