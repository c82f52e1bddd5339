//! The only place that imports GStreamer, with the files of the folder beside it.

mod branch;
mod codec;
mod file;
pub mod record;
mod session;
#[cfg(feature = "demo")]
pub mod sim;
mod sources;
mod thin;

use gstreamer as gst;

use super::template::TemplateError;
use crate::data::StateReason;

pub use file::{Datum, MediaReader, no_file, read_sound};
pub use session::Ending;
pub(super) use session::{Event, Session};

/// Makes the library ready; cheap after the first time.
///
/// # Errors
/// GStreamer is not installed properly.
pub fn init() -> Result<(), GstError> {
    gst::init().map_err(|e| GstError::Setup(format!("GStreamer does not start: {e}")))
}

/// Why a pipeline does not run. Texts are not redacted yet.
#[derive(Debug, thiserror::Error)]
pub enum GstError {
    #[error("{0}")]
    Setup(String),
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error("{detail}")]
    Stream { reason: StateReason, detail: String },
}

fn element(name: &str) -> Result<gst::Element, GstError> {
    gst::ElementFactory::make(name).build().map_err(|_| {
        GstError::Setup(format!(
            "GStreamer element {name} is missing; is its plugin package installed?"
        ))
    })
}

/// An error message of a pipeline in our words.
fn classify(message: &gst::message::Error) -> (StateReason, String) {
    let (error, debug) = (message.error(), message.debug().unwrap_or_default());
    let text = told(&error.to_string(), &debug);
    let status = message.details().and_then(|d| d.get::<u32>("rtsp-status-code").ok());
    let lower = format!("{error} {debug}").to_lowercase();
    let reason = match (status, error.kind::<gst::ResourceError>()) {
        (Some(401 | 403), _) | (_, Some(gst::ResourceError::NotAuthorized)) => StateReason::AuthFailed,
        (Some(404), _) | (_, Some(gst::ResourceError::NotFound)) => StateReason::NotFound,
        _ if lower.contains("certificate") || lower.contains("tls") => StateReason::Tls,
        _ if lower.contains("refused") => StateReason::Refused,
        _ if error.kind::<gst::ResourceError>().is_some() => StateReason::Unreachable,
        _ if matches!(
            error.kind::<gst::StreamError>(),
            Some(gst::StreamError::CodecNotFound | gst::StreamError::WrongType)
        ) =>
        {
            StateReason::UnsupportedCodec
        }
        // A chain that no longer fits its stream: the camera changed its codec.
        _ if lower.contains("not-linked") || lower.contains("not-negotiated") => StateReason::UnsupportedCodec,
        _ => StateReason::Stalled,
    };
    (reason, text)
}

/// GStreamer's words, and its element's own behind them. Where the element has none, only a place in GStreamer's source is
/// there, which helps nobody.
fn told(error: &str, debug: &str) -> String {
    let is_place = |line: &str| line.contains(" (): /");
    match debug.lines().last().filter(|line| !is_place(line)) {
        Some(own) => format!("{error} ({own})"),
        None => error.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::told;

    #[test]
    fn an_elements_own_words_are_told_and_no_place_in_a_source() {
        let place = "../plugins/elements/gsttypefindelement.c(1186): gst_type_find_element_loop (): \
                     /GstPipeline:pipeline0/GstDecodeBin:decodebin0/GstTypeFindElement:typefind";
        let stuffed = "Stream doesn't contain enough data.";
        assert_eq!(told(stuffed, place), stuffed);
        assert_eq!(told(stuffed, ""), stuffed);
        let own = format!("{place}:\nstreaming stopped, reason not-linked (-1)");
        assert_eq!(told("Oh.", &own), "Oh. (streaming stopped, reason not-linked (-1))");
    }
}
