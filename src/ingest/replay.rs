//! A recording through the windower, as fast as its reader takes it and the same way each time.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::CameraOptions;
use super::gst::{Datum, GstError, MediaReader};
use super::lens::Lens;
use crate::data::{AudioChunk, Window};
use crate::window::Windower;

#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", path.display())]
pub struct ReplayError {
    path: PathBuf,
    /// Part of the text, and so no source.
    why: GstError,
}

/// Cuts `path` into windows. The first frame's time is `start_utc_ns`. Where `on_window` breaks off, the rest is not read.
///
/// # Errors
/// The file cannot be read to its end; the windows up to there were given.
pub fn replay(
    path: &Path,
    options: &CameraOptions,
    start_utc_ns: i64,
    on_window: impl Fn(Window) -> ControlFlow<()>,
) -> Result<(), ReplayError> {
    let fail = |why| ReplayError {
        path: path.to_owned(),
        why,
    };
    let mut windower = Windower::new(options.id.clone(), &options.window);
    let mut reader = MediaReader::open(path, options.analysis_fps, Lens::longest_px(options)).map_err(fail)?;
    let mut lens = Lens::new(options);
    windower.set_has_audio(reader.has_audio());
    // One is held back: whether it is the last is known when the file ends.
    let mut held: Option<Window> = None;
    let mut give = |windows: Vec<Window>| {
        let mut older = windows.into_iter().filter_map(|window| held.replace(window));
        older.try_for_each(&on_window)
    };
    let result = loop {
        let given = match reader.next_datum() {
            Ok(Some(Datum::Frame(picture, pts_ns))) => {
                give(windower.push_frame(lens.frame(picture, pts_ns), 0, start_utc_ns))
            }
            Ok(Some(Datum::Sound(samples, pts_ns))) => {
                give(windower.push_audio(AudioChunk { pts_ns, samples }, 0, start_utc_ns))
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(fail(error)),
        };
        if given.is_break() {
            return Ok(());
        }
    };
    if give(windower.flush()).is_continue()
        && let Some(mut last) = held
    {
        last.breaks_off = true;
        let _ = on_window(last);
    }
    result
}
