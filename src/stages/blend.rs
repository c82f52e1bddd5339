//! The learned fusion as the fuse stage asks it: embeddings of one clip and of the sounds that were heard during it.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::data::{ActionReport, Branch, Embedding, Reports};
use crate::fusion::{Blend, LogOdds};

/// A fusion head as this stage needs it. `nn::AvModel` is one; tests bring their own.
pub trait BlendFight: Send {
    /// `name@version`
    fn id(&self) -> Arc<str>;
    fn label(&self) -> Arc<str>;
    /// Log-odds with what there is; what is None is missing.
    ///
    /// # Errors
    /// A sentence saying what failed.
    fn log_odds(&mut self, video: Option<&[f32]>, audio: Option<&[f32]>) -> Result<f32, String>;
}

/// Sounds below this are silence: a microphone that is switched off tells nothing. The recipe's limit.
const SILENT_DBFS: f32 = -60.0;
/// Sound counts to a clip when it ended at most so long after it. More is skew, and such sound is left out.
const MAX_SKEW_NS: u64 = 500_000_000;
/// Embeddings that are kept: those of five seconds.
const KEEP: usize = 10;

/// What was heard lately: start, end and embedding of a patch.
#[derive(Default)]
pub(super) struct Sounds(VecDeque<(u64, u64, Embedding)>);

impl Sounds {
    pub fn clear(&mut self) {
        self.0.clear();
    }

    pub fn take(&mut self, reports: &Reports) {
        let (Some(patch), Some(embedding)) = (
            reports.heard().and_then(|h| h.patches.last()),
            reports.get(Branch::Hearing).and_then(|r| r.embedding.clone()),
        ) else {
            return;
        };
        if patch.level_dbfs < SILENT_DBFS {
            return;
        }
        self.0.push_back((patch.start_ns, patch.end_ns, embedding));
        while self.0.len() > KEEP {
            self.0.pop_front();
        }
    }

    /// The mean of the patches that lie within a clip, and when the last of them began.
    fn during(&self, start_ns: u64, end_ns: u64) -> Option<(Vec<f32>, u64)> {
        let mut sum: Vec<f32> = Vec::new();
        let (mut n, mut last_ns) = (0f32, 0);
        for (from_ns, to_ns, embedding) in &self.0 {
            if *to_ns <= start_ns || *to_ns > end_ns + MAX_SKEW_NS {
                continue;
            }
            sum.resize(embedding.len(), 0.0);
            sum.iter_mut().zip(embedding.iter()).for_each(|(s, e)| *s += e);
            (n, last_ns) = (n + 1.0, *from_ns);
        }
        (n > 0.0).then(|| (sum.iter().map(|s| s / n).collect(), last_ns))
    }
}

/// What the head makes of the window's clip and the sounds during it; None without a clip, or when the head fails: clip
/// model and sounds are pooled then.
pub(super) fn blend(head: &mut dyn BlendFight, reports: &Reports, sounds: &Sounds) -> Option<Blend> {
    let acted = reports.acted()?;
    let video = reports.get(Branch::Action)?.embedding.as_deref()?;
    match weigh(head, acted, video, sounds) {
        Ok(blend) => Some(blend),
        Err(error) => {
            tracing::warn!(%error, "the learned fusion failed on a window");
            None
        }
    }
}

fn weigh(head: &mut dyn BlendFight, acted: &ActionReport, video: &[f32], sounds: &Sounds) -> Result<Blend, String> {
    let heard = sounds.during(acted.start_ns, acted.end_ns);
    let audio = heard.as_ref().map(|(embedding, _)| &embedding[..]);
    let odds = LogOdds {
        both: head.log_odds(Some(video), audio)?,
        video: head.log_odds(Some(video), None)?,
        audio: audio.map(|a| head.log_odds(None, Some(a))).transpose()?,
        none: head.log_odds(None, None)?,
    };
    let at_ns = heard.as_ref().map_or(acted.end_ns, |h| h.1);
    Ok(Blend::new(odds, &head.id(), &head.label(), acted.end_ns, at_ns))
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn only_sounds_during_the_clip_are_joined_with_it() {
        let mut sounds = Sounds::default();
        for (start, value) in [(0, 1.0), (2, 2.0), (3, 4.0), (8, 9.0)] {
            sounds.0.push_back((start * S, (start + 1) * S, Arc::from([value])));
        }
        assert_eq!(sounds.during(2 * S, 4 * S), Some((vec![3.0], 3 * S)));
        assert_eq!(sounds.during(5 * S, 6 * S), None);
    }
}
