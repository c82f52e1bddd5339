//! Keeps a camera alive: one thread that builds its pipeline, feeds windows from it, and rebuilds it whole whatever
//! goes wrong, while its state says why.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::backoff::{AFTER_REFUSED_LOGIN, Backoff};
use super::gst::{self, Event, Session};
use super::lens::Lens;
use super::reach;
use super::sound_watch::{MISSING_AFTER_S, SoundWatch};
use super::stream_clock::{Stamp, StreamClock};
use super::{CameraOptions, ClockSource, Source};
use crate::clock::Clock;
use crate::data::{AudioChunk, CameraState, CameraStatus, Picture, Redactor, StateReason, Window};
use crate::error::panic_words;
use crate::window::Windower;

/// What a camera did so far.
#[derive(Default)]
pub struct CameraCounters {
    pub frames: AtomicU64,
    /// Access units and frames left out because the camera lagged, or that came too late.
    pub dropped: Arc<AtomicU64>,
    pub rebuilds: AtomicU64,
    pub lag_ms: AtomicU64,
}

/// Who is told of a camera's windows and state. Called from the camera's thread.
pub trait CameraSink: Send {
    fn window(&mut self, window: Window);
    fn status(&mut self, status: CameraStatus);
    /// The stream is interrupted: what was open ends.
    fn lost(&mut self);
}

/// A running camera.
pub struct Camera {
    stop: Sender<()>,
    thread: JoinHandle<()>,
    counters: Arc<CameraCounters>,
}

impl Camera {
    /// Starts the camera's thread.
    ///
    /// # Errors
    /// The thread could not be started.
    pub fn spawn(
        options: CameraOptions,
        clock: Arc<dyn Clock>,
        redactor: Redactor,
        sink: Box<dyn CameraSink>,
    ) -> std::io::Result<Self> {
        let (stop, stopped) = bounded(1);
        let counters: Arc<CameraCounters> = Arc::default();
        let supervisor = Supervisor::new(options, clock, redactor, sink, stopped, counters.clone());
        let name = format!("cam-{}", supervisor.options.id);
        let thread = std::thread::Builder::new().name(name).spawn(move || supervisor.run())?;
        Ok(Self { stop, thread, counters })
    }

    pub fn counters(&self) -> &Arc<CameraCounters> {
        &self.counters
    }

    /// Asks the camera to end; it does so within moments, also out of a backoff.
    pub fn stop(self) -> JoinHandle<()> {
        drop(self.stop);
        self.thread
    }
}

struct Supervisor {
    options: CameraOptions,
    clock: Arc<dyn Clock>,
    redactor: Redactor,
    sink: Box<dyn CameraSink>,
    stopped: Receiver<()>,
    counters: Arc<CameraCounters>,
    windower: Windower,
    stream: StreamClock,
    lens: Lens,
    backoff: Backoff,
    status: CameraStatus,
    /// Windows were handed out since the stream was told to be lost.
    watched: bool,
    /// Why this session has no sound though the camera has.
    deaf: Option<String>,
    /// Its sound came once and could be used.
    heard: bool,
}

/// A clock offset that changed by more is told anew; less is the network's jitter.
const OFFSET_NEWS_MS: u64 = 1_000;

/// Why a session is over.
enum End {
    Stopped,
    Broken(StateReason, String),
}

impl Supervisor {
    fn new(
        options: CameraOptions,
        clock: Arc<dyn Clock>,
        redactor: Redactor,
        sink: Box<dyn CameraSink>,
        stopped: Receiver<()>,
        counters: Arc<CameraCounters>,
    ) -> Self {
        let seed = options
            .id
            .as_str()
            .bytes()
            .fold(clock.utc_ns() as u64, |h, b| h.rotate_left(7) ^ u64::from(b));
        Self {
            windower: Windower::new(options.id.clone(), &options.window),
            stream: StreamClock::default(),
            lens: Lens::new(&options),
            backoff: Backoff::new(options.backoff_first, options.backoff_cap, seed),
            status: CameraStatus {
                camera: options.id.clone(),
                state: CameraState::Starting,
                since_utc_ns: clock.utc_ns(),
                reason: None,
                detail: None,
                attempts: 0,
                retry_at_utc_ns: None,
                clock_offset_ms: None,
                video: None,
                audio: None,
            },
            watched: false,
            deaf: None,
            heard: false,
            options,
            clock,
            redactor,
            sink,
            stopped,
            counters,
        }
    }

    fn run(mut self) {
        self.sink.status(self.status.clone());
        loop {
            let end = catch_unwind(AssertUnwindSafe(|| self.stream()));
            let (reason, detail) = match end {
                Ok(End::Stopped) => break,
                Ok(End::Broken(reason, detail)) => (reason, detail),
                Err(panic) => self.begin_anew(&panic_words(&*panic)),
            };
            let was_streaming = self.status.state == CameraState::Streaming;
            let (reason, detail) = self.looked_into(reason, detail);
            self.counters.rebuilds.fetch_add(1, Relaxed);
            let rest = self.windower.interrupt();
            self.hand_out(rest);
            // Also of a session that gave sound only.
            if std::mem::take(&mut self.watched) {
                self.sink.lost();
            }
            let looped = reason == StateReason::Eos && matches!(self.options.source, Source::File { .. });
            let wait = match reason {
                _ if looped && was_streaming => Duration::ZERO,
                StateReason::AuthFailed => AFTER_REFUSED_LOGIN.max(self.backoff.next_wait()),
                _ => self.backoff.next_wait(),
            };
            if !looped {
                self.tell_failure(reason, &detail, wait);
            }
            // An event, not a sleep: a stop ends the wait at once.
            if self.stopped.recv_timeout(wait) != Err(crossbeam_channel::RecvTimeoutError::Timeout) {
                break;
            }
        }
        let rest = self.windower.flush();
        self.hand_out(rest);
    }

    fn hand_out(&mut self, windows: Vec<Window>) {
        self.watched |= !windows.is_empty();
        windows.into_iter().for_each(|window| self.sink.window(window));
    }

    /// After a panic nothing of what was being cut is trusted; the numbers of windows go on.
    fn begin_anew(&mut self, words: &str) -> (StateReason, String) {
        self.windower = self.windower.begin_anew(&self.options.window);
        self.stream = StreamClock::default();
        self.lens = Lens::new(&self.options);
        (StateReason::Internal, format!("the camera's thread panicked: {words}"))
    }

    /// What GStreamer only calls "failed to connect", told apart.
    fn looked_into(&self, reason: StateReason, detail: String) -> (StateReason, String) {
        let (StateReason::Unreachable, Source::Rtsp { url, .. }) = (reason, &self.options.source) else {
            return (reason, detail);
        };
        match reach::trouble(url, &self.stopped) {
            Some(found) => found,
            None if url.starts_with("rtsps://") => (
                StateReason::Tls,
                format!("the port is open, but TLS does not come about ({detail})"),
            ),
            None => (reason, detail),
        }
    }

    /// One session, from its start to its end.
    fn stream(&mut self) -> End {
        self.stream.rebuilt();
        self.deaf = None;
        let session = match gst::init()
            .and_then(|()| Session::start(&self.options, self.clock.clone(), self.counters.dropped.clone()))
        {
            Ok(session) => session,
            Err(error) => return End::Broken(StateReason::Config, error.to_string()),
        };
        let mut last_frame_ns = self.clock.monotonic_ns();
        let mut streaming = false;
        let mut sound = SoundWatch::default();
        // A file's sound may end before its picture.
        let live = matches!(self.options.source, Source::Rtsp { .. });
        loop {
            if self.stopped.try_recv() != Err(crossbeam_channel::TryRecvError::Empty) {
                return End::Stopped;
            }
            match session.next(Duration::from_millis(100)) {
                Some(Event::Frame(picture, stamp)) => {
                    last_frame_ns = self.clock.monotonic_ns();
                    self.frame(picture, stamp, &session);
                    if !streaming {
                        streaming = true;
                        self.backoff.reset();
                        self.tell_streaming(&session);
                    }
                    self.tell_rate(&session);
                    self.tell_offset();
                }
                // What comes once the sound has failed is left.
                Some(Event::Sound(samples, stamp)) if sound.take(self.clock.monotonic_ns()) => {
                    self.sound(samples, stamp, &session);
                }
                Some(Event::Connected { audio }) => self.windower.set_has_audio(audio && self.deaf.is_none()),
                Some(Event::Deaf { detail }) => {
                    sound.fail(self.clock.monotonic_ns());
                    self.tell_deaf(&detail);
                }
                Some(Event::Failed { reason, detail }) => return End::Broken(reason, detail),
                Some(Event::Sound(..)) | None => {}
            }
            let now_ns = self.clock.monotonic_ns();
            if live && session.has_sound() {
                sound.announce(now_ns);
            }
            if live && sound.goes_missing(now_ns) {
                self.tell_deaf(&format!("no sound for {MISSING_AFTER_S} s"));
            }
            if self.heard && sound.is_due_again(now_ns) {
                // A microphone that was switched off for good interrupts the picture once, and no more.
                self.heard = matches!(sound, SoundWatch::Failed(_));
                let detail = "its sound was lost an hour ago and is tried again".into();
                return End::Broken(StateReason::Stalled, detail);
            }
            let silent_ns = now_ns.saturating_sub(last_frame_ns);
            if silent_ns > self.options.stall_after.as_nanos() as u64 {
                let detail = format!(
                    "no picture for {:.1} s with the connection open",
                    silent_ns as f64 / 1e9
                );
                return End::Broken(StateReason::Stalled, detail);
            }
        }
    }

    fn frame(&mut self, picture: Picture, stamp: Stamp, session: &Session) {
        let pts_ns = self.stream.video(stamp);
        let frame = self.lens.frame(picture, pts_ns);
        let lag_ns = self.stream.lag_ns(stamp).max(0);
        self.counters.frames.fetch_add(1, Relaxed);
        self.counters.lag_ms.store(lag_ns as u64 / 1_000_000, Relaxed);
        if lag_ns > self.options.max_lag.as_nanos() as i64 {
            session.shed();
        }
        let offset_ns = self.utc_offset_ns();
        let late = self.windower.late_frames();
        let windows = self.windower.push_frame(frame, stamp.arrived_ns, offset_ns);
        self.counters
            .dropped
            .fetch_add(self.windower.late_frames() - late, Relaxed);
        self.hand_out(windows);
    }

    fn sound(&mut self, samples: Arc<[f32]>, stamp: Stamp, session: &Session) {
        if self.deaf.take().is_some() {
            tracing::info!(camera = %self.options.id, "its sound is back");
        }
        self.heard = true;
        let pts_ns = self.stream.audio(stamp);
        let offset_ns = self.utc_offset_ns();
        let windows = self
            .windower
            .push_audio(AudioChunk { pts_ns, samples }, stamp.arrived_ns, offset_ns);
        self.hand_out(windows);
        if self.status.state == CameraState::Streaming && self.status.audio.is_none() {
            self.tell_audio(session);
        }
    }

    fn utc_offset_ns(&self) -> i64 {
        let camera_ns = match self.options.clock {
            ClockSource::Host => 0,
            ClockSource::Camera => self.stream.camera_offset_ms().unwrap_or(0) * 1_000_000,
        };
        self.stream.utc_offset_ns() + camera_ns
    }

    /// The rate of a stream that does not say it is known once some pictures have come.
    fn tell_rate(&mut self, session: &Session) {
        if self.status.video.as_ref().is_none_or(|video| video.fps > 0.0) {
            return;
        }
        if let Some(video) = session.video_info().filter(|video| video.fps > 0.0) {
            self.status.video = Some(video);
            self.sink.status(self.status.clone());
        }
    }

    fn tell_streaming(&mut self, session: &Session) {
        self.status = CameraStatus {
            state: CameraState::Streaming,
            since_utc_ns: self.clock.utc_ns(),
            reason: None,
            detail: self.deaf.clone(),
            attempts: 0,
            retry_at_utc_ns: None,
            clock_offset_ms: self.stream.camera_offset_ms(),
            video: session.video_info(),
            audio: session.audio_info().filter(|_| self.deaf.is_none()),
            ..self.status.clone()
        };
        let (video, audio) = (or_none(self.status.video.as_ref()), or_none(self.status.audio.as_ref()));
        tracing::info!(camera = %self.options.id, %video, %audio, "streaming");
        self.sink.status(self.status.clone());
    }

    /// The first sound may come after the first picture, and sound that was missing may come back: the state is told again
    /// with it.
    fn tell_audio(&mut self, session: &Session) {
        (self.status.audio, self.status.detail) = (session.audio_info(), None);
        if self.status.audio.is_some() {
            self.sink.status(self.status.clone());
        }
    }

    fn tell_deaf(&mut self, detail: &str) {
        let detail = self.redactor.clean(&format!("its sound cannot be used: {detail}"));
        tracing::warn!(camera = %self.options.id, %detail, "the camera is watched without its sound");
        self.windower.set_has_audio(false);
        self.deaf = Some(detail);
        if self.status.state == CameraState::Streaming {
            (self.status.audio, self.status.detail) = (None, self.deaf.clone());
            self.sink.status(self.status.clone());
        }
    }

    /// The camera's clock is known only after its first sender report, and may be set while it streams.
    fn tell_offset(&mut self) {
        let now_ms = self.stream.camera_offset_ms();
        let news = match (self.status.clock_offset_ms, now_ms) {
            (Some(told), Some(now)) => told.abs_diff(now) > OFFSET_NEWS_MS,
            (told, now) => told != now,
        };
        if news {
            self.status.clock_offset_ms = now_ms;
            self.sink.status(self.status.clone());
        }
    }

    fn tell_failure(&mut self, reason: StateReason, detail: &str, wait: Duration) {
        let state = match reason {
            StateReason::Stalled => CameraState::Stalled,
            StateReason::Unreachable | StateReason::Refused | StateReason::Eos => CameraState::Offline,
            // The camera is there; somebody has to change something.
            _ => CameraState::Error,
        };
        let detail = self.redactor.clean(&format!("{detail}{}", advice(reason)));
        let retry_at = self.clock.utc_ns() + wait.as_nanos() as i64;
        tracing::warn!(
            camera = %self.options.id, reason = reason.as_str(), %detail,
            "camera is {state}; next try in {:.1} s", wait.as_secs_f64()
        );
        self.status = CameraStatus {
            since_utc_ns: if self.status.state == state {
                self.status.since_utc_ns
            } else {
                self.clock.utc_ns()
            },
            state,
            reason: Some(reason),
            detail: Some(detail),
            attempts: self.backoff.tries(),
            retry_at_utc_ns: Some(retry_at),
            ..self.status.clone()
        };
        self.sink.status(self.status.clone());
    }
}

fn or_none<T: ToString>(info: Option<&T>) -> String {
    info.map_or_else(|| "none".into(), ToString::to_string)
}

/// What the operator can do about it.
fn advice(reason: StateReason) -> &'static str {
    match reason {
        StateReason::AuthFailed => {
            "; check `username` and `password`; the next try waits, because cameras lock accounts; reload to try at once"
        }
        StateReason::NotFound => "; check the path of `url`",
        StateReason::Refused => "; nothing listens at that address and port",
        StateReason::Unreachable => "; check the address, the cable and the network",
        StateReason::Internal => "; this is a fault of Watchfire: please report it with the log",
        StateReason::Tls => "; check `ca` and the camera's certificate",
        _ => "",
    }
}
