//! Cuts a camera's stream into consecutive windows.

/// How streams are cut.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowOptions {
    /// Length of a window, 200 to 2000 ms.
    pub window_ms: u32,
    /// How long a window waits for sound that is late beside its picture.
    pub audio_wait_ms: u32,
}

impl Default for WindowOptions {
    fn default() -> Self {
        Self {
            window_ms: 500,
            audio_wait_ms: 400,
        }
    }
}
