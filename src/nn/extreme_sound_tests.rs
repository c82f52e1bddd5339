//! Sounds that no microphone sends: a sane answer or a clear error from every sound model, never a panic.

use super::{BACKGROUND, DeviceChoice, SoundModel, SpeechEmotion, shipped};

/// Deterministic noise in [-1, 1].
fn noise(samples: usize) -> Vec<f32> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1u32 << 23) as f32 - 1.0
    };
    (0..samples).map(|_| next()).collect()
}

/// No number, infinite, far beyond full scale, silence, the smallest there is, faint and full-scale noise, a square wave
/// at full scale, one click in silence, and noise in which one sample is no number.
fn extremes(samples: usize) -> Vec<(&'static str, Vec<f32>)> {
    let mut click = vec![0.0; samples];
    click[samples / 2] = 1.0;
    let mut hole = noise(samples);
    hole[samples / 2] = f32::NAN;
    vec![
        ("NaN", vec![f32::NAN; samples]),
        ("infinite", vec![f32::INFINITY; samples]),
        ("minus infinite", vec![f32::NEG_INFINITY; samples]),
        ("huge", vec![1e30; samples]),
        ("full scale", vec![1.0; samples]),
        ("silence", vec![0.0; samples]),
        ("smallest", vec![f32::MIN_POSITIVE; samples]),
        ("faint noise", noise(samples).iter().map(|s| 1e-3 * s).collect()),
        ("white noise", noise(samples)),
        ("clipped noise", noise(samples).iter().map(|s| s.signum()).collect()),
        (
            "square wave",
            (0..samples).map(|i| if i / 40 % 2 == 0 { 1.0 } else { -1.0 }).collect(),
        ),
        ("click", click),
        ("a hole in noise", hole),
    ]
}

#[test]
fn a_sound_model_hears_no_alarm_in_silence_and_survives_what_is_no_sound() {
    let model = SoundModel::load(&shipped("sound"), DeviceChoice::Cpu, 1).unwrap();
    let n = model.manifest().input.patch_samples;
    for (name, samples) in extremes(n) {
        let (scores, embedding) = model.classify(&[&samples]).unwrap().remove(0);
        assert!(scores.iter().all(|s| (0.0..=1.0).contains(s)), "{name}: {scores:?}");
        assert!(embedding.iter().all(|e| e.is_finite()), "{name}");
        for (label, score) in model.manifest().labels.iter().zip(&scores) {
            let quiet = ["silence", "smallest", "NaN"].contains(&name);
            let alarm = &*label.name != BACKGROUND && *score >= label.threshold;
            assert!(!(quiet && alarm), "{} in {name}: {score}", label.name);
        }
    }
    for length in [0, 1, n - 1, n + 1, 100 * n] {
        assert!(model.classify(&[&vec![0.0; length]]).is_err());
    }
}

/// The sound model's `speech` is what detects voices.
#[test]
fn nobody_speaks_in_what_is_no_sound() {
    let model = SoundModel::load(&shipped("sound"), DeviceChoice::Cpu, 1).unwrap();
    let speech = model
        .manifest()
        .labels
        .iter()
        .position(|l| &*l.name == "speech")
        .unwrap();
    for (name, samples) in extremes(model.manifest().input.patch_samples) {
        let (scores, _) = model.classify(&[&samples]).unwrap().remove(0);
        assert!(scores[speech] < 0.5, "{name}: {}", scores[speech]);
    }
}

#[test]
fn a_voice_model_gives_probabilities_for_whatever_it_is_read() {
    let model = SpeechEmotion::load(&shipped("speech_emotion"), DeviceChoice::Cpu, 1).unwrap();
    let read = |name: &str, samples: &[f32]| {
        let voiced = model.read(samples).unwrap();
        let sum: f32 = voiced.probabilities.iter().sum();
        let sane = voiced.probabilities.iter().all(|p| (0.0..=1.0).contains(p)) && (sum - 1.0).abs() < 1e-3;
        assert!(sane, "{name}: {voiced:?}");
        assert!(
            voiced.affect.arousal.abs() <= 1.0 && voiced.affect.valence.abs() <= 1.0,
            "{name}: {voiced:?}"
        );
        voiced
    };
    for (name, samples) in extremes(30_000) {
        read(name, &samples);
    }
    // What is no number counts as silence, also where nothing else was said.
    let silence = read("silence", &[0.0; 30_000]);
    assert_eq!(read("NaN", &[f32::NAN; 30_000]), silence);
    // From nothing at all over one sample to a minute: pieces alike give the answer of one.
    for samples in [vec![], vec![0.3], vec![f32::NAN], noise(23_039), noise(48_001)] {
        read(&format!("{} samples", samples.len()), &samples);
    }
    let (short, long) = (read("3 s", &[0.0; 48_000]), read("a minute", &[0.0; 960_000]));
    let apart = short
        .probabilities
        .iter()
        .zip(&long.probabilities)
        .map(|(a, b)| (a - b).abs());
    assert!(apart.fold(0.0, f32::max) < 1e-4, "{short:?} {long:?}");
}

/// The patches that a window completes are asked about together, and how many there are is chance.
#[test]
fn what_is_asked_together_is_answered_as_by_itself() {
    let model = SoundModel::load(&shipped("sound"), DeviceChoice::Cpu, 1).unwrap();
    let all = extremes(model.manifest().input.patch_samples);
    let patches: Vec<&[f32]> = all.iter().map(|(_, samples)| samples.as_slice()).collect();
    let together = model.classify(&patches).unwrap();
    for ((name, samples), (scores, embedding)) in all.iter().zip(together) {
        let (own_scores, own_embedding) = model.classify(&[samples]).unwrap().remove(0);
        let both = scores
            .iter()
            .zip(&own_scores)
            .chain(embedding.iter().zip(own_embedding.iter()));
        for (a, b) in both {
            assert!((a - b).abs() <= 1e-4 * b.abs().max(1.0), "{name}: {a}, by itself {b}");
        }
    }
}
