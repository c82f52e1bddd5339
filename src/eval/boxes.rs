//! Detectors: average precision at IoU 0.5.

use std::collections::BTreeMap;

use anyhow::Context;
use serde_json::json;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;

use super::dataset::{LabelledPicture, TrueBox};
use super::metrics::{Match, average_precision, interval};
use super::{EvalOptions, Outcome, Predictions};
use crate::data::{BBox, Detection, Picture};
use crate::nn::Detector;

/// Detections from here on are looked at.
const FLOOR: f32 = 0.01;
const HIT_IOU: f32 = 0.5;

/// What came of one class in each picture.
#[derive(Default)]
struct Class {
    matches: Vec<Vec<Match>>,
    truths: Vec<usize>,
}

pub(super) fn evaluate(options: &EvalOptions, pictures: &[LabelledPicture]) -> anyhow::Result<Outcome> {
    let detector = Detector::load(&options.model, options.device, 0)?;
    let labels = &detector.manifest().labels;
    let mut classes: Vec<Class> = labels.iter().map(|_| Class::default()).collect();
    let mut predictions = Predictions::create(options.predictions.as_deref())?;
    for item in pictures {
        let picture = decode(&item.jpeg).with_context(|| item.name.clone())?;
        let found = detector.detect(&[&picture], FLOOR)?.pop().unwrap_or_default();
        for d in &found {
            let (w, h) = (picture.width as f32, picture.height as f32);
            let pixels = [d.bbox.x1 * w, d.bbox.y1 * h, d.bbox.x2 * w, d.bbox.y2 * h];
            predictions
                .line(|| json!({"image": item.name, "class": labels[d.class].coco, "score": d.score, "box": pixels}))?;
        }
        for (k, class) in classes.iter_mut().enumerate() {
            let truth: Vec<BBox> = match labels[k].coco {
                Some(coco) => item.truth.iter().filter(|t| t.class == coco).map(bbox).collect(),
                None => Vec::new(),
            };
            class.truths.push(truth.len());
            class
                .matches
                .push(matches(found.iter().filter(|d| d.class == k), &truth));
        }
    }
    predictions.finish()?;

    let mut outcome = Outcome {
        model: detector.id().to_string(),
        dataset: options.dataset.display().to_string(),
        n: pictures.len(),
        metrics: BTreeMap::new(),
        interval95: BTreeMap::new(),
        per_class: BTreeMap::new(),
    };
    let mut every = Vec::new();
    for (label, class) in labels.iter().zip(&classes) {
        let truths: usize = class.truths.iter().sum();
        if truths == 0 {
            continue;
        }
        let ap = average_precision(class.matches.iter().flatten(), truths);
        let [low, high] = interval(pictures.len(), |chosen| {
            let truths = chosen.iter().map(|i| class.truths[*i]).sum();
            average_precision(chosen.iter().flat_map(|i| &class.matches[*i]), truths)
        });
        let over: Vec<&Match> = class
            .matches
            .iter()
            .flatten()
            .filter(|m| m.0 >= label.threshold)
            .collect();
        let hits = over.iter().filter(|m| m.1).count() as f64;
        let figures = [
            ("ap50", ap),
            ("ap50_low", low),
            ("ap50_high", high),
            ("objects", truths as f64),
            ("threshold", label.threshold.into()),
            ("precision", hits / over.len().max(1) as f64),
            ("recall", hits / truths as f64),
        ];
        let named = figures.map(|(name, value)| (name.to_owned(), value));
        outcome.per_class.insert(label.name.to_string(), named.into());
        every.push(ap);
    }
    anyhow::ensure!(
        !every.is_empty(),
        "no class of the model has a true box in this data set"
    );
    let mean = every.iter().sum::<f64>() / every.len() as f64;
    outcome.metrics.insert("map50".into(), mean);
    let person = outcome
        .per_class
        .get("person")
        .map(|p| (p["ap50"], [p["ap50_low"], p["ap50_high"]]));
    if let Some((ap, range)) = person {
        outcome.metrics.insert("person_ap50".into(), ap);
        outcome.interval95.insert("person_ap50".into(), range);
    }
    Ok(outcome)
}

fn decode(jpeg: &[u8]) -> anyhow::Result<Picture> {
    let mut decoder = JpegDecoder::new(ZCursor::new(jpeg));
    let rgb = decoder
        .decode()
        .map_err(|e| anyhow::anyhow!("is no whole JPEG ({e})"))?;
    let (width, height) = decoder.dimensions().context("has no size")?;
    anyhow::ensure!(rgb.len() == width * height * 3, "is no colour picture");
    Ok(Picture {
        width: width as u32,
        height: height as u32,
        rgb,
    })
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
