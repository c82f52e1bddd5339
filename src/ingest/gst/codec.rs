//! Codecs that are taken in, and the elements for each.

use gst::prelude::*;
use gstreamer as gst;

use crate::ingest::{H264_DECODERS, H265_DECODERS, MJPEG_DECODERS};

/// A stream's chain from RTP to raw.
pub(super) struct Chain {
    /// The codec's name on the status topic.
    pub codec: &'static str,
    /// Of the RTP clock: for sound the camera's sample rate (Opus: always 48000).
    pub clock_rate_hz: u32,
    pub depay: &'static str,
    pub parse: &'static str,
    /// Tried in order: hardware first.
    decoders: &'static [&'static str],
}

/// What an RTP stream is.
pub(super) enum Media {
    Video(Chain),
    Audio(Chain),
    /// Picture in a codec that we do not take.
    UnknownVideo(String),
    /// Anything else: left alone.
    Other,
}

/// Reads the caps of an `application/x-rtp` stream.
pub(super) fn media(caps: &gst::Caps) -> Media {
    let Some(s) = caps.structure(0) else {
        return Media::Other;
    };
    let kind = s.get::<String>("media").unwrap_or_default();
    let encoding = s.get::<String>("encoding-name").unwrap_or_default().to_uppercase();
    let clock_rate_hz = s.get::<i32>("clock-rate").map_or(0, i32::unsigned_abs);
    let chain = |codec, depay, parse, decoders| Chain {
        codec,
        clock_rate_hz,
        depay,
        parse,
        decoders,
    };
    match (kind.as_str(), encoding.as_str()) {
        ("video", "H264") => Media::Video(chain("h264", "rtph264depay", "h264parse", H264_DECODERS)),
        ("video", "H265") => Media::Video(chain("h265", "rtph265depay", "h265parse", H265_DECODERS)),
        ("video", "JPEG") => Media::Video(chain("mjpeg", "rtpjpegdepay", "jpegparse", MJPEG_DECODERS)),
        ("video", other) => Media::UnknownVideo(other.to_owned()),
        ("audio", "MPEG4-GENERIC") => Media::Audio(chain("aac", "rtpmp4gdepay", "aacparse", &["avdec_aac", "faad"])),
        ("audio", "MP4A-LATM") => Media::Audio(chain("aac", "rtpmp4adepay", "aacparse", &["avdec_aac", "faad"])),
        ("audio", "PCMU") => Media::Audio(chain("pcmu", "rtppcmudepay", "identity", &["mulawdec"])),
        ("audio", "PCMA") => Media::Audio(chain("pcma", "rtppcmadepay", "identity", &["alawdec"])),
        ("audio", "OPUS" | "X-GST-OPUS-DRAFT-SPITTKA-00") => {
            Media::Audio(chain("opus", "rtpopusdepay", "opusparse", &["opusdec"]))
        }
        _ => Media::Other,
    }
}

impl Chain {
    /// The decoder that runs here: the one asked for, or the first that exists and reaches READY (a hardware decoder
    /// without its hardware does not).
    pub fn decoder(&self, wanted: &str) -> Option<String> {
        let usable = |name: &&&str| {
            gst::ElementFactory::make(name).build().is_ok_and(|e| {
                let ready = e.set_state(gst::State::Ready).is_ok();
                let _ = e.set_state(gst::State::Null);
                ready
            })
        };
        if wanted != "auto" {
            return self
                .decoders
                .iter()
                .find(|d| **d == wanted)
                .filter(|d| usable(d))
                .map(|d| (*d).to_owned());
        }
        self.decoders.iter().find(usable).map(|d| (*d).to_owned())
    }
}

/// The decoder with the properties that it runs best with.
pub(super) fn with_properties(decoder: &str) -> String {
    match decoder {
        // One thread a camera: threads cost latency and gain nothing when cores are shared by many cameras.
        "avdec_h264" | "avdec_h265" => format!("{decoder} name=decoder max-threads=1"),
        "nvh264dec" | "nvh265dec" | "nvjpegdec" => format!("{decoder} name=decoder ! cudadownload"),
        "vah264dec" | "vah265dec" => format!("{decoder} name=decoder ! vapostproc"),
        _ => format!("{decoder} name=decoder"),
    }
}

/// Codec and decoder of the first stream of a kind (`Video`, `Audio`) in a decodebin; raw streams need none.
pub(super) fn decoded_by(decodebin: &gst::Element, kind: &str) -> (String, String) {
    let mut inside = decodebin.downcast_ref::<gst::Bin>().map(|bin| bin.iterate_recurse());
    while let Some(Ok(Some(element))) = inside.as_mut().map(gst::Iterator::next) {
        let Some(factory) = element.factory() else { continue };
        let class = factory.metadata("klass").unwrap_or_default().to_owned();
        if class.contains("Decoder") && class.contains(kind) {
            let caps = element.static_pad("sink").and_then(|pad| pad.current_caps());
            return (
                caps.map_or("unknown".into(), |c| name_of(&c)),
                factory.name().to_string(),
            );
        }
    }
    ("raw".into(), "none".into())
}

/// The codec that a decoder was given, in the words of the status topic; GStreamer's own where there is no better.
fn name_of(caps: &gst::Caps) -> String {
    let Some(s) = caps.structure(0) else {
        return "unknown".into();
    };
    let version = s.get::<i32>("mpegversion").unwrap_or(0);
    match (s.name().as_str(), version) {
        ("image/jpeg", _) => "mjpeg".into(),
        ("audio/mpeg", 2 | 4) => "aac".into(),
        ("audio/mpeg", _) => "mp3".into(),
        ("video/mpeg", version) => format!("mpeg{version}"),
        ("audio/x-mulaw", _) => "pcmu".into(),
        ("audio/x-alaw", _) => "pcma".into(),
        (name, _) => {
            let short = name.split_once('/').map_or(name, |(_, short)| short);
            short.strip_prefix("x-").unwrap_or(short).to_owned()
        }
    }
}
