//! The models. A candle `Tensor` never leaves this module.

use std::path::PathBuf;

/// Where models run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// The first GPU when built with `cuda` and one is there, else the CPU.
    #[default]
    Auto,
    Cpu,
    Cuda(usize),
}

/// Which models are loaded, and where they run.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelOptions {
    pub dir: PathBuf,
    /// Folder names below `dir`.
    pub detector: String,
    pub sound: String,
    pub device: DeviceChoice,
    /// Threads for one model's arithmetic on the CPU; 0: all cores.
    pub threads: usize,
}
