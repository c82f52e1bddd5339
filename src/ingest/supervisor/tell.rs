//! What is told of a camera's state, and when.

use std::time::Duration;

use super::{Session, Supervisor};
use crate::data::{CameraState, CameraStatus, StateReason};

/// A clock that was set by more is told anew; less is the network's jitter, or a clock that is kept.
const CLOCK_NEWS_MS: u64 = 1_000;

impl Supervisor {
    /// The rate of a stream that does not say it is known once some pictures have come.
    pub(super) fn tell_rate(&mut self, session: &Session) {
        if self.status.video.as_ref().is_none_or(|video| video.fps > 0.0) {
            return;
        }
        if let Some(video) = session.video_info().filter(|video| video.fps > 0.0) {
            self.status.video = Some(video);
            self.sink.status(self.status.clone());
        }
    }

    pub(super) fn tell_streaming(&mut self, session: &Session) {
        self.status = CameraStatus {
            state: CameraState::Streaming,
            since_utc_ns: self.since(CameraState::Streaming),
            reason: None,
            detail: self.deaf.clone(),
            attempts: 0,
            retry_at_utc_ns: None,
            clock_offset_ms: self.stream.camera_offset_ms(),
            video: session.video_info(),
            audio: session.audio_info().filter(|_| self.deaf.is_none()),
            ..self.status.clone()
        };
        let video = self
            .status
            .video
            .as_ref()
            .map_or_else(|| "none".into(), ToString::to_string);
        let audio = self
            .status
            .audio
            .as_ref()
            .map_or_else(|| "none yet".into(), ToString::to_string);
        tracing::info!(camera = %self.options.id, %video, %audio, "streaming");
        self.sink.status(self.status.clone());
    }

    /// The first sound may come after the first picture, and sound that was missing may come back: the state is told again
    /// with it.
    pub(super) fn tell_audio(&mut self, session: &Session) {
        (self.status.audio, self.status.detail) = (session.audio_info(), None);
        if let Some(audio) = &self.status.audio {
            tracing::info!(camera = %self.options.id, %audio, "sound has come");
            self.sink.status(self.status.clone());
        }
    }

    pub(super) fn tell_deaf(&mut self, detail: &str) {
        let detail = self.redactor.clean(&format!("its sound cannot be used: {detail}"));
        tracing::warn!(camera = %self.options.id, %detail, "the camera is watched without its sound");
        self.windower.set_has_audio(false);
        self.deaf = Some(detail);
        if self.status.state == CameraState::Streaming {
            (self.status.audio, self.status.detail) = (None, self.deaf.clone());
            self.sink.status(self.status.clone());
        }
    }

    /// The camera's clock is known only after its first sender report; it and the host's may be set while it streams.
    pub(super) fn tell_clocks(&mut self) {
        let since_utc_ns = self.since(self.status.state);
        let offset_ms = self.stream.camera_offset_ms();
        let is_news = match (self.status.clock_offset_ms, offset_ms) {
            (Some(told), Some(now)) => told.abs_diff(now) > CLOCK_NEWS_MS,
            (told, now) => told != now,
        };
        if is_news || since_utc_ns != self.status.since_utc_ns {
            (self.status.clock_offset_ms, self.status.since_utc_ns) = (offset_ms, since_utc_ns);
            self.sink.status(self.status.clone());
        }
    }

    /// Since when it is in a state, by the host's clock as it goes now.
    fn since(&mut self, state: CameraState) -> i64 {
        let (now_ns, utc_ns) = (self.clock.monotonic_ns(), self.clock.utc_ns());
        if self.status.state != state {
            self.since_ns = now_ns;
            return utc_ns;
        }
        let since_utc_ns = utc_ns - (now_ns - self.since_ns) as i64;
        let told_ns = self.status.since_utc_ns;
        if told_ns.abs_diff(since_utc_ns) > CLOCK_NEWS_MS * 1_000_000 {
            since_utc_ns
        } else {
            told_ns
        }
    }

    pub(super) fn tell_failure(&mut self, reason: StateReason, detail: &str, wait: Duration) {
        let state = match reason {
            StateReason::Stalled => CameraState::Stalled,
            StateReason::Unreachable | StateReason::Refused | StateReason::Eos => CameraState::Offline,
            // The camera is there; somebody has to change something.
            _ => CameraState::Error,
        };
        let detail = self.redactor.clean(detail);
        let retry_at = self.clock.utc_ns() + wait.as_nanos() as i64;
        tracing::warn!(
            camera = %self.options.id, reason = reason.as_str(), %detail,
            "camera is {state}; next try in {:.1} s", wait.as_secs_f64()
        );
        self.status = CameraStatus {
            since_utc_ns: self.since(state),
            state,
            reason: Some(reason),
            detail: Some(detail),
            attempts: self.backoff.tries(),
            retry_at_utc_ns: Some(retry_at),
            ..self.status.clone()
        };
        self.sink.status(self.status.clone());
    }
}

/// In place of the advice where something else listens.
pub(super) const NO_RTSP: &str =
    "; the port is open, but what answers there is not RTSP, or does not answer in time: check the port in `url`";

/// What the operator can do about it.
pub(super) fn advice(reason: StateReason) -> &'static str {
    match reason {
        StateReason::AuthFailed => {
            "; check `username` and `password`; the next try waits, because cameras lock accounts; reload to try at once"
        }
        StateReason::NotFound => "; check the path of `url`",
        StateReason::Refused => "; nothing listens at that address and port",
        StateReason::Unreachable => "; check the address, the cable and the network",
        StateReason::Internal => "; this is a fault of Watchfire: please report it with the log",
        StateReason::Tls => "; check `ca` and the camera's certificate",
        _ => "",
    }
}
