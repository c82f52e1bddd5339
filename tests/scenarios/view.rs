//! Makes the pictures of a story: scenes of grey blocks with noise, seen through a lens that can be covered.

use watchfire::data::Picture;

use super::play::{Dice, Twist};
use super::story::{Story, Thing, View};

const WIDTH: usize = 160;
const HEIGHT: usize = 90;

/// The picture at a time.
pub fn picture(story: &Story, t: f64, twist: Twist) -> Picture {
    let view = at(&story.view, t);
    let mut grey = scene(&view);
    blocks(
        &mut grey,
        (t * 1000.0) as u64,
        0,
        (view.stir * WIDTH as f32) as usize,
        12,
    );
    for thing in story.thing.iter().filter(|thing| (thing.from..thing.to).contains(&t)) {
        put(&mut grey, thing, t);
    }
    let grey = blurred(grey, view.blur);
    // A frozen picture has the noise of the moment at which it froze.
    let moment = if view.frozen { view.t } else { t };
    let mut dice = Dice::new((moment * 1000.0) as u64);
    let mut rgb = Vec::with_capacity(3 * grey.len());
    for i in 0..grey.len() {
        let column = if twist.mirrored {
            WIDTH - 1 - i % WIDTH
        } else {
            i % WIDTH
        };
        let (v, x) = (grey[i - i % WIDTH + column], column as f32 / WIDTH as f32);
        let seen = if x < view.covered {
            70.0
        } else {
            v * view.gain + view.lift
        };
        let noise = (dice.throw() - 0.5) * 2.0 * view.noise;
        let tint = if x < view.covered { 4.0 } else { 25.0 * view.colour };
        let v = seen + noise;
        rgb.extend([v + tint, v, v - tint].map(|c| c.clamp(0.0, 255.0) as u8));
    }
    if twist.burned_in {
        write(&mut rgb, "2026-11-30 14:42", (t * 10.0) as u64, (4, 4));
        write(&mut rgb, "camera one", 0, (114, 80));
    }
    if twist.masked {
        let part = |i: usize| (i % WIDTH >= 120 && i / WIDTH < 30).then_some(3 * i..3 * i + 3);
        (0..WIDTH * HEIGHT)
            .filter_map(part)
            .for_each(|pixel| rgb[pixel].fill(0));
    }
    Picture {
        width: WIDTH as u32,
        height: HEIGHT as u32,
        rgb,
    }
}

/// White letters with a black edge: not those of any alphabet, the last two others every moment.
fn write(rgb: &mut [u8], text: &str, moment: u64, (left, top): (usize, usize)) {
    for (i, letter) in text.bytes().enumerate() {
        let changes = i + 2 >= text.len();
        let mut dice = Dice::new(u64::from(letter) * 31 + if changes { moment } else { 0 });
        let strokes: Vec<bool> = (0..12).map(|_| dice.throw() < 0.5).collect();
        for (y, x) in (0..6).flat_map(|y| (0..4).map(move |x| (y, x))) {
            let ink = x < 3 && strokes[y / 2 * 3 + x];
            let at = 3 * ((top + y) * WIDTH + left + 4 * i + x);
            rgb[at..at + 3].fill(if ink { 235 } else { 16 });
        }
    }
}

fn at(views: &[View], t: f64) -> View {
    let now = views.iter().rfind(|v| v.t <= t).unwrap_or(&views[0]);
    let Some(next) = views.iter().find(|v| v.t > t).filter(|v| v.ramp) else {
        return now.clone();
    };
    let part = ((t - now.t) / (next.t - now.t)) as f32;
    let mix = |a: f32, b: f32| a + (b - a) * part;
    View {
        gain: mix(now.gain, next.gain),
        lift: mix(now.lift, next.lift),
        blur: mix(now.blur, next.blur),
        covered: mix(now.covered, next.covered),
        lorry: mix(now.lorry, next.lorry),
        stir: mix(now.stir, next.stir),
        noise: mix(now.noise, next.noise),
        colour: mix(now.colour, next.colour),
        ..now.clone()
    }
}

/// Blocks of other greys on a slope of brightness.
fn scene(view: &View) -> Vec<f32> {
    let mut grey: Vec<f32> = (0..WIDTH * HEIGHT)
        .map(|i| 90.0 + 40.0 * (i / WIDTH) as f32 / HEIGHT as f32)
        .collect();
    blocks(&mut grey, view.scene, 0, WIDTH, view.blocks);
    blocks(&mut grey, 1000, 0, (view.lorry * WIDTH as f32) as usize, 12);
    grey
}

fn blocks(grey: &mut [f32], seed: u64, from: usize, to: usize, count: usize) {
    let mut dice = Dice::new(seed * 77 + 5);
    for _ in 0..count {
        let mut under = |n: usize| (dice.throw() * n as f32) as usize;
        let (x, y) = (from + under((to - from).max(1)), under(HEIGHT));
        let (w, h, v) = (4 + under(30), 4 + under(30), under(220) as f32);
        for row in y..(y + h).min(HEIGHT) {
            for column in x..(x + w).min(to) {
                grey[row * WIDTH + column] = v;
            }
        }
    }
}

fn put(grey: &mut [f32], thing: &Thing, t: f64) {
    let [x1, y1, x2, y2] = thing.at;
    let moved = thing.speed * (t - thing.from) as f32;
    for (i, v) in grey.iter_mut().enumerate() {
        let x = (i % WIDTH) as f32 / WIDTH as f32 - moved;
        let y = (i / WIDTH) as f32 / HEIGHT as f32;
        if (x1..x2).contains(&x) && (y1..y2).contains(&y) {
            *v = thing.light.map_or(thing.grey, |light| *v + light);
        }
    }
}

/// Each pass is the mean over three by three pixels; the last one may be a part of one.
fn blurred(mut grey: Vec<f32>, passes: f32) -> Vec<f32> {
    let mut left = passes;
    while left > 0.0 {
        let part = left.min(1.0);
        let before = grey.clone();
        for y in 1..HEIGHT - 1 {
            for x in 1..WIDTH - 1 {
                let rows = (y - 1..=y + 1).map(|r| before[r * WIDTH + x - 1..=r * WIDTH + x + 1].iter().sum::<f32>());
                let mean = rows.sum::<f32>() / 9.0;
                let at = y * WIDTH + x;
                grey[at] += (mean - grey[at]) * part;
            }
        }
        left -= 1.0;
    }
    grey
}
