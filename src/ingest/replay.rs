//! A recording through the windower, as fast as its reader takes it and the same way each time.

use std::path::{Path, PathBuf};

use super::CameraOptions;
use super::gst::{Datum, GstError, MediaReader};
use super::lens::Lens;
use crate::data::{AudioChunk, Window};
use crate::window::Windower;

#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub struct ReplayError {
    path: PathBuf,
    source: GstError,
}

/// Cuts `path` into windows. The first frame's time is `start_utc_ns`. Returns the number of windows.
///
/// # Errors
/// The file cannot be read to its end; the windows up to there were given.
pub fn replay(
    path: &Path,
    options: &CameraOptions,
    start_utc_ns: i64,
    mut on_window: impl FnMut(Window),
) -> Result<u64, ReplayError> {
    let fail = |source| ReplayError {
        path: path.to_owned(),
        source,
    };
    let mut windower = Windower::new(options.id.clone(), &options.window, 0);
    let mut reader = MediaReader::open(path, options.analysis_fps, Lens::longest_px(options)).map_err(fail)?;
    let mut lens = Lens::new(options);
    windower.set_has_audio(reader.has_audio());
    let mut count = 0;
    let mut give = |windows: Vec<Window>| {
        count += windows.len() as u64;
        windows.into_iter().for_each(&mut on_window);
    };
    let result = loop {
        match reader.next_datum() {
            Ok(Some(Datum::Frame(picture, pts_ns))) => {
                give(windower.push_frame(lens.frame(picture, pts_ns), 0, start_utc_ns));
            }
            Ok(Some(Datum::Sound(samples, pts_ns))) => {
                give(windower.push_audio(AudioChunk { pts_ns, samples }, 0, start_utc_ns));
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(fail(error)),
        }
    };
    give(windower.flush());
    result.map(|()| count)
}
