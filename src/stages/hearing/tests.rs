use super::*;
use crate::data::{Affect, AudioChunk, AudioState, NS_PER_SAMPLE, Window};
use crate::scream::tests::voice;
use crate::stages::VoiceReading;

fn window(seq: u64, start_ns: u64, samples: usize) -> Window {
    Window {
        camera: CameraId::new("yard"),
        seq,
        start_ns,
        end_ns: start_ns + samples as u64 * NS_PER_SAMPLE,
        frames: vec![],
        audio: vec![AudioChunk {
            pts_ns: start_ns,
            samples: vec![0.5; samples].into(),
        }],
        audio_state: AudioState::Present,
        utc_offset_ns: 0,
        arrived_ns: 0,
        breaks_off: false,
        stretch: 0,
    }
}

/// A siren just before the end of one recording says nothing of the next.
#[test]
fn another_recording_is_heard_with_new_ears() {
    let mut hearing = Hearing::new(Box::new(Talk), None);
    let mut listen = |profile: &Arc<CameraProfile>, seq, start_ns| {
        let job = Job::new(window(seq, start_ns, 8_000), profile.clone());
        let Ok(Report {
            body: ReportBody::Hearing(heard),
            ..
        }) = hearing.listen(&job)
        else {
            panic!("no report");
        };
        heard.patches.len()
    };
    let (first, second) = (Arc::new(CameraProfile::default()), Arc::new(CameraProfile::default()));
    assert_eq!((listen(&first, 0, 0), listen(&first, 1, 500_000_000)), (0, 1));
    // The sound that waits is of the first one.
    assert_eq!(listen(&second, 0, 1_000_000_000), 0);
}

/// By window: when its patches begin and end, in milliseconds.
fn spans(windows: &[Window]) -> Vec<Vec<(u64, u64)>> {
    let (mut hearing, profile) = (Hearing::new(Box::new(Talk), None), Arc::new(CameraProfile::default()));
    let mut of = |window: &Window| match hearing.listen(&Job::new(window.clone(), profile.clone())).unwrap().body {
        ReportBody::Hearing(heard) => heard
            .patches
            .iter()
            .map(|p| (p.start_ns / 1_000_000, p.end_ns / 1_000_000))
            .collect(),
        _ => Vec::new(),
    };
    windows.iter().map(&mut of).collect()
}

#[test]
fn the_end_of_a_recording_and_the_end_of_its_sound_are_heard() {
    let mut windows = [0, 1].map(|seq| window(seq, seq * 500_000_000, 8_000));
    assert_eq!(spans(&windows), [vec![], vec![(0, 960)]]);
    windows[0].breaks_off = true;
    assert_eq!(spans(&windows[..1]), [vec![(0, 500)]]);
    // The stream was interrupted in between: no sound of before is joined with one of after.
    let [before, mut after] = windows.clone();
    after.stretch = 1;
    assert_eq!(
        spans(&[
            Window {
                breaks_off: false,
                ..before
            },
            after
        ]),
        [vec![], vec![]]
    );
    // The picture goes on.
    windows[1].audio.clear();
    windows[1].audio_state = AudioState::Missing;
    windows[0].breaks_off = false;
    assert_eq!(spans(&windows), [vec![], vec![(0, 500)]]);
}

#[test]
fn a_windows_embedding_is_that_of_all_its_patches() {
    let patch = |v: [f32; 2]| SoundScores {
        scores: vec![],
        embedding: v.into(),
    };
    assert!(mean(&[]).is_none());
    assert_eq!(&*mean(&[patch([1.0, 4.0])]).unwrap(), [1.0, 4.0]);
    assert_eq!(&*mean(&[patch([1.0, 4.0]), patch([3.0, 0.0])]).unwrap(), [2.0, 2.0]);
}

/// Hears somebody speak in every patch.
struct Talk;

impl Listen for Talk {
    fn id(&self) -> Arc<str> {
        "talk@1".into()
    }

    fn labels(&self) -> Arc<[Arc<str>]> {
        ["speech".into()].into()
    }

    fn patch_and_hop(&self) -> (usize, usize) {
        (15_360, 7_680)
    }

    fn classify(&mut self, patches: &[&[f32]]) -> Result<Vec<SoundScores>, String> {
        let says = SoundScores {
            scores: vec![0.9],
            embedding: [].into(),
        };
        Ok(vec![says; patches.len()])
    }
}

/// Tells how loud what it was given is.
struct Meter;

impl Listen for Meter {
    fn id(&self) -> Arc<str> {
        "meter@1".into()
    }

    fn labels(&self) -> Arc<[Arc<str>]> {
        ["dbfs".into()].into()
    }

    fn patch_and_hop(&self) -> (usize, usize) {
        (15_360, 7_680)
    }

    fn classify(&mut self, patches: &[&[f32]]) -> Result<Vec<SoundScores>, String> {
        let says = |p: &&[f32]| SoundScores {
            scores: vec![level_dbfs(p.iter())],
            embedding: [].into(),
        };
        Ok(patches.iter().map(says).collect())
    }
}

#[test]
fn the_sound_model_hears_quiet_sound_raised_and_the_report_tells_its_level_as_it_was() {
    for (audio_gain, told) in [(AudioGain::Auto, -42.0), (AudioGain::Off, -60.0)] {
        let mut hearing = Hearing::new(Box::new(Meter), None);
        let profile = CameraProfile {
            audio_gain,
            ..CameraProfile::default()
        };
        let mut job = Job::new(window(0, 0, 16_000), Arc::new(profile));
        let mut quiet = (*job.window).clone();
        quiet.audio[0].samples = [0.001, -0.001].repeat(8_000).into();
        job.window = Arc::new(quiet);
        let ReportBody::Hearing(heard) = hearing.listen(&job).unwrap().body else {
            panic!("no report of sound");
        };
        assert!((heard.patches[0].scores[0] - told).abs() < 0.1);
        assert!((heard.patches[0].level_dbfs + 60.0).abs() < 0.1 && (heard.level_dbfs + 60.0).abs() < 0.1);
    }
}

const HOP: usize = 7_680;

/// Hears a siren: its scores in the first patch of a window, and in all others.
struct Sirens([f32; 2]);

impl Listen for Sirens {
    fn id(&self) -> Arc<str> {
        "sirens@1".into()
    }

    fn labels(&self) -> Arc<[Arc<str>]> {
        ["siren".into()].into()
    }

    fn patch_and_hop(&self) -> (usize, usize) {
        (15_360, HOP)
    }

    fn classify(&mut self, patches: &[&[f32]]) -> Result<Vec<SoundScores>, String> {
        let says = |at: usize| SoundScores {
            scores: vec![self.0[at.min(1)]],
            embedding: [].into(),
        };
        Ok((0..patches.len()).map(says).collect())
    }
}

/// The rule's strongest score where somebody screams in a street that was quiet for so many patches before.
fn scream_score(quiet: usize, siren: [f32; 2]) -> f32 {
    let screams = voice(|_| 1000.0, 1.2, 0.7);
    // She begins in the second patch.
    let samples = [screams[..HOP].repeat(quiet), screams].concat();
    let mut heard = window(0, 0, samples.len());
    heard.audio[0].samples = samples.into();
    let mut hearing = Hearing::new(Box::new(Sirens(siren)), None);
    let job = Job::new(heard, Arc::new(CameraProfile::default()));
    let ReportBody::Hearing(heard) = hearing.listen(&job).unwrap().body else {
        panic!("no report of sound");
    };
    let label = heard.labels.iter().position(|l| **l == *scream::LABEL).unwrap();
    heard.patches.iter().map(|p| p.scores[label]).fold(0.0, f32::max)
}

#[test]
fn the_scream_rule_holds_its_tongue_while_a_siren_is_heard_and_for_three_seconds_after() {
    assert!(scream_score(0, [0.1, 0.1]) >= scream::THRESHOLD);
    assert_eq!(scream_score(0, [0.9, 0.9]), 0.0);
    // A patch begins every half second; the siren sounds in the first alone.
    assert_eq!(scream_score(2, [0.9, 0.1]), 0.0, "a second and a half later");
    assert!(scream_score(7, [0.9, 0.1]) >= scream::THRESHOLD, "four seconds later");
}

struct Calm;

impl ReadVoice for Calm {
    fn id(&self) -> Arc<str> {
        "calm@1".into()
    }

    fn labels(&self) -> Arc<[Arc<str>]> {
        ["neutral".into()].into()
    }

    fn read(&mut self, _: &[f32]) -> Result<VoiceReading, String> {
        Ok(VoiceReading {
            probabilities: vec![1.0],
            affect: Affect::default(),
        })
    }
}

/// Whether a voice was read in 4 s of speech.
fn voice_read(voice: Option<Box<dyn ReadVoice>>, emotion: bool) -> bool {
    let mut hearing = Hearing::new(Box::new(Talk), voice);
    let profile = CameraProfile {
        emotion,
        ..CameraProfile::default()
    };
    let job = Job::new(window(0, 0, 64_000), Arc::new(profile));
    let ReportBody::Hearing(heard) = hearing.listen(&job).unwrap().body else {
        panic!("no report of sound");
    };
    assert!(!heard.patches.is_empty());
    heard.speech_emotion.is_some()
}

#[test]
fn voices_are_read_only_where_the_camera_opted_in_and_the_model_is_there() {
    assert!(voice_read(Some(Box::new(Calm)), true));
    assert!(!voice_read(Some(Box::new(Calm)), false));
    assert!(!voice_read(None, true));
}

/// A device out of memory, or an answer that is no number.
struct Broken;

impl ReadVoice for Broken {
    fn id(&self) -> Arc<str> {
        "broken@1".into()
    }

    fn labels(&self) -> Arc<[Arc<str>]> {
        ["neutral".into()].into()
    }

    fn read(&mut self, _: &[f32]) -> Result<VoiceReading, String> {
        Err("NaN".into())
    }
}

/// The sounds of the window are told all the same.
#[test]
fn a_voice_model_that_fails_costs_the_voice_and_nothing_else() {
    assert!(!voice_read(Some(Box::new(Broken)), true));
}
