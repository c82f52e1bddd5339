//! A model's folder, read, checked and built: what every façade holds.

use std::path::Path;
use std::sync::Arc;

use candle_core::Device;

use super::weights::Weights;
use super::{DeviceChoice, Manifest, ModelError};

/// A network with its manifest, device and threads.
pub(super) struct Loaded<N> {
    pub manifest: Manifest,
    /// Numbers in the weights.
    pub parameters: usize,
    /// `name@version`
    pub id: Arc<str>,
    pub labels: Arc<[Arc<str>]>,
    pub net: N,
    pub device: Device,
    pool: rayon::ThreadPool,
}

impl<N> Loaded<N> {
    /// Loads the model of a folder, which must be for `task`. `threads`: 0 takes every core. `build` makes the network
    /// out of the weights, all of them.
    ///
    /// # Errors
    /// The folder's files are missing, damaged, or of another task or architecture; the device is not usable.
    pub fn open(
        dir: &Path,
        (task, arch): (&str, &str),
        device: DeviceChoice,
        threads: usize,
        build: impl FnOnce(&Weights, &Manifest) -> Result<N, ModelError>,
    ) -> Result<Self, ModelError> {
        let manifest = Manifest::read(dir)?;
        manifest.expect(task, arch)?;
        let device = device.open()?;
        let weights = Weights::load(&manifest, device.clone())?;
        let parameters = weights.parameters();
        let net = build(&weights, &manifest).map_err(|e| e.in_folder(dir))?;
        weights.finish()?;
        // The kernel keeps fifteen letters of a thread's name.
        let name = format!("wf-{}", task.replace("emotion", "emo"));
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(move |_| name.clone())
            .build()
            .map_err(|e| ModelError::Compute(format!("threads for the arithmetic: {e}")))?;
        Ok(Self {
            id: manifest.id(),
            labels: manifest.label_names(),
            manifest,
            parameters,
            net,
            device,
            pool,
        })
    }

    /// Does arithmetic on the model's own threads.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.pool.install(work)
    }
}

/// What every model tells of itself.
pub(super) trait Described {
    fn manifest(&self) -> &Manifest;

    /// Numbers in the weights.
    fn parameters(&self) -> usize;
}

/// What every façade tells of its model; `$field` holds it, [`Loaded`].
macro_rules! described {
    ($facade:ident, $field:tt) => {
        impl $facade {
            /// `name@version`
            pub fn id(&self) -> std::sync::Arc<str> {
                self.$field.id.clone()
            }

            /// In the order of the answers.
            pub fn labels(&self) -> std::sync::Arc<[std::sync::Arc<str>]> {
                self.$field.labels.clone()
            }

            pub fn manifest(&self) -> &super::Manifest {
                &self.$field.manifest
            }
        }

        impl super::loaded::Described for $facade {
            fn manifest(&self) -> &super::Manifest {
                &self.$field.manifest
            }

            fn parameters(&self) -> usize {
                self.$field.parameters
            }
        }
    };
}
pub(super) use described;
