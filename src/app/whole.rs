//! A file that has its name when it is whole, and not before: whatever ends the process, nobody finds half of it there, and
//! what was there before stays until then.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// A file on its way. What is not [`Whole::done`] is gone with this value.
pub struct Whole {
    path: PathBuf,
    beside: PathBuf,
}

impl Whole {
    pub fn at(path: &Path) -> Self {
        // A link stays one: it is what it points to that is made anew.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        // /dev/null and pipes are written to, not replaced; nor is a link that leads to no file yet.
        let beside = if std::fs::metadata(&path).map_or_else(|_| path.is_symlink(), |about| !about.is_file()) {
            path.clone()
        } else {
            // A name of its own: a second process that writes the same file has another.
            let mut name: OsString = path.clone().into_os_string();
            name.push(format!(".{}.part", std::process::id()));
            name.into()
        };
        Self { path, beside }
    }

    /// Where it is written meanwhile.
    pub fn beside(&self) -> &Path {
        &self.beside
    }

    /// Gives it its name.
    ///
    /// # Errors
    /// It was not written, or its folder takes no new name.
    pub fn done(self) -> anyhow::Result<()> {
        if self.beside == self.path {
            return Ok(());
        }
        // Before its name: a power cut must not leave an empty file under it.
        let synced = File::open(&self.beside).and_then(|file| file.sync_all());
        synced
            .and_then(|()| std::fs::rename(&self.beside, &self.path))
            .with_context(|| self.path.display().to_string())
    }

    /// All of it at once.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
        let file = Self::at(path);
        std::fs::write(file.beside(), bytes).with_context(|| path.display().to_string())?;
        file.done()
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        if self.beside != self.path {
            // Nothing is there once it has its name.
            let _ = std::fs::remove_file(&self.beside);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_its_name_when_it_is_whole_and_what_was_there_stays_until_then() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.svg");
        let names = || std::fs::read_dir(dir.path()).unwrap().count();
        std::fs::write(&path, b"before").unwrap();
        let given_up = Whole::at(&path);
        std::fs::write(given_up.beside(), b"half").unwrap();
        assert_eq!((std::fs::read(&path).unwrap(), names()), (b"before".to_vec(), 2));
        drop(given_up);
        assert_eq!((std::fs::read(&path).unwrap(), names()), (b"before".to_vec(), 1));
        Whole::write(&path, b"whole").unwrap();
        assert_eq!((std::fs::read(&path).unwrap(), names()), (b"whole".to_vec(), 1));
    }

    #[test]
    fn a_link_stays_one_and_a_device_is_written_to() {
        let dir = tempfile::tempdir().unwrap();
        let [link, file] = ["link.svg", "file.svg"].map(|name| dir.path().join(name));
        std::fs::write(&file, b"before").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        Whole::write(&link, b"whole").unwrap();
        assert!(link.is_symlink());
        // One that leads to no file yet makes that.
        let (later, target) = (dir.path().join("later"), dir.path().join("target"));
        std::os::unix::fs::symlink(&target, &later).unwrap();
        Whole::write(&later, b"new").unwrap();
        assert!(later.is_symlink() && std::fs::read(&target).unwrap() == b"new");
        assert_eq!(std::fs::read(&file).unwrap(), b"whole");
        let device = Path::new("/dev/null");
        Whole::write(device, b"gone").unwrap();
        assert!(!std::fs::metadata(device).unwrap().is_file());
    }
}
