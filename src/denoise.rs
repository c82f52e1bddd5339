//! Takes the noise of a dark scene out of a camera's pictures before the detector looks at them. docs/preparation.md says
//! what that is worth, and what brightening would cost.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::data::Picture;
use crate::picture_stats::luma;

/// Less noise than this, in levels of 255, is left alone: by day, and where the camera or its codec has smoothed already.
const LEAST_NOISE: f32 = 1.5;
/// More is motion of the whole picture as likely as noise.
const GREATEST_NOISE: f32 = 12.0;
/// A neighbour that differs by so many times the noise is something else, and does not count.
const REACH: f32 = 6.0;
/// The noise is the least over the last pairs of frames, and is not known before there are some: noise lasts, while a change
/// of light, or somebody close to the camera who fills most of the picture, comes and goes.
const PAIRS: usize = 15;
const KNOWN_PAIRS: usize = 3;
/// Frames further apart show another scene.
const APART_NS: u64 = 1_000_000_000;
/// What was measured so long ago says nothing of the light now: a camera may have slept through dusk, but for glances too far apart
/// to be compared.
const STALE_NS: u64 = 60_000_000_000;
const RADIUS: usize = 2;
/// How fast the weight of a neighbour falls with its distance: a Gaussian's standard deviation in pixels.
const SPREAD_PX: f32 = 2.0;

/// What is known of one camera's noise.
#[derive(Default)]
pub struct Denoise {
    last: Option<(u64, Arc<Picture>)>,
    noise: VecDeque<f32>,
    /// When it was measured last.
    measured_ns: u64,
}

impl Denoise {
    /// One picture, in the order of time. None: it is good as it is.
    pub fn clean(&mut self, picture: &Arc<Picture>, pts_ns: u64) -> Option<Picture> {
        if let Some((last_ns, last)) = &self.last
            && !Arc::ptr_eq(last, picture)
            && pts_ns.abs_diff(*last_ns) <= APART_NS
            && let Some(noise) = noise_between(last, picture)
        {
            if pts_ns.abs_diff(self.measured_ns) > STALE_NS {
                self.noise.clear();
            }
            self.measured_ns = pts_ns;
            self.noise.push_back(noise);
            if self.noise.len() > PAIRS {
                self.noise.pop_front();
            }
        }
        self.last = Some((pts_ns, picture.clone()));
        let noise = self.noise();
        (noise >= LEAST_NOISE).then(|| bilateral(picture, REACH * noise.min(GREATEST_NOISE)))
    }

    fn noise(&self) -> f32 {
        if self.noise.len() < KNOWN_PAIRS {
            return 0.0;
        }
        self.noise.iter().copied().fold(f32::INFINITY, f32::min)
    }
}

/// Standard deviation of a pixel's luma where nothing moves, from the median of what has changed. What is black in both
/// pictures (a mask, a bar) says nothing. None: they can't be compared.
fn noise_between(before: &Picture, now: &Picture) -> Option<f32> {
    if (before.width, before.height) != (now.width, now.height) || before.rgb.len() != now.rgb.len() {
        return None;
    }
    // Every second pixel of every second row is plenty for a median; steps of a sixteenth of a level.
    let row = now.width as usize * 3;
    let mut counts = vec![0u32; 256 * 16];
    let mut all = 0u32;
    for (a, b) in before
        .rgb
        .chunks_exact(row.max(1))
        .zip(now.rgb.chunks_exact(row.max(1)))
        .step_by(2)
    {
        for (a, b) in a.chunks_exact(3).zip(b.chunks_exact(3)).step_by(2) {
            let (a, b) = (sixteenths(a), sixteenths(b));
            if a > 0 || b > 0 {
                counts[usize::from(a.abs_diff(b))] += 1;
                all += 1;
            }
        }
    }
    let mut below = 0;
    let median = counts.iter().position(|n| {
        below += n;
        2 * below >= all.max(1)
    })?;
    // The median of |x| of a normal distribution is 0.6745 of its standard deviation; a difference has √2 of either's.
    Some(median as f32 / 16.0 / 0.6745 / std::f32::consts::SQRT_2)
}

/// Luma (BT.601) in steps of 1/16: 0 to 4080.
fn sixteenths(rgb: &[u8]) -> u16 {
    let sum = 77 * u32::from(rgb[0]) + 150 * u32::from(rgb[1]) + 29 * u32::from(rgb[2]);
    (sum >> 4) as u16
}

/// Mean over a disc of 13 pixels, each weighted by how near it is and by how like in luma (after Tomasi and Manduchi, 1998):
/// edges that are higher than `reach` stay.
fn bilateral(picture: &Picture, reach: f32) -> Picture {
    let (w, h) = (picture.width as usize, picture.height as usize);
    if w == 0 || picture.rgb.len() != w * h * 3 {
        return picture.clone();
    }
    let planes = Planes::of(picture);
    let fall = 1.0 / (reach * reach);
    let disc = disc();
    let mut rgb = Vec::with_capacity(picture.rgb.len());
    let mut sums = [vec![0f32; w], vec![0f32; w], vec![0f32; w]];
    let mut weights = vec![0f32; w];
    for y in 0..h {
        weights.fill(0.0);
        sums.iter_mut().for_each(|s| s.fill(0.0));
        let here = planes.row(3, RADIUS, y + RADIUS);
        for &(dx, dy, near) in &disc {
            let luma = planes.row(3, dx, y + dy);
            let (r, g, b) = (
                planes.row(0, dx, y + dy),
                planes.row(1, dx, y + dy),
                planes.row(2, dx, y + dy),
            );
            let [red, green, blue] = &mut sums;
            let (red, green, blue, weights) = (&mut red[..w], &mut green[..w], &mut blue[..w], &mut weights[..w]);
            for x in 0..w {
                let d = luma[x] - here[x];
                let weight = near * (1.0 - d * d * fall).max(0.0);
                weights[x] += weight;
                red[x] += weight * r[x];
                green[x] += weight * g[x];
                blue[x] += weight * b[x];
            }
        }
        for x in 0..w {
            let part = 1.0 / weights[x];
            rgb.extend(sums.iter().map(|s| (s[x] * part + 0.5) as u8));
        }
    }
    Picture {
        width: picture.width,
        height: picture.height,
        rgb,
    }
}

/// Offsets from the corner of the disc's square, with the weight of the distance.
fn disc() -> Vec<(usize, usize, f32)> {
    let side = 0..=2 * RADIUS;
    side.clone()
        .flat_map(|dy| side.clone().map(move |dx| (dx, dy)))
        .map(|(dx, dy)| (dx, dy, dx.abs_diff(RADIUS).pow(2) + dy.abs_diff(RADIUS).pow(2)))
        .filter(|(_, _, away)| *away <= RADIUS * RADIUS)
        .map(|(dx, dy, away)| (dx, dy, (-0.5 * away as f32 / (SPREAD_PX * SPREAD_PX)).exp()))
        .collect()
}

/// Red, green, blue and luma, with the outermost pixels repeated `RADIUS` times on each side.
struct Planes {
    width: usize,
    stride: usize,
    planes: [Vec<f32>; 4],
}

impl Planes {
    fn of(picture: &Picture) -> Self {
        let (w, h) = (picture.width as usize, picture.height as usize);
        let stride = w + 2 * RADIUS;
        let mut planes = [(); 4].map(|()| Vec::with_capacity(stride * (h + 2 * RADIUS)));
        for y in 0..h + 2 * RADIUS {
            let line = &picture.rgb[y.saturating_sub(RADIUS).min(h - 1) * w * 3..][..w * 3];
            for x in 0..stride {
                let x = x.saturating_sub(RADIUS).min(w - 1) * 3;
                let rgb = &line[x..x + 3];
                for (plane, value) in planes.iter_mut().zip(rgb) {
                    plane.push(f32::from(*value));
                }
                planes[3].push(luma(rgb));
            }
        }
        Self {
            width: w,
            stride,
            planes,
        }
    }

    /// As many values as the picture is wide.
    fn row(&self, plane: usize, x: usize, y: usize) -> &[f32] {
        &self.planes[plane][y * self.stride + x..][..self.width]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME_NS: u64 = 200_000_000;

    /// A dark and a bright half, with noise of about `noise` levels that differs from frame to frame.
    fn scene(frame: u32, noise: f32, dark: f32, bright: f32) -> Arc<Picture> {
        let (w, h) = (96u32, 54u32);
        let mut state = 0x9E37_79B9u32.wrapping_mul(frame + 1);
        let mut uniform = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as f32 / u32::MAX as f32 - 0.5
        };
        let mut rgb = Vec::new();
        for i in 0..w * h {
            let light = if i % w < w / 2 { dark } else { bright };
            // Four uniform numbers make a nearly normal one of variance 1/3.
            let v = light + (uniform() + uniform() + uniform() + uniform()) * 3f32.sqrt() * noise;
            rgb.extend([v.clamp(0.0, 255.0).round() as u8; 3]);
        }
        Arc::new(Picture {
            width: w,
            height: h,
            rgb,
        })
    }

    /// Standard deviation within the left half, away from the edge.
    fn spread(picture: &Picture) -> f32 {
        let values: Vec<f32> = (0..54)
            .flat_map(|y| (0..40).map(move |x| (y * 96 + x) * 3))
            .map(|i| f32::from(picture.rgb[i]))
            .collect();
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        (values.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / values.len() as f32).sqrt()
    }

    fn last_of(frames: impl Iterator<Item = Arc<Picture>>) -> (Arc<Picture>, Option<Picture>) {
        let mut denoise = Denoise::default();
        let cleaned = frames.enumerate().map(|(i, f)| {
            let cleaned = denoise.clean(&f, i as u64 * FRAME_NS);
            (f, cleaned)
        });
        cleaned.last().unwrap()
    }

    #[test]
    fn the_noise_of_a_still_scene_is_measured_and_its_edges_are_not_taken_for_noise() {
        for noise in [2.0, 6.0, 10.0] {
            let measured = noise_between(&scene(1, noise, 60.0, 160.0), &scene(2, noise, 60.0, 160.0)).unwrap();
            assert!((measured / noise - 1.0).abs() < 0.15, "{noise} {measured}");
        }
    }

    #[test]
    fn noise_is_averaged_away_and_the_edge_between_dark_and_bright_stays() {
        let (noisy, cleaned) = last_of((0..4).map(|i| scene(i, 8.0, 60.0, 160.0)));
        let cleaned = cleaned.unwrap();
        assert!(spread(&cleaned) < 0.5 * spread(&noisy), "{}", spread(&cleaned));
        for y in 0..54 {
            let at = |x: usize| f32::from(cleaned.rgb[(y * 96 + x) * 3]);
            assert!(at(48) - at(47) > 60.0, "row {y}: {} {}", at(47), at(48));
        }
    }

    #[test]
    fn a_picture_with_little_noise_is_left_alone() {
        assert!(last_of((0..8).map(|i| scene(i, 1.0, 60.0, 160.0))).1.is_none());
        assert!(last_of((0..8).map(|_| scene(0, 8.0, 60.0, 160.0))).1.is_none());
    }

    #[test]
    fn a_lamp_that_is_switched_on_is_no_noise() {
        let lamp = |i| if i == 6 { 90.0 } else { 60.0 };
        assert!(
            last_of((0..7).map(|i| scene(i, 1.0, lamp(i), 160.0 + lamp(i) - 60.0)))
                .1
                .is_none()
        );
    }

    #[test]
    fn somebody_who_fills_the_picture_and_moves_for_a_while_is_no_noise() {
        let moves = |i: u32| {
            if (10..20).contains(&i) {
                30.0 * (i % 2) as f32
            } else {
                0.0
            }
        };
        let frames = (0..20).map(|i| scene(i, 1.0, 60.0 + moves(i), 160.0 + moves(i)));
        assert!(last_of(frames).1.is_none());
    }

    #[test]
    fn frames_far_apart_or_of_another_size_are_not_compared() {
        let mut denoise = Denoise::default();
        for i in 0..6 {
            assert!(
                denoise
                    .clean(&scene(i, 8.0, 60.0, 160.0), u64::from(i) * 5_000_000_000)
                    .is_none()
            );
        }
        let other = Arc::new(Picture {
            width: 3,
            height: 1,
            rgb: vec![200; 9],
        });
        assert!(denoise.clean(&other, 25_100_000_000).is_none());
    }

    #[test]
    fn a_camera_that_slept_through_dusk_measures_anew() {
        let mut denoise = Denoise::default();
        for i in 0..8 {
            assert!(
                denoise
                    .clean(&scene(i, 1.0, 60.0, 160.0), u64::from(i) * FRAME_NS)
                    .is_none()
            );
        }
        let dusk_ns = 3_600_000_000_000;
        for glance in 1..720 {
            let _ = denoise.clean(&scene(glance, 1.0, 60.0, 160.0), u64::from(glance) * 5_000_000_000);
        }
        let cleaned = (8..12).map(|i| denoise.clean(&scene(i, 8.0, 60.0, 160.0), dusk_ns + u64::from(i) * FRAME_NS));
        assert_eq!(
            cleaned.map(|c| c.is_some()).collect::<Vec<_>>(),
            [false, false, false, true]
        );
    }

    #[test]
    fn black_masks_do_not_hide_the_noise_of_the_rest_and_stay_black() {
        let masked = |i| {
            let mut picture = (*scene(i, 8.0, 120.0, 160.0)).clone();
            for y in 0..54 {
                picture.rgb[y * 96 * 3..][..72 * 3].fill(0);
            }
            Arc::new(picture)
        };
        let cleaned = last_of((0..4).map(masked)).1.unwrap();
        assert!((0..54).all(|y| cleaned.rgb[y * 96 * 3..][..72 * 3].iter().all(|v| *v == 0)));
    }

    #[test]
    fn a_picture_without_pixels_is_no_panic() {
        let none = Arc::new(Picture {
            width: 0,
            height: 0,
            rgb: vec![],
        });
        let mut denoise = Denoise::default();
        assert!(denoise.clean(&none, 0).is_none() && denoise.clean(&none.clone(), 1).is_none());
        assert_eq!(bilateral(&none, 30.0), *none);
    }
}
