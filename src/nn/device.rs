//! Where models run.

use candle_core::Device;

use super::ModelError;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// The first GPU when built with `cuda` and one is there, else the CPU.
    #[default]
    Auto,
    Cpu,
    Cuda(usize),
}

impl std::str::FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix("cuda:").map(str::parse)) {
            ("auto", _) => Ok(Self::Auto),
            ("cpu", _) => Ok(Self::Cpu),
            (_, Some(Ok(n))) => Ok(Self::Cuda(n)),
            _ => Err(format!("{text:?} is no device; auto, cpu or cuda:N")),
        }
    }
}

impl DeviceChoice {
    /// # Errors
    /// It is not there, or this program was built without it.
    pub fn ensure_usable(self) -> Result<(), ModelError> {
        self.open().map(drop)
    }

    pub(super) fn open(self) -> Result<Device, ModelError> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Auto => Ok(Device::cuda_if_available(0).unwrap_or(Device::Cpu)),
            Self::Cuda(n) => Device::new_cuda(n).map_err(|e| {
                ModelError::Device(format!(
                    "cuda:{n} is not usable ({}); cpu and auto always are (inference.device in a configuration)",
                    ModelError::from(e)
                ))
            }),
        }
    }
}

/// What `choice` comes to on this machine, for the status topic: `cpu` or `cuda:N`.
pub fn describe(choice: DeviceChoice) -> String {
    match choice {
        DeviceChoice::Cuda(n) => format!("cuda:{n}"),
        DeviceChoice::Auto if candle_core::utils::cuda_is_available() => "cuda:0".into(),
        _ => "cpu".into(),
    }
}
