//! Keeps a camera alive: one thread that builds its pipeline, feeds windows from it, and rebuilds it whole whatever
//! goes wrong, while its state says why.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded};

use super::backoff::{AFTER_REFUSED_LOGIN, Backoff};
use super::gst::{self, Ending, Event, Session};
use super::lens::Lens;
use super::reach::{self, Met};
use super::sound_watch::{MISSING_AFTER_S, SoundWatch};
use super::stream_clock::{Stamp, StreamClock};
use super::{CameraOptions, ClockSource, Source};
use crate::clock::Clock;
use crate::data::{AudioChunk, CameraState, CameraStatus, Picture, Redactor, StateReason, Window};
use crate::error::panic_words;
use crate::window::Windower;
use tell::{NO_RTSP, advice};

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
    thread: JoinHandle<Option<Ending>>,
    counters: Arc<CameraCounters>,
}

impl Camera {
    /// Starts the camera's thread. `before`: what [`Self::stop`] gave when it ran the last time.
    ///
    /// # Errors
    /// The thread could not be started.
    pub fn spawn(
        options: CameraOptions,
        clock: Arc<dyn Clock>,
        redactor: Redactor,
        sink: Box<dyn CameraSink>,
        before: Option<Ending>,
    ) -> std::io::Result<Self> {
        let (stop, stopped) = bounded(1);
        let counters: Arc<CameraCounters> = Arc::default();
        let mut supervisor = Supervisor::new(options, clock, redactor, sink, stopped, counters.clone());
        supervisor.ending = before;
        let name = format!("cam-{}", supervisor.options.id);
        let thread = std::thread::Builder::new().name(name).spawn(move || supervisor.run())?;
        Ok(Self { stop, thread, counters })
    }

    pub fn counters(&self) -> &Arc<CameraCounters> {
        &self.counters
    }

    /// Asks the camera to end; it does so within moments, also out of a backoff. Its pipeline may end later: whoever starts the
    /// camera again hands that over.
    pub fn stop(self) -> JoinHandle<Option<Ending>> {
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
    /// When its state became what it is, on the monotonic clock: the other may be set.
    since_ns: u64,
    /// A picture came in this session.
    streaming: bool,
    /// The session before: closed once its pipeline has ended.
    ending: Option<Ending>,
    /// Windows were handed out since the stream was told to be lost.
    watched: bool,
    /// Why this session has no sound though the camera has.
    deaf: Option<String>,
    /// Its sound came once and could be used.
    heard: bool,
}

/// A busy box may take this long to end a pipeline.
const SLOW_END: Duration = Duration::from_secs(10);

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
            since_ns: clock.monotonic_ns(),
            streaming: false,
            ending: None,
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

    fn run(mut self) -> Option<Ending> {
        self.sink.status(self.status.clone());
        loop {
            let end = catch_unwind(AssertUnwindSafe(|| self.stream()));
            let (reason, detail) = match end {
                Ok(End::Stopped) => break,
                Ok(End::Broken(reason, detail)) => (reason, detail),
                Err(panic) => self.begin_anew(&panic_words(&*panic)),
            };
            let (reason, detail) = self.looked_into(reason, detail);
            self.counters.rebuilds.fetch_add(1, Relaxed);
            let rest = self.windower.interrupt();
            self.hand_out(rest);
            // Also of a session that gave sound only.
            if std::mem::take(&mut self.watched) {
                self.sink.lost();
            }
            let is_file = matches!(self.options.source, Source::File { .. });
            // One without a picture would be begun anew again and again.
            let looped = reason == StateReason::Eos && is_file && self.streaming;
            let wait = match reason {
                _ if looped => Duration::ZERO,
                StateReason::AuthFailed => AFTER_REFUSED_LOGIN.max(self.backoff.next_wait()),
                _ => self.backoff.next_wait(),
            };
            if !looped {
                self.tell_failure(reason, &detail, wait);
            }
            // An event, not a sleep: a stop ends the wait at once.
            if self.stopped.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
                break;
            }
        }
        let rest = self.windower.flush();
        self.hand_out(rest);
        self.ending
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

    /// What GStreamer only calls "failed to connect", told apart, and with what the operator can do about it.
    fn looked_into(&self, reason: StateReason, detail: String) -> (StateReason, String) {
        let (StateReason::Unreachable, Source::Rtsp { url, .. }) = (reason, &self.options.source) else {
            return (reason, detail + advice(reason));
        };
        let (reason, detail) = match reach::look_at(url, &self.stopped) {
            // No cable is at fault. A camera that has just streamed speaks RTSP, and may take one connection at a time.
            Met::Stranger if !self.streaming => return (reason, detail + NO_RTSP),
            Met::Trouble(reason, detail) => (reason, detail),
            Met::Nothing if url.starts_with("rtsps://") => (
                StateReason::Tls,
                format!("the port is open, but TLS does not come about ({detail})"),
            ),
            Met::Stranger | Met::Nothing => (reason, detail),
        };
        (reason, detail + advice(reason))
    }

    /// None once nothing of it is left: many cameras take one connection at a time.
    fn wait_for_the_session_before(&self) -> Option<End> {
        let ending = self.ending.as_ref()?;
        crossbeam_channel::select! {
            recv(ending) -> _ => None,
            recv(self.stopped) -> _ => Some(End::Stopped),
            default(SLOW_END) => {
                let detail = "the pipeline of before does not end; where a decoder's driver or a network folder hangs, only a new start \
                              of the service helps";
                Some(End::Broken(StateReason::Stalled, detail.into()))
            }
        }
    }

    /// One session, from its start to its end.
    fn stream(&mut self) -> End {
        self.stream.rebuilt();
        self.deaf = None;
        self.streaming = false;
        if let Some(end) = self.wait_for_the_session_before() {
            return end;
        }
        let session = match gst::init()
            .and_then(|()| Session::start(&self.options, self.clock.clone(), self.counters.dropped.clone()))
        {
            Ok(session) => session,
            Err(error) => return End::Broken(StateReason::Config, error.to_string()),
        };
        self.ending = Some(session.ending());
        let mut last_frame_ns = self.clock.monotonic_ns();
        let mut sound = SoundWatch::default();
        // A file's sound may end before its picture.
        let live = matches!(self.options.source, Source::Rtsp { .. });
        loop {
            if self.stopped.try_recv() != Err(TryRecvError::Empty) {
                return End::Stopped;
            }
            match session.next(Duration::from_millis(100)) {
                Some(Event::Frame(picture, stamp)) => {
                    last_frame_ns = self.clock.monotonic_ns();
                    self.frame(picture, stamp, &session);
                    if !self.streaming {
                        self.streaming = true;
                        self.backoff.reset();
                        self.tell_streaming(&session);
                    }
                    self.tell_rate(&session);
                    self.tell_clocks();
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
        let backlog_ns = session.backlog_ns();
        let lag_ns = backlog_ns.max(self.stream.lag_ns(stamp).max(0) as u64);
        self.counters.frames.fetch_add(1, Relaxed);
        self.counters.lag_ms.store(lag_ns / 1_000_000, Relaxed);
        // Not by how late a picture comes: where the network is behind, or the camera's clock, it helps nobody to leave pictures out.
        if backlog_ns > self.options.max_backlog.as_nanos() as u64 {
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
}

mod tell;

#[cfg(test)]
mod tests;
