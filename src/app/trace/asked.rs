//! What a camera was asked for, and so what of its trace is shown.

use crate::data::Kind;

/// Branches work together, so that they tell more than the camera was asked for.
#[derive(Clone, Debug, Default)]
pub(in crate::app) struct Asked {
    /// Empty: everything is shown.
    pub(super) kinds: Vec<Kind>,
    /// The camera has opted in, whatever its kinds are.
    pub(super) emotion: bool,
}

impl Asked {
    pub(super) fn about(&self, kind: Kind) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&kind)
    }

    fn any(&self, about: impl Fn(Kind) -> bool) -> bool {
        self.kinds.is_empty() || self.kinds.iter().any(|kind| about(*kind))
    }

    /// Whoever is seen decides on it.
    pub(super) fn of_tracks(&self) -> bool {
        self.any(|kind| !kind.is_sound() && kind != Kind::Tamper)
    }

    /// What is heard decides on it.
    pub(super) fn of_sound(&self) -> bool {
        self.any(|kind| kind.is_sound() || kind.is_mood() || matches!(kind, Kind::Fight | Kind::Anomaly))
    }

    pub(super) fn of_moods(&self) -> bool {
        self.emotion || self.any(Kind::is_mood)
    }

    /// A label of the sound model. Most have the word of a kind; others, such as speech, say what else there was.
    pub(super) fn hears(&self, label: &str) -> bool {
        let Ok(kind) = label.parse::<Kind>() else { return true };
        // What a fight and a mood are weighed with.
        let beside = match kind {
            Kind::Scream => self.any(|other| other.is_mood() || other == Kind::Fight),
            Kind::GlassBreak => self.about(Kind::Fight),
            _ => false,
        };
        beside || self.about(kind)
    }
}
