use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::AlertTrack;

macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }
        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            /// The word in configuration and on MQTT.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.pad(self.as_str()) }
        }
        impl FromStr for $name {
            type Err = ();
            fn from_str(s: &str) -> Result<Self, ()> {
                match s { $($text => Ok(Self::$variant),)+ _ => Err(()) }
            }
        }
    };
}
pub(super) use named;

named! {
    /// What an alert can be about. Kinds that nothing computes yet are not listed.
    Kind {
        Intrusion = "intrusion",
        Loitering = "loitering",
        LineCrossing = "line_crossing",
        Crowd = "crowd",
        WrongWay = "wrong_way",
        Running = "running",
        Fall = "fall",
        LeftOrTaken = "left_or_taken",
        Tamper = "tamper",
        Anomaly = "anomaly",
        Fight = "fight",
        Aggression = "aggression",
        Distress = "distress",
        Gunshot = "gunshot",
        Explosion = "explosion",
        GlassBreak = "glass_break",
        Siren = "siren",
        BabyCry = "baby_cry",
        DogBark = "dog_bark",
        Scream = "scream",
    }
}

impl Kind {
    /// Kinds that rest on what faces and voices seem to express: only for cameras that have opted into emotion.
    pub fn is_mood(self) -> bool {
        matches!(self, Self::Aggression | Self::Distress)
    }

    /// Kinds heard, not seen: their word is also the label of the sound model or of the rule.
    pub fn is_sound(self) -> bool {
        matches!(
            self,
            Self::Gunshot
                | Self::Explosion
                | Self::GlassBreak
                | Self::Siren
                | Self::BabyCry
                | Self::DogBark
                | Self::Scream
        )
    }
}

named! {
    Severity { Info = "info", Warning = "warning", Critical = "critical" }
}

named! {
    /// Which sense a piece of evidence came from.
    Modality { Video = "video", Audio = "audio" }
}

named! {
    /// Way of a line crossing, looking from the line's `from` to its `to`.
    Direction { LeftToRight = "left_to_right", RightToLeft = "right_to_left" }
}

/// One modality's word on a finding, before it is weighed.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    pub modality: Modality,
    /// `name@version`, or `rule:NAME` for a rule.
    pub model: Arc<str>,
    pub label: Arc<str>,
    /// Probability, 0 to 1.
    pub score: f32,
    /// Signed, in log-odds: what it adds to the finding's log-odds beyond the prior.
    pub contribution: f32,
    /// Time of the frame or patch, on the camera's clock.
    pub at_ns: u64,
}

/// Something abnormal in one window: raw material of an alert's life.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    pub kind: Kind,
    /// The zone's or line's name.
    pub zone: Option<Arc<str>>,
    pub direction: Option<Direction>,
    /// Set when the alert is one per track (line crossings).
    pub key_track: Option<u64>,
    pub tracks: Vec<AlertTrack>,
    /// Probability, 0 to 1, before any evidence.
    pub prior: f32,
    /// Probability, 0 to 1: the sigmoid of the prior's log-odds plus contributions.
    pub score: f32,
    pub evidence: Vec<Evidence>,
    /// At least so severe, whatever the kind's policy says; an open alert rises to it.
    pub severity: Option<Severity>,
    /// When it began, on the camera's clock (a frame's or patch's time, never a window's): what takes a while to be found
    /// began before that.
    pub at_ns: u64,
    /// The newest evidence, where that is later: it still held then.
    pub last_ns: u64,
}

impl Finding {
    /// Until when it held.
    pub fn newest_ns(&self) -> u64 {
        self.at_ns.max(self.last_ns)
    }
}
