//! A bin from a template, and what its appsink gives.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use gst::prelude::*;
use gstreamer as gst;
use gstreamer_app as gst_app;

use super::thin::thin;
use super::{GstError, element};
use crate::data::Picture;

/// Parses a filled template into a bin with a `sink` pad, which ends in the appsink `out`.
pub(super) fn bin(launch: &str) -> Result<(gst::Bin, gst_app::AppSink), GstError> {
    let setup = |why: String| GstError::Setup(format!("the pipeline cannot be built: {why}"));
    let bin = gst::parse::bin_from_description(launch, false).map_err(|e| setup(e.to_string()))?;
    let entry = bin
        .by_name("in")
        .and_then(|e| e.static_pad("sink"))
        .ok_or_else(|| setup("no element `in`".into()))?;
    let ghost = gst::GhostPad::builder_with_target(&entry)
        .map_err(|e| setup(e.to_string()))?
        .name("sink")
        .build();
    bin.add_pad(&ghost).map_err(|e| setup(e.to_string()))?;
    let out = bin
        .by_name("out")
        .and_then(|e| e.downcast::<gst_app::AppSink>().ok())
        .ok_or_else(|| setup("no appsink `out`".into()))?;
    Ok((bin, out))
}

/// Puts `end`, which has a pad `sink`, behind a pad of a running pipeline.
pub(super) fn put_behind(
    pad: &gst::Pad,
    pipeline: &gst::Pipeline,
    end: &impl IsA<gst::Element>,
) -> Result<(), GstError> {
    let setup = |e: gst::glib::BoolError| GstError::Setup(e.to_string());
    pipeline.add(end).map_err(setup)?;
    end.sync_state_with_parent().map_err(setup)?;
    let entry = end
        .static_pad("sink")
        .ok_or_else(|| GstError::Setup("the branch has no pad".into()))?;
    pad.link(&entry)
        .map_err(|e| GstError::Setup(format!("the stream does not fit its branch: {e}")))?;
    Ok(())
}

/// An element behind which everything may fail: what comes before it does not learn of it.
pub(super) fn shield() -> Result<gst::Element, GstError> {
    let shield = element("errorignore")?;
    shield.set_property("ignore-notlinked", true);
    shield.set_property_from_str("convert-to", "ok");
    Ok(shield)
}

/// Thins the stream out to `fps` pictures a second, and sets their size as soon as the source's is known: the longest side at most
/// `longest_px`, the shape that the camera means kept, never enlarged.
pub(super) fn reduce_to(bin: &gst::Bin, fps: f32, longest_px: u32, source: Arc<SourceSize>) -> Result<(), GstError> {
    let part = |name: &str| {
        bin.by_name(name)
            .ok_or_else(|| GstError::Setup(format!("the template lacks `{name}`")))
    };
    let (scale, size) = (part("scale")?, part("size")?.downgrade());
    let Some(pad) = scale.static_pad("sink") else {
        return Ok(());
    };
    let measured = source.clone();
    thin(&pad, fps, move |fps| measured.measured(fps));
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if let Some(gst::EventView::Caps(caps)) = info.event().map(|e| e.view())
            && let Some(s) = caps.caps().structure(0)
        {
            let side = |name| s.get::<i32>(name).unwrap_or(0).max(1);
            let (w, h) = (side("width"), side("height"));
            source.store_size(w as u32, h as u32);
            source.store_rate(s.get("framerate").ok());
            let (w, h) = square_pixels(w, h, s.get("pixel-aspect-ratio").ok());
            let shrink = (f64::from(longest_px) / w.max(h)).min(1.0);
            let even = |side: f64| ((side * shrink / 2.0).round() as i32 * 2).max(2);
            let wanted = gst::Caps::builder("video/x-raw")
                .field("format", "RGB")
                .field("width", even(w))
                .field("height", even(h))
                .build();
            if let Some(size) = size.upgrade() {
                size.set_property("caps", &wanted);
            }
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

/// Width and height in pixels that are as wide as high: lengths across and along the picture are compared. What is stretched is
/// shrunk on its longer side.
fn square_pixels(width: i32, height: i32, pixel: Option<gst::Fraction>) -> (f64, f64) {
    let pixel = pixel
        .filter(|p| p.numer() > 0 && p.denom() > 0)
        .map_or(1.0, |p| f64::from(p.numer()) / f64::from(p.denom()));
    (f64::from(width) * pixel.min(1.0), f64::from(height) / pixel.max(1.0))
}

/// Of pictures that need no other, those that are not analysed are left out before they are decoded.
pub(super) fn thin_encoded(bin: &gst::Bin, fps: f32, source: Arc<SourceSize>) {
    // Templates of one's own may lack it.
    if let Some(pad) = bin.by_name("gate").and_then(|e| e.static_pad("sink")) {
        source.is_thinned.store(true, Relaxed);
        let measured = source.clone();
        thin(&pad, fps, move |fps| measured.store_measured(fps));
    }
}

/// The source's picture size and rate, for the status topic.
#[derive(Default)]
pub(super) struct SourceSize {
    width: AtomicU64,
    height: AtomicU64,
    /// As the stream says; 0 where it does not.
    millifps: AtomicU64,
    /// As its pictures come.
    measured_millifps: AtomicU64,
    /// It is measured ahead of the decoder: what comes behind it has been thinned out.
    is_thinned: AtomicBool,
}

impl SourceSize {
    fn store_size(&self, width: u32, height: u32) {
        self.width.store(width.into(), Relaxed);
        self.height.store(height.into(), Relaxed);
    }

    fn store_rate(&self, fps: Option<gst::Fraction>) {
        let fps = fps
            .filter(|f| f.denom() > 0)
            .map_or(0.0, |f| f64::from(f.numer()) / f64::from(f.denom()));
        self.millifps.store((fps * 1000.0) as u64, Relaxed);
    }

    fn measured(&self, fps: f32) {
        if !self.is_thinned.load(Relaxed) {
            self.store_measured(fps);
        }
    }

    fn store_measured(&self, fps: f32) {
        self.measured_millifps.store((fps * 1000.0) as u64, Relaxed);
    }

    /// Width, height, and pictures a second: as the stream says, else as they come.
    pub fn get(&self) -> (u32, u32, f32) {
        let said = self.millifps.load(Relaxed);
        let fps = if said > 0 {
            said
        } else {
            self.measured_millifps.load(Relaxed)
        } as f32
            / 1000.0;
        (self.width.load(Relaxed) as u32, self.height.load(Relaxed) as u32, fps)
    }
}

/// Pictures before the first key frame would be grey smears. A stream that has none (its parts are refreshed in turn) is taken as it is
/// after so long.
const FIRST_KEY: Duration = Duration::from_secs(4);
/// What a camera lags behind by is left out in pieces of this length where every picture is a key frame.
const PIECE_NS: u64 = 1_000_000_000;

/// Drops what comes before the first key frame. Under overload, drops what is not a key frame until the next one, ahead of the decoder: the
/// only place where dropping saves work without damaging pictures. Of a stream of key frames a second is left out.
pub(super) fn shed_gate(bin: &gst::Bin, shed: Arc<AtomicBool>, dropped: Arc<AtomicU64>, stall_after: Duration) {
    let Some(pad) = bin.by_name("gate").and_then(|e| e.static_pad("src")) else {
        return;
    };
    // Well before it counts as stalled.
    let patience_ns = FIRST_KEY.min(stall_after / 2).as_nanos() as u64;
    let started = AtomicBool::new(false);
    let first_ns = AtomicU64::new(u64::MAX);
    let has_deltas = AtomicBool::new(false);
    let until_ns = AtomicU64::new(0);
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let Some(buffer) = info.buffer() else {
            return gst::PadProbeReturn::Ok;
        };
        let is_delta = buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        has_deltas.fetch_or(is_delta, Relaxed);
        let pts_ns = buffer.pts().map_or(0, gst::ClockTime::nseconds);
        if !started.load(Relaxed) {
            let waited_ns = pts_ns.saturating_sub(first_ns.fetch_min(pts_ns, Relaxed).min(pts_ns));
            if is_delta && waited_ns < patience_ns {
                return gst::PadProbeReturn::Drop;
            }
            started.store(true, Relaxed);
        }
        let drop = if has_deltas.load(Relaxed) {
            shed.fetch_and(is_delta, Relaxed) && is_delta
        } else {
            if shed.swap(false, Relaxed) {
                until_ns.store(pts_ns + PIECE_NS, Relaxed);
            }
            (until_ns.load(Relaxed).saturating_sub(PIECE_NS)..until_ns.load(Relaxed)).contains(&pts_ns)
        };
        if drop {
            dropped.fetch_add(1, Relaxed);
            gst::PadProbeReturn::Drop
        } else {
            gst::PadProbeReturn::Ok
        }
    });
}

/// Packed RGB of a sample; GStreamer's rows are padded to four bytes.
pub(super) fn picture(sample: &gst::Sample) -> Option<Picture> {
    let s = sample.caps()?.structure(0)?;
    let (w, h) = (
        usize::try_from(s.get::<i32>("width").ok()?).ok()?,
        usize::try_from(s.get::<i32>("height").ok()?).ok()?,
    );
    let map = sample.buffer()?.map_readable().ok()?;
    let stride = (w * 3).next_multiple_of(4);
    if map.len() < stride * (h - 1) + w * 3 {
        return None;
    }
    let rgb = map
        .chunks(stride)
        .take(h)
        .flat_map(|row| &row[..w * 3])
        .copied()
        .collect();
    Some(Picture {
        width: w as u32,
        height: h as u32,
        rgb,
    })
}

/// f32 samples of a mono sample buffer.
pub(super) fn samples(sample: &gst::Sample) -> Option<Arc<[f32]>> {
    let map = sample.buffer()?.map_readable().ok()?;
    let value = |b: &[u8; 4]| f32::from_le_bytes(*b);
    // A damaged packet may decode to what is no number, which would spoil all that is averaged over time.
    let number = |v: f32| if v.is_finite() { v } else { 0.0 };
    Some(map.as_chunks::<4>().0.iter().map(value).map(number).collect())
}

/// When a buffer begins. What is encoded may have a time of decoding only.
pub(super) fn running_ns(buffer: &gst::BufferRef, segment: &gst::Segment) -> Option<u64> {
    let at = buffer.pts().or(buffer.dts())?;
    let segment = segment.downcast_ref::<gst::ClockTime>()?;
    segment.to_running_time(at).map(gst::ClockTime::nseconds)
}

/// Running time, and the camera's UTC where RTCP told it (NTP counts from 1900).
pub(super) fn times(sample: &gst::Sample) -> Option<(u64, Option<i64>)> {
    const NTP_TO_UNIX_NS: i64 = 2_208_988_800_000_000_000;
    const A_MINUTE_NS: i64 = 60_000_000_000;
    let buffer = sample.buffer()?;
    let running_ns = running_ns(buffer, sample.segment()?)?;
    let ntp = buffer
        .iter_meta::<gst::ReferenceTimestampMeta>()
        .find(|m| {
            m.reference()
                .structure(0)
                .is_some_and(|s| s.name() == "timestamp/x-ntp")
        })
        .map(|m| m.timestamp().nseconds() as i64)
        // A camera that has no clock sends 0 in each report (RFC 3550, section 6.4.1), and its pictures count from there.
        .filter(|ntp_ns| *ntp_ns > A_MINUTE_NS)
        .map(|ntp_ns| ntp_ns - NTP_TO_UNIX_NS);
    Some((running_ns, ntp))
}
