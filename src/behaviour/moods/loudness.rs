//! How loudly somebody speaks, against how quiet it usually is around the microphone.

use crate::behaviour::weighed;
use crate::data::{Evidence, HearingReport, Modality};

/// Somebody speaks in a patch from this probability of the sound model's `speech` on.
const SPEECH: f32 = 0.5;
/// Speech is loud from so far above the quiet on; so much more than that counts in full.
const USUAL_DB: f32 = 10.0;
const SPREAD_DB: f32 = 10.0;
/// What loud speech adds, in log-odds.
const MOST: f32 = 1.4;
/// No place is quieter than that: less is a microphone that is muted, or a codec that leaves out what nobody hears.
const FLOOR_DBFS: f32 = -60.0;
/// The quiet follows patches without speech: down quickly, up by about 0.1 dB a second.
const DOWN: f32 = 0.3;
const UP_DB: f32 = 0.05;

/// The quiet around a microphone, in dBFS; None until something other than speech was heard.
#[derive(Default)]
pub(super) struct Loudness(Option<f32>);

impl Loudness {
    /// The loudest speech of a window, if it is loud.
    pub fn hear(&mut self, heard: &HearingReport) -> Option<Evidence> {
        let label = heard.labels.iter().position(|l| &**l == "speech")?;
        let mut loudest: Option<(f32, u64)> = None;
        for patch in &heard.patches {
            let level = patch.level_dbfs;
            if patch.scores.get(label).is_some_and(|p| *p >= SPEECH) {
                let quiet = self.0.unwrap_or(f32::NAN);
                if loudest.is_none_or(|(over, _)| level - quiet > over) {
                    loudest = Some((level - quiet, patch.start_ns));
                }
            } else {
                let level = level.max(FLOOR_DBFS);
                let quiet = self.0.get_or_insert(level);
                let off = level - *quiet;
                *quiet += if off < 0.0 { DOWN * off } else { off.min(UP_DB) };
            }
        }
        let (over, at_ns) = loudest.filter(|(over, _)| *over > USUAL_DB)?;
        let contribution = MOST * ((over - USUAL_DB) / SPREAD_DB).min(1.0);
        Some(weighed(Modality::Audio, "loudness", "loud speech", contribution, at_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::SoundPatch;

    fn heard(speech: f32, level_dbfs: f32) -> HearingReport {
        HearingReport {
            patches: vec![SoundPatch {
                start_ns: 0,
                end_ns: 960_000_000,
                scores: vec![speech],
                level_dbfs,
            }],
            labels: ["speech".into()].into(),
            ..HearingReport::default()
        }
    }

    #[test]
    fn speech_counts_by_how_far_it_stands_out_of_the_quiet() {
        let mut loudness = Loudness::default();
        assert!(
            loudness.hear(&heard(0.9, -20.0)).is_none(),
            "nothing to compare with yet"
        );
        assert!(loudness.hear(&heard(0.0, -50.0)).is_none());
        let mut says = |level| loudness.hear(&heard(0.9, level)).map(|e| e.contribution).unwrap();
        assert!((says(-35.0) - MOST / 2.0).abs() < 1e-3);
        assert!((says(-30.0) - MOST).abs() < 1e-3 && (says(-10.0) - MOST).abs() < 1e-3);
        assert!(loudness.hear(&heard(0.9, -41.0)).is_none());
    }

    #[test]
    fn a_microphone_that_was_muted_makes_no_voice_loud_that_is_quiet() {
        let mut loudness = Loudness::default();
        assert!(loudness.hear(&heard(0.0, -50.0)).is_none());
        (0..20).for_each(|_| assert!(loudness.hear(&heard(0.0, -120.0)).is_none()));
        assert!(loudness.hear(&heard(0.9, -51.0)).is_none());
    }

    #[test]
    fn a_place_that_becomes_loud_is_learned_slowly_and_one_that_becomes_quiet_at_once() {
        let mut loudness = Loudness(Some(-50.0));
        let minute = (60.0 / 0.48) as usize;
        (0..minute).for_each(|_| assert!(loudness.hear(&heard(0.0, -20.0)).is_none()));
        assert!((loudness.0.unwrap() + 43.75).abs() < 0.1, "{:?}", loudness.0);
        (0..10).for_each(|_| assert!(loudness.hear(&heard(0.0, -60.0)).is_none()));
        assert!(loudness.0.unwrap() < -59.0);
    }
}
