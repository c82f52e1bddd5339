//! Made-up sounds: a voice that screams, and the loud and high sounds that it must not be taken for.

use std::f32::consts::TAU;

use super::*;

const RATE: f32 = 16_000.0;
const PATCH: usize = 15_360;

/// Deterministic noise in [-1, 1].
fn noise(n: usize) -> Vec<f32> {
    let mut state = 0x2545_F491u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as f32 / u32::MAX as f32 * 2.0 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

/// A voice at `hz(t)` for `seconds`, whose loudness trembles at 70 Hz by `depth`, 0.7 s into a quiet street.
pub(crate) fn voice(hz: impl Fn(f32) -> f32, seconds: f32, depth: f32) -> Vec<f32> {
    let mut phase = 0.0;
    let sample = |i: usize| {
        let t = i as f32 / RATE - 0.7;
        if !(0.0..seconds).contains(&t) {
            return 0.0;
        }
        phase += hz(t) / RATE;
        // The throat and mouth let the second and third harmonic through best.
        let sound: f32 = [(1, 0.5), (2, 1.0), (3, 0.7), (4, 0.3)]
            .iter()
            .map(|(k, a)| a * (TAU * phase * *k as f32).sin())
            .sum();
        let attack = (t / 0.03).min(1.0);
        0.15 * attack * sound * (1.0 + depth * (TAU * 70.0 * t).sin())
    };
    let sound: Vec<f32> = (0..48_000).map(sample).collect();
    sound.iter().zip(noise(48_000)).map(|(s, n)| s + 0.003 * n).collect()
}

/// The strongest patch of a recording.
fn score(samples: &[f32]) -> f32 {
    let mut rule = ScreamRule::default().stream();
    let hear = |patch: &[f32]| rule.hear(patch, PATCH / 2).map_or(0.0, |cues| cues.score());
    samples.windows(PATCH).step_by(PATCH / 2).map(hear).fold(0.0, f32::max)
}

#[test]
fn a_sudden_high_rough_voice_is_a_scream() {
    for hz in [700.0, 1000.0, 1500.0] {
        let scream = voice(|t| hz * (1.0 + 0.1 * (TAU * 0.7 * t).sin()), 1.2, 0.7);
        assert!(score(&scream) >= THRESHOLD, "{hz} Hz");
    }
}

#[test]
fn without_its_roughness_it_is_none() {
    assert!(score(&voice(|_| 1000.0, 1.2, 0.05)).abs() < 1e-6);
}

#[test]
fn a_deep_voice_is_none_however_rough() {
    assert!(score(&voice(|_| 180.0, 1.2, 0.7)).abs() < 1e-6);
}

#[test]
fn a_bark_is_too_short() {
    assert!(score(&voice(|_| 900.0, 0.15, 0.7)).abs() < 1e-6);
}

#[test]
fn what_was_there_from_the_start_is_no_sudden_sound() {
    let mut everlasting = voice(|_| 1000.0, 2.0, 0.7);
    everlasting.drain(..(0.8 * RATE) as usize);
    everlasting.truncate(28_000);
    assert!(score(&everlasting).abs() < 1e-6);
}

#[test]
fn what_is_no_sound_is_no_scream_and_is_soon_forgotten() {
    let mut hole = noise(PATCH);
    hole[PATCH / 2] = f32::NAN;
    let strange = [
        vec![f32::NAN; PATCH],
        vec![f32::INFINITY; PATCH],
        vec![1e30; PATCH],
        vec![0.0; PATCH],
        vec![1.0; PATCH],
        noise(PATCH),
        noise(PATCH).iter().map(|s| s.signum()).collect(),
        hole,
        vec![],
        vec![0.5],
        noise(60 * 16_000),
    ];
    for (i, patch) in strange.iter().enumerate() {
        for new in [0, 1, PATCH / 2, usize::MAX] {
            let mut rule = ScreamRule::default().stream();
            let score = rule.hear(patch, new).map_or(0.0, |cues| cues.score());
            assert!(score.abs() < 1e-6, "{i}, {new} of it new: {score}");
            // The microphone works again: the street, and then somebody screams.
            let scream = voice(|_| 1000.0, 1.2, 0.7);
            let quiet: Vec<f32> = noise(10 * 16_000).iter().map(|n| 0.003 * n).collect();
            let later = [quiet, scream].concat();
            let hear = |patch: &[f32]| rule.hear(patch, PATCH / 2).map_or(0.0, |cues| cues.score());
            let best = later.windows(PATCH).step_by(PATCH / 2).map(hear).fold(0.0, f32::max);
            assert!(best >= THRESHOLD, "{i}, {new} of it new: then {best}");
        }
    }
}
