//! The demo's sounds and clips. The generator of these sounds is barred from training.

use std::f32::consts::TAU;
use std::path::Path;
use std::process::Command;

use anyhow::{anyhow, bail};

use crate::data::{NS_PER_SAMPLE, SAMPLE_RATE_HZ};
use crate::ingest::gst::record::Mp4Writer;
use crate::ingest::gst::{Datum, MediaReader, read_sound};

/// Where in the siren clip the siren sounds, in seconds.
pub const SIREN_S: (f32, f32) = (12.0, 20.0);
/// Length of a clip.
pub const CLIP_S: f32 = 30.0;

/// An electronic siren ("yelp"): between 600 and 1500 Hz three times a second, with the harmonics of a horn driven hard.
/// 16 kHz mono, peak about 0.5.
pub fn siren(seconds: f32) -> Vec<f32> {
    let n = (seconds * SAMPLE_RATE_HZ as f32) as usize;
    let mut phase = 0f32;
    (0..n)
        .map(|i| {
            let t = i as f32 / SAMPLE_RATE_HZ as f32;
            let sweep = 0.5 - 0.5 * (TAU * t * 3.0).cos();
            phase = (phase + (600.0 + 900.0 * sweep) / SAMPLE_RATE_HZ as f32).fract();
            let wave: f32 = (1..6).map(|k| (TAU * phase * k as f32).sin() / k as f32).sum();
            let fade = (t / 0.3).min((seconds - t) / 0.3).clamp(0.0, 1.0);
            0.3 * fade * wave.clamp(-1.5, 1.5)
        })
        .collect()
}

/// Faint noise of a street, deterministic. 16 kHz mono, about -50 dBFS.
pub fn street(seconds: f32) -> Vec<f32> {
    let n = (seconds * SAMPLE_RATE_HZ as f32) as usize;
    let (mut state, mut low) = (0x2545_F491u32, 0f32);
    (0..n)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            let white = state as f32 / u32::MAX as f32 - 0.5;
            low = 0.92 * low + 0.08 * white;
            0.03 * low
        })
        .collect()
}

/// A sentence by espeak-ng, or silence where it is not installed.
fn speech(dir: &Path) -> Vec<f32> {
    let wav = dir.join("speech.wav");
    let spoken = Command::new("espeak-ng")
        .args(["-v", "en", "-s", "150", "-w"])
        .arg(&wav)
        .arg("Good morning. The gate is open until six o'clock this evening.")
        .status();
    if spoken.is_ok_and(|s| s.success()) {
        read_sound(&wav).unwrap_or_default()
    } else {
        Vec::new()
    }
}

/// Makes the two clips of the demo once: `square.mp4` (pedestrians crossing, speech) and `lawn.mp4` (one of them on
/// the lawn, a siren).
///
/// # Errors
/// The footage cannot be read, or a clip cannot be written.
pub fn prepare(footage: &Path, dir: &Path) -> anyhow::Result<[std::path::PathBuf; 2]> {
    prepare_unless(footage, dir, &|| false)
}

/// As [`prepare`], and given up once `stopped` says so.
///
/// # Errors
/// As [`prepare`], or it was stopped.
pub fn prepare_unless(
    footage: &Path,
    dir: &Path,
    stopped: &dyn Fn() -> bool,
) -> anyhow::Result<[std::path::PathBuf; 2]> {
    std::fs::create_dir_all(dir)?;
    let clips = [dir.join("square-2.mp4"), dir.join("lawn-2.mp4")];
    if clips.iter().all(|c| c.exists()) {
        return Ok(clips);
    }
    if !footage.exists() {
        return Err(anyhow!(
            "{} is not there; `scripts/media.sh` fetches it",
            footage.display()
        ));
    }
    let mut walk = street(CLIP_S);
    mix(&mut walk, &speech(dir), 4.0);
    let mut wail = street(CLIP_S);
    mix(&mut wail, &siren(SIREN_S.1 - SIREN_S.0), SIREN_S.0);
    for (clip, sound, from_s) in [(&clips[0], walk, 0.0), (&clips[1], wail, 48.5)] {
        let half = clip.with_extension("part.mp4");
        let made = make(footage, from_s, &sound, &half, stopped);
        // A Ctrl-C reaches espeak-ng too: a clip without its speech is not kept.
        if made.is_err() || stopped() {
            let _ = std::fs::remove_file(&half);
            bail!(
                "{}: {:#}",
                clip.display(),
                made.err().unwrap_or_else(|| anyhow!("stopped"))
            );
        }
        std::fs::rename(&half, clip)?;
    }
    Ok(clips)
}

/// Ten seconds of a moving pattern with the noise of a street: a camera's load without a camera's picture. The file's
/// name says its size and rate; it is made once.
///
/// # Errors
/// The clip cannot be written.
pub fn pattern(dir: &Path, width: u32, height: u32, fps: u32) -> anyhow::Result<std::path::PathBuf> {
    const SECONDS: u32 = 10;
    let clip = dir.join(format!("pattern-{width}x{height}-{fps}.mp4"));
    if clip.exists() {
        return Ok(clip);
    }
    std::fs::create_dir_all(dir)?;
    let part = clip.with_extension("part.mp4");
    let writer = Mp4Writer::create(&part, width, height, fps, true)?;
    let sound = street(SECONDS as f32);
    let samples = (SAMPLE_RATE_HZ / fps) as usize;
    for i in 0..SECONDS * fps {
        let at_ns = u64::from(i) * 1_000_000_000 / u64::from(fps);
        // Slanted waves that drift, and a block that crosses: every macroblock changes, none at random.
        let block = (i * width / (SECONDS * fps), height / 3);
        let value = |x: u32, y: u32| {
            let inside = x.wrapping_sub(block.0) < width / 12 && y.wrapping_sub(block.1) < height / 3;
            let wave = ((x + 2 * i) * 3 + y * 5 + x * y / 61) % 510;
            if inside { 230 } else { wave.abs_diff(255) as u8 }
        };
        let rgb = (0..height)
            .flat_map(|y| (0..width).flat_map(move |x| [value(x, y), value(x, y) / 2, value(y, x)]))
            .collect();
        writer.picture(&crate::data::Picture { width, height, rgb }, at_ns)?;
        let start = i as usize * samples;
        writer.sound(&sound[start..start + samples], start as u64 * NS_PER_SAMPLE)?;
    }
    writer.finish()?;
    std::fs::rename(&part, &clip)?;
    Ok(clip)
}

fn mix(into: &mut [f32], sound: &[f32], at_s: f32) {
    let start = (at_s * SAMPLE_RATE_HZ as f32) as usize;
    for (a, b) in into.iter_mut().skip(start).zip(sound) {
        *a = (*a + b).clamp(-1.0, 1.0);
    }
}

/// `CLIP_S` seconds of the footage from `from_s` on, with the sound, as H.264 and AAC.
fn make(footage: &Path, from_s: f32, sound: &[f32], out: &Path, stopped: &dyn Fn() -> bool) -> anyhow::Result<()> {
    let mut reader = MediaReader::open(footage, 10.0, 768)?;
    let from_ns = (from_s * 1e9) as u64;
    let mut writer = None;
    let mut heard = 0;
    while let Some(datum) = reader.next_datum()? {
        let Datum::Frame(picture, pts_ns) = datum else { continue };
        let Some(at_ns) = pts_ns.checked_sub(from_ns) else {
            continue;
        };
        if at_ns as f32 >= CLIP_S * 1e9 || stopped() {
            break;
        }
        let writer = match &writer {
            Some(writer) => writer,
            None => writer.insert(Mp4Writer::create(out, picture.width, picture.height, 10, true)?),
        };
        writer.picture(&picture, at_ns)?;
        // The sound goes along with the picture: the muxer wants both.
        let until = (((at_ns + 100_000_000) as f64 / 1e9 * f64::from(SAMPLE_RATE_HZ)) as usize).min(sound.len());
        if until > heard {
            writer.sound(&sound[heard..until], heard as u64 * NS_PER_SAMPLE)?;
            heard = until;
        }
    }
    writer
        .ok_or_else(|| anyhow!("the footage is shorter than {from_s} s"))?
        .finish()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_siren_is_loud_within_its_time_and_never_clips() {
        let wail = siren(4.0);
        assert_eq!(wail.len(), 64_000);
        let rms = (wail.iter().map(|s| s * s).sum::<f32>() / wail.len() as f32).sqrt();
        assert!(rms > 0.1 && wail.iter().all(|s| s.abs() < 0.6), "{rms}");
    }
}
