//! Errors that more than one floor speaks. Inner errors carry no context; the boundary adds camera, stage and sequence.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// What a stage answers when a window cannot be computed. The runner adds stage, camera and sequence.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    #[error("the model failed: {0}")]
    Model(String),
    #[error("{0}")]
    Input(String),
}

/// A panic's own words, of what `catch_unwind` caught.
pub fn panic_words(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no words".into())
}

/// Whether this is the first, tenth, hundredth… time that something fails with these words, after an hour without them from the
/// first on. A model that has gone wrong fails on every window of every camera, and its log is to say so once and not twice a second.
pub fn is_news(words: &str) -> bool {
    // Counts by hash, so that nobody waits for anybody; of two failures that share a place the rarer may go untold.
    static TOLD: [AtomicU64; 1024] = [const { AtomicU64::new(0) }; 1024];
    static LAST_S: [AtomicU64; 1024] = [const { AtomicU64::new(0) }; 1024];
    static SINCE: LazyLock<Instant> = LazyLock::new(Instant::now);
    let mut hasher = DefaultHasher::new();
    words.hash(&mut hasher);
    let place = hasher.finish() as usize % TOLD.len();
    let now_s = SINCE.elapsed().as_secs();
    if now_s - LAST_S[place].swap(now_s, Relaxed).min(now_s) > 3_600 {
        TOLD[place].store(0, Relaxed);
    }
    let times = TOLD[place].fetch_add(1, Relaxed) + 1;
    10u64.pow(times.ilog10()) == times
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_that_repeats_is_told_the_first_the_tenth_and_the_hundredth_time() {
        let told: Vec<usize> = (1..=500).filter(|_| is_news("a model of this test fails")).collect();
        assert_eq!(told, [1, 10, 100]);
    }
}
