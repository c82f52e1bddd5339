//! The learned fusion as the fuse stage asks it: embeddings of one clip and of the sounds that were heard during it.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::data::{ActionReport, Branch, Embedding, MAX_SKEW_NS, Reports};
use crate::error::is_news;
use crate::fusion::{Blend, LogOdds, SILENT_DBFS};

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

/// Windows whose sounds are kept: those of five seconds, or of more where windows are longer.
const KEEP: usize = 10;

/// What was heard lately, by window.
#[derive(Default)]
pub(super) struct Sounds(VecDeque<Sound>);

/// The patches of a window, and the mean of their embeddings.
struct Sound {
    /// When the last of them began.
    last_ns: u64,
    start_ns: u64,
    end_ns: u64,
    patches: f32,
    embedding: Embedding,
}

impl Sounds {
    pub fn clear(&mut self) {
        self.0.clear();
    }

    pub fn take(&mut self, reports: &Reports) {
        let embedding = reports.get(Branch::Hearing).and_then(|r| r.embedding.clone());
        let patches = reports.heard().map_or(&[][..], |h| &h.patches);
        let (Some(first), Some(last), Some(embedding)) = (patches.first(), patches.last(), embedding) else {
            return;
        };
        if patches.iter().all(|p| p.level_dbfs < SILENT_DBFS) {
            return;
        }
        self.0.push_back(Sound {
            last_ns: last.start_ns,
            start_ns: first.start_ns,
            end_ns: last.end_ns,
            patches: patches.len() as f32,
            embedding,
        });
        while self.0.len() > KEEP {
            self.0.pop_front();
        }
    }

    /// The mean of the patches that were heard during a clip, and when the last of them began.
    fn during(&self, start_ns: u64, end_ns: u64) -> Option<(Vec<f32>, u64)> {
        let mut sum: Vec<f32> = Vec::new();
        let (mut n, mut last_ns) = (0f32, 0);
        let lies_within = |s: &&Sound| s.end_ns > start_ns && s.end_ns <= end_ns + MAX_SKEW_NS && s.start_ns < end_ns;
        for sound in self.0.iter().filter(lies_within) {
            sum.resize(sound.embedding.len(), 0.0);
            let each = sum.iter_mut().zip(sound.embedding.iter());
            each.for_each(|(s, e)| *s += sound.patches * e);
            (n, last_ns) = (n + sound.patches, sound.last_ns);
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
            if is_news(&error) {
                tracing::warn!(%error, "the learned fusion failed on a window");
            }
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
mod tests;
