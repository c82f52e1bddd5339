//! One connection to a camera: from start to its end, whatever ends it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use gst::prelude::*;
use gstreamer as gst;
use gstreamer_app as gst_app;

use super::branch::{self, SourceSize};
use super::codec::{self, Chain, Media};
use super::{GstError, classify, element};
use crate::clock::Clock;
use crate::data::{AudioInfo, Picture, StateReason, VideoInfo};
use crate::ingest::stream_clock::Stamp;
use crate::ingest::template::fill;
use crate::ingest::{CameraOptions, Source, Transport};

/// What a running session says.
pub(in crate::ingest) enum Event {
    Frame(Picture, Stamp),
    Sound(Arc<[f32]>, Stamp),
    /// Every stream of the camera is connected.
    Connected {
        audio: bool,
    },
    Failed {
        reason: StateReason,
        detail: String,
    },
}

/// A pipeline and what comes out of it. Dropping it ends the pipeline and frees everything.
pub(in crate::ingest) struct Session {
    pipeline: gst::Pipeline,
    events: Receiver<Event>,
    shared: Arc<Shared>,
}

/// What the pipeline's callbacks hold. No strong reference to the pipeline: it could never be freed.
struct Shared {
    options: CameraOptions,
    clock: Arc<dyn Clock>,
    events: Sender<Event>,
    size: Arc<SourceSize>,
    shed: Arc<AtomicBool>,
    dropped: Arc<AtomicU64>,
    video: crossbeam_channel::Sender<(String, String)>,
    audio: crossbeam_channel::Sender<String>,
    has_video: AtomicBool,
    has_audio: AtomicBool,
    infos: (Receiver<(String, String)>, Receiver<String>),
}

impl Session {
    /// Builds the pipeline and starts it. Failures to connect come as [`Event::Failed`].
    pub fn start(options: &CameraOptions, clock: Arc<dyn Clock>, dropped: Arc<AtomicU64>) -> Result<Self, GstError> {
        let (sender, events) = bounded(64);
        let (video, video_info) = bounded(1);
        let (audio, audio_info) = bounded(1);
        let shared = Arc::new(Shared {
            options: options.clone(),
            clock,
            events: sender,
            size: Arc::default(),
            shed: Arc::default(),
            dropped,
            video,
            audio,
            has_video: AtomicBool::new(false),
            has_audio: AtomicBool::new(false),
            infos: (video_info, audio_info),
        });
        let pipeline = gst::Pipeline::new();
        let session = Self {
            pipeline,
            events,
            shared,
        };
        match &options.source {
            Source::Rtsp { .. } => session.rtsp_source()?,
            Source::File { path } => session.file_source(&path.to_string_lossy())?,
        }
        // An immediate failure is also told on the bus, with its cause.
        let _ = session.pipeline.set_state(gst::State::Playing);
        Ok(session)
    }

    /// The next event, or None when none came in time.
    pub fn next(&self, wait: Duration) -> Option<Event> {
        if let Some(failed) = self.bus_event() {
            return Some(failed);
        }
        self.events.recv_timeout(wait).ok()
    }

    /// Drop to the next key frame: the camera's stream is too far behind.
    pub fn shed(&self) {
        self.shared.shed.store(true, Relaxed);
    }

    /// Codec, decoder and size of the picture, once known.
    pub fn video_info(&self) -> Option<VideoInfo> {
        let (codec, decoder) = self.shared.infos.0.try_recv().ok()?;
        // Put back for the next one who asks.
        let _ = self.shared.video.try_send((codec.clone(), decoder.clone()));
        let (width_px, height_px, fps) = self.shared.size.get();
        Some(VideoInfo {
            codec,
            width_px,
            height_px,
            fps,
            decoder,
        })
    }

    pub fn audio_info(&self) -> Option<AudioInfo> {
        let codec = self.shared.infos.1.try_recv().ok()?;
        let _ = self.shared.audio.try_send(codec.clone());
        Some(AudioInfo {
            codec,
            rate_hz: crate::data::SAMPLE_RATE_HZ,
        })
    }

    fn bus_event(&self) -> Option<Event> {
        let bus = self.pipeline.bus()?;
        while let Some(message) = bus.pop() {
            match message.view() {
                gst::MessageView::Error(error) => {
                    let (reason, detail) = classify(error);
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

    fn rtsp_source(&self) -> Result<(), GstError> {
        let Source::Rtsp {
            url,
            username,
            password,
            transport,
            ca,
        } = &self.shared.options.source
        else {
            return Err(GstError::Setup("not an RTSP camera".into()));
        };
        let source = element("rtspsrc")?;
        source.set_property("location", url);
        source.set_property_from_str(
            "protocols",
            match transport {
                Transport::Tcp => "tcp",
                Transport::Udp => "udp",
            },
        );
        source.set_property("latency", 200u32);
        source.set_property("add-reference-timestamp-meta", true);
        source.set_property("tcp-timeout", 8_000_000u64);
        source.set_property("timeout", 8_000_000u64);
        // Secrets are properties, never text of a pipeline.
        if let Some(user) = username {
            source.set_property("user-id", user);
        }
        if let Some(password) = password {
            source.set_property("user-pw", password.expose());
        }
        if let Some(ca) = ca {
            let database =
                gio::TlsFileDatabase::new(ca).map_err(|e| GstError::Setup(format!("ca {}: {e}", ca.display())))?;
            source.set_property("tls-database", &database);
        }
        let shared = self.shared.clone();
        source.connect("select-stream", false, move |values| {
            let wanted = values
                .get(2)
                .and_then(|v| v.get::<gst::Caps>().ok())
                .is_some_and(|caps| shared.select(&caps));
            Some(wanted.to_value())
        });
        let (shared, pipeline) = (self.shared.clone(), self.pipeline.downgrade());
        source.connect_pad_added(move |_, pad| {
            let (Some(pipeline), Some(caps)) = (pipeline.upgrade(), pad.current_caps()) else {
                return;
            };
            if let Err(error) = shared.connect(&pipeline, pad, codec::media(&caps)) {
                shared.fail(StateReason::UnsupportedCodec, error.to_string());
            }
        });
        let shared = self.shared.clone();
        source.connect_no_more_pads(move |_| shared.complete());
        self.pipeline.add(&source).map_err(|e| GstError::Setup(e.to_string()))
    }

    /// A file in real time, through GStreamer's own choice of demuxer and decoder.
    fn file_source(&self, path: &str) -> Result<(), GstError> {
        let setup = |e: gst::glib::BoolError| GstError::Setup(e.to_string());
        let (source, decode) = (element("filesrc")?, element("decodebin")?);
        source.set_property("location", path);
        let (shared, pipeline) = (self.shared.clone(), self.pipeline.downgrade());
        decode.connect_pad_added(move |_, pad| {
            let Some(pipeline) = pipeline.upgrade() else { return };
            let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
            let name = caps.structure(0).map(|s| s.name().to_string()).unwrap_or_default();
            if let Err(error) = shared.connect_raw(&pipeline, pad, &name) {
                shared.fail(StateReason::UnsupportedCodec, error.to_string());
            }
        });
        let shared = self.shared.clone();
        decode.connect_no_more_pads(move |_| shared.complete());
        self.pipeline.add_many([&source, &decode]).map_err(setup)?;
        source.link(&decode).map_err(setup)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
        if let Some(bus) = self.pipeline.bus() {
            bus.set_flushing(true);
        }
    }
}

impl Shared {
    fn fail(&self, reason: StateReason, detail: String) {
        let _ = self.events.try_send(Event::Failed { reason, detail });
    }

    /// Which streams of the camera are set up: the first picture and the first sound that we can decode.
    fn select(&self, caps: &gst::Caps) -> bool {
        match codec::media(caps) {
            Media::Video(_) => !self.has_video.swap(true, Relaxed),
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

    fn complete(&self) {
        if !self.has_video.load(Relaxed) {
            self.fail(StateReason::NoVideo, "the camera offers no picture at this URL".into());
        }
        let _ = self.events.try_send(Event::Connected {
            audio: self.has_audio.load(Relaxed),
        });
    }

    fn connect(self: &Arc<Self>, pipeline: &gst::Pipeline, pad: &gst::Pad, media: Media) -> Result<(), GstError> {
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
            let _ = self.video.try_send((chain.codec.to_owned(), decoder.clone()));
        } else {
            let _ = self.audio.try_send(chain.codec.to_owned());
        }
        let decoder = codec::with_properties(&decoder);
        let rate = self.max_rate();
        let values = [
            ("depay", chain.depay),
            ("parse", chain.parse),
            ("decoder", &decoder),
            ("max_rate", &rate),
        ];
        Ok(fill(template, self.options.pipelines_dir.as_deref(), &values)?)
    }

    fn connect_raw(self: &Arc<Self>, pipeline: &gst::Pipeline, pad: &gst::Pad, name: &str) -> Result<(), GstError> {
        let video = name.starts_with("video/");
        let taken = if video { &self.has_video } else { &self.has_audio };
        if !(video || name.starts_with("audio/")) || taken.swap(true, Relaxed) {
            return Ok(());
        }
        let _ = if video {
            self.video.try_send(("file".into(), "decodebin".into())).is_ok()
        } else {
            self.audio.try_send("file".into()).is_ok()
        };
        let rate = self.max_rate();
        let values = [("max_rate", rate.as_str()), ("sync", "true")];
        let template = if video { "file_video" } else { "file_audio" };
        let launch = fill(template, self.options.pipelines_dir.as_deref(), &values)?;
        self.attach(pipeline, pad, &launch, video)
    }

    fn max_rate(&self) -> String {
        (self.options.analysis_fps.round().max(1.0) as u32).to_string()
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
            branch::scale_to(&bin, self.options.analysis_px, self.size.clone())?;
            branch::shed_gate(&bin, self.shed.clone(), self.dropped.clone());
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
        let setup = |e: gst::glib::BoolError| GstError::Setup(e.to_string());
        pipeline.add(&bin).map_err(setup)?;
        bin.sync_state_with_parent().map_err(setup)?;
        let entry = bin
            .static_pad("sink")
            .ok_or_else(|| GstError::Setup("the branch has no pad".into()))?;
        pad.link(&entry)
            .map_err(|e| GstError::Setup(format!("the stream does not fit its branch: {e}")))?;
        Ok(())
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
        // Full only when the supervisor does not keep up; a lost frame is counted like a shed one.
        if event.is_some_and(|event| self.events.try_send(event).is_err()) {
            self.dropped.fetch_add(1, Relaxed);
        }
    }
}
