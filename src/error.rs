//! Errors that more than one floor speaks. Inner errors carry no context; the boundary adds camera, stage and sequence.

/// What a stage answers when a window cannot be computed. The runner adds stage, camera and sequence.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    #[error("the model failed: {0}")]
    Model(String),
    #[error("{0}")]
    Input(String),
}

/// A panic's own words, of what `catch_unwind` caught.
pub fn panic_words(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no words".into())
}
