//! The recordings that a command line means.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Display;
use std::fs::Metadata;
use std::path::{Path, PathBuf};

use crate::app::words::shown;
use crate::ingest::gst::no_file;

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
    /// Folders are searched with everything below them, also by links to folders. Whichever ways lead to a folder, it is searched
    /// once: where it lies itself if that is below a path that was named, else by the first link to it in the order of names.
    ///
    /// # Errors
    /// There is nothing at all.
    pub fn find(paths: &[PathBuf]) -> anyhow::Result<Self> {
        let mut search = Search::default();
        for (of, path) in paths.iter().enumerate() {
            search.named.push(Named::default());
            match std::fs::metadata(path) {
                Ok(about) if about.is_dir() => search.look(of, path),
                // What is not there is told by whoever opens it.
                about => search.named[of].take(path, about.ok().as_ref()),
            }
        }
        // Behind all folders themselves, and in order: a file has the same name in each report of the same job.
        while let Some((of, link)) = search.links.pop_first() {
            search.look(of, &link);
        }
        let any = search.named.iter().any(|named| !named.files.is_empty());
        let mut found = Self::default();
        for (path, mut named) in paths.iter().zip(search.named) {
            let told_elsewhere = named.is_elsewhere && any;
            if named.files.is_empty() && named.unreadable.is_empty() && !told_elsewhere {
                named.refuse(path, "there is no recording in it");
            }
            named.files.sort();
            named.unreadable.sort();
            found.files.extend(named.files);
            found.unreadable.extend(named.unreadable);
        }
        if found.files.is_empty() {
            let why: Vec<String> = found.unreadable.iter().map(|(_, why)| shown(why)).collect();
            anyhow::bail!("{}", why.join("; "));
        }
        Ok(found)
    }
}

/// What one path of the command line has brought.
#[derive(Default)]
struct Named {
    files: Vec<PathBuf>,
    unreadable: Vec<(PathBuf, String)>,
    /// Some of it was found by another path already.
    is_elsewhere: bool,
}

/// `of`: the number of the path that was named.
#[derive(Default)]
struct Search {
    named: Vec<Named>,
    /// Folders that were searched, without links in their names, and `of` which path: a folder may hold a link to itself.
    seen: HashMap<PathBuf, usize>,
    /// Links to folders that are still to be followed.
    links: BTreeSet<(usize, PathBuf)>,
}

impl Search {
    fn look(&mut self, of: usize, folder: &Path) {
        match folder.canonicalize() {
            Ok(real) => self.walk(of, folder, real),
            Err(error) => self.named[of].refuse(folder, error),
        }
    }

    /// `folder` as it is told, and where it is in truth.
    fn walk(&mut self, of: usize, folder: &Path, real: PathBuf) {
        if let Some(first) = self.seen.get(&real) {
            self.named[of].is_elsewhere |= *first != of;
            return;
        }
        self.seen.insert(real.clone(), of);
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => return self.named[of].refuse(folder, error),
        };
        for entry in entries {
            let known = entry.and_then(|e| Ok((e.path(), real.join(e.file_name()), e.file_type()?)));
            let (path, real, kind) = match known {
                Ok(known) => known,
                Err(error) => {
                    self.named[of].refuse(folder, error);
                    continue;
                }
            };
            match std::fs::metadata(&path) {
                Ok(about) if about.is_dir() && kind.is_symlink() => {
                    self.links.insert((of, path));
                }
                Ok(about) if about.is_dir() => self.walk(of, &path, real),
                Ok(about) if is_recording(&path) => self.named[of].take(&path, Some(&about)),
                Ok(_) => {}
                // It is no recording, and gone since it was listed.
                Err(_) if kind.is_file() && !is_recording(&path) => {}
                // A link may have led to a folder of recordings: who looks through them is to know that they are not there.
                Err(error) => self.named[of].refuse(&path, error),
            }
        }
    }
}

impl Named {
    fn take(&mut self, path: &Path, about: Option<&Metadata>) {
        match about.and_then(no_file) {
            Some(why) => self.refuse(path, why),
            // GStreamer takes names as text, and a report tells them so.
            None if path.to_str().is_none() => self.refuse(path, "its name is not UTF-8"),
            None => self.files.push(path.to_owned()),
        }
    }

    fn refuse(&mut self, path: &Path, why: impl Display) {
        let why = format!("{}: {why}", path.display());
        self.unreadable.push((path.to_owned(), why));
    }
}

fn is_recording(path: &Path) -> bool {
    let ending = path.extension().and_then(|e| e.to_str());
    ending.is_some_and(|e| ENDINGS.contains(&e.to_ascii_lowercase().as_str()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn folder(path: PathBuf) -> PathBuf {
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    fn whys(found: &Recordings) -> Vec<&str> {
        found.unreadable.iter().map(|(_, why)| why.as_str()).collect()
    }

    #[test]
    fn a_folder_that_cannot_be_read_is_named_itself_and_keeps_nobody_from_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let (empty, full) = (folder(dir.path().join("empty")), folder(dir.path().join("full")));
        folder(full.join("holds/nothing"));
        std::fs::write(full.join("b.MP4"), b"").unwrap();
        std::fs::write(full.join("holds/a.wav"), b"").unwrap();
        std::fs::write(full.join("notes.txt"), b"").unwrap();
        let found = Recordings::find(&[empty.clone(), full.clone()]).unwrap();
        assert_eq!(found.files, [full.join("b.MP4"), full.join("holds/a.wav")]);
        assert_eq!(found.unreadable.len(), 1, "{found:?}");
        assert_eq!(found.unreadable[0].0, empty);
        // One that went away since it was listed: whoever may read everything is denied nothing else.
        let gone = full.join("gone");
        let mut search = Search::default();
        search.named.push(Named::default());
        search.walk(0, &gone, gone.clone());
        assert_eq!(search.named[0].unreadable[0].0, gone);
        let error = Recordings::find(&[empty]).unwrap_err().to_string();
        assert!(error.contains("empty: there is no recording in it"), "{error}");
    }

    #[test]
    fn links_to_folders_are_followed_and_each_folder_counts_once() {
        let dir = tempfile::tempdir().unwrap();
        let [uploads, away] = ["uploads", "away"].map(|name| folder(dir.path().join(name)));
        let deep = folder(uploads.join("z/deep"));
        for file in [deep.join("a.wav"), away.join("b.wav")] {
            std::fs::write(file, b"").unwrap();
        }
        // Before its folder in the order of names: the folder itself goes first all the same.
        symlink(&deep, uploads.join("link")).unwrap();
        symlink(&uploads, deep.join("round")).unwrap();
        symlink("itself", uploads.join("itself")).unwrap();
        // Of two links the first in the order of names; a folder's name is not looked at.
        for name in ["n.mp4", "m.d"] {
            symlink(&away, uploads.join(name)).unwrap();
        }
        symlink(dir.path().join("unmounted"), uploads.join("share")).unwrap();
        let found = Recordings::find(std::slice::from_ref(&uploads)).unwrap();
        assert_eq!(found.files, [uploads.join("m.d/b.wav"), deep.join("a.wav")]);
        let named: Vec<&PathBuf> = found.unreadable.iter().map(|(path, _)| path).collect();
        assert_eq!(named, [&uploads.join("itself"), &uploads.join("share")], "{found:?}");

        // What is named itself is told by that name, and a folder whose recordings are told elsewhere is not empty.
        let around = folder(dir.path().join("around"));
        symlink(&away, around.join("away")).unwrap();
        let found = Recordings::find(&[around.clone(), away.clone()]).unwrap();
        assert_eq!(found.files, [away.join("b.wav")]);
        assert!(found.unreadable.is_empty(), "{found:?}");
        let found = Recordings::find(std::slice::from_ref(&around)).unwrap();
        assert_eq!(found.files, [around.join("away/b.wav")]);

        // Where there is nothing at all, that is said of each.
        std::fs::remove_file(away.join("b.wav")).unwrap();
        symlink(&around, away.join("around")).unwrap();
        let error = Recordings::find(&[around, away]).unwrap_err().to_string();
        assert_eq!(error.matches("there is no recording in it").count(), 2, "{error}");
    }

    #[test]
    fn what_is_no_file_is_named_as_it_is_and_in_an_error_steers_no_terminal() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        // Without a recording's ending it is nobody's upload.
        let _sockets =
            ["s\u{1b}[31m.mp4", "control"].map(|name| std::os::unix::net::UnixListener::bind(at(name)).unwrap());
        std::fs::write(at("a.wav"), b"").unwrap();
        let found = Recordings::find(&[dir.path().to_owned(), "/dev/null".into()]).unwrap();
        assert_eq!(found.files, [at("a.wav")]);
        let whys = whys(&found);
        assert!(
            whys[0].ends_with("s\u{1b}[31m.mp4: is a socket, not a file"),
            "{whys:?}"
        );
        assert_eq!(whys[1..], ["/dev/null: is a device, not a file"]);
        let error = Recordings::find(&[at("s\u{1b}[31m.mp4")]).unwrap_err().to_string();
        assert!(error.ends_with("s\\u{1b}[31m.mp4: is a socket, not a file"), "{error}");
    }
}
