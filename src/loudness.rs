//! How loud it is, and whether that is louder than it was.

/// Louder than the background by so many decibels is loud; below the least level nothing is.
const OVER_DB: f32 = 9.0;
const LEAST_DBFS: f32 = -60.0;
/// The background rises slowly, so that a sound that goes on stays loud for a while, and falls quickly.
const RISES_S: f32 = 30.0;
const FALLS_S: f32 = 2.0;

/// What is quieter is raised to it before the sound model listens, by so many decibels at most, where the camera asks for
/// it: a microphone turned down. docs/preparation.md says what that is worth, and what it costs elsewhere.
const RAISE_TO_DBFS: f32 = -42.0;
const RAISE_BY_DB: f32 = 30.0;

/// The samples as the sound model should hear them. None: they are loud enough.
pub fn raised(samples: &[f32]) -> Option<Vec<f32>> {
    let by_db = (RAISE_TO_DBFS - level_dbfs(samples.iter())).min(RAISE_BY_DB);
    let gain = 10f32.powf(by_db / 20.0);
    let offset = samples.iter().sum::<f32>() / samples.len().max(1) as f32;
    (by_db > 0.0).then(|| samples.iter().map(|s| ((s - offset) * gain).clamp(-1.0, 1.0)).collect())
}

/// Root mean square about the mean, in decibels of full scale; -120 for digital silence or no samples. A cheap microphone's constant
/// offset is no sound.
pub fn level_dbfs<'a>(samples: impl Iterator<Item = &'a f32>) -> f32 {
    let (mut sum, mut squares, mut n) = (0f64, 0f64, 0u64);
    for s in samples.map(|s| f64::from(*s)) {
        (sum, squares, n) = (sum + s, squares + s * s, n + 1);
    }
    let count = n.max(1) as f64;
    let variance = squares / count - (sum / count).powi(2);
    ((10.0 * variance.max(1e-12).log10()) as f32).max(-120.0)
}

/// The background of one microphone.
#[derive(Default)]
pub struct Loudness {
    background_dbfs: Option<f32>,
}

impl Loudness {
    /// Whether a stretch of `seconds` with this level is loud over the background.
    pub fn is_loud(&mut self, level_dbfs: f32, seconds: f32) -> bool {
        // A microphone that was muted is not to make an ordinary room loud.
        let level_dbfs = level_dbfs.max(LEAST_DBFS);
        let background = self.background_dbfs.get_or_insert(level_dbfs);
        let loud = level_dbfs > LEAST_DBFS && level_dbfs > *background + OVER_DB;
        let follows_s = if level_dbfs > *background { RISES_S } else { FALLS_S };
        *background += (level_dbfs - *background) * (seconds / follows_s).min(1.0);
        loud
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn level_is_relative_to_full_scale() {
        assert!((level_dbfs([0.5f32, -0.5].repeat(50).iter()) + 6.02).abs() < 0.01);
        assert!((level_dbfs([0.53f32, -0.47].repeat(50).iter()) + 6.02).abs() < 0.01);
        assert_eq!(level_dbfs([0f32; 10].iter()), -120.0);
        assert_eq!(level_dbfs([].iter()), -120.0);
    }

    #[test]
    fn what_is_quiet_is_raised_and_what_is_loud_stays_as_it_is() {
        let tone = |peak: f32| -> Vec<f32> { (0..16_000).map(|i| peak * (i as f32 * 0.3).sin()).collect() };
        let level = |x: &[f32]| level_dbfs(x.iter());
        let quiet = tone(0.001);
        assert!((level(&quiet) + 63.0).abs() < 0.1);
        assert!((level(&raised(&quiet).unwrap()) + 42.0).abs() < 0.1);
        assert!((level(&raised(&tone(0.000_01)).unwrap()) + 73.0).abs() < 0.1);
        assert!(raised(&tone(0.02)).is_none());
        let mut bang = vec![0.0; 16_000];
        bang[5_000] = 0.5;
        assert_eq!(raised(&bang).unwrap()[5_000], 1.0);
        assert!(raised(&[0.0; 100]).unwrap().iter().all(|s| *s == 0.0));
    }

    #[test]
    fn a_bang_is_loud_a_hum_becomes_the_background_and_a_whisper_never_is() {
        let mut ear = Loudness::default();
        let mut hear = |level: f32, windows: usize| (0..windows).filter(|_| ear.is_loud(level, 0.5)).count();
        assert_eq!(hear(-50.0, 20), 0);
        assert_eq!(hear(-20.0, 1), 1);
        assert_eq!(hear(-50.0, 20), 0);
        let hum = hear(-30.0, 240);
        assert!((20..100).contains(&hum), "a hum is loud for {hum} half seconds");
        assert_eq!(hear(-90.0, 40), 0);
        assert_eq!(hear(-65.0, 1), 0);
        assert_eq!(hear(-120.0, 40), 0);
        assert_eq!(hear(-52.0, 40), 0, "an ordinary room after digital silence");
    }
}
