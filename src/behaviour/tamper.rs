//! Somebody or something is at the camera itself: covered, blacked out, out of focus, turned away, frozen.
//!
//! A view is compared with how it was over the last minutes. What comes slowly (dusk, fog, snow) becomes the new
//! normal; what comes at once and stays is told. Where a lamp is switched or the camera changes between day and night
//! the edges stay where they were.

use super::{by_rule, told_by};
use crate::data::{Finding, Kind, LookCell, PictureStats};

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
/// Two views of one place in another light are at least so much alike, and in the same light.
const ALIKE: f32 = 0.12;
const ALIKE_IN_SAME_LIGHT: f32 = 0.35;
/// A night picture in infrared has less colour than this, a picture by day more.
const NO_COLOUR: f32 = 3.0;
const SOME_COLOUR: f32 = 8.0;

/// The part of a picture that text may be burned into, and the edges of masks.
const BURNED_IN: f32 = 0.1;
/// A view is known again without that part where pictures are so much like it.
const KNOWN_AGAIN: f32 = 0.6;
/// A view of which less than this part can be compared says nothing: in the dark a lamp alone is no view.
const LEAST: f32 = 0.1;
/// Under a privacy mask it is darker than this.
const MASKED: f32 = 2.0;

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
    cells: Vec<LookCell>,
    /// How much pictures are like it without the cells that text may be burned into.
    alike: f32,
    /// There was another before it: the camera has changed to its lamp, or a red van has come before grey asphalt.
    is_second: bool,
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
        let learns = self.normal.pictures < KNOWN;
        if learns && !self.normal.is_blacked_out(now) {
            return self.well(now, dt_s);
        }
        let wrong = self.is_frozen(now, at_ns).or_else(|| match learns {
            true => Some((What::Black, 1.0)),
            false => self.normal.wrong_with(now),
        });
        let Some((what, strength)) = wrong else {
            return self.well(now, dt_s);
        };
        // A frozen picture has been so for long already.
        let since_ns = match (what, self.same) {
            (What::Frozen, Some((_, since_ns))) => since_ns,
            _ => at_ns,
        };
        let suspicion = self.suspicion.get_or_insert(Suspicion {
            what,
            since_ns,
            well: 0,
        });
        (suspicion.what, suspicion.well) = (what, 0);
        let lasted_s = at_ns.saturating_sub(suspicion.since_ns) as f32 / 1e9;
        if matches!(what, What::Moved | What::Blurred) && lasted_s > ACCEPT_S {
            self.normal = Normal::default();
            self.suspicion = None;
            return None;
        }
        let since_ns = suspicion.since_ns;
        (what == What::Frozen || lasted_s >= self.options.min_s).then(|| {
            let evidence = by_rule("tamper", what.label().into(), 0.75 + 0.2 * strength, at_ns);
            Finding {
                at_ns: since_ns,
                ..told_by(Kind::Tamper, evidence)
            }
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
        let alike = Comparison::new(&self.cells, &now.cells, true).map_or(0.0, |c| c.alike);
        self.alike += (alike - self.alike) * part;
        self.cells.resize(now.cells.len(), LookCell::default());
        for (mean, new) in self.cells.iter_mut().zip(&now.cells) {
            *mean = mean.with(*new, |mean, new| mean + (new - mean) * part);
        }
    }

    /// Black is no view to learn where there was one a moment ago.
    fn is_blacked_out(&self, now: &PictureStats) -> bool {
        // With and without what may be burned in.
        let is_black = |without_text| {
            Comparison::new(&self.cells, &now.cells, without_text).is_some_and(|c| c.is_black() && c.was_not_black())
        };
        self.is_second && (is_black(false) || is_black(true))
    }

    /// What is wrong with the picture, and how clearly so, 0 to 1.
    fn wrong_with(&mut self, now: &PictureStats) -> Option<(What, f32)> {
        // Where nearly all edges are in few cells, nothing would be left without them.
        let with_text_left_out = self.alike >= KNOWN_AGAIN;
        let compared = Comparison::new(&self.cells, &now.cells, with_text_left_out)?;
        if compared.is_black() {
            return compared.was_not_black().then_some((What::Black, 1.0));
        }
        let Comparison { was, now, alike } = compared;
        let contrast = now.contrast / was.contrast.max(1.0);
        let sharpness = now.sharpness / was.sharpness.max(1.0);
        let light = now.luma.max(1.0) / was.luma.max(1.0);
        // There was never much to see: nothing can be said.
        if was.contrast < 10.0 {
            return None;
        }
        if contrast < 0.35 && now.contrast < 25.0 && sharpness < 0.3 && alike < 0.5 {
            return Some((What::Covered, 1.0 - contrast));
        }
        // Colour comes or goes when a camera changes to its infrared lamp and back.
        let comes_or_goes = (was.colour > SOME_COLOUR && now.colour < NO_COLOUR)
            || (was.colour < NO_COLOUR && now.colour > SOME_COLOUR);
        if comes_or_goes && contrast > 0.3 && alike >= ALIKE {
            *self = Self {
                is_second: true,
                ..Self::default()
            };
            return None;
        }
        // A scene in another light has other shadows; only a view that has nothing in common is another one then.
        let same_light = (0.55..1.8).contains(&light);
        let least = if same_light && !comes_or_goes {
            ALIKE_IN_SAME_LIGHT
        } else {
            ALIKE
        };
        if alike < least && contrast > 0.4 {
            return Some((What::Moved, 1.0 - alike.max(0.0)));
        }
        let detail = sharpness / contrast.powi(2).max(1e-3);
        let blurred = detail < 0.35 && sharpness < 0.35 && contrast > 0.4 && alike >= 0.3;
        blurred.then_some((What::Blurred, 1.0 - detail))
    }
}

/// Two views, as far as they can be compared.
struct Comparison {
    was: Look,
    now: Look,
    /// Correlation of where the edges are.
    alike: f32,
}

impl Comparison {
    /// None where nearly all of it was black and is.
    fn new(was: &[LookCell], now: &[LookCell], without_text: bool) -> Option<Self> {
        let cells = telling(was, now, if without_text { BURNED_IN } else { 0.0 });
        let all = was.len().min(now.len());
        (!cells.is_empty() && cells.len() as f32 >= LEAST * all as f32).then(|| {
            let (was, now) = (Look::over(was, &cells), Look::over(now, &cells));
            let alike = was.edges.iter().zip(&now.edges).map(|(a, b)| a * b).sum();
            Self { was, now, alike }
        })
    }

    fn is_black(&self) -> bool {
        self.now.luma < 20.0 && self.now.contrast < 8.0
    }

    fn was_not_black(&self) -> bool {
        self.was.luma >= 45.0 || self.was.contrast >= 20.0
    }
}

/// The cells that can tell of tampering, without this part of all. A name or a clock that is burned into the picture stays whatever
/// happens to the lens, and so does the edge of a privacy mask: where the picture has most edges now nothing is asked. Nor is it
/// where it was black and is: under a mask.
fn telling(was: &[LookCell], now: &[LookCell], left_out: f32) -> Vec<usize> {
    let edge = |i: &usize| now[*i].edges[0] + now[*i].edges[1];
    let is_black = |cell: &LookCell| cell.luma.powi(2) + cell.luma_variance < MASKED.powi(2);
    let mut cells: Vec<usize> = (0..was.len().min(now.len())).collect();
    cells.sort_by(|a, b| edge(a).total_cmp(&edge(b)));
    cells.truncate(((1.0 - left_out) * cells.len() as f32) as usize);
    cells.retain(|i| !is_black(&was[*i]) || !is_black(&now[*i]));
    cells.sort_unstable();
    cells
}

/// A view as some of its cells have it.
struct Look {
    /// Mean brightness, 0 to 255.
    luma: f32,
    /// Standard deviation of the brightness.
    contrast: f32,
    /// Mean of the squared Laplacian (after Pech-Pacheco et al., 2000).
    sharpness: f32,
    colour: f32,
    /// Where the edges are, two numbers a cell, as square roots, with zero mean and unit length: the product of two such lists is the
    /// correlation of two views, whatever their brightness and contrast.
    edges: Vec<f32>,
}

impl Look {
    fn over(cells: &[LookCell], telling: &[usize]) -> Self {
        let mean = |of: fn(&LookCell) -> f32| {
            let sum: f64 = telling.iter().map(|i| f64::from(of(&cells[*i]))).sum();
            sum / telling.len().max(1) as f64
        };
        let luma = mean(|c| c.luma);
        Self {
            luma: luma as f32,
            contrast: (mean(|c| c.luma_variance + c.luma.powi(2)) - luma.powi(2))
                .max(0.0)
                .sqrt() as f32,
            sharpness: mean(|c| c.laplace_squared) as f32,
            colour: mean(|c| c.colour) as f32,
            edges: unit(telling.iter().flat_map(|i| cells[*i].edges.map(f32::sqrt)).collect()),
        }
    }
}

/// Zero mean, unit length; all zero when nothing stands out.
fn unit(mut v: Vec<f32>) -> Vec<f32> {
    let mean = v.iter().sum::<f32>() / v.len().max(1) as f32;
    v.iter_mut().for_each(|x| *x -= mean);
    let length = v.iter().map(|x| x * x).sum::<f32>().sqrt();
    // Square roots of less than a hundredth of a grey step everywhere are rounding, not edges.
    let scale = if length > 1e-2 { 1.0 / length } else { 0.0 };
    v.iter_mut().for_each(|x| *x *= scale);
    v
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Picture;
    use crate::picture_stats::picture_stats;

    /// Stripes and blocks, with `f` over each grey value.
    fn look(shift: usize, f: impl Fn(f32) -> f32) -> Look {
        let (w, h) = (160usize, 90usize);
        let mut rgb = Vec::new();
        for y in 0..h {
            for x in 0..w {
                let x = x + shift;
                let block = ((x / 23) * 7 + (y / 17) * 13) % 11;
                let stripe = if (40..80).contains(&x) && (x / 2).is_multiple_of(2) {
                    60.0
                } else {
                    0.0
                };
                let v = f(20.0 * block as f32 + stripe).clamp(0.0, 255.0) as u8;
                rgb.extend([v, v, v]);
            }
        }
        let picture = Picture {
            width: w as u32,
            height: h as u32,
            rgb,
        };
        let cells = picture_stats(&picture).cells;
        Look::over(&cells, &(0..cells.len()).collect::<Vec<_>>())
    }

    fn alike(a: &Look, b: &Look) -> f32 {
        a.edges.iter().zip(&b.edges).map(|(x, y)| x * y).sum()
    }

    #[test]
    fn brightness_and_contrast_change_the_figures_and_not_the_edges() {
        let (plain, dim) = (look(0, |v| v), look(0, |v| v * 0.5 + 10.0));
        assert!(dim.luma < plain.luma && (dim.contrast / plain.contrast - 0.5).abs() < 0.03);
        assert!((dim.sharpness / plain.sharpness - 0.25).abs() < 0.03);
        assert!(alike(&plain, &dim) > 0.98, "{}", alike(&plain, &dim));
        assert!(plain.colour < 0.01);
    }

    /// As a street at night without an infrared lamp: all black but for one sign.
    #[test]
    fn a_lamp_that_goes_out_in_the_dark_is_no_lens_that_was_covered() {
        let night = |is_lit: bool, moment: u64| {
            let cell = |i: usize| match is_lit && i % 48 == 5 {
                true => LookCell {
                    luma: 120.0,
                    luma_variance: 900.0,
                    laplace_squared: 400.0,
                    edges: [9.0, 9.0],
                    colour: 30.0,
                },
                false => LookCell {
                    luma: 1.0,
                    luma_variance: 0.5,
                    ..LookCell::default()
                },
            };
            PictureStats {
                cells: (0..576).map(cell).collect(),
                hash: moment,
            }
        };
        let mut tamper = Tamper::new(TamperOptions::default());
        for moment in 0..300 {
            let told = tamper.look(&night(moment < 100, moment), moment * 500_000_000);
            assert_eq!(told, None, "after {moment} half seconds");
        }
    }

    #[test]
    fn another_view_has_other_edges() {
        let (plain, moved) = (look(0, |v| v), look(57, |v| v));
        assert!(alike(&plain, &moved) < 0.4, "{}", alike(&plain, &moved));
    }

    #[test]
    fn a_flat_view_has_neither_contrast_nor_edges() {
        let grey = look(0, |_| 99.0);
        assert!((grey.luma - 99.0).abs() < 1e-3 && grey.contrast < 0.1 && grey.sharpness < 1e-3);
        assert!(grey.edges.iter().all(|e| *e == 0.0));
    }
}
