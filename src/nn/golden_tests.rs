//! Our arithmetic against PyTorch's: `tests/data/golden`, written by `models/training/golden.py`.

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};

use super::arch::{av_fusion, face_cnn, face_fpn, mel_cnn, mel_rnn, motion_cnn, yolox};
use super::weights::Weights;
use super::{Checked, Detector, DeviceChoice, FusionMethod};
use crate::mel::LogMel;
use crate::wiener::{HOP, Wiener};

const TOLERANCE: f32 = 1e-4;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn golden(name: &str) -> Weights {
    let path = root().join(format!("tests/data/golden/{name}.safetensors"));
    Weights::parse(std::fs::read(&path).unwrap(), path, Device::Cpu).unwrap()
}

/// Off by at most `tolerance` of values around 1, and of their size beyond.
fn assert_close(ours: &[f32], theirs: &[f32], tolerance: f32) {
    assert_eq!(ours.len(), theirs.len());
    assert!(theirs.iter().any(|v| *v != theirs[0]), "a reference that says nothing");
    for (i, (a, b)) in ours.iter().zip(theirs).enumerate() {
        assert!(
            (a - b).abs() <= tolerance * b.abs().max(1.0),
            "value {i}: {a}, reference {b}"
        );
    }
}

fn flat(x: &Tensor) -> Vec<f32> {
    x.flatten_all().unwrap().to_vec1().unwrap()
}

fn seeded_yolox(name: &str, depthwise: bool) {
    let w = golden(name);
    let x = w.tensor("golden.input", &[1, 3, 96, 96]).unwrap();
    let theirs = w.take("golden.output", &[1, 189, 8]).unwrap();
    let config = yolox::Config {
        width: 0.0625,
        depth: 0.33,
        depthwise,
        classes: 3,
    };
    let net = yolox::Yolox::new(&w, &config).unwrap();
    w.finish().unwrap();
    assert_close(&flat(&net.forward(&x).unwrap()), &theirs, TOLERANCE);
}

#[test]
fn a_dense_yolox_answers_as_pytorch_does() {
    seeded_yolox("yolox_tiny_seeded", false);
}

#[test]
fn a_depthwise_yolox_answers_as_pytorch_does() {
    seeded_yolox("yolox_nano_seeded", true);
}

#[test]
fn a_mel_cnn_answers_as_pytorch_does() {
    let w = golden("mel_cnn_seeded");
    let x = w.tensor("golden.input", &[2, 1, 96, 64]).unwrap();
    let theirs = w.take("golden.output", &[2, 4]).unwrap();
    let embedding = w.take("golden.embedding", &[2, 16]).unwrap();
    let config = mel_cnn::Config {
        channels: vec![8, 12, 16],
        pool_after: vec![0, 1],
        time: mel_cnn::Time::MeanMax,
        labels: 4,
    };
    let net = mel_cnn::MelCnn::new(&w, &config).unwrap();
    w.finish().unwrap();
    let (logits, pooled) = net.forward(&x).unwrap();
    assert_close(&flat(&candle_nn::ops::sigmoid(&logits).unwrap()), &theirs, TOLERANCE);
    assert_close(&flat(&pooled), &embedding, TOLERANCE);
}

fn seeded_mel_rnn(name: &str, time: mel_rnn::Time) {
    let w = golden(name);
    let x = w.tensor("golden.input", &[2, 1, 75, 64]).unwrap();
    let theirs = w.take("golden.output", &[2, 5]).unwrap();
    let config = mel_rnn::Config {
        channels: vec![6, 8],
        strides: vec![2, 2],
        time,
        hidden: 7,
        labels: 5,
    };
    let net = mel_rnn::MelRnn::new(&w, &config).unwrap();
    w.finish().unwrap();
    assert_close(&flat(&net.forward(&x).unwrap().0), &theirs, TOLERANCE);
}

#[test]
fn a_mel_rnn_with_a_gru_answers_as_pytorch_does() {
    seeded_mel_rnn("mel_rnn_gru_seeded", mel_rnn::Time::Gru);
}

#[test]
fn a_mel_rnn_with_attention_answers_as_pytorch_does() {
    seeded_mel_rnn("mel_rnn_attention_seeded", mel_rnn::Time::Attention);
}

#[test]
fn a_motion_cnn_answers_as_pytorch_does() {
    let w = golden("motion_cnn_seeded");
    let x = w.tensor("golden.input", &[1, 6, 3, 32, 48]).unwrap();
    let theirs = w.take("golden.output", &[1, 2]).unwrap();
    let embedding = w.take("golden.embedding", &[1, 16]).unwrap();
    let config = motion_cnn::Config {
        width: 0.0625,
        depth: 0.33,
        lags: vec![1, 2, 4],
        reduce: 6,
        channels: 8,
        labels: 2,
    };
    let net = motion_cnn::MotionCnn::new(&w, &config).unwrap();
    w.finish().unwrap();
    let (logits, pooled) = net.forward(&x).unwrap();
    assert_close(&flat(&logits), &theirs, TOLERANCE);
    assert_close(&flat(&pooled), &embedding, TOLERANCE);
}

#[test]
fn every_way_to_join_picture_and_sound_answers_as_pytorch_does() {
    let w = golden("av_fusion_seeded");
    let v = w.tensor("golden.video", &[1, 10]).unwrap();
    let a = w.tensor("golden.audio", &[1, 7]).unwrap();
    for (name, method) in FusionMethod::ALL {
        let theirs = w.take(&format!("golden.{name}"), &[4]).unwrap();
        let config = av_fusion::Config {
            method,
            video: 10,
            audio: 7,
            width: 6,
        };
        let net = av_fusion::AvFusion::new(&w, name, method, &config).unwrap();
        let there = [(true, true), (true, false), (false, true), (false, false)];
        let ours = there.map(|(has_v, has_a)| {
            let out = net.forward(has_v.then_some(&v), has_a.then_some(&a)).unwrap();
            flat(&out)[0]
        });
        assert_close(&ours, &theirs, TOLERANCE);
    }
    w.finish().unwrap();
}

#[test]
fn a_face_cnn_answers_as_pytorch_does() {
    let w = golden("face_cnn_seeded");
    let x = w.tensor("golden.input", &[2, 1, 24, 24]).unwrap();
    let theirs = w.take("golden.output", &[2, 4]).unwrap();
    let config = face_cnn::Config {
        channels: vec![8, 12, 16],
        labels: 4,
    };
    let net = face_cnn::FaceCnn::new(&w, &config).unwrap();
    w.finish().unwrap();
    assert_close(&flat(&net.forward(&x).unwrap()), &theirs, TOLERANCE);
}

#[test]
fn a_face_fpn_answers_as_pytorch_does() {
    let w = golden("face_fpn_seeded");
    let x = w.tensor("golden.input", &[1, 3, 96, 64]).unwrap();
    // 12 × 8 + 6 × 4 + 3 × 2 cells.
    let theirs = w.take("golden.output", &[1, 126, 15]).unwrap();
    let config = face_fpn::Config { channels: [4, 8, 12] };
    let net = face_fpn::FaceFpn::new(&w, &config).unwrap();
    w.finish().unwrap();
    assert_close(&flat(&net.forward(&x).unwrap()), &theirs, TOLERANCE);
}

#[test]
fn log_mel_features_are_those_of_the_recipe() {
    let w = golden("mel");
    let samples = w.take("golden.input", &[15_360]).unwrap();
    let theirs = w.take("golden.output", &[96, 64]).unwrap();
    assert_close(&LogMel::new().patch(&samples).unwrap(), &theirs, 1e-3);
}

#[test]
fn the_filter_against_noise_is_that_of_the_recipe() {
    let w = golden("wiener");
    let samples = w.take("golden.input", &[28_000]).unwrap();
    let theirs = w.take("golden.output", &[28_000]).unwrap();
    let (mut filter, mut ours) = (Wiener::default(), Vec::new());
    for part in samples.chunks(7_680) {
        filter.push(part, |done, _| ours.extend_from_slice(done));
    }
    // What it begins with is the silence before; the last samples are not done.
    let ours = &ours[HOP..];
    assert!(ours.len() > 27_000);
    assert_close(ours, &theirs[..ours.len()], 1e-4);
}

#[test]
fn every_shipped_model_answers_as_pytorch_does() {
    let mut tried = 0;
    for folder in std::fs::read_dir(root().join("models")).unwrap() {
        let folder = folder.unwrap().path();
        if !folder.join("model.toml").exists() {
            continue;
        }
        let model = Checked::load(&folder, DeviceChoice::Cpu, 1).unwrap();
        let off = model.golden().unwrap();
        assert!(off.is_some(), "{} carries no golden.safetensors", folder.display());
        tried += 1;
    }
    assert!(tried >= 2);
}

/// `[1, 3, 416, 416]` of 0 to 255: slanted triangle waves, the same in `models/training/reference.py`.
fn waves() -> Tensor {
    let value = |c: i64, y: i64, x: i64| ((x * 3 + y * 5 + c * 40 + x * y / 37) % 510 - 255).abs() as f32;
    let values = (0..3).flat_map(|c| (0..416).flat_map(move |y| (0..416).map(move |x| value(c, y, x))));
    Tensor::from_vec(values.collect::<Vec<f32>>(), (1, 3, 416, 416), &Device::Cpu).unwrap()
}

#[test]
fn imported_official_weights_answer_as_onnxruntime_does() {
    let Some(data) = std::env::var_os("WATCHFIRE_DATA") else {
        eprintln!("skipped: WATCHFIRE_DATA does not name the data folder");
        return;
    };
    let to = tempfile::tempdir().unwrap();
    let source = PathBuf::from(data).join("reference/yolox_nano.onnx");
    super::import(&source, "yolox-nano", &to.path().join("yolox-nano")).unwrap();
    let detector = Detector::load(&to.path().join("yolox-nano"), DeviceChoice::Cpu, 0).unwrap();
    let ours = detector.raw(&waves()).unwrap();
    // Every 16th of 3,549 cells is kept.
    let theirs = golden("yolox_nano_reference")
        .take("golden.output", &[222, 85])
        .unwrap();
    let ours: Vec<f32> = ours.chunks_exact(85).step_by(16).flatten().copied().collect();
    assert_close(&ours, &theirs, 1e-3);
}
