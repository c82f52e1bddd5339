//! A recording, read to its end in the order of its times: the same file gives the same data.

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

/// A file in which nothing moves for so long is given up.
const PATIENCE: Duration = Duration::from_secs(20);

/// Reads a recording as fast as its reader takes it.
///
/// Picture and sound are read on their own, each through a pipeline of its own: however far apart they lie in the file,
/// neither has to hold the other.
pub struct MediaReader {
    video: Option<Lane>,
    audio: Option<Lane>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Media {
    Video,
    Audio,
}

/// One stream and the datum that waits to be handed out.
struct Lane {
    pipeline: Playing,
    sink: gst_app::AppSink,
    media: Media,
    /// Of any kind, in the file.
    tracks: usize,
    /// Buffers of the tracks that are not read: the file goes on, though nothing of this one comes.
    poured: Arc<AtomicU64>,
    next: Option<(u64, gst::Sample)>,
    end_ns: u64,
}

/// A pipeline that stops when nobody reads it any more.
struct Playing(gst::Pipeline);

impl MediaReader {
    /// Opens a file. `max_fps` and `longest_px` bound the picture as for a camera. Of several tracks the first of a kind is
    /// read.
    ///
    /// # Errors
    /// The file cannot be read or decoded, or holds neither picture nor sound.
    pub fn open(path: &Path, max_fps: f32, longest_px: u32) -> Result<Self, GstError> {
        super::init()?;
        let rate = (max_fps.round().max(1.0) as u32).to_string();
        let launch = fill("file_video", None, &[("max_rate", rate.as_str()), ("sync", "false")])?;
        let video = Lane::open(path, Media::Video, &launch, longest_px)?;
        let audio = Lane::sound(path)?;
        if video.is_none() && audio.is_none() {
            return Err(GstError::Setup("the file holds neither picture nor sound".into()));
        }
        Ok(Self { video, audio })
    }

    pub fn has_audio(&self) -> bool {
        self.audio.is_some()
    }

    /// The next datum by time (picture first at the same time), None at the end.
    ///
    /// # Errors
    /// The file breaks off or cannot be decoded further.
    pub fn next_datum(&mut self) -> Result<Option<Datum>, GstError> {
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
        // The length that it states may be that of a track which nobody reads.
        if lanes().any(|lane| lane.tracks > lanes().count()) {
            return Ok(());
        }
        let end_ns = lanes().map(|l| l.end_ns).max().unwrap_or_default();
        // Of a file that does not say how long it is this is an estimate, good at its end only.
        let told_ns = lanes()
            .filter_map(|l| l.pipeline.0.query_duration::<gst::ClockTime>())
            .map(gst::ClockTime::nseconds)
            .max();
        match told_ns {
            Some(told_ns) if end_ns + CUT_TOLERANCE_NS < told_ns => Err(GstError::Setup(format!(
                "the recording ends at {:.1} s of the {:.1} s that it should last",
                end_ns as f64 / 1e9,
                told_ns as f64 / 1e9
            ))),
            _ => Ok(()),
        }
    }
}

impl Lane {
    /// The sound of a file, None where it has none.
    fn sound(path: &Path) -> Result<Option<Self>, GstError> {
        Self::open(path, Media::Audio, &fill("file_audio", None, &[("sync", "false")])?, 0)
    }

    /// The first track of a kind, None where there is none.
    fn open(path: &Path, media: Media, launch: &str, longest_px: u32) -> Result<Option<Self>, GstError> {
        let setup = |e: gst::glib::BoolError| GstError::Setup(e.to_string());
        let pipeline = Playing(gst::Pipeline::new());
        let (source, decode) = (element("filesrc")?, element("decodebin")?);
        source.set_property("location", path.to_string_lossy().as_ref());
        pipeline.0.add_many([&source, &decode]).map_err(setup)?;
        source.link(&decode).map_err(setup)?;
        leave_undecoded(&decode, media.other());
        let (found, found_tracks) = crossbeam_channel::unbounded();
        let (none, complete) = crossbeam_channel::bounded::<()>(1);
        let weak = pipeline.0.downgrade();
        let (launch, first) = (launch.to_owned(), AtomicBool::new(true));
        let poured: Arc<AtomicU64> = Arc::default();
        let pours = poured.clone();
        decode.connect_pad_added(move |_, pad| {
            let Some(pipeline) = weak.upgrade() else { return };
            let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
            let wanted = caps.structure(0).is_some_and(|s| s.name() == media.raw());
            let sink = if wanted && first.swap(false, Relaxed) {
                attach(&pipeline, pad, &launch, media, longest_px).map(Some)
            } else {
                pour_away(&pipeline, pad, pours.clone()).map(|()| None)
            };
            let _ = found.send(sink.map(|sink| (wanted, sink)));
        });
        decode.connect_no_more_pads(move |_| {
            let _ = none.try_send(());
        });
        let _ = pipeline.0.set_state(gst::State::Playing);
        let waited = Instant::now();
        while complete.recv_timeout(Duration::from_millis(20)).is_err() {
            pipeline.check()?;
            if waited.elapsed() > PATIENCE {
                return Err(GstError::Setup("no stream was found in the file".into()));
            }
        }
        let tracks = found_tracks.try_iter().collect::<Result<Vec<_>, _>>()?;
        let alike = tracks.iter().filter(|(wanted, _)| *wanted).count();
        if alike > 1 {
            tracing::warn!(file = %path.display(), "{alike} tracks of {}: only the first is read", media.word());
        }
        let count = tracks.len();
        let sink = tracks.into_iter().find_map(|(_, sink)| sink);
        Ok(sink.map(|sink| Self {
            pipeline,
            sink,
            media,
            tracks: count,
            poured,
            next: None,
            end_ns: 0,
        }))
    }

    /// The time of the next datum, None at the end.
    ///
    /// # Errors
    /// The file has failed, or nothing in it moves any more: an error brings no end with it, and is not always told.
    fn at_ns(&mut self) -> Result<Option<u64>, GstError> {
        let (mut moved_at, mut poured) = (Instant::now(), self.poured.load(Relaxed));
        while self.next.is_none() {
            let Some(sample) = self.sink.try_pull_sample(LOOK_AROUND) else {
                self.pipeline.check()?;
                if self.sink.is_eos() {
                    return Ok(None);
                }
                let before = std::mem::replace(&mut poured, self.poured.load(Relaxed));
                if poured != before {
                    moved_at = Instant::now();
                } else if moved_at.elapsed() > PATIENCE {
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
            let lasts = sample.buffer().and_then(gst::BufferRef::duration);
            self.end_ns = self.end_ns.max(at_ns + lasts.map_or(0, gst::ClockTime::nseconds));
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

    /// As the classes of GStreamer's elements name it.
    fn class(self) -> &'static str {
        match self {
            Self::Video => "Video",
            Self::Audio => "Audio",
        }
    }
}

impl Playing {
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

/// Keeps a decodebin from decoding what is not asked for: it gives those tracks as they are.
fn leave_undecoded(decode: &gst::Element, media: Media) {
    let expose = |class: gst::glib::EnumClass| class.to_value_by_nick("expose");
    let go_on = |class: gst::glib::EnumClass| class.to_value_by_nick("try");
    decode.connect("autoplug-select", false, move |values| {
        let factory = values.get(3)?.get::<gst::ElementFactory>().ok()?;
        let class = factory.metadata("klass").unwrap_or_default().to_owned();
        let answers = gst::glib::EnumClass::with_type(gst::glib::Type::from_name("GstAutoplugSelectResult")?)?;
        // Motion JPEG is decoded by an image decoder.
        let is_its = class.contains(media.class()) || (media == Media::Video && class.contains("Image"));
        if class.contains("Decoder") && is_its {
            expose(answers)
        } else {
            go_on(answers)
        }
    });
}

/// Takes a track that nobody reads, so that it holds up none.
fn pour_away(pipeline: &gst::Pipeline, pad: &gst::Pad, poured: Arc<AtomicU64>) -> Result<(), GstError> {
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        poured.fetch_add(1, Relaxed);
        gst::PadProbeReturn::Ok
    });
    let sink = element("fakesink")?;
    sink.set_property("async", false);
    branch::put_behind(pad, pipeline, &sink)
}

fn attach(
    pipeline: &gst::Pipeline,
    pad: &gst::Pad,
    launch: &str,
    media: Media,
    longest_px: u32,
) -> Result<gst_app::AppSink, GstError> {
    let (bin, sink) = branch::bin(launch)?;
    if media == Media::Video {
        branch::scale_to(&bin, longest_px, Arc::default())?;
    }
    branch::put_behind(pad, pipeline, &bin)?;
    Ok(sink)
}

/// A whole file's sound: 16 kHz mono.
///
/// # Errors
/// The file cannot be read or decoded, or has no sound.
pub fn read_sound(path: &Path) -> Result<Vec<f32>, GstError> {
    super::init()?;
    let audio = Lane::sound(path)?.ok_or_else(|| GstError::Setup("the file has no sound".into()))?;
    let mut reader = MediaReader {
        video: None,
        audio: Some(audio),
    };
    let mut out = Vec::new();
    while let Some(datum) = reader.next_datum()? {
        if let Datum::Sound(samples, _) = datum {
            out.extend_from_slice(&samples);
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests;
