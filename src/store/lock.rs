//! One daemon a state folder: a second would end the first one's alerts and send everything twice.

use std::fs::{File, TryLockError};
use std::io::{Read, Write};
use std::path::Path;

use super::StoreError;

/// Takes the state folder for this process, for as long as the file is kept; a process that is killed lets go of it too.
///
/// # Errors
/// Another daemon has it, or the folder cannot be written.
pub fn lock(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join("lock");
    let open = || {
        std::fs::create_dir_all(dir)?;
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false).open(&path)
    };
    let mut file = open().map_err(|e| StoreError::of_folder(&path, &e))?;
    if !is_ours(&file, &path) {
        let mut holder = String::new();
        // Who holds it is good to know, and no more.
        let _ = file.read_to_string(&mut holder);
        let process = match holder.trim() {
            "" => String::new(),
            id => format!(" (process {id})"),
        };
        let why = format!(
            "another Watchfire{process} runs with this state folder; stop it first (`systemctl stop watchfire` where it is the \
             service), or give this one a state.dir of its own"
        );
        return Err(StoreError::plain(&path, why));
    }
    let _ = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
    Ok(file)
}

/// Whether no other process holds `file`, which this one holds from now on. A file system without locks is no reason to stand
/// still: there it is always ours, and the log says so.
pub fn is_ours(file: &File, path: &Path) -> bool {
    match file.try_lock() {
        Ok(()) => true,
        Err(TryLockError::WouldBlock) => false,
        Err(TryLockError::Error(error)) => {
            tracing::warn!(path = %path.display(), %error, "no lock against a second process");
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_folder_is_for_one_process_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let first = lock(&state).unwrap();
        let refused = lock(&state).unwrap_err().to_string();
        let own = format!("(process {})", std::process::id());
        assert!(refused.contains(&own) && refused.contains("stop it first"), "{refused}");
        drop(first);
        lock(&state).unwrap();
    }

    #[test]
    fn a_state_folder_that_cannot_be_one_is_told_with_its_key() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        for taken in [file.clone(), file.join("below")] {
            let refused = lock(&taken).unwrap_err().to_string();
            assert!(
                refused.contains("state.dir must be") && refused.contains("ReadWritePaths="),
                "{refused}"
            );
        }
    }
}
