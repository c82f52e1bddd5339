//! Errors that more than one floor speaks. Inner errors carry no context; the boundary adds camera, stage and sequence.

/// What a stage answers when a window cannot be computed. The runner adds stage, camera and sequence.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    #[error("the model failed: {0}")]
    Model(String),
    #[error("{0}")]
    Input(String),
}
