//! Somebody or something is at the camera itself: covered, blacked out, out of focus, turned away, frozen.
//!
//! A view is compared with how it was over the last minutes. What comes slowly (dusk, fog, snow) becomes the new
//! normal; what comes at once and stays is told. Where a lamp is switched or the camera changes between day and night
//! the edges stay where they were.

use super::{by_rule, told_by};
use crate::data::{Finding, Kind, PictureStats};

#[derive(Clone, Debug, PartialEq)]
pub struct TamperOptions {
    /// It must last so long.
    pub min_s: f32,
    /// A picture that is the same in every pixel for so long is frozen.
    pub frozen_s: f32,
}

impl Default for TamperOptions {
    fn default() -> Self {
        Self {
            min_s: 10.0,
            frozen_s: 60.0,
        }
    }
}

/// A view is known after so many pictures.
const KNOWN: u32 = 10;
/// How slowly the normal view follows.
const FOLLOW_S: f32 = 300.0;
/// A turned or blurred view that stays for so long is the new normal.
const ACCEPT_S: f32 = 600.0;
/// Good pictures in a row that end a suspicion.
const WELL: u32 = 3;
/// A night picture in infrared has less colour than this, a picture by day more.
const NO_COLOUR: f32 = 3.0;
const SOME_COLOUR: f32 = 8.0;

pub(super) struct Tamper {
    options: TamperOptions,
    normal: Normal,
    suspicion: Option<Suspicion>,
    same: Option<(u64, u64)>,
    last_ns: Option<u64>,
}

/// How the view usually is: a mean that follows slowly.
#[derive(Default)]
struct Normal {
    pictures: u32,
    view: PictureStats,
}

struct Suspicion {
    what: What,
    since_ns: u64,
    well: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Black,
    Covered,
    Blurred,
    Moved,
    Frozen,
}

impl What {
    fn label(self) -> &'static str {
        match self {
            Self::Black => "black",
            Self::Covered => "covered",
            Self::Blurred => "blurred",
            Self::Moved => "moved",
            Self::Frozen => "frozen",
        }
    }
}

impl Tamper {
    pub fn new(options: TamperOptions) -> Self {
        Self {
            options,
            normal: Normal::default(),
            suspicion: None,
            same: None,
            last_ns: None,
        }
    }

    /// The stream was interrupted. The view that is known stays: a camera may have been turned meanwhile.
    pub fn reset(&mut self) {
        self.suspicion = None;
        self.same = None;
        self.last_ns = None;
    }

    /// One picture, about twice a second.
    pub fn look(&mut self, now: &PictureStats, at_ns: u64) -> Option<Finding> {
        let dt_s = self
            .last_ns
            .map_or(0.5, |last| at_ns.saturating_sub(last) as f32 / 1e9)
            .min(5.0);
        self.last_ns = Some(at_ns);
        if self.normal.pictures < KNOWN {
            self.normal.follow(now, dt_s);
            return None;
        }
        let wrong = self.is_frozen(now, at_ns).or_else(|| self.normal.wrong_with(now));
        let Some((what, strength)) = wrong else {
            return self.well(now, dt_s);
        };
        let suspicion = self.suspicion.get_or_insert(Suspicion {
            what,
            since_ns: at_ns,
            well: 0,
        });
        (suspicion.what, suspicion.well) = (what, 0);
        let lasted_s = at_ns.saturating_sub(suspicion.since_ns) as f32 / 1e9;
        if matches!(what, What::Moved | What::Blurred) && lasted_s > ACCEPT_S {
            self.normal = Normal::default();
            self.suspicion = None;
            return None;
        }
        // A frozen picture has been so for long already.
        let long = what == What::Frozen || lasted_s >= self.options.min_s;
        long.then(|| {
            told_by(
                Kind::Tamper,
                by_rule("tamper", what.label().into(), 0.75 + 0.2 * strength, at_ns),
            )
        })
    }

    fn well(&mut self, now: &PictureStats, dt_s: f32) -> Option<Finding> {
        match &mut self.suspicion {
            Some(suspicion) if suspicion.well < WELL => suspicion.well += 1,
            _ => {
                self.suspicion = None;
                self.normal.follow(now, dt_s);
            }
        }
        None
    }

    fn is_frozen(&mut self, now: &PictureStats, at_ns: u64) -> Option<(What, f32)> {
        match self.same {
            Some((hash, since_ns)) if hash == now.hash => {
                let s = at_ns.saturating_sub(since_ns) as f32 / 1e9;
                (s >= self.options.frozen_s).then_some((What::Frozen, 1.0))
            }
            _ => {
                self.same = Some((now.hash, at_ns));
                None
            }
        }
    }
}

impl Normal {
    fn follow(&mut self, now: &PictureStats, dt_s: f32) {
        self.pictures = self.pictures.saturating_add(1);
        let part = (1.0 / self.pictures as f32).max(dt_s / FOLLOW_S);
        let view = &mut self.view;
        for (mean, new) in [
            (&mut view.luma, now.luma),
            (&mut view.contrast, now.contrast),
            (&mut view.sharpness, now.sharpness),
            (&mut view.colour, now.colour),
        ] {
            *mean += (new - *mean) * part;
        }
        view.edges.resize(now.edges.len(), 0.0);
        for (mean, new) in view.edges.iter_mut().zip(&now.edges) {
            *mean += (new - *mean) * part;
        }
    }

    /// What is wrong with the picture, and how clearly so, 0 to 1.
    fn wrong_with(&mut self, now: &PictureStats) -> Option<(What, f32)> {
        let was = &self.view;
        let contrast = now.contrast / was.contrast.max(1.0);
        let sharpness = now.sharpness / was.sharpness.max(1.0);
        let light = now.luma.max(1.0) / was.luma.max(1.0);
        let alike = likeness(&was.edges, &now.edges);
        if now.luma < 20.0 && now.contrast < 8.0 {
            let was_not = was.luma >= 45.0 || was.contrast >= 20.0;
            return was_not.then_some((What::Black, 1.0));
        }
        // There was never much to see: nothing can be said.
        if was.contrast < 10.0 {
            return None;
        }
        if contrast < 0.35 && now.contrast < 25.0 && sharpness < 0.3 && alike < 0.5 {
            return Some((What::Covered, 1.0 - contrast));
        }
        if self.switches_between_day_and_night(now) && contrast > 0.3 {
            *self = Self::default();
            return None;
        }
        // A scene in another light has other shadows; only a view that has nothing in common is another one then.
        let same_light = (0.55..1.8).contains(&light);
        if alike < if same_light { 0.35 } else { 0.12 } && contrast > 0.4 {
            return Some((What::Moved, 1.0 - alike.max(0.0)));
        }
        let detail = sharpness / contrast.powi(2).max(1e-3);
        let blurred = detail < 0.35 && sharpness < 0.35 && contrast > 0.4 && alike >= 0.3;
        blurred.then_some((What::Blurred, 1.0 - detail))
    }

    /// Colour comes or goes when a camera changes to its infrared lamp and back.
    fn switches_between_day_and_night(&self, now: &PictureStats) -> bool {
        let (was, is) = (self.view.colour, now.colour);
        (was > SOME_COLOUR && is < NO_COLOUR) || (was < NO_COLOUR && is > SOME_COLOUR)
    }
}

/// Correlation of where the edges are.
fn likeness(mean: &[f32], now: &[f32]) -> f32 {
    let product: f32 = mean.iter().zip(now).map(|(a, b)| a * b).sum();
    let length = mean.iter().map(|a| a * a).sum::<f32>().sqrt();
    product / length.max(1e-3)
}
