//! Cameras: from a URL to windows, under a supervisor.

mod backoff;
mod delays;
pub mod gst;
mod lens;
mod mask;
mod reach;
mod replay;
mod sound_watch;
mod stream_clock;
mod supervisor;
mod template;

use std::path::PathBuf;
use std::time::Duration;

pub use gst::Ending;
pub use replay::{ReplayError, replay};
pub use supervisor::{Camera, CameraCounters, CameraSink};

use crate::data::{CameraId, Point, Secret};
use crate::window::WindowOptions;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Transport {
    #[default]
    Tcp,
    Udp,
}

/// Which clock gives UTC (design, invariant 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ClockSource {
    #[default]
    Host,
    Camera,
}

/// Decoders of a codec, the best first.
const H264_DECODERS: &[&str] = &["nvh264dec", "vah264dec", "v4l2h264dec", "avdec_h264", "openh264dec"];
const H265_DECODERS: &[&str] = &["nvh265dec", "vah265dec", "v4l2h265dec", "avdec_h265"];
const MJPEG_DECODERS: &[&str] = &["nvjpegdec", "jpegdec"];

/// Those that a camera may ask for.
pub const VIDEO_DECODERS: [&[&str]; 3] = [H264_DECODERS, H265_DECODERS, MJPEG_DECODERS];

/// Where a stream comes from.
#[derive(Clone, Debug)]
pub enum Source {
    Rtsp {
        /// `rtsp://` or `rtsps://`, without user and password.
        url: String,
        username: Option<String>,
        password: Option<Secret>,
        transport: Transport,
        /// CA certificate (PEM) for `rtsps://`; None: the system's.
        ca: Option<PathBuf>,
    },
    /// Plays in real time and loops (`run`), or once as fast as it goes (`replay`).
    File { path: PathBuf },
}

/// One camera, as ingest needs it.
#[derive(Clone, Debug)]
pub struct CameraOptions {
    pub id: CameraId,
    pub source: Source,
    pub analysis_fps: f32,
    /// Longest side of the analysed picture; smaller sources are not enlarged.
    pub analysis_px: u32,
    /// One picture a window keeps the camera's own size, for faces.
    pub native: bool,
    /// Polygons painted black before anything looks at the picture.
    pub masks: Vec<Vec<Point>>,
    pub clock: ClockSource,
    /// No frame for so long with the connection open: the camera is stalled and is rebuilt.
    pub stall_after: Duration,
    /// Length of stream before the decoder at which delta frames are dropped until the next key frame.
    pub max_backlog: Duration,
    /// Backoff between tries: first wait and cap.
    pub backoff_first: Duration,
    pub backoff_cap: Duration,
    /// `auto` or a decoder element's name.
    pub decoder: String,
    /// Folder with templates that replace the built-in ones.
    pub pipelines_dir: Option<PathBuf>,
    pub window: WindowOptions,
}

impl CameraOptions {
    /// A camera with the defaults of the configuration.
    pub fn new(id: CameraId, source: Source) -> Self {
        Self {
            id,
            source,
            analysis_fps: 5.0,
            analysis_px: 640,
            native: false,
            masks: Vec::new(),
            clock: ClockSource::Host,
            stall_after: Duration::from_secs(10),
            max_backlog: Duration::from_secs(2),
            backoff_first: Duration::from_secs(1),
            backoff_cap: Duration::from_secs(60),
            decoder: "auto".into(),
            pipelines_dir: None,
            window: WindowOptions::default(),
        }
    }
}
