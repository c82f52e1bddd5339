//! The recordings that a command line means.

use std::path::{Path, PathBuf};

/// Endings of the recordings that are looked for in folders.
const ENDINGS: [&str; 19] = [
    "mp4", "mkv", "mov", "avi", "webm", "ts", "m4v", "mpg", "mpeg", "flv", "wmv", "3gp", "ogg", "opus", "wav", "mp3",
    "flac", "m4a", "aac",
];

#[derive(Debug, Default)]
pub(super) struct Recordings {
    /// Files as they are named, and what lies in folders, in the order of names.
    pub files: Vec<PathBuf>,
    /// What cannot be read, and folders that hold nothing, and why; they keep nobody from the rest.
    pub unreadable: Vec<(PathBuf, String)>,
}

impl Recordings {
    /// # Errors
    /// There is nothing at all.
    pub fn find(paths: &[PathBuf]) -> anyhow::Result<Self> {
        let mut found = Self::default();
        for path in paths {
            if path.is_dir() {
                found.search(path);
            } else {
                found.take(path.clone());
            }
        }
        if found.files.is_empty() {
            let why: Vec<&str> = found.unreadable.iter().map(|(_, why)| why.as_str()).collect();
            anyhow::bail!("{}", why.join("; "));
        }
        Ok(found)
    }

    fn search(&mut self, folder: &Path) {
        let before = (self.files.len(), self.unreadable.len());
        self.walk(folder);
        if (self.files.len(), self.unreadable.len()) == before {
            let why = format!("{}: there is no recording in it", folder.display());
            self.unreadable.push((folder.to_owned(), why));
        }
        self.files[before.0..].sort();
    }

    fn walk(&mut self, folder: &Path) {
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => return self.cannot_read(folder, &error),
        };
        for entry in entries {
            // Links are not followed: a folder may hold itself.
            let known = entry.and_then(|e| Ok((e.path(), e.file_type()?.is_dir())));
            match known {
                Ok((path, true)) => self.walk(&path),
                Ok((path, false)) if is_recording(&path) => self.take(path),
                Ok(_) => {}
                Err(error) => self.cannot_read(folder, &error),
            }
        }
    }

    /// GStreamer takes names as text, and a report tells them so.
    fn take(&mut self, path: PathBuf) {
        if path.to_str().is_some() {
            self.files.push(path);
        } else {
            let why = format!("{}: its name is not UTF-8", path.display());
            self.unreadable.push((path, why));
        }
    }

    fn cannot_read(&mut self, folder: &Path, error: &std::io::Error) {
        let why = format!("{}: {error}", folder.display());
        self.unreadable.push((folder.to_owned(), why));
    }
}

fn is_recording(path: &Path) -> bool {
    let ending = path.extension().and_then(|e| e.to_str());
    ending.is_some_and(|e| ENDINGS.contains(&e.to_ascii_lowercase().as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_cannot_be_read_is_named_itself_and_keeps_nobody_from_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let folder = |name: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(&path).unwrap();
            path
        };
        let (empty, full) = (folder("empty"), folder("full"));
        folder("full/holds/nothing");
        std::fs::write(full.join("b.MP4"), b"").unwrap();
        std::fs::write(full.join("holds/a.wav"), b"").unwrap();
        std::fs::write(full.join("notes.txt"), b"").unwrap();
        let mut found = Recordings::find(&[empty.clone(), full.clone()]).unwrap();
        assert_eq!(found.files, [full.join("b.MP4"), full.join("holds/a.wav")]);
        assert_eq!(found.unreadable.len(), 1, "{found:?}");
        assert_eq!(found.unreadable[0].0, empty);
        // One that went away since it was listed: whoever may read everything is denied nothing else.
        let gone = full.join("gone");
        found.walk(&gone);
        assert_eq!(found.unreadable[1].0, gone);
        let error = Recordings::find(&[empty]).unwrap_err().to_string();
        assert!(error.contains("empty: there is no recording in it"), "{error}");
    }
}
