//! Cuts a camera's stream into consecutive windows.

use std::collections::VecDeque;

use crate::data::{AudioChunk, AudioState, CameraId, Frame, NS_PER_SAMPLE, SAMPLE_RATE_HZ, Window};

/// How streams are cut.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowOptions {
    /// Length of a window, 200 to 2000 ms.
    pub window_ms: u32,
    /// How long a window waits at least for sound that is late beside its picture. Longer where it usually is.
    pub audio_wait_ms: u32,
}

impl Default for WindowOptions {
    fn default() -> Self {
        Self {
            window_ms: 500,
            audio_wait_ms: 400,
        }
    }
}

/// Silence of a stream longer than this many windows, and than this time, moves the grid instead of giving empty windows: a camera may
/// give one picture a second.
const MAX_EMPTY: u64 = 4;
const MAX_SILENCE_NS: u64 = 3_000_000_000;
/// Sound is waited for so much longer than it was late of late, and at most so long: the cameras' reports move it by up to three
/// seconds, and it may come late besides.
const AUDIO_MARGIN_NS: u64 = 200_000_000;
const MAX_AUDIO_WAIT_NS: u64 = 4_500_000_000;
/// How late it usually is falls by this part with each block, which is a matter of ten seconds or so.
const LATENESS_FALL: u64 = 256;
/// Sound alone closes a window when it is so far beyond it and no picture has come for as long: decoders hold pictures back for a while.
/// While pictures come, it waits for those of its time up to so long.
const VIDEO_WAIT_NS: u64 = 2_000_000_000;
const MAX_VIDEO_WAIT_NS: u64 = 15_000_000_000;
/// A frame older than the window at hand by less than this is late; by more, the stream has jumped back.
const JUMP_BACK_NS: u64 = 3_000_000_000;

/// Takes frames and samples in the order of their arrival and gives windows in the order of time. Every frame lands
/// in exactly one window, sound is split at the edges sample by sample, and `seq` counts up by one.
pub struct Windower {
    camera: CameraId,
    window_ns: u64,
    audio_wait_ns: u64,
    seq: u64,
    /// Start of the window that is being filled; None before the first frame or sample.
    start_ns: Option<u64>,
    has_audio: bool,
    stretch: u64,
    frames: VecDeque<Frame>,
    audio: VecDeque<AudioChunk>,
    /// How far picture and sound have come.
    video_to_ns: u64,
    audio_to_ns: u64,
    arrived_ns: u64,
    /// When the last picture came.
    video_arrived_ns: Option<u64>,
    /// How far the sound is behind the picture where it comes, at most of late.
    audio_behind_ns: u64,
    utc_offset_ns: i64,
    late_samples: u64,
    late_frames: u64,
}

impl Windower {
    pub fn new(camera: CameraId, options: &WindowOptions) -> Self {
        Self {
            camera,
            window_ns: u64::from(options.window_ms) * 1_000_000,
            audio_wait_ns: u64::from(options.audio_wait_ms) * 1_000_000,
            seq: 0,
            start_ns: None,
            has_audio: false,
            stretch: 0,
            frames: VecDeque::new(),
            audio: VecDeque::new(),
            video_to_ns: 0,
            audio_to_ns: 0,
            arrived_ns: 0,
            video_arrived_ns: None,
            audio_behind_ns: 0,
            utc_offset_ns: 0,
            late_samples: 0,
            late_frames: 0,
        }
    }

    /// Whether windows should wait for sound. A camera without any must not be held up.
    pub fn set_has_audio(&mut self, has_audio: bool) {
        self.has_audio = has_audio;
    }

    /// Samples that came after their window had gone.
    pub fn late_samples(&self) -> u64 {
        self.late_samples
    }

    /// Frames that came after their window had gone.
    pub fn late_frames(&self) -> u64 {
        self.late_frames
    }

    pub fn push_frame(&mut self, mut frame: Frame, arrived_ns: u64, utc_offset_ns: i64) -> Vec<Window> {
        // Where sound has closed its window it goes on from the last picture, however late, and is no jump back.
        let goes_on = frame.pts_ns > self.video_to_ns;
        self.video_arrived_ns = Some(arrived_ns);
        if self
            .start_ns
            .is_some_and(|s| frame.pts_ns < s && (goes_on || frame.pts_ns + JUMP_BACK_NS >= s))
        {
            self.video_to_ns = self.video_to_ns.max(frame.pts_ns);
            self.late_frames += 1;
            return Vec::new();
        }
        let mut out = self.anchor(frame.pts_ns);
        self.note(arrived_ns, utc_offset_ns);
        self.video_to_ns = self.video_to_ns.max(frame.pts_ns);
        let start_ns = self.start_ns.unwrap_or(0);
        let window = |f: &Frame| f.pts_ns.saturating_sub(start_ns) / self.window_ns;
        // A second native-size picture of one window would only cost memory.
        if self
            .frames
            .iter()
            .any(|f| f.native.is_some() && window(f) == window(&frame))
        {
            frame.native = None;
        }
        self.frames.push_back(frame);
        out.extend(self.cut());
        out
    }

    pub fn push_audio(&mut self, chunk: AudioChunk, arrived_ns: u64, utc_offset_ns: i64) -> Vec<Window> {
        // Sound never moves the grid of a stream that has a picture: a late block is late, not a jump back.
        let mut out = match self.start_ns {
            Some(start_ns) if chunk.pts_ns < start_ns => Vec::new(),
            _ => self.anchor(chunk.pts_ns),
        };
        self.note(arrived_ns, utc_offset_ns);
        self.has_audio = true;
        self.note_lateness(end_ns(&chunk));
        let start_ns = self.start_ns.unwrap_or(chunk.pts_ns);
        let (late, on_time) = split(chunk, start_ns);
        self.late_samples += late.map_or(0, |c| c.samples.len() as u64);
        if let Some(chunk) = on_time {
            self.audio_to_ns = self.audio_to_ns.max(end_ns(&chunk));
            self.audio.push_back(chunk);
        }
        out.extend(self.cut());
        out
    }

    /// The end of a file: what is left comes out, the last window cut short at its last frame or sample.
    pub fn flush(&mut self) -> Vec<Window> {
        let mut out = Vec::new();
        while self.start_ns.is_some() && !(self.frames.is_empty() && self.audio.is_empty()) {
            out.push(self.close());
        }
        if let Some(last) = out.last_mut() {
            last.breaks_off = true;
        }
        out
    }

    /// One that cuts anew; the numbers of windows go on, and the next one says that the stream was interrupted.
    pub fn begin_anew(&self, options: &WindowOptions) -> Self {
        Self {
            seq: self.seq,
            stretch: self.stretch + 1,
            ..Self::new(self.camera.clone(), options)
        }
    }

    /// The stream was interrupted: what is left comes out, and the next window says so.
    pub fn interrupt(&mut self) -> Vec<Window> {
        let out = self.flush();
        (self.start_ns, self.video_to_ns, self.audio_to_ns) = (None, 0, 0);
        self.has_audio = false;
        self.stretch += 1;
        out
    }

    fn note(&mut self, arrived_ns: u64, utc_offset_ns: i64) {
        self.arrived_ns = self.arrived_ns.max(arrived_ns);
        self.utc_offset_ns = utc_offset_ns;
    }

    fn note_lateness(&mut self, audio_to_ns: u64) {
        let behind_ns = self.video_to_ns.saturating_sub(audio_to_ns);
        let falls_to = self.audio_behind_ns - self.audio_behind_ns / LATENESS_FALL;
        self.audio_behind_ns = behind_ns.max(falls_to);
    }

    /// Sets the grid at the first datum, and anew after a jump back or a long silence of both streams.
    fn anchor(&mut self, pts_ns: u64) -> Vec<Window> {
        let newest = self.video_to_ns.max(self.audio_to_ns);
        let silence_ns = (MAX_EMPTY * self.window_ns).max(MAX_SILENCE_NS);
        let jump = self
            .start_ns
            .is_some_and(|start_ns| pts_ns < start_ns || pts_ns > newest.max(start_ns) + silence_ns);
        let out = if jump { self.interrupt() } else { Vec::new() };
        self.start_ns.get_or_insert(pts_ns);
        out
    }

    fn cut(&mut self) -> Vec<Window> {
        let mut out = Vec::new();
        while let Some(start_ns) = self.start_ns {
            let end_ns = start_ns + self.window_ns;
            let seen = self.video_to_ns >= end_ns;
            let heard = self.audio_to_ns >= end_ns;
            let closes = if self.has_audio {
                let pictures_come = self
                    .video_arrived_ns
                    .is_some_and(|at| self.arrived_ns < at + VIDEO_WAIT_NS);
                let video_wait_ns = if pictures_come {
                    MAX_VIDEO_WAIT_NS
                } else {
                    VIDEO_WAIT_NS
                };
                let usual_ns = (self.audio_behind_ns + AUDIO_MARGIN_NS).min(MAX_AUDIO_WAIT_NS);
                let video_waited = self.video_to_ns >= end_ns + self.audio_wait_ns.max(usual_ns);
                let audio_waited = self.audio_to_ns >= end_ns + video_wait_ns;
                (seen && heard) || video_waited || audio_waited
            } else {
                seen
            };
            if !closes {
                break;
            }
            out.push(self.close());
        }
        out
    }

    /// Takes the window at `start_ns` out and moves on.
    fn close(&mut self) -> Window {
        let start_ns = self.start_ns.unwrap_or(0);
        let end = start_ns + self.window_ns;
        let mut frames = Vec::new();
        while self.frames.front().is_some_and(|f| f.pts_ns < end) {
            frames.extend(self.frames.pop_front());
        }
        let mut audio = Vec::new();
        while self.audio.front().is_some_and(|c| c.pts_ns < end) {
            let Some(chunk) = self.audio.pop_front() else { break };
            let (inside, after) = split(chunk, end);
            audio.extend(inside);
            if let Some(after) = after {
                self.audio.push_front(after);
                break;
            }
        }
        let audio_state = match (self.has_audio, audio.is_empty()) {
            (false, _) => AudioState::None,
            (true, false) => AudioState::Present,
            (true, true) => AudioState::Missing,
        };
        let window = Window {
            camera: self.camera.clone(),
            seq: self.seq,
            start_ns,
            end_ns: end,
            frames,
            audio,
            audio_state,
            utc_offset_ns: self.utc_offset_ns,
            arrived_ns: self.arrived_ns,
            breaks_off: false,
            stretch: self.stretch,
        };
        self.seq += 1;
        self.start_ns = Some(end);
        window
    }
}

fn end_ns(chunk: &AudioChunk) -> u64 {
    chunk.pts_ns + samples_ns(chunk.samples.len() as u64)
}

fn samples_ns(samples: u64) -> u64 {
    samples * NS_PER_SAMPLE
}

/// Cuts a block at a time into what lies before and from it on.
fn split(chunk: AudioChunk, at_ns: u64) -> (Option<AudioChunk>, Option<AudioChunk>) {
    if chunk.pts_ns >= at_ns {
        return (None, Some(chunk));
    }
    let n = ((at_ns - chunk.pts_ns) * u64::from(SAMPLE_RATE_HZ)).div_ceil(1_000_000_000) as usize;
    if n >= chunk.samples.len() {
        return (Some(chunk), None);
    }
    let after = AudioChunk {
        pts_ns: chunk.pts_ns + samples_ns(n as u64),
        samples: chunk.samples[n..].into(),
    };
    (
        Some(AudioChunk {
            pts_ns: chunk.pts_ns,
            samples: chunk.samples[..n].into(),
        }),
        Some(after),
    )
}

#[cfg(test)]
mod tests;
