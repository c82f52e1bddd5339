use std::fmt;
use std::str::FromStr;

use super::CameraId;
use super::evidence::named;

named! {
    CameraState {
        Starting = "starting",
        Streaming = "streaming",
        Stalled = "stalled",
        Offline = "offline",
        Disabled = "disabled",
        Error = "error",
    }
}

named! {
    /// Why a camera is not streaming.
    StateReason {
        AuthFailed = "auth_failed",
        NotFound = "not_found",
        Unreachable = "unreachable",
        Refused = "refused",
        Tls = "tls",
        NoVideo = "no_video",
        UnsupportedCodec = "unsupported_codec",
        Stalled = "stalled",
        Eos = "eos",
        Config = "config",
        /// A fault of the program itself.
        Internal = "internal",
    }
}

/// What a camera's picture is and who decodes it.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoInfo {
    /// `h264`, `h265`, `mjpeg`.
    pub codec: String,
    pub width_px: u32,
    pub height_px: u32,
    pub fps: f32,
    /// The GStreamer element, such as `avdec_h264` or `nvh264dec`.
    pub decoder: String,
}

/// For the log.
impl fmt::Display for VideoInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            codec,
            width_px,
            height_px,
            fps,
            decoder,
        } = self;
        let fps = (fps * 100.0).round() / 100.0;
        write!(f, "{codec} {width_px}x{height_px} at {fps} fps by {decoder}")
    }
}

/// What a camera's sound is.
#[derive(Clone, Debug, PartialEq)]
pub struct AudioInfo {
    /// `aac`, `pcmu`, `pcma`, `opus`.
    pub codec: String,
    pub rate_hz: u32,
}

/// For the log.
impl fmt::Display for AudioInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} Hz", self.codec, self.rate_hz)
    }
}

/// The present truth about a camera; retained on MQTT.
#[derive(Clone, Debug, PartialEq)]
pub struct CameraStatus {
    pub camera: CameraId,
    pub state: CameraState,
    pub since_utc_ns: i64,
    pub reason: Option<StateReason>,
    /// For a person: what is wrong and what to do. Redacted.
    pub detail: Option<String>,
    /// Failed tries since the camera last streamed.
    pub attempts: u32,
    pub retry_at_utc_ns: Option<i64>,
    /// The camera's clock minus the host's, from RTCP sender reports.
    pub clock_offset_ms: Option<i64>,
    pub video: Option<VideoInfo>,
    pub audio: Option<AudioInfo>,
}

/// Where a camera's snapshots go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Snapshots {
    Off,
    /// Files below `state.dir`.
    #[default]
    Store,
    /// Published too.
    Mqtt,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_camera_sends_is_told_in_words() {
        let video = VideoInfo {
            codec: "h264".into(),
            width_px: 640,
            height_px: 360,
            fps: 30_000.0 / 1001.0,
            decoder: "avdec_h264".into(),
        };
        assert_eq!(video.to_string(), "h264 640x360 at 29.97 fps by avdec_h264");
        let audio = AudioInfo {
            codec: "pcmu".into(),
            rate_hz: 8000,
        };
        assert_eq!(audio.to_string(), "pcmu 8000 Hz");
    }
}
