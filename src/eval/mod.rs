//! A model against a labelled data set, through the very code that the daemon runs.

mod boxes;
mod clips;
mod dataset;
mod metrics;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::nn::{DeviceChoice, Manifest};

/// What is asked for.
#[derive(Clone, Debug)]
pub struct EvalOptions {
    /// The model's folder.
    pub model: PathBuf,
    /// A folder or a tar: `images/` and `labels/` (YOLO text, COCO class numbers), or `labels.csv` beside sounds.
    pub dataset: PathBuf,
    /// Only rows of `labels.csv` whose column has this value.
    pub filters: Vec<(String, String)>,
    /// One JSON line an item, as the design's section 10 says.
    pub predictions: Option<PathBuf>,
    pub device: DeviceChoice,
}

/// The answer; intervals are 95 %.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// `name@version`
    pub model: String,
    pub dataset: String,
    /// Items: pictures or clips.
    pub n: usize,
    pub metrics: BTreeMap<String, f64>,
    pub interval95: BTreeMap<String, [f64; 2]>,
    pub per_class: BTreeMap<String, BTreeMap<String, f64>>,
}

/// # Errors
/// The model or the data set cannot be read, an item of it is damaged, or the two do not belong together.
pub fn evaluate(options: &EvalOptions) -> anyhow::Result<Outcome> {
    let manifest = Manifest::read(&options.model)?;
    let items = dataset::Dataset::open(&options.dataset)?;
    match (manifest.task.as_str(), items) {
        ("detector", dataset::Dataset::Boxes(pictures)) => {
            anyhow::ensure!(options.filters.is_empty(), "--where is for data sets with a labels.csv");
            boxes::evaluate(options, &pictures)
        }
        ("sound", dataset::Dataset::Clips(table)) => clips::evaluate(options, &manifest, table),
        (task, dataset::Dataset::Boxes(_)) => {
            anyhow::bail!(
                "{}: pictures with boxes, but {} is of task {task}",
                options.dataset.display(),
                manifest.id()
            )
        }
        (task, dataset::Dataset::Clips(_)) => {
            anyhow::bail!(
                "{}: labelled clips, but {} is of task {task}",
                options.dataset.display(),
                manifest.id()
            )
        }
    }
}

/// Writes one JSON value a line.
struct Predictions(Option<std::io::BufWriter<std::fs::File>>);

impl Predictions {
    fn create(path: Option<&Path>) -> anyhow::Result<Self> {
        let file = path.map(std::fs::File::create).transpose()?;
        Ok(Self(file.map(std::io::BufWriter::new)))
    }

    fn line(&mut self, value: impl FnOnce() -> serde_json::Value) -> anyhow::Result<()> {
        use std::io::Write;
        if let Some(file) = &mut self.0 {
            writeln!(file, "{}", value())?;
        }
        Ok(())
    }

    fn finish(mut self) -> anyhow::Result<()> {
        use std::io::Write;
        self.0.as_mut().map_or(Ok(()), |f| f.flush())?;
        Ok(())
    }
}
