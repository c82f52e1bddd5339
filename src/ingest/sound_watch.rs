//! Whether a session's sound comes, and when one that does not is worth another try. Pure.

/// Sound that was announced and stays away for so long is told as missing.
pub(super) const MISSING_AFTER_S: u64 = 30;

/// Sound that failed or stays away is tried again after so long, with the whole session.
const AGAIN_AFTER_NS: u64 = 3_600_000_000_000;

/// The sound of one session. Times are the host's monotonic clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum SoundWatch {
    /// Nobody has announced any.
    #[default]
    Off,
    /// It came last, or was announced, at this time.
    Expected(u64),
    /// It is missing since this time; what comes is taken.
    Missing(u64),
    /// It cannot be used since this time. What still comes had waited when the rest failed.
    Failed(u64),
}

impl SoundWatch {
    /// Changes nothing where it was announced before.
    pub fn announce(&mut self, now_ns: u64) {
        if *self == Self::Off {
            *self = Self::Expected(now_ns);
        }
    }

    /// A block has come. False where it is not to be used.
    pub fn take(&mut self, now_ns: u64) -> bool {
        let usable = !matches!(self, Self::Failed(_));
        if usable {
            *self = Self::Expected(now_ns);
        }
        usable
    }

    pub fn fail(&mut self, now_ns: u64) {
        *self = Self::Failed(now_ns);
    }

    /// True once, when it has stayed away for too long.
    pub fn goes_missing(&mut self, now_ns: u64) -> bool {
        let Self::Expected(last_ns) = *self else { return false };
        let missing = now_ns.saturating_sub(last_ns) > MISSING_AFTER_S * 1_000_000_000;
        if missing {
            *self = Self::Missing(now_ns);
        }
        missing
    }

    /// It is without sound for so long that a new session is worth its interruption.
    pub fn is_due_again(&self, now_ns: u64) -> bool {
        match self {
            Self::Missing(since_ns) | Self::Failed(since_ns) => now_ns.saturating_sub(*since_ns) > AGAIN_AFTER_NS,
            Self::Off | Self::Expected(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn sound_that_stops_or_never_comes_is_missing_after_half_a_minute_and_is_told_once() {
        for comes in [true, false] {
            let mut sound = SoundWatch::default();
            assert!(!sound.goes_missing(100 * S), "none was announced");
            sound.announce(100 * S);
            if comes {
                assert!(sound.take(110 * S));
            }
            let last_s = if comes { 110 } else { 100 };
            sound.announce((last_s + 29) * S);
            assert!(!sound.goes_missing((last_s + 30) * S), "{comes}");
            assert!(sound.goes_missing((last_s + 31) * S), "{comes}");
            assert!(!sound.goes_missing((last_s + 32) * S), "told twice");
            assert!(!sound.is_due_again((last_s + 31 + 3600) * S));
            assert!(sound.is_due_again((last_s + 32 + 3600) * S));
        }
    }

    #[test]
    fn sound_that_comes_back_is_taken_and_watched_again() {
        let mut sound = SoundWatch::Missing(100 * S);
        assert!(sound.take(4000 * S));
        assert!(!sound.is_due_again(9000 * S));
        assert!(sound.goes_missing(4031 * S));
    }

    #[test]
    fn what_had_waited_when_sound_failed_is_not_taken() {
        let mut sound = SoundWatch::Expected(100 * S);
        sound.fail(101 * S);
        sound.announce(102 * S);
        assert!(!sound.take(102 * S) && !sound.goes_missing(200 * S));
        assert!(sound.is_due_again(3702 * S));
    }
}
