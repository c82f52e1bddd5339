//! Model folders that lie: a clear error, never a panic.

use super::manifest::sha256;
use super::{Checked, DeviceChoice, ModelError, shipped};

/// The sound model's folder with other weights, whose sha256 its manifest rightly tells.
fn with_weights(bytes: &[u8]) -> Result<Checked, ModelError> {
    let dir = tempfile::tempdir().unwrap();
    let sha256 = sha256(bytes);
    let manifest: String = std::fs::read_to_string(shipped("sound").join("model.toml"))
        .unwrap()
        .lines()
        .map(|line| match line.starts_with("sha256") {
            true => format!("sha256 = \"{sha256}\"\n"),
            false => format!("{line}\n"),
        })
        .collect();
    std::fs::write(dir.path().join("model.toml"), manifest).unwrap();
    std::fs::write(dir.path().join("weights.safetensors"), bytes).unwrap();
    Checked::load(dir.path(), DeviceChoice::Cpu, 1)
}

#[test]
fn an_answer_that_is_no_number_is_told_with_the_models_name_and_version() {
    let error = || ModelError::NotFinite("detector@1.3.1".into());
    assert_eq!(error().to_string(), "detector@1.3.1 answered with NaN or infinity");
    let found = error().in_folder(std::path::Path::new("/models/detector")).to_string();
    assert_eq!(found, "/models/detector: detector@1.3.1 answered with NaN or infinity");
}

fn refused(bytes: &[u8]) -> String {
    let error = with_weights(bytes).err().expect("it was loaded").to_string();
    assert!(error.contains("weights.safetensors"), "{error}");
    error
}

/// A safetensors file with this header and data.
fn file(header: &str, data: &[u8]) -> Vec<u8> {
    let mut out = (header.len() as u64).to_le_bytes().to_vec();
    out.extend(header.as_bytes());
    out.extend(data);
    out
}

fn one(dtype: &str, shape: &str, offsets: &str, data: &[u8]) -> Vec<u8> {
    file(
        &format!(r#"{{"w":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}"#),
        data,
    )
}

#[test]
fn weights_that_lie_about_themselves_are_refused() {
    let good = std::fs::read(shipped("sound").join("weights.safetensors")).unwrap();
    assert!(with_weights(&good).is_ok());
    let whole = "whole safetensors";
    for length in [u64::MAX, u64::MAX / 2, 1 << 40, good.len() as u64] {
        let mut lie = good.clone();
        lie[..8].copy_from_slice(&length.to_le_bytes());
        assert!(refused(&lie).contains(whole));
    }
    for end in [0, 7, 8, 100, good.len() / 2, good.len() - 1] {
        assert!(refused(&good[..end]).contains(whole));
    }
    for (shape, offsets) in [
        ("[2]", "[0,4]"),
        ("[1]", "[0,400]"),
        ("[1]", "[4,0]"),
        ("[1]", "[18446744073709551612,0]"),
        ("[4611686018427387905]", "[0,4]"),
        ("[4294967296,4294967296]", "[0,0]"),
    ] {
        assert!(
            refused(&one("F32", shape, offsets, &[0; 4])).contains(whole),
            "{shape} {offsets}"
        );
    }
    let overlapping = r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    assert!(refused(&file(overlapping, &[0; 4])).contains(whole));
    assert!(refused(&file("{not json", &[])).contains(whole));
    assert!(refused(&file(&"[".repeat(100_000), &[])).contains(whole));
}

#[test]
fn a_header_beyond_any_networks_is_refused_as_such() {
    let good = std::fs::read(shipped("sound").join("weights.safetensors")).unwrap();
    let (length, rest) = good.split_first_chunk().unwrap();
    let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let header = std::str::from_utf8(header).unwrap();
    // Spaces at its end change nothing.
    let padded = |spaces: usize| file(&(header.to_owned() + &" ".repeat(spaces)), data);
    assert!(with_weights(&padded(1000)).is_ok());
    let error = refused(&padded(5 << 20));
    assert!(error.contains("more than the 4 MiB of any network"), "{error}");
}

#[test]
fn weights_of_another_type_shape_or_with_nan_are_refused_by_the_tensors_name() {
    assert!(refused(&one("I64", "[1]", "[0,8]", &[0; 8])).contains("tensor \"w\" is I64"));
    for value in [f32::NAN, f32::INFINITY] {
        assert!(refused(&one("F32", "[1]", "[0,4]", &value.to_le_bytes())).contains("tensor \"w\" holds NaN"));
    }
    assert!(refused(&one("F32", "[3,0]", "[0,0]", &[])).contains("tensor \"w\" is empty"));
    assert!(refused(&one("F32", "[1]", "[0,4]", &[0; 4])).contains("missing"));
    let detector = std::fs::read(shipped("detector").join("weights.safetensors")).unwrap();
    assert!(refused(&detector).contains("missing"));
}

/// A shipped model's folder with another manifest.
fn with_manifest(name: &str, manifest: &str) -> Result<Checked, ModelError> {
    let dir = tempfile::tempdir().unwrap();
    let weights = "weights.safetensors";
    std::fs::copy(shipped(name).join(weights), dir.path().join(weights)).unwrap();
    std::fs::write(dir.path().join("model.toml"), manifest).unwrap();
    Checked::load(dir.path(), DeviceChoice::Cpu, 1)
}

#[test]
fn what_an_architecture_cannot_use_is_refused_by_its_key() {
    for (model, good_line, bad_line, key) in [
        ("detector", "width = 416", "width = 400", "multiples of 32"),
        ("detector", "depth = 0.33", "depth = 0.0", "depth"),
        ("detector", "width = 0.25", "widht = 0.25", "widht"),
        ("detector", "coco = 5", "coco = 2", "another label's number"),
        ("detector", "threshold = 0.35", "threshold = 0.0", "threshold"),
        ("detector", "name = \"detector\"", "name = \" \"", "blank"),
        ("detector", "name = \"detector\"", "name = \"a\\u001b[31m\"", "control"),
        ("detector", "name = \"bus\"", "name = \"bus\\n\"", "control"),
        ("detector", "task = \"detector\"", "task = \"a\\u001b[31m\"", "control"),
        ("detector", "arch = \"yolox\"", "arch = \"yolox\\u0007\"", "control"),
        ("detector", "license = \"", "license = \"\\u001b[31m", "control"),
        (
            "detector",
            "name = \"bus\"",
            "name = \"bus\"\naliases = [\"\\u0007\"]",
            "control",
        ),
        (
            "detector",
            "[[label]]\nname = \"truck\"\ncoco = 7\nthreshold = 0.2\n",
            "",
            "names 5 [[label]], the weights have 6",
        ),
        ("action", "lags = [1,", "lags = [0,", "lags"),
        (
            "action",
            "width = 160\nheight = 96",
            "width = 2048\nheight = 2048",
            "frames",
        ),
        (
            "face_emotion",
            "width = 48\nheight = 48",
            "width = 272\nheight = 272",
            "16 to 256",
        ),
        (
            "face_emotion",
            "[[0.31, 0.385], [0.69",
            "[[0.69, 0.385], [0.69",
            "five different",
        ),
        (
            "speech_emotion",
            "hop_samples = 24000",
            "hop_samples = 7680",
            "hop_samples",
        ),
        ("sound", "pool_after = [0,", "pool_after = [5,", "pool_after"),
        ("sound", "channels = [16, 32, 64, 96, 128]", "channels = []", "channels"),
        ("sound", "name = \"background\"", "name = \"rest\"", "\"background\""),
    ] {
        let good = std::fs::read_to_string(shipped(model).join("model.toml")).unwrap();
        assert!(good.contains(good_line), "{model}: {good_line:?}");
        let error = with_manifest(model, &good.replacen(good_line, bad_line, 1)).err();
        let error = error.unwrap_or_else(|| panic!("{bad_line:?} was loaded")).to_string();
        assert!(error.contains(key), "{bad_line}: {error}");
        assert!(!error.contains('\u{1b}') && error.starts_with('/'), "{error:?}");
        assert!(error.contains("model.toml"), "{error}");
    }
    let upper = std::fs::read_to_string(shipped("sound").join("model.toml")).unwrap();
    let sha256 = upper.lines().find(|l| l.starts_with("sha256")).unwrap();
    let upper = upper.replace(sha256, &format!("sha256 = {}", sha256[9..].to_uppercase()));
    assert!(with_manifest("sound", &upper).is_ok());
}

#[test]
fn so_many_pools_that_nothing_is_left_are_refused() {
    let config: super::arch::mel_cnn::Config =
        toml::from_str("channels = [4, 4, 4, 4, 4, 4, 4, 4]\npool_after = [0, 1, 2, 3, 4, 5, 6, 7]").unwrap();
    let none = super::weights::Weights::parse(file("{}", &[]), "none".into(), candle_core::Device::Cpu).unwrap();
    let error = super::arch::mel_cnn::MelCnn::new(&none, &config).err().unwrap();
    assert!(error.to_string().contains("pool_after"), "{error}");
    let shipped = std::fs::read_to_string(shipped("face_emotion").join("model.toml")).unwrap();
    let deep = shipped.replace("[32, 64, 128, 256]", "[4, 4, 4, 4, 4, 4, 4, 4]");
    let error = with_manifest("face_emotion", &deep).err().unwrap().to_string();
    assert!(error.contains("model.toml: [arch_config] channels"), "{error}");
}

#[test]
fn what_is_no_file_or_far_too_large_is_refused_at_once() {
    use std::os::unix::fs::symlink;
    let dir = tempfile::tempdir().unwrap();
    let at = |file: &str| dir.path().join(file);
    let load = || Checked::load(dir.path(), DeviceChoice::Cpu, 1);
    std::fs::copy(shipped("av_fight/weights.safetensors"), at("weights.safetensors")).unwrap();
    symlink("/dev/zero", at("model.toml")).unwrap();
    assert!(load().err().unwrap().to_string().contains("no file"));
    std::fs::remove_file(at("model.toml")).unwrap();
    let manifest = std::fs::read_to_string(shipped("av_fight/model.toml")).unwrap();
    std::fs::write(at("model.toml"), manifest.clone() + &"# and so on\n".repeat(100_000)).unwrap();
    assert!(load().err().unwrap().to_string().contains("at most 1 MiB"));
    std::fs::write(at("model.toml"), manifest).unwrap();
    symlink("/dev/zero", at("golden.safetensors")).unwrap();
    assert!(load().unwrap().golden().unwrap_err().to_string().contains("no file"));
    let import = super::import(&at("golden.safetensors"), "yolox-s", &at("new"));
    assert!(import.unwrap_err().to_string().contains("no file"));
}

#[test]
fn a_damaged_or_foreign_manifest_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |text: &str| {
        std::fs::write(dir.path().join("model.toml"), text).unwrap();
        let error = Checked::load(dir.path(), DeviceChoice::Cpu, 1)
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("model.toml") || error.contains("weights"), "{error}");
        error
    };
    let good = std::fs::read_to_string(shipped("sound").join("model.toml")).unwrap();
    let weights = dir.path().join("weights.safetensors");
    std::fs::copy(shipped("sound").join("weights.safetensors"), &weights).unwrap();
    assert!(refused("name = 1").contains("name"));
    assert!(refused(&good.replace("task = \"sound\"", "task = \"oracle\"")).contains("oracle"));
    assert!(refused(&good.replace("weights.safetensors", "weights.pth")).contains("import"));
    assert!(refused(&good.replace("channels =", "chanels =")).contains("chanels"));
    for (good_line, bad_line, key) in [
        ("channels = [16,", "channels = [9000000000000000000,", "channels"),
        ("channels = [16,", "channels = [0,", "shape"),
        ("time = \"mean_max\"", "time = nan", "time"),
        ("hop_samples = 7680", "hop_samples = 0", "hop_samples"),
        ("patch_samples = 15360", "patch_samples = 0", "patch_samples"),
        (
            "patch_samples = 15360",
            "patch_samples = 9000000000000",
            "patch_samples",
        ),
        ("patch_samples = 15360", "patch_samples = 32000", "patch_samples"),
        ("rate_hz = 16000", "rate_hz = 44100", "rate_hz"),
        ("bands = 64", "bands = 0", "bands"),
        ("bands = 64", "width = 0", "width"),
        ("bands = 64", "height = 4194304", "height"),
        ("bands = 64", "frames = 100000000000", "frames"),
        ("bands = 64", "span_s = inf", "span_s"),
        ("bands = 64", "colour = \"red\"", "colour"),
        ("mean = -3.0", "mean = nan", "mean"),
        ("scale = 0.4", "scale = 0.0", "scale"),
        ("name = \"dog_bark\"", "name = \"siren\"", "twice"),
        ("file = \"weights", "file = \"../weights", "model's folder"),
        ("file = \"weights", "file = \"/tmp/weights", "model's folder"),
    ] {
        assert!(good.contains(good_line), "{good_line}");
        let error = refused(&good.replace(good_line, bad_line));
        assert!(error.contains(key), "{bad_line}: {error}");
    }
    let threshold = good.lines().find(|l| l.starts_with("threshold")).unwrap();
    for worse in ["threshold = nan", "threshold = -3.0", "threshold = 1.5"] {
        assert!(refused(&good.replace(threshold, worse)).contains("threshold"));
    }
    // The shipped weights, but not those that the manifest speaks of.
    std::fs::write(&weights, b"other").unwrap();
    assert!(refused(&good).contains("sha256"));
}
