use std::sync::Arc;

/// Probabilities by label, which sum to 1.
pub type Distribution = Vec<(Arc<str>, f32)>;

/// What a camera's people seem to express at a moment. None where nothing was read lately.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Emotion {
    pub face: Option<Distribution>,
    pub speech: Option<Distribution>,
    /// Both pooled over the labels that both know; the one that is there where the other is missing.
    pub fused: Option<Distribution>,
}
