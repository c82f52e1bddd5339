//! Files from somewhere: read whole, within bounds, and quoted without harm.

use std::fs::File;
use std::io::{Error, Read, Result};
use std::path::Path;

/// The bytes of a file that has `limit` of them at most.
///
/// # Errors
/// It is no file, is larger, or cannot be read.
pub(super) fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let refused = || Error::other(format!("it is no file of at most {} MiB", limit >> 20));
    // Nobody may ever write into a pipe, and a device such as /dev/zero does not end.
    let about = std::fs::metadata(path)?;
    if !about.is_file() || about.len() > limit {
        return Err(refused());
    }
    let mut bytes = Vec::with_capacity(about.len() as usize);
    File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(refused());
    }
    Ok(bytes)
}

/// A parser's message without what would steer a terminal: it quotes the file.
pub(super) fn printable(text: &str) -> String {
    text.chars().filter(|c| *c == '\n' || !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_or_too_large_is_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("two"), b"12").unwrap();
        std::os::unix::fs::symlink("/dev/zero", at("zero")).unwrap();
        assert_eq!(read(&at("two"), 2).unwrap(), b"12");
        assert!(read(&at("two"), 1).is_err());
        for endless in [at("zero"), dir.path().to_owned()] {
            assert!(read(&endless, 1 << 20).unwrap_err().to_string().contains("no file"));
        }
        let missing = read(&at("none"), 1).unwrap_err();
        assert_eq!(missing.kind(), std::io::ErrorKind::NotFound);
    }
}
