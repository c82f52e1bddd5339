//! A model against a labelled data set, through the very code that the daemon runs.
//!
//! [`tasks`] has one small file a task: it asks the model and hands what came of it to [`boxes`] (average precision)
//! or [`classes`] (one decision an item).

mod boxes;
mod classes;
mod dataset;
mod filter;
mod media;
mod metrics;
mod predictions;
mod tasks;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use serde::Serialize;

use crate::data::Modality;
use crate::nn::{DeviceChoice, Manifest};
use dataset::{Dataset, LabelledFace, LabelledPicture, Row};
pub use filter::Filter;
use predictions::Predictions;
use tasks::TASKS;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct EvalOptions {
    /// The model's folder.
    pub model: PathBuf,
    /// A folder, tar or `.npz` in one of the layouts of the design's section 10.
    pub dataset: PathBuf,
    /// Only rows of `labels.csv` that pass, or pictures, whose only column is `image`.
    pub filters: Vec<Filter>,
    /// Leaves a modality out, for models that take both.
    pub drop: Option<Modality>,
    /// What would be found at these beside the manifest's.
    pub thresholds: Vec<f32>,
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
    /// Items: pictures, faces or clips.
    pub n: usize,
    pub metrics: BTreeMap<String, f64>,
    pub interval95: BTreeMap<String, [f64; 2]>,
    pub per_class: BTreeMap<String, BTreeMap<String, f64>>,
    /// By class and by threshold asked for.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub at_threshold: BTreeMap<String, BTreeMap<String, BTreeMap<String, f64>>>,
}

impl Outcome {
    fn new(job: &Job, n: usize) -> Self {
        Self {
            model: job.manifest.id().to_string(),
            dataset: job.options.dataset.display().to_string(),
            n,
            metrics: BTreeMap::new(),
            interval95: BTreeMap::new(),
            per_class: BTreeMap::new(),
            at_threshold: BTreeMap::new(),
        }
    }

    /// What `class` comes to at a threshold that was asked for.
    fn at(&mut self, class: &str, threshold: f32, figures: impl IntoIterator<Item = (&'static str, f64)>) {
        let of_class = self.at_threshold.entry(class.to_owned()).or_default();
        let named = figures.into_iter().map(|(name, value)| (name.to_owned(), value));
        of_class.entry(threshold.to_string()).or_default().extend(named);
    }

    fn metric(&mut self, name: &str, value: f64, interval95: [f64; 2]) {
        self.metrics.insert(name.to_owned(), value);
        self.interval95.insert(name.to_owned(), interval95);
    }
}

/// The figures of an [`Outcome`] that count something; all others are shares and rates.
const COUNTS: [&str; 8] = [
    "as_background",
    "false_alarms",
    "items",
    "left_out",
    "majority_items",
    "objects",
    "others_fired",
    "without_label_file",
];

/// A figure as it is read: what is counted is whole.
pub fn shown(name: &str, value: f64) -> String {
    let digits = if COUNTS.contains(&name) { 0 } else { 3 };
    format!("{value:.digits$}")
}

/// One evaluation under way.
struct Job<'a> {
    options: &'a EvalOptions,
    manifest: &'a Manifest,
    dataset: &'a Dataset,
    predictions: Predictions,
}

impl<'a> Job<'a> {
    /// The pictures that `--where image=NAME` leaves.
    fn pictures(&self) -> anyhow::Result<Vec<&'a LabelledPicture>> {
        let Dataset::Pictures(pictures) = self.dataset else {
            return self.mismatch("pictures with boxes");
        };
        let mut out = Vec::new();
        for picture in pictures {
            let name = |column: &str| match column {
                "image" => Ok(picture.name.as_str()),
                _ => bail!("--where {column}=…: pictures have the column `image` only"),
            };
            if filter::passes(&self.options.filters, name)? {
                out.push(picture);
            }
        }
        ensure!(!out.is_empty(), "no picture is left");
        Ok(out)
    }

    /// The rows of `labels.csv` that `--where` leaves.
    fn rows(&self) -> anyhow::Result<Vec<Row>> {
        match self.dataset {
            Dataset::Table(table) => table.rows(&self.options.filters),
            _ => self.mismatch("labelled clips"),
        }
    }

    /// The faces of an `.npz`.
    fn faces(&self) -> anyhow::Result<&'a [LabelledFace]> {
        match self.dataset {
            Dataset::Faces(faces) => Ok(faces),
            _ => self.mismatch("labelled faces"),
        }
    }

    fn mismatch<T>(&self, needed: &str) -> anyhow::Result<T> {
        bail!(
            "{}: {}, but {} is of task {}, which takes {needed}",
            self.options.dataset.display(),
            self.dataset.describe(),
            self.manifest.id(),
            self.manifest.task
        )
    }
}

/// # Errors
/// The model or the data set cannot be read, an item of it is damaged, or the two do not belong together.
pub fn evaluate(options: &EvalOptions) -> anyhow::Result<Outcome> {
    let manifest = Manifest::read(&options.model)?;
    let task = TASKS.iter().find(|t| t.name == manifest.task).with_context(|| {
        let known: Vec<&str> = TASKS.iter().map(|t| t.name).collect();
        format!(
            "{} is of task {}; what is measured is {}",
            manifest.id(),
            manifest.task,
            known.join(", ")
        )
    })?;
    ensure!(
        options.drop.is_none() || task.both,
        "--drop is for models that take both sound and picture; {} is of task {}",
        manifest.id(),
        task.name
    );
    let dataset = Dataset::open(&options.dataset, &manifest.labels)?;
    ensure!(
        options.filters.is_empty() || !matches!(dataset, Dataset::Faces(_)),
        "--where is for data sets with a labels.csv, and for pictures"
    );
    let mut job = Job {
        options,
        manifest: &manifest,
        dataset: &dataset,
        predictions: Predictions::create(options.predictions.as_deref())?,
    };
    let outcome = (task.evaluate)(&mut job)?;
    job.predictions.finish()?;
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_shown_whole_and_all_else_with_its_fractions() {
        assert_eq!([shown("items", 60.0), shown("left_out", 0.0)], ["60", "0"]);
        assert_eq!(
            [shown("recall", 1.0), shown("false_alarms_per_hour", 12.3456)],
            ["1.000", "12.346"]
        );
    }
}
