//! Snapshots: JPEG files with the tracks of the alert drawn in.

use std::fs::{DirEntry, File};
use std::io::{ErrorKind, Write};
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::{Duration, SystemTime};

use jiff::{SignedDuration, Timestamp};
use jpeg_encoder::{ColorType, Encoder};

use crate::colour;
use crate::data::{Alert, Picture};
use crate::draw::{self, Labels};

use super::StoreError;

/// JPEG of a picture, quality 85.
///
/// # Errors
/// The picture is larger than JPEG allows (65,535 a side).
pub fn jpeg(picture: &Picture) -> Result<Vec<u8>, String> {
    let side = |px: u32| u16::try_from(px).map_err(|_| format!("{px} pixels are too many for a JPEG"));
    let (w, h) = (side(picture.width)?, side(picture.height)?);
    let mut bytes = Vec::new();
    Encoder::new(&mut bytes, 85)
        .encode(&picture.rgb, w, h, ColorType::Rgb)
        .map_err(|e| e.to_string())?;
    Ok(bytes)
}

/// The picture with the alert drawn in, as JPEG, and written below `dir/snapshots`. Returns the name within that folder
/// and the bytes. A file is there whole or not at all.
///
/// # Errors
/// The folder cannot be written.
pub fn write_snapshot(dir: &Path, alert: &Alert, picture: &Picture) -> Result<(String, Vec<u8>), StoreError> {
    let mut drawn = picture.clone();
    for track in &alert.tracks {
        draw::outline(&mut drawn, &track.bbox, colour::of_track(track.id));
    }
    let title = match &alert.zone {
        Some(zone) => format!("{} {zone} {:.2}", alert.kind, alert.score),
        None => format!("{} {:.2}", alert.kind, alert.score),
    };
    let mut labels = Labels::new(&drawn);
    labels.heading(&[(title, draw::paper(alert.severity))], colour::WHITE);
    for track in &alert.tracks {
        labels.avoid(&track.bbox);
    }
    for track in &alert.tracks {
        let forms = [format!("{} {:.2}", track.class, track.score), track.class.to_string()];
        labels.beside(&track.bbox, colour::of_track(track.id), colour::BLACK, &forms);
    }
    labels.write(&mut drawn);
    let name = format!("{}/{}.jpg", alert.camera, alert.id);
    let path = dir.join("snapshots").join(&name);
    let bytes = jpeg(&drawn).map_err(|why| StoreError::plain(&path, why))?;
    write_whole(&path, &bytes).map_err(|e| StoreError::of_io(&path, &e))?;
    Ok((name, bytes))
}

/// Also after a power cut the file is whole, and nothing is left of one that found no room.
fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let half = path.with_extension("part");
    let write = || {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut file = File::create(&half)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&half, path)
    };
    let written = write();
    if written.is_err() {
        let _ = std::fs::remove_file(&half);
    }
    written
}

/// Removes files that are older than `keep_for`. What cannot be removed is left for the next time.
pub(super) fn expire(dir: &Path, keep_for: Duration) {
    let old = |path: &Path| {
        let modified = std::fs::metadata(path).and_then(|m| m.modified());
        modified.is_ok_and(|m| SystemTime::now().duration_since(m).is_ok_and(|age| age > keep_for))
    };
    for file in files(dir) {
        if old(&file.path()) {
            let _ = std::fs::remove_file(file.path());
        }
    }
}

/// The host's clock was set by `by_ms`: files that were written since it booted, `since_boot_ms` on the clock before, are as old as they
/// were. One that does not take another time is told.
pub(super) fn clock_set(dir: &Path, since_boot_ms: &RangeInclusive<i64>, by_ms: i64) {
    let moved = |file: &DirEntry| -> Option<SystemTime> {
        let modified = Timestamp::try_from(file.metadata().ok()?.modified().ok()?).ok()?;
        let time = modified.checked_add(SignedDuration::from_millis(by_ms)).ok()?;
        let is_ours = since_boot_ms.contains(&modified.as_millisecond());
        is_ours.then(|| SystemTime::try_from(time).ok())?
    };
    for file in files(dir) {
        let Some(time) = moved(&file) else { continue };
        let path = file.path();
        let set = File::options().write(true).open(&path);
        if let Err(error) = set.and_then(|file| file.set_modified(time)) {
            tracing::warn!(path = %path.display(), %error, "a snapshot keeps the time of a clock that was wrong");
        }
    }
}

/// The files of all cameras.
fn files(dir: &Path) -> impl Iterator<Item = DirEntry> {
    let folders = std::fs::read_dir(dir).into_iter().flatten().flatten();
    folders.flat_map(|camera| std::fs::read_dir(camera.path()).into_iter().flatten().flatten())
}

/// Whether it failed because the disk, or the user's share of it, is full.
pub(super) fn lacks_room(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
    )
}

/// Whether the disk has not even a little room left.
pub(super) fn is_full(dir: &Path) -> bool {
    let probe = dir.join("probe.part");
    let full = std::fs::write(&probe, vec![0; 1 << 16]).is_err_and(|error| lacks_room(&error));
    let _ = std::fs::remove_file(&probe);
    full
}

/// Removes the oldest files until so many bytes are gone. Returns how many files that were.
pub(super) fn remove_oldest(dir: &Path, bytes: u64) -> usize {
    let mut all: Vec<_> = files(dir)
        .filter_map(|file| {
            let about = file.metadata().ok()?;
            Some((about.modified().ok()?, about.len(), file.path()))
        })
        .collect();
    all.sort();
    let (mut gone, mut removed) = (0, 0);
    for (_, size, path) in all {
        if gone >= bytes {
            break;
        }
        if std::fs::remove_file(path).is_ok() {
            (gone, removed) = (gone + size, removed + 1);
        }
    }
    removed
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Snapshots of a hundred bytes each, with their age in seconds.
    fn folder(snapshots: &[(&str, u64)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, age_s) in snapshots {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, [0; 100]).unwrap();
            let file = std::fs::File::options().write(true).open(&path).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(*age_s))
                .unwrap();
        }
        dir
    }

    #[test]
    fn what_is_older_than_it_is_kept_for_goes_and_what_is_younger_stays() {
        let dir = folder(&[("a/young.jpg", 1_800), ("a/old.jpg", 5_400), ("b/old.jpg", 7_200)]);
        expire(dir.path(), Duration::from_secs(3_600));
        let there = ["a/young.jpg", "a/old.jpg", "b/old.jpg"].map(|name| dir.path().join(name).exists());
        assert_eq!(there, [true, false, false]);
    }

    #[test]
    fn the_oldest_snapshots_make_room() {
        let dir = folder(&[("a/new.jpg", 10), ("b/old.jpg", 1_000), ("a/older.jpg", 2_000)]);
        assert_eq!(remove_oldest(dir.path(), 150), 2);
        assert!(dir.path().join("a/new.jpg").exists());
        // A folder that cannot be written is not full.
        assert!(!is_full(dir.path()) && !is_full(&dir.path().join("not/there")));
    }

    #[test]
    fn nothing_is_left_of_a_snapshot_that_could_not_be_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("yard/alert.jpg");
        write_whole(&path, b"picture").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"picture");
        let taken = dir.path().join("yard/folder.jpg");
        std::fs::create_dir_all(taken.join("inside")).unwrap();
        write_whole(&taken, b"picture").unwrap_err();
        assert!(!taken.with_extension("part").exists());
    }
}
