//! Where a kind counts: in the zones that name it, or everywhere when none does.

use std::sync::Arc;

use super::{Zone, anchor_point};
use crate::data::{Kind, Point, Track};
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

    /// Every zone that the track is in; one without a name where no zone names the kind. Empty: it does not count here.
    pub fn of_track(&self, track: &Track) -> Vec<Option<Arc<str>>> {
        if self.zones.is_empty() && &*track.class != "person" {
            return Vec::new();
        }
        self.that(|z| z.is_about(track) && inside(&z.polygon, anchor_point(z.anchor, &track.bbox)))
    }

    /// The same of something that no track follows.
    pub fn of_point(&self, at: Point) -> Vec<Option<Arc<str>>> {
        self.that(|z| inside(&z.polygon, at))
    }

    fn that(&self, holds: impl Fn(&Zone) -> bool) -> Vec<Option<Arc<str>>> {
        if self.zones.is_empty() {
            return vec![None];
        }
        let zones = self.zones.iter().filter(|z| holds(z));
        zones.map(|z| Some(z.name.clone())).collect()
    }
}
