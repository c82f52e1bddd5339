//! What is a file at all.

use std::fs::Metadata;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use crate::ingest::gst::GstError;

/// What lies there instead of a file; None where it is one. A pipe waits for whoever writes into it, maybe for ever, and a device
/// need not end.
pub fn no_file(about: &Metadata) -> Option<&'static str> {
    let kind = about.file_type();
    if kind.is_file() {
        return None;
    }
    Some(if kind.is_dir() {
        "is a folder, not a file"
    } else if kind.is_fifo() {
        "is a pipe, not a file"
    } else if kind.is_socket() {
        "is a socket, not a file"
    } else {
        "is a device, not a file"
    })
}

/// Looks just before it is opened: what was listed as a file may have been replaced since.
pub(super) fn expect(path: &Path) -> Result<(), GstError> {
    let why = match std::fs::metadata(path) {
        Ok(about) if about.is_file() && about.len() == 0 => "is empty",
        Ok(about) => match no_file(&about) {
            Some(why) => why,
            None => return Ok(()),
        },
        // GStreamer tells it by itself.
        Err(_) => return Ok(()),
    };
    Err(GstError::Setup(why.into()))
}
