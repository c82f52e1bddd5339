//! What a recording has to look at and to listen to, and so which kinds it says nothing about.

use crate::behaviour::BehaviourOptions;
use crate::data::{Branch, Kind, Status};
use crate::stages::Verdict;

/// Gathered over the windows of a recording.
#[derive(Clone, Copy, Debug, Default)]
pub struct Media {
    pictures: bool,
    sound: bool,
    /// Windows that the clip model judged, or in which nothing moved that it should.
    clips: u32,
}

impl Media {
    pub fn take(&mut self, verdict: &Verdict) {
        let Some(window) = &verdict.window else { return };
        self.pictures |= !window.frames.is_empty();
        self.sound |= !window.audio.is_empty();
        let acted = verdict.reports.get(Branch::Action).map(|report| report.status);
        self.clips += u32::from(matches!(acted, Some(Status::Ok | Status::Gated)));
    }

    /// Why nothing can be said of a kind; None: it was judged.
    pub fn lacks(&self, kind: Kind, rules: &BehaviourOptions, seconds: f64) -> Option<&'static str> {
        let wanted_clips = rules.fight.as_ref().map_or(0, |fight| fight.min_windows);
        let warm_up_s = rules.anomaly.as_ref().map_or(0.0, |a| 3600.0 * f64::from(a.warm_up_h));
        match kind {
            Kind::Anomaly => (seconds < warm_up_s).then_some("it is shorter than warm_up_h"),
            // Faces or voices: either will do.
            kind if kind.is_mood() => None,
            kind if kind.is_sound() => (!self.sound).then_some("there is no sound"),
            _ if !self.pictures => Some("there is no picture"),
            Kind::Fight => (self.clips < wanted_clips).then_some("it is too short for a clip"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::behaviour::{AnomalyOptions, FightOptions};

    #[test]
    fn a_kind_is_judged_where_there_is_what_it_rests_on() {
        let rules = BehaviourOptions {
            fight: Some(FightOptions::default()),
            anomaly: Some(AnomalyOptions::default()),
            ..BehaviourOptions::default()
        };
        let media = |pictures, sound, clips| Media { pictures, sound, clips };
        for (kind, media, hours, lacks) in [
            (Kind::Fall, media(true, false, 9), 1.0, None),
            (Kind::Fall, media(false, true, 0), 1.0, Some("there is no picture")),
            (Kind::Fight, media(false, true, 0), 1.0, Some("there is no picture")),
            (
                Kind::Fight,
                media(true, true, 1),
                1.0,
                Some("it is too short for a clip"),
            ),
            (Kind::Fight, media(true, false, 2), 1.0, None),
            (Kind::Gunshot, media(true, false, 9), 1.0, Some("there is no sound")),
            (Kind::Gunshot, media(false, true, 0), 1.0, None),
            (Kind::Distress, media(false, true, 0), 1.0, None),
            (
                Kind::Anomaly,
                media(true, true, 9),
                71.0,
                Some("it is shorter than warm_up_h"),
            ),
            (Kind::Anomaly, media(true, true, 9), 73.0, None),
        ] {
            assert_eq!(media.lacks(kind, &rules, 3600.0 * hours), lacks, "{kind} {media:?}");
        }
    }
}
