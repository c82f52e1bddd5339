use std::sync::Arc;

/// Probabilities by label, which sum to 1.
pub type Distribution = Vec<(Arc<str>, f32)>;

/// How excited and how pleasant, each from -1 to 1 (Russell 1980: A circumplex model of affect).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Affect {
    /// -1 (calm) to 1 (excited).
    pub arousal: f32,
    /// -1 (unpleasant) to 1 (pleasant).
    pub valence: f32,
}

/// What a camera's people seem to express at a moment. None where nothing was read lately.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Emotion {
    pub face: Option<Distribution>,
    pub speech: Option<Distribution>,
    /// Of the voice.
    pub affect: Option<Affect>,
    /// Both pooled over the labels that both know; the one that is there where the other is missing.
    pub fused: Option<Distribution>,
}
