//! A recording, read to its end in the order of its times: the same file gives the same data.

mod regular;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use gst::prelude::*;
use gstreamer as gst;
use gstreamer_app as gst_app;

use super::{GstError, branch, classify, element};
use crate::data::Picture;
use crate::ingest::template::fill;
pub use regular::no_file;

/// What a recording holds, oldest first.
pub enum Datum {
    Frame(Picture, u64),
    Sound(Arc<[f32]>, u64),
}

/// How much shorter than the file says a recording may end, as the last picture and the last sound have no length of their
/// own in some formats.
const CUT_TOLERANCE_NS: u64 = 2_000_000_000;

/// So often a reader that gets nothing looks whether the file has failed.
const LOOK_AROUND: gst::ClockTime = gst::ClockTime::from_mseconds(100);

/// What was read of a file's other tracks so long ago was the last of them.
const SETTLES: Duration = Duration::from_secs(1);

/// A file in which nothing moves for so long is given up.
const PATIENCE: Duration = Duration::from_secs(20);

/// Reads a recording as fast as its reader takes it.
///
/// Picture and sound are read on their own, each through a pipeline of its own: however far apart they lie in the file,
/// neither has to hold the other.
pub struct MediaReader {
    video: Option<Lane>,
    audio: Option<Lane>,
    /// Neither a picture nor a sample has come yet.
    is_empty: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Media {
    Video,
    Audio,
}

/// What of a picture's stream is read.
#[derive(Clone, Copy, Default)]
struct Bounds {
    max_fps: f32,
    longest_px: u32,
}

/// One stream and the datum that waits to be handed out.
struct Lane {
    pipeline: Playing,
    sink: gst_app::AppSink,
    media: Media,
    poured: Arc<Poured>,
    next: Option<(u64, gst::Sample)>,
    end_ns: u64,
}

/// What came of the tracks that are not read: the file goes on, though nothing of this one comes.
#[derive(Default)]
struct Poured {
    buffers: AtomicU64,
    end_ns: AtomicU64,
}

/// A pipeline that stops when nobody reads it any more.
struct Playing(gst::Pipeline);

impl MediaReader {
    /// Opens a file. `max_fps` and `longest_px` bound the picture as for a camera. Of several tracks the first of a kind is
    /// read.
    ///
    /// # Errors
    /// It is no file or an empty one, cannot be read or decoded, or holds neither picture nor sound.
    pub fn open(path: &Path, max_fps: f32, longest_px: u32) -> Result<Self, GstError> {
        super::init()?;
        regular::expect(path)?;
        let launch = fill("file_video", None, &[("sync", "false")])?;
        let video = Lane::open(path, Media::Video, &launch, Bounds { max_fps, longest_px })?;
        let audio = Lane::sound(path)?;
        if video.is_none() && audio.is_none() {
            return Err(GstError::Setup("the file holds neither picture nor sound".into()));
        }
        Ok(Self {
            video,
            audio,
            is_empty: true,
        })
    }

    pub fn has_audio(&self) -> bool {
        self.audio.is_some()
    }

    /// The next datum by time (picture first at the same time), None at the end.
    ///
    /// # Errors
    /// The file breaks off or cannot be decoded further, or has ended without a single datum: a track was announced, but there is
    /// nothing that anybody could have looked at.
    pub fn next_datum(&mut self) -> Result<Option<Datum>, GstError> {
        let datum = self.read()?;
        if datum.is_none() && self.is_empty {
            return Err(GstError::Setup("nothing in it could be decoded".into()));
        }
        self.is_empty &= matches!(&datum, Some(Datum::Sound(samples, _)) if samples.is_empty());
        Ok(datum)
    }

    fn read(&mut self) -> Result<Option<Datum>, GstError> {
        let at_ns = |lane: &mut Option<Lane>| lane.as_mut().map_or(Ok(None), Lane::at_ns);
        let lane = match (at_ns(&mut self.video)?, at_ns(&mut self.audio)?) {
            (Some(v), Some(a)) if v <= a => &mut self.video,
            (Some(_), None) => &mut self.video,
            (_, Some(_)) => &mut self.audio,
            (None, None) => return self.complete().map(|()| None),
        };
        lane.as_mut().map_or(Ok(None), Lane::take)
    }

    /// Whether it ended where the file says that it ends.
    fn complete(&self) -> Result<(), GstError> {
        let lanes = || self.video.iter().chain(&self.audio);
        // Of a file that does not say how long it is this is an estimate, good at its end only.
        let told_ns = lanes()
            .filter_map(|l| l.pipeline.0.query_duration::<gst::ClockTime>())
            .map(gst::ClockTime::nseconds)
            .max();
        let end_ns = || lanes().map(Lane::any_end_ns).max().unwrap_or_default();
        let cut = || told_ns.filter(|told_ns| end_ns() + CUT_TOLERANCE_NS < *told_ns);
        // The length that it states may be that of a track which nobody reads, and which comes to its end later.
        for lane in lanes() {
            let mut patience = Patience::new(lane.poured.clone(), SETTLES);
            while cut().is_some() && !patience.is_over() {
                lane.pipeline.wait_a_moment();
            }
        }
        match cut() {
            Some(told_ns) => Err(GstError::Setup(format!(
                "the recording ends at {:.1} s of the {:.1} s that it should last",
                end_ns() as f64 / 1e9,
                told_ns as f64 / 1e9
            ))),
            None => Ok(()),
        }
    }
}

impl Lane {
    /// The sound of a file, None where it has none.
    fn sound(path: &Path) -> Result<Option<Self>, GstError> {
        Self::open(
            path,
            Media::Audio,
            &fill("file_audio", None, &[("sync", "false")])?,
            Bounds::default(),
        )
    }

    /// The first track of a kind, None where there is none.
    fn open(path: &Path, media: Media, launch: &str, bounds: Bounds) -> Result<Option<Self>, GstError> {
        let setup = |e: gst::glib::BoolError| GstError::Setup(e.to_string());
        let pipeline = Playing(gst::Pipeline::new());
        let (source, decode) = (element("filesrc")?, element("decodebin")?);
        source.set_property("location", path.to_string_lossy().as_ref());
        pipeline.0.add_many([&source, &decode]).map_err(setup)?;
        source.link(&decode).map_err(setup)?;
        let poured: Arc<Poured> = Arc::default();
        leave_at_demuxer(&decode, media.other(), poured.clone());
        let (found, found_tracks) = crossbeam_channel::unbounded();
        let (none, complete) = crossbeam_channel::bounded::<()>(1);
        let weak = pipeline.0.downgrade();
        let (launch, first) = (launch.to_owned(), AtomicBool::new(true));
        let pours = poured.clone();
        decode.connect_pad_added(move |_, pad| {
            let Some(pipeline) = weak.upgrade() else { return };
            let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
            let wanted = caps.structure(0).is_some_and(|s| s.name() == media.raw());
            let sink = if wanted && first.swap(false, Relaxed) {
                attach(&pipeline, pad, &launch, media, bounds).map(Some)
            } else {
                pour_away(&pipeline, pad, pours.clone()).map(|()| None)
            };
            let _ = found.send(sink.map(|sink| (wanted, sink)));
        });
        decode.connect_no_more_pads(move |_| {
            let _ = none.try_send(());
        });
        let _ = pipeline.0.set_state(gst::State::Playing);
        let mut patience = Patience::new(poured.clone(), PATIENCE);
        while complete.recv_timeout(Duration::from_millis(20)).is_err() {
            pipeline.check()?;
            if patience.is_over() {
                return Err(GstError::Setup("no stream was found in the file".into()));
            }
        }
        let tracks = found_tracks.try_iter().collect::<Result<Vec<_>, _>>()?;
        let alike = tracks.iter().filter(|(wanted, _)| *wanted).count();
        if alike > 1 {
            tracing::warn!(file = %path.display(), "{alike} tracks of {}: only the first is read", media.word());
        }
        let sink = tracks.into_iter().find_map(|(_, sink)| sink);
        Ok(sink.map(|sink| Self {
            pipeline,
            sink,
            media,
            poured,
            next: None,
            end_ns: 0,
        }))
    }

    /// Where it ends, whoever reads it.
    fn any_end_ns(&self) -> u64 {
        self.end_ns.max(self.poured.end_ns.load(Relaxed))
    }

    /// The time of the next datum, None at the end.
    ///
    /// # Errors
    /// The file has failed, or nothing in it moves any more: an error brings no end with it, and is not always told.
    fn at_ns(&mut self) -> Result<Option<u64>, GstError> {
        let mut patience = Patience::new(self.poured.clone(), PATIENCE);
        while self.next.is_none() {
            let Some(sample) = self.sink.try_pull_sample(LOOK_AROUND) else {
                self.pipeline.check()?;
                if self.sink.is_eos() {
                    return Ok(None);
                }
                if patience.is_over() {
                    return Err(GstError::Setup(format!(
                        "the file's {} does not go on",
                        self.media.word()
                    )));
                }
                continue;
            };
            let Some((at_ns, _)) = branch::times(&sample) else {
                continue;
            };
            self.end_ns = self.end_ns.max(at_ns + sample.buffer().map_or(0, lasts_ns));
            self.next = Some((at_ns, sample));
        }
        Ok(self.next.as_ref().map(|(at_ns, _)| *at_ns))
    }

    fn take(&mut self) -> Result<Option<Datum>, GstError> {
        let Some((at_ns, sample)) = self.next.take() else {
            return Ok(None);
        };
        let datum = match self.media {
            Media::Video => branch::picture(&sample).map(|p| Datum::Frame(p, at_ns)),
            Media::Audio => branch::samples(&sample).map(|s| Datum::Sound(s, at_ns)),
        };
        datum
            .map(Some)
            .ok_or_else(|| GstError::Setup("a frame of an unexpected layout".into()))
    }
}

impl Media {
    fn other(self) -> Self {
        match self {
            Self::Video => Self::Audio,
            Self::Audio => Self::Video,
        }
    }

    fn raw(self) -> &'static str {
        match self {
            Self::Video => "video/x-raw",
            Self::Audio => "audio/x-raw",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Video => "picture",
            Self::Audio => "sound",
        }
    }

    /// Whether a demuxer's pad is of this medium, encoded or not. What holds both (DV) is of none.
    fn is_of(self, caps: &gst::StructureRef) -> bool {
        let name = caps.name();
        let its = match self {
            Self::Video => name.starts_with("video/") || name.starts_with("image/"),
            Self::Audio => name.starts_with("audio/"),
        };
        its && !caps.get::<bool>("systemstream").unwrap_or(false)
    }
}

/// For how long nothing may move in a file.
struct Patience {
    poured: Arc<Poured>,
    lasts: Duration,
    last: u64,
    moved_at: Instant,
}

impl Patience {
    fn new(poured: Arc<Poured>, lasts: Duration) -> Self {
        Self {
            lasts,
            last: poured.buffers.load(Relaxed),
            poured,
            moved_at: Instant::now(),
        }
    }

    fn is_over(&mut self) -> bool {
        let before = std::mem::replace(&mut self.last, self.poured.buffers.load(Relaxed));
        if before != self.last {
            self.moved_at = Instant::now();
        }
        self.moved_at.elapsed() > self.lasts
    }
}

impl Playing {
    /// Or until it fails.
    fn wait_a_moment(&self) {
        let bus = self.0.bus();
        let _ = bus.and_then(|bus| bus.timed_pop_filtered(LOOK_AROUND, &[gst::MessageType::Error]));
    }

    fn check(&self) -> Result<(), GstError> {
        let Some(bus) = self.0.bus() else { return Ok(()) };
        while let Some(message) = bus.pop_filtered(&[gst::MessageType::Error]) {
            if let gst::MessageView::Error(error) = message.view() {
                let (reason, detail) = classify(error);
                return Err(GstError::Stream { reason, detail });
            }
        }
        Ok(())
    }
}

impl Drop for Playing {
    fn drop(&mut self) {
        let _ = self.0.set_state(gst::State::Null);
    }
}

/// Keeps a decodebin from taking a medium beyond the demuxer: it gives those tracks as they are, without their data but for a
/// first buffer, which tells that there is a track. So however much of it comes before the other medium, none of it waits
/// anywhere.
fn leave_at_demuxer(decode: &gst::Element, media: Media, poured: Arc<Poured>) {
    let its_pad = move |values: &[gst::glib::Value]| {
        let pad = values.get(1)?.get::<gst::GhostPad>().ok()?.target()?;
        let caps = values.get(2)?.get::<gst::Caps>().ok()?;
        let factory = pad.parent_element()?.factory()?;
        let of_demuxer = factory.metadata("klass")?.contains("Demuxer");
        (of_demuxer && media.is_of(caps.structure(0)?)).then_some(pad)
    };
    decode.connect("autoplug-continue", false, move |values| {
        let pad = its_pad(values);
        if let Some(pad) = &pad {
            pour(pad, poured.clone(), 1);
        }
        Some(pad.is_none().to_value())
    });
}

/// Takes a track that nobody reads, so that it holds up none.
fn pour_away(pipeline: &gst::Pipeline, pad: &gst::Pad, poured: Arc<Poured>) -> Result<(), GstError> {
    pour(pad, poured, 0);
    let sink = element("fakesink")?;
    sink.set_property("async", false);
    branch::put_behind(pad, pipeline, &sink)
}

/// Drops what comes out of a pad, but for the first `keep` buffers.
fn pour(pad: &gst::Pad, poured: Arc<Poured>, keep: u64) {
    let seen = AtomicU64::new(0);
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        poured.buffers.fetch_add(1, Relaxed);
        let segment = pad.sticky_event::<gst::event::Segment>(0);
        if let (Some(buffer), Some(segment)) = (info.buffer(), segment)
            && let Some(at_ns) = branch::running_ns(buffer, segment.segment())
        {
            poured.end_ns.fetch_max(at_ns + lasts_ns(buffer), Relaxed);
        }
        if seen.fetch_add(1, Relaxed) < keep {
            gst::PadProbeReturn::Ok
        } else {
            gst::PadProbeReturn::Drop
        }
    });
}

fn lasts_ns(buffer: &gst::BufferRef) -> u64 {
    buffer.duration().map_or(0, gst::ClockTime::nseconds)
}

fn attach(
    pipeline: &gst::Pipeline,
    pad: &gst::Pad,
    launch: &str,
    media: Media,
    bounds: Bounds,
) -> Result<gst_app::AppSink, GstError> {
    let (bin, sink) = branch::bin(launch)?;
    if media == Media::Video {
        branch::reduce_to(&bin, bounds.max_fps, bounds.longest_px, Arc::default())?;
    }
    branch::put_behind(pad, pipeline, &bin)?;
    Ok(sink)
}

/// A whole file's sound: 16 kHz mono.
///
/// # Errors
/// The file cannot be read or decoded, or has no sound. A track without a sample is no error.
pub fn read_sound(path: &Path) -> Result<Vec<f32>, GstError> {
    super::init()?;
    regular::expect(path)?;
    let audio = Lane::sound(path)?.ok_or_else(|| GstError::Setup("the file has no sound".into()))?;
    let mut reader = MediaReader {
        video: None,
        audio: Some(audio),
        is_empty: true,
    };
    let mut out = Vec::new();
    while let Some(datum) = reader.read()? {
        if let Datum::Sound(samples, _) = datum {
            out.extend_from_slice(&samples);
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests;
