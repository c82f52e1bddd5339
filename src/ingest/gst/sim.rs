//! Simulated cameras: a real RTSP server on loopback, for `watchfire demo` and the tests.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::Duration;

use gst::glib;
use gstreamer as gst;
use gstreamer_app as gst_app;
use gstreamer_rtsp as rtsp;
use gstreamer_rtsp_server as server;
use server::prelude::*;

use super::GstError;

/// What a simulated camera shows.
#[derive(Clone, Debug)]
pub enum Show {
    /// An MP4 of H.264 and, perhaps, AAC: from its start when the first client comes; once or again and again.
    Clip { path: PathBuf, looped: bool },
    /// A test picture in a codec (`h264`, `h265`, `mjpeg`, ``) with a tone in another (`aac`, `pcmu`, `pcma`, `opus`, ``);
    /// `l16` is a sound that we do not take.
    Test { video: &'static str, audio: &'static str },
}

/// One camera: `rtsp://127.0.0.1:PORT/NAME`.
#[derive(Clone, Debug)]
pub struct Mount {
    pub name: String,
    pub show: Show,
}

impl Mount {
    /// A camera that shows the test picture in these codecs, as [`Show::Test`] names them.
    pub fn test(name: &str, video: &'static str, audio: &'static str) -> Self {
        Self {
            name: name.into(),
            show: Show::Test { video, audio },
        }
    }
}

/// How the server is reached.
#[derive(Clone, Debug, Default)]
pub struct Access<'a> {
    /// A free one by default.
    pub port: Option<u16>,
    /// User and password that every mount then needs (digest authentication).
    pub login: Option<(&'a str, &'a str)>,
    /// A PEM file with certificate and key: `rtsps://`, and nothing else.
    pub tls: Option<&'a std::path::Path>,
}

/// The server. Dropping it closes every connection.
pub struct SimServer {
    port: u16,
    scheme: &'static str,
    server: glib::WeakRef<server::RTSPServer>,
    context: glib::MainContext,
    main_loop: glib::MainLoop,
    thread: Option<JoinHandle<()>>,
    held: Arc<Held>,
}

/// What the cameras do not send at the moment.
#[derive(Default)]
struct Held {
    picture: AtomicBool,
    sound: AtomicBool,
}

impl Held {
    fn holds(&self, sound: bool) -> bool {
        let held = if sound { &self.sound } else { &self.picture };
        held.load(SeqCst)
    }
}

impl SimServer {
    /// Starts on a free port of 127.0.0.1, or on `port`. `login`: user and password that every mount then needs.
    ///
    /// # Errors
    /// A clip cannot be read, or the port is taken.
    pub fn start(mounts: &[Mount], port: Option<u16>, login: Option<(&str, &str)>) -> Result<Self, GstError> {
        let access = Access { port, login, tls: None };
        Self::start_with(mounts, &access)
    }

    /// Starts on 127.0.0.1.
    ///
    /// # Errors
    /// A clip or the certificate cannot be read, or the port is taken.
    pub fn start_with(mounts: &[Mount], access: &Access) -> Result<Self, GstError> {
        super::init()?;
        let setup = |why: String| GstError::Setup(format!("simulated cameras: {why}"));
        let context = glib::MainContext::new();
        let main_loop = glib::MainLoop::new(Some(&context), false);
        let rtsp_server = server::RTSPServer::new();
        rtsp_server.set_address("127.0.0.1");
        rtsp_server.set_service(&access.port.unwrap_or(0).to_string());
        let points = rtsp_server
            .mount_points()
            .ok_or_else(|| setup("no mount points".into()))?;
        let held: Arc<Held> = Arc::default();
        for mount in mounts {
            let factory = match &mount.show {
                Show::Clip { path, looped } => clip_factory(Arc::new(Clip::load(path)?), *looped, held.clone()),
                Show::Test { video, audio } => test_factory(video, audio, held.clone()),
            };
            if access.login.is_some() || access.tls.is_some() {
                factory.add_role_from_structure(
                    &gst::Structure::builder("viewer")
                        .field("media.factory.access", true)
                        .field("media.factory.construct", true)
                        .build(),
                );
            }
            points.add_factory(&format!("/{}", mount.name), factory);
        }
        if access.login.is_some() || access.tls.is_some() {
            rtsp_server.set_auth(Some(&guard(access)?));
        }
        let _attached = rtsp_server.attach(Some(&context)).map_err(|e| setup(e.to_string()))?;
        let port = u16::try_from(rtsp_server.bound_port()).map_err(|_| setup("the port is taken".into()))?;
        let (run_loop, run_context, server) = (main_loop.clone(), context.clone(), rtsp_server.downgrade());
        let thread = std::thread::Builder::new()
            .name("sim-rtsp".into())
            .spawn(move || {
                let _ = run_context.with_thread_default(|| run_loop.run());
                // Clients are cut off, as when a camera loses its power.
                rtsp_server.client_filter(Some(&mut |_, _| server::RTSPFilterResult::Remove));
                drop(rtsp_server);
                while run_context.iteration(false) {}
            })
            .map_err(|e| setup(e.to_string()))?;
        Ok(Self {
            port,
            scheme: if access.tls.is_some() { "rtsps" } else { "rtsp" },
            server,
            context,
            main_loop,
            thread: Some(thread),
            held,
        })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self, name: &str) -> String {
        format!("{}://127.0.0.1:{}/{name}", self.scheme, self.port)
    }

    /// Closes every connection, as a camera that restarts its service.
    pub fn cut(&self) {
        let server = self.server.clone();
        self.context.invoke(move || {
            if let Some(server) = server.upgrade() {
                server.client_filter(Some(&mut |_, _| server::RTSPFilterResult::Remove));
            }
        });
    }

    /// Frozen cameras send nothing more, with their connections open.
    pub fn freeze(&self, frozen: bool) {
        self.held.picture.store(frozen, SeqCst);
        self.mute(frozen);
    }

    /// Muted cameras send no sound, and their pictures go on.
    pub fn mute(&self, muted: bool) {
        self.held.sound.store(muted, SeqCst);
    }
}

impl Drop for SimServer {
    fn drop(&mut self) {
        let main_loop = self.main_loop.clone();
        self.context.invoke(move || main_loop.quit());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Who may come in, and how.
fn guard(access: &Access) -> Result<server::RTSPAuth, GstError> {
    let auth = server::RTSPAuth::new();
    let mut token = server::RTSPToken::from_iter([("media.factory.role", "viewer".to_send_value())]);
    match access.login {
        Some((user, password)) => {
            auth.set_supported_methods(rtsp::RTSPAuthMethod::Digest);
            auth.add_digest(user, password, &token);
        }
        None => auth.set_default_token(Some(&mut token)),
    }
    if let Some(pem) = access.tls {
        let certificate = gio::TlsCertificate::from_file(pem)
            .map_err(|e| GstError::Setup(format!("simulated cameras: {}: {e}", pem.display())))?;
        auth.set_tls_certificate(Some(&certificate));
    }
    Ok(auth)
}

fn test_factory(video: &str, audio: &str, held: Arc<Held>) -> server::RTSPMediaFactory {
    let picture = match video {
        "h265" => {
            "x265enc tune=zerolatency speed-preset=ultrafast bitrate=800 key-int-max=20 ! rtph265pay config-interval=1"
        }
        "mjpeg" => "jpegenc ! rtpjpegpay",
        // As many real ones: nothing says how many pictures a second there are.
        "h264-rateless" => "openh264enc gop-size=20 ! h264parse ! rtph264pay config-interval=1",
        "mjpeg-rateless" => "jpegenc ! capssetter join=true caps=image/jpeg,framerate=0/1 ! rtpjpegpay",
        "" => "",
        _ => {
            "x264enc tune=zerolatency speed-preset=ultrafast bitrate=800 key-int-max=20 ! rtph264pay config-interval=1"
        }
    };
    let sound = match audio {
        "aac" => "audio/x-raw,rate=44100,channels=1 ! avenc_aac ! aacparse ! rtpmp4gpay",
        "pcmu" => "audio/x-raw,rate=8000,channels=1 ! mulawenc ! rtppcmupay",
        "pcma" => "audio/x-raw,rate=8000,channels=1 ! alawenc ! rtppcmapay",
        "l16" => "audio/x-raw,rate=16000,channels=1 ! rtpL16pay",
        "opus" => "audio/x-raw,rate=48000,channels=1 ! opusenc ! rtpopuspay",
        _ => "",
    };
    let picture = if picture.is_empty() {
        String::new()
    } else {
        format!(
            "videotestsrc is-live=true pattern=ball ! video/x-raw,format=I420,width=320,height=240,framerate=10/1 \
             ! identity name=freeze ! {picture} name=pay0 pt=96"
        )
    };
    // Payloaders are counted from 0.
    let number = u8::from(!picture.is_empty());
    let sound = if sound.is_empty() {
        String::new()
    } else {
        format!(
            "audiotestsrc is-live=true wave=sine freq=440 volume=0.1 ! identity name=freeze_audio ! audioconvert \
             ! audioresample ! {sound} name=pay{number} pt=97"
        )
    };
    let factory = server::RTSPMediaFactory::new();
    factory.set_launch(&format!("( {picture} {sound} )"));
    factory.set_shared(true);
    factory.connect_media_configure(move |_, media| {
        let element = media.element();
        let Some(bin) = element.downcast_ref::<gst::Bin>() else {
            return;
        };
        for (name, sound) in [("freeze", false), ("freeze_audio", true)] {
            let Some(pad) = bin.by_name(name).and_then(|e| e.static_pad("src")) else {
                continue;
            };
            let held = held.clone();
            pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
                if held.holds(sound) {
                    gst::PadProbeReturn::Drop
                } else {
                    gst::PadProbeReturn::Ok
                }
            });
        }
    });
    factory
}

/// A clip's access units in memory: decoded by nobody, sent again and again.
struct Clip {
    video: Vec<Unit>,
    audio: Vec<Unit>,
    video_caps: gst::Caps,
    audio_caps: Option<gst::Caps>,
    length_ns: u64,
}

struct Unit {
    pts_ns: u64,
    buffer: gst::Buffer,
}

impl Clip {
    fn load(path: &std::path::Path) -> Result<Self, GstError> {
        let video = "h264parse config-interval=-1 ! video/x-h264,stream-format=byte-stream,alignment=au";
        let Some((video_caps, video)) = units(path, "video_0", video)? else {
            return Err(GstError::Setup(format!("{}: no H.264 in the clip", path.display())));
        };
        let audio = units(path, "audio_0", "aacparse ! audio/mpeg,stream-format=raw")?;
        let (audio_caps, audio) = audio.map_or((None, Vec::new()), |(caps, units)| (Some(caps), units));
        let end = |units: &[Unit]| {
            units.last().map_or(0, |u| {
                u.pts_ns + u.buffer.duration().map_or(40_000_000, gst::ClockTime::nseconds)
            })
        };
        let length_ns = end(&video).max(end(&audio));
        Ok(Self {
            video,
            audio,
            video_caps,
            audio_caps,
            length_ns,
        })
    }
}

/// One stream of an MP4; None when it has no such stream.
fn units(path: &std::path::Path, pad: &str, chain: &str) -> Result<Option<(gst::Caps, Vec<Unit>)>, GstError> {
    let setup = |why: String| GstError::Setup(format!("{}: {why}", path.display()));
    let pipeline = gst::parse::launch(&format!(
        "filesrc name=file ! qtdemux name=demux demux.{pad} ! queue max-size-buffers=0 max-size-bytes=0 max-size-time=0 \
         ! {chain} ! appsink name=out sync=false"
    ))
    .map_err(|e| setup(e.to_string()))?
    .downcast::<gst::Pipeline>()
    .map_err(|_| setup("not a pipeline".into()))?;
    if let Some(file) = pipeline.by_name("file") {
        file.set_property("location", path.to_string_lossy().as_ref());
    }
    let sink = pipeline
        .by_name("out")
        .and_then(|e| e.downcast::<gst_app::AppSink>().ok())
        .ok_or_else(|| setup("no sink".into()))?;
    let _ = pipeline.set_state(gst::State::Playing);
    let bus = pipeline.bus().ok_or_else(|| setup("no bus".into()))?;
    let wanted = [gst::MessageType::Error, gst::MessageType::AsyncDone];
    let started = bus.timed_pop_filtered(gst::ClockTime::from_seconds(10), &wanted);
    let mut found = Vec::new();
    let mut caps = None;
    if started.is_some_and(|m| m.type_() == gst::MessageType::AsyncDone) {
        while let Ok(sample) = sink.pull_sample() {
            let (Some((pts_ns, _)), Some(buffer)) = (super::branch::times(&sample), sample.buffer_owned()) else {
                continue;
            };
            caps = sample.caps_owned();
            found.push(Unit { pts_ns, buffer });
        }
    }
    let _ = pipeline.set_state(gst::State::Null);
    Ok(caps.filter(|_| !found.is_empty()).map(|caps| (caps, found)))
}

fn clip_factory(clip: Arc<Clip>, looped: bool, held: Arc<Held>) -> server::RTSPMediaFactory {
    let factory = server::RTSPMediaFactory::new();
    let sound = if clip.audio_caps.is_some() {
        "appsrc name=audio is-live=true format=time ! rtpmp4gpay name=pay1 pt=97"
    } else {
        ""
    };
    factory.set_launch(&format!(
        "( appsrc name=video is-live=true format=time ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=-1 {sound} )"
    ));
    factory.set_shared(true);
    factory.connect_media_configure(move |_, media| {
        let element = media.element();
        let Some(bin) = element.downcast_ref::<gst::Bin>() else {
            return;
        };
        let source = |name: &str| bin.by_name(name).and_then(|e| e.downcast::<gst_app::AppSrc>().ok());
        let Some(video) = source("video") else { return };
        video.set_caps(Some(&clip.video_caps));
        let audio = source("audio");
        if let Some(audio) = &audio {
            audio.set_caps(clip.audio_caps.as_ref());
        }
        let over: Arc<AtomicBool> = Arc::default();
        let end = over.clone();
        media.connect_unprepared(move |_| end.store(true, SeqCst));
        let (clip, held) = (clip.clone(), held.clone());
        // Ends with its media: `over`, or a push into a flushing source.
        let _ = std::thread::Builder::new()
            .name("sim-clip".into())
            .spawn(move || play(&clip, looped, &video, audio.as_ref(), &over, &held));
    });
    factory
}

/// Pumps the clip's units at their times on the pipeline's clock, so that sender reports tell when each was shown.
fn play(
    clip: &Clip,
    looped: bool,
    video: &gst_app::AppSrc,
    audio: Option<&gst_app::AppSrc>,
    over: &AtomicBool,
    held: &Held,
) {
    let mut base_ns = 0;
    loop {
        let mut lanes = [
            (&clip.video, Some(video), false, 0usize),
            (&clip.audio, audio, true, 0usize),
        ];
        while lanes.iter().any(|(units, .., next)| *next < units.len()) {
            // None before the pipeline plays.
            let now_ns = video.current_running_time().map(gst::ClockTime::nseconds);
            for (units, source, sound, next) in &mut lanes {
                while let Some(unit) = units.get(*next).filter(|u| Some(base_ns + u.pts_ns) <= now_ns) {
                    *next += 1;
                    let (Some(source), false) = (&source, held.holds(*sound)) else {
                        continue;
                    };
                    let mut buffer = unit.buffer.copy();
                    if let Some(buffer) = buffer.get_mut() {
                        buffer.set_pts(gst::ClockTime::from_nseconds(base_ns + unit.pts_ns));
                        buffer.set_dts(gst::ClockTime::NONE);
                    }
                    if source.push_buffer(buffer).is_err() {
                        return;
                    }
                }
            }
            if over.load(SeqCst) {
                return;
            }
            // A clip is played against the wall clock: there is no event to wait for.
            std::thread::sleep(Duration::from_millis(5));
        }
        base_ns += clip.length_ns;
        if !looped {
            let _ = video.end_of_stream();
            let _ = audio.map(gst_app::AppSrc::end_of_stream);
            return;
        }
    }
}
