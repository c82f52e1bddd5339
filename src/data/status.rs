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

/// What a camera's sound is.
#[derive(Clone, Debug, PartialEq)]
pub struct AudioInfo {
    /// `aac`, `pcmu`, `pcma`, `opus`.
    pub codec: String,
    pub rate_hz: u32,
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
