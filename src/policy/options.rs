//! How alerts of one kind live, and those of one camera.

use std::sync::Arc;

use jiff::tz::TimeZone;

use super::Schedule;
use super::key::KindInZone;
use crate::data::{Kind, Severity};

/// How alerts of one kind live.
#[derive(Clone, Debug, PartialEq)]
pub struct KindPolicy {
    pub kind: Kind,
    /// Only for this zone or line; it goes before one without.
    pub zone: Option<Arc<str>>,
    pub severity: Severity,
    /// The alert ends when its evidence has been gone for so long.
    pub hold_s: f32,
    /// No new alert of the same (kind, zone) for so long after an end.
    pub cooldown_s: f32,
    /// No new alert of the same (kind, zone) by the same tracks alone for so long after an end.
    pub track_cooldown_s: f32,
    /// When it may alert. Empty: always.
    pub active: Schedule,
    /// When its alerts are critical. Empty: never.
    pub critical_at: Schedule,
    /// Alerts that last longer than this become critical. 0: never.
    pub critical_after_s: f32,
    /// Alerts told in an hour, in one zone; what is more becomes one alert that counts it. 0: no limit.
    pub max_per_hour: u32,
}

impl KindPolicy {
    pub fn default_for(kind: Kind) -> Self {
        let (severity, hold_s, cooldown_s) = match kind {
            Kind::Intrusion => (Severity::Warning, 5.0, 10.0),
            Kind::Loitering => (Severity::Warning, 10.0, 60.0),
            Kind::LineCrossing => (Severity::Info, 2.0, 2.0),
            Kind::Crowd => (Severity::Warning, 10.0, 60.0),
            Kind::WrongWay => (Severity::Warning, 3.0, 5.0),
            Kind::Running => (Severity::Info, 3.0, 20.0),
            // Somebody who lies there is often not seen for a while.
            Kind::Fall => (Severity::Warning, 20.0, 10.0),
            Kind::LeftOrTaken => (Severity::Warning, 10.0, 10.0),
            Kind::Tamper => (Severity::Critical, 10.0, 60.0),
            Kind::Anomaly => (Severity::Info, 10.0, 300.0),
            Kind::Fight => (Severity::Critical, 5.0, 30.0),
            Kind::Aggression | Kind::Distress => (Severity::Warning, 5.0, 30.0),
            Kind::Gunshot | Kind::Explosion => (Severity::Critical, 5.0, 10.0),
            Kind::GlassBreak => (Severity::Critical, 5.0, 10.0),
            Kind::Siren => (Severity::Info, 5.0, 30.0),
            Kind::BabyCry | Kind::DogBark => (Severity::Info, 5.0, 30.0),
            Kind::Scream => (Severity::Warning, 5.0, 10.0),
        };
        let presence = matches!(kind, Kind::Intrusion | Kind::Loitering);
        Self {
            kind,
            zone: None,
            severity,
            hold_s,
            cooldown_s,
            track_cooldown_s: if presence { 60.0 } else { 0.0 },
            active: Schedule::default(),
            critical_at: Schedule::default(),
            critical_after_s: 0.0,
            // Crossings are counted: every one is told.
            max_per_hour: if kind == Kind::LineCrossing { 0 } else { 20 },
        }
    }
}

/// The life of one camera's alerts: an entry for every kind that may alert, and for zones of their own.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyOptions {
    pub kinds: Vec<KindPolicy>,
    /// What schedules are read in.
    pub timezone: TimeZone,
}

impl Default for PolicyOptions {
    fn default() -> Self {
        Self {
            kinds: Vec::new(),
            timezone: TimeZone::UTC,
        }
    }
}

impl KindPolicy {
    /// Whether it may alert at this time.
    pub(super) fn is_active(&self, utc_ns: i64, timezone: &TimeZone) -> bool {
        self.active.is_empty() || self.active.covers(utc_ns, timezone)
    }
}

impl PolicyOptions {
    /// The entry for the zone, or else the kind's.
    pub(super) fn of(&self, kind: Kind, zone: Option<&Arc<str>>) -> Option<&KindPolicy> {
        let fits = |p: &&KindPolicy| p.kind == kind && (p.zone.is_none() || p.zone.as_ref() == zone);
        self.kinds.iter().filter(fits).max_by_key(|p| p.zone.is_some())
    }

    /// 0 is no limit.
    pub(super) fn max_per_hour(&self, (kind, zone): &KindInZone) -> u32 {
        self.of(*kind, zone.as_ref()).map_or(0, |p| p.max_per_hour)
    }
}
