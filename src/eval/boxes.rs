//! Whatever answers a picture with boxes: average precision at IoU 0.5.

use anyhow::ensure;
use serde_json::json;

use super::dataset::TrueBox;
use super::metrics::{Match, average_precision, interval};
use super::{Job, Outcome};
use crate::data::{BBox, Detection, Picture};
use crate::nn::Label;

/// Detections from here on are looked at and written as predictions.
const FLOOR: f32 = 0.01;
const HIT_IOU: f32 = 0.5;

/// What came of one class in each picture.
#[derive(Default)]
struct Class {
    matches: Vec<Vec<Match>>,
    truths: Vec<usize>,
}

impl Class {
    /// What a threshold gives.
    fn over(&self, threshold: f32) -> [(&'static str, f64); 3] {
        let over = || self.matches.iter().flatten().filter(|m| m.0 >= threshold);
        let (boxes, hits) = (over().count(), over().filter(|m| m.1).count() as f64);
        let truths: usize = self.truths.iter().sum();
        [
            ("precision", hits / boxes.max(1) as f64),
            ("recall", hits / truths as f64),
            ("false_per_picture", (boxes as f64 - hits) / self.matches.len() as f64),
        ]
    }
}

/// Asks `find` for the boxes from a score on in every picture of the job.
///
/// # Errors
/// A picture is damaged, the model fails, or there is nothing to compare with and no predictions were asked for.
pub(super) fn evaluate(
    job: &mut Job,
    find: impl Fn(&Picture, f32) -> anyhow::Result<Vec<Detection>>,
) -> anyhow::Result<Outcome> {
    let (pictures, labels) = (job.pictures()?, &job.manifest.labels);
    let numberless: Vec<&str> = labels.iter().filter(|l| l.coco.is_none()).map(|l| &*l.name).collect();
    ensure!(
        job.predictions.wanted() || numberless.len() < labels.len(),
        "no [[label]] of the model says which class number of the label files it is (`coco = 0`)"
    );
    if !numberless.is_empty() {
        tracing::warn!(
            "no figures of {}: model.toml does not say by `coco` which class number of the label files they are",
            numberless.join(", ")
        );
    }
    let mut classes: Vec<Class> = labels.iter().map(|_| Class::default()).collect();
    for item in &pictures {
        let picture = item.decode()?;
        let found = find(&picture, FLOOR)?;
        for d in &found {
            let (w, h) = (picture.width as f32, picture.height as f32);
            let pixels = [d.bbox.x1 * w, d.bbox.y1 * h, d.bbox.x2 * w, d.bbox.y2 * h];
            job.predictions
                .line(|| json!({"image": item.name, "class": labels[d.class].coco, "score": d.score, "box": pixels}))?;
        }
        for (k, class) in classes.iter_mut().enumerate() {
            let truth: Vec<BBox> = match labels[k].coco {
                Some(coco) => item
                    .truth
                    .iter()
                    .flatten()
                    .filter(|t| t.class == coco)
                    .map(bbox)
                    .collect(),
                None => Vec::new(),
            };
            class.truths.push(truth.len());
            class
                .matches
                .push(matches(found.iter().filter(|d| d.class == k), &truth));
        }
    }
    let mut outcome = Outcome::new(job, pictures.len());
    let unlabelled = pictures.iter().filter(|p| p.truth.is_none()).count();
    if unlabelled > 0 {
        outcome.metrics.insert("without_label_file".into(), unlabelled as f64);
    }
    let counted = figures(&mut outcome, labels, &classes, &job.options.thresholds);
    ensure!(
        counted > 0 || job.predictions.wanted(),
        "no class of the model has a true box in this data set; --predictions would write what it finds"
    );
    Ok(outcome)
}

/// Fills in the figures of the classes that have a true box; returns how many these are.
fn figures(outcome: &mut Outcome, labels: &[Label], classes: &[Class], thresholds: &[f32]) -> usize {
    let mut every = Vec::new();
    for (label, class) in labels.iter().zip(classes) {
        let truths: usize = class.truths.iter().sum();
        if truths == 0 {
            continue;
        }
        let ap = average_precision(class.matches.iter().flatten(), truths);
        let range = interval(class.truths.len(), |chosen| {
            let truths = chosen.iter().map(|i| class.truths[*i]).sum();
            average_precision(chosen.iter().flat_map(|i| &class.matches[*i]), truths)
        });
        let figures = [
            ("ap50", ap),
            ("ap50_low", range[0]),
            ("ap50_high", range[1]),
            ("objects", truths as f64),
            ("threshold", label.threshold.into()),
        ];
        let figures = figures.into_iter().chain(class.over(label.threshold));
        let named = figures.map(|(name, value)| (name.to_owned(), value));
        outcome.per_class.insert(label.name.to_string(), named.collect());
        for threshold in thresholds {
            outcome.at(&label.name, *threshold, class.over(*threshold));
        }
        outcome.metric(&format!("{}_ap50", label.name), ap, range);
        every.push(ap);
    }
    if !every.is_empty() {
        let mean = every.iter().sum::<f64>() / every.len() as f64;
        outcome.metrics.insert("map50".into(), mean);
    }
    every.len()
}

fn bbox(t: &TrueBox) -> BBox {
    BBox {
        x1: t.cx - t.w / 2.0,
        y1: t.cy - t.h / 2.0,
        x2: t.cx + t.w / 2.0,
        y2: t.cy + t.h / 2.0,
    }
}

/// Greedy by score: each true box is hit once.
fn matches<'a>(found: impl Iterator<Item = &'a Detection>, truth: &[BBox]) -> Vec<Match> {
    let mut found: Vec<&Detection> = found.collect();
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut free = vec![true; truth.len()];
    let mut hit = |d: &Detection| {
        let best = (0..truth.len())
            .filter(|i| free[*i])
            .max_by(|a, b| truth[*a].iou(&d.bbox).total_cmp(&truth[*b].iou(&d.bbox)))
            .filter(|i| truth[*i].iou(&d.bbox) >= HIT_IOU);
        if let Some(i) = best {
            free[i] = false;
        }
        (d.score, best.is_some())
    };
    found.into_iter().map(&mut hit).collect()
}
