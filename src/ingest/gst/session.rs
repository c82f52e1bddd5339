//! One connection to a camera: from start to its end, whatever ends it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, never};
use gst::prelude::*;
use gstreamer as gst;
use gstreamer_app as gst_app;

use super::branch::{self, SourceSize};
use super::codec::{self, Chain, Media};
use super::{GstError, classify};
use crate::clock::Clock;
use crate::data::{AudioInfo, Picture, StateReason, VideoInfo};
use crate::ingest::lens::Lens;
use crate::ingest::stream_clock::Stamp;
use crate::ingest::template::fill;
use crate::ingest::{CameraOptions, Source};

/// What a running session says.
pub(in crate::ingest) enum Event {
    Frame(Picture, Stamp),
    Sound(Arc<[f32]>, Stamp),
    /// Every stream of the camera is connected.
    Connected {
        audio: bool,
    },
    /// The sound cannot be used; the picture goes on.
    Deaf {
        detail: String,
    },
    Failed {
        reason: StateReason,
        detail: String,
    },
}

/// A pipeline and what comes out of it. Dropping it ends the pipeline and frees everything.
pub(in crate::ingest) struct Session {
    pub(super) pipeline: gst::Pipeline,
    events: Receiver<Event>,
    pub(super) shared: Arc<Shared>,
    /// Closes the channel `ending` once the pipeline has ended.
    ended: Option<Sender<()>>,
    ending: Ending,
}

/// Closed once a pipeline has ended, which may be long after its session is gone.
pub type Ending = Receiver<()>;

/// A pipeline that ends later than this is not waited for.
const ENDS_WITHIN: Duration = Duration::from_secs(3);
/// What is not taken by the camera's thread within this is lost.
const TAKEN_WITHIN: Duration = Duration::from_secs(1);

/// What the pipeline's callbacks hold. No strong reference to the pipeline: it could never be freed.
pub(super) struct Shared {
    pub(super) options: CameraOptions,
    clock: Arc<dyn Clock>,
    events: Sender<Event>,
    size: Arc<SourceSize>,
    shed: Arc<AtomicBool>,
    dropped: Arc<AtomicU64>,
    /// Codec and decoder of the picture.
    video: OnceLock<(String, String)>,
    audio: OnceLock<AudioInfo>,
    has_video: AtomicBool,
    has_audio: AtomicBool,
    /// What waits for the decoder of the picture.
    waiting: OnceLock<gst::Element>,
    /// The branch of the sound.
    sound: OnceLock<gst::Bin>,
    /// The codec of a sound that nothing here decodes.
    undecodable: OnceLock<&'static str>,
    /// What is wrong with the camera's certificate.
    pub(super) distrust: OnceLock<String>,
}

impl Session {
    /// Builds the pipeline and starts it. Failures to connect come as [`Event::Failed`].
    pub fn start(options: &CameraOptions, clock: Arc<dyn Clock>, dropped: Arc<AtomicU64>) -> Result<Self, GstError> {
        let (sender, events) = bounded(64);
        let shared = Arc::new(Shared {
            options: options.clone(),
            clock,
            events: sender,
            size: Arc::default(),
            shed: Arc::default(),
            dropped,
            video: OnceLock::new(),
            audio: OnceLock::new(),
            has_video: AtomicBool::new(false),
            has_audio: AtomicBool::new(false),
            waiting: OnceLock::new(),
            sound: OnceLock::new(),
            undecodable: OnceLock::new(),
            distrust: OnceLock::new(),
        });
        let (ended, ending) = bounded(0);
        let session = Self {
            pipeline: gst::Pipeline::new(),
            events,
            shared,
            ended: Some(ended),
            ending,
        };
        match &options.source {
            Source::Rtsp { .. } => session.rtsp_source()?,
            Source::File { path } => session.file_source(&path.to_string_lossy())?,
        }
        // An immediate failure is also told on the bus, with its cause.
        let _ = session.pipeline.set_state(gst::State::Playing);
        Ok(session)
    }

    pub fn ending(&self) -> Ending {
        self.ending.clone()
    }

    /// The next event, or None when none came in time.
    pub fn next(&self, wait: Duration) -> Option<Event> {
        if let Some(failed) = self.bus_event() {
            return Some(failed);
        }
        self.events.recv_timeout(wait).ok()
    }

    /// How long a part of the stream waits for its decoder, in nanoseconds of its time.
    pub fn backlog_ns(&self) -> u64 {
        let waiting = self.shared.waiting.get();
        waiting.map_or(0, |queue| queue.property("current-level-time"))
    }

    /// Drop to the next key frame: the decoder is too far behind.
    pub fn shed(&self) {
        self.shared.shed.store(true, Relaxed);
    }

    /// Codec, decoder and size of the picture, once known.
    pub fn video_info(&self) -> Option<VideoInfo> {
        let (codec, decoder) = self.shared.video.get()?.clone();
        let (width_px, height_px, fps) = self.shared.size.get();
        Some(VideoInfo {
            codec,
            width_px,
            height_px,
            fps,
            decoder,
        })
    }

    /// Codec and rate of the sound as the camera sends it, once known. None where it cannot be used.
    pub fn audio_info(&self) -> Option<AudioInfo> {
        let audio = self.shared.audio.get().filter(|_| self.has_sound());
        audio.cloned()
    }

    /// The camera has announced a sound that can be decoded, and it has not failed.
    pub fn has_sound(&self) -> bool {
        self.shared.has_audio.load(Relaxed)
    }

    fn bus_event(&self) -> Option<Event> {
        let bus = self.pipeline.bus()?;
        while let Some(message) = bus.pop() {
            match message.view() {
                gst::MessageView::Error(error) if self.is_of_sound(error) => {
                    // One failure is often told by several elements.
                    let is_new = self.take_sound_out();
                    if is_new {
                        let (_, detail) = classify(error);
                        return Some(Event::Deaf { detail });
                    }
                }
                gst::MessageView::Error(error) => {
                    let (reason, detail) = match self.shared.distrust.get() {
                        Some(why) => (StateReason::Tls, why.clone()),
                        None => classify(error),
                    };
                    return Some(Event::Failed { reason, detail });
                }
                gst::MessageView::Eos(_) => {
                    let detail = "the stream ended".into();
                    return Some(Event::Failed {
                        reason: StateReason::Eos,
                        detail,
                    });
                }
                gst::MessageView::Latency(_) => {
                    let _ = self.pipeline.recalculate_latency();
                }
                _ => {}
            }
        }
        None
    }

    fn is_of_sound(&self, error: &gst::message::Error) -> bool {
        let known = error.src().zip(self.shared.sound.get());
        known.is_some_and(|(source, sound)| source.has_as_ancestor(sound))
    }

    /// False where it was done before.
    fn take_sound_out(&self) -> bool {
        let had = self.shared.has_audio.swap(false, Relaxed);
        if let (true, Some(sound)) = (had, self.shared.sound.get()) {
            let _ = self.pipeline.remove(sound);
            let _ = sound.set_state(gst::State::Null);
        }
        had
    }
}

impl Drop for Session {
    /// The pipeline ends on a thread of its own: a driver, or a folder of a network that is gone, may hold it for ever, and is not to
    /// hold the camera's thread and whoever waits for that.
    fn drop(&mut self) {
        // Nothing of it is taken any more, and whoever waits for room ends.
        self.events = never();
        let (pipeline, ended) = (self.pipeline.clone(), self.ended.take());
        let end = move || {
            let _ = pipeline.set_state(gst::State::Null);
            if let Some(bus) = pipeline.bus() {
                bus.set_flushing(true);
            }
            // The last to hold it is the session.
            drop(pipeline);
            drop(ended);
        };
        let Ok(_detached) = std::thread::Builder::new().name("gst-end".into()).spawn(end) else {
            let _ = self.pipeline.set_state(gst::State::Null);
            return;
        };
        if self.ending.recv_timeout(ENDS_WITHIN) == Err(RecvTimeoutError::Timeout) {
            let camera = &self.shared.options.id;
            tracing::error!(%camera, "its pipeline does not end and is left behind");
        }
    }
}

impl Shared {
    pub(super) fn fail(&self, reason: StateReason, detail: String) {
        self.tell(Event::Failed { reason, detail });
    }

    /// False when nobody took it. What a network held back comes at once: while this waits, what follows waits ahead of the decoder,
    /// where overload is shed.
    fn tell(&self, event: Event) -> bool {
        self.events.send_timeout(event, TAKEN_WITHIN).is_ok()
    }

    /// Which streams of the camera are set up: the first picture and the first sound that we can decode.
    pub(super) fn select(&self, caps: &gst::Caps) -> bool {
        match codec::media(caps) {
            Media::Video(_) => !self.has_video.swap(true, Relaxed),
            Media::Audio(chain) if chain.decoder("auto").is_none() => {
                let _ = self.undecodable.set(chain.codec);
                false
            }
            Media::Audio(_) => !self.has_audio.swap(true, Relaxed),
            Media::UnknownVideo(codec) => {
                if !self.has_video.load(Relaxed) {
                    self.fail(
                        StateReason::UnsupportedCodec,
                        format!("the camera sends {codec}; set it to H.264, H.265 or MJPEG"),
                    );
                }
                false
            }
            Media::Other => false,
        }
    }

    pub(super) fn complete(&self) {
        if !self.has_video.load(Relaxed) {
            self.fail(StateReason::NoVideo, "the camera offers no picture at this URL".into());
        }
        let audio = self.has_audio.load(Relaxed);
        if let (false, Some(codec)) = (audio, self.undecodable.get()) {
            let detail = format!("no decoder for {codec} is usable here");
            self.tell(Event::Deaf { detail });
        }
        self.tell(Event::Connected { audio });
    }

    pub(super) fn connect(
        self: &Arc<Self>,
        pipeline: &gst::Pipeline,
        pad: &gst::Pad,
        media: Media,
    ) -> Result<(), GstError> {
        let (template, chain) = match &media {
            Media::Video(chain) => ("video", chain),
            Media::Audio(chain) => ("audio", chain),
            _ => return Ok(()),
        };
        let launch = self.launch(template, chain)?;
        self.attach(pipeline, pad, &launch, template == "video")
    }

    fn launch(&self, template: &str, chain: &Chain) -> Result<String, GstError> {
        let wanted = if template == "video" {
            self.options.decoder.as_str()
        } else {
            "auto"
        };
        let decoder = chain
            .decoder(wanted)
            .ok_or_else(|| GstError::Setup(format!("no decoder for {} ({wanted}) is usable here", chain.codec)))?;
        if template == "video" {
            let _ = self.video.set((chain.codec.to_owned(), decoder.clone()));
        } else {
            let _ = self.audio.set(AudioInfo {
                codec: chain.codec.to_owned(),
                rate_hz: chain.clock_rate_hz,
            });
        }
        let decoder = codec::with_properties(&decoder);
        let values = [("depay", chain.depay), ("parse", chain.parse), ("decoder", &decoder)];
        Ok(fill(template, self.options.pipelines_dir.as_deref(), &values)?)
    }

    /// A decoded stream of a file.
    pub(super) fn connect_raw(
        self: &Arc<Self>,
        pipeline: &gst::Pipeline,
        decode: &gst::Element,
        pad: &gst::Pad,
        caps: &gst::Caps,
    ) -> Result<(), GstError> {
        let Some(s) = caps.structure(0) else { return Ok(()) };
        let (name, video) = (s.name(), s.name().starts_with("video/"));
        let taken = if video { &self.has_video } else { &self.has_audio };
        if !(video || name.starts_with("audio/")) || taken.swap(true, Relaxed) {
            return Ok(());
        }
        let (codec, decoder) = codec::decoded_by(decode, if video { "Video" } else { "Audio" });
        let _ = if video {
            self.video.set((codec, decoder)).is_ok()
        } else {
            let rate_hz = s.get::<i32>("rate").map_or(0, i32::unsigned_abs);
            self.audio.set(AudioInfo { codec, rate_hz }).is_ok()
        };
        let template = if video { "file_video" } else { "file_audio" };
        let launch = fill(template, self.options.pipelines_dir.as_deref(), &[("sync", "true")])?;
        self.attach(pipeline, pad, &launch, video)
    }

    fn attach(
        self: &Arc<Self>,
        pipeline: &gst::Pipeline,
        pad: &gst::Pad,
        launch: &str,
        video: bool,
    ) -> Result<(), GstError> {
        let (bin, out) = branch::bin(launch)?;
        if video {
            let fps = self.options.analysis_fps;
            if self.video.get().is_some_and(|(codec, _)| codec == "mjpeg") {
                branch::thin_encoded(&bin, fps, self.size.clone());
            }
            branch::reduce_to(&bin, fps, Lens::longest_px(&self.options), self.size.clone())?;
            branch::shed_gate(&bin, self.shed.clone(), self.dropped.clone(), self.options.stall_after);
        }
        let shared = Arc::downgrade(self);
        out.set_callbacks(
            gst_app::AppSinkCallbacks::builder()
                .new_sample(move |sink| {
                    let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                    if let Some(shared) = shared.upgrade() {
                        shared.take(&sample, video);
                    }
                    Ok(gst::FlowSuccess::Ok)
                })
                .build(),
        );
        if video {
            // A template of the operator's own may have no queue of that name.
            let is_queue = |e: &gst::Element| e.has_property_with_type("current-level-time", u64::static_type());
            if let Some(queue) = bin.by_name("in").filter(is_queue) {
                let _ = self.waiting.set(queue);
            }
            return branch::put_behind(pad, pipeline, &bin);
        }
        let _ = self.sound.set(bin.clone());
        // A sound that fails must not stop the source, which gives the picture too.
        let shield = branch::shield()?;
        branch::put_behind(pad, pipeline, &shield)?;
        let out = shield.static_pad("src");
        let out = out.ok_or_else(|| GstError::Setup("the shield has no pad".into()))?;
        branch::put_behind(&out, pipeline, &bin)
    }

    fn take(&self, sample: &gst::Sample, video: bool) {
        let Some((running_ns, camera_utc_ns)) = branch::times(sample) else {
            return;
        };
        let stamp = Stamp {
            running_ns,
            camera_utc_ns,
            arrived_ns: self.clock.monotonic_ns(),
            arrived_utc_ns: self.clock.utc_ns(),
        };
        let event = if video {
            branch::picture(sample).map(|p| Event::Frame(p, stamp))
        } else {
            branch::samples(sample).map(|s| Event::Sound(s, stamp))
        };
        if event.is_some_and(|event| !self.tell(event)) {
            self.dropped.fetch_add(1, Relaxed);
        }
    }
}
