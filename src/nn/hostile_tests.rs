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
fn weights_of_another_type_shape_or_with_nan_are_refused_by_the_tensors_name() {
    assert!(refused(&one("I64", "[1]", "[0,8]", &[0; 8])).contains("tensor w is I64"));
    for value in [f32::NAN, f32::INFINITY] {
        assert!(refused(&one("F32", "[1]", "[0,4]", &value.to_le_bytes())).contains("tensor w holds NaN"));
    }
    assert!(refused(&one("F32", "[3,0]", "[0,0]", &[])).contains("tensor w is empty"));
    assert!(refused(&one("F32", "[1]", "[0,4]", &[0; 4])).contains("missing"));
    let detector = std::fs::read(shipped("detector").join("weights.safetensors")).unwrap();
    assert!(refused(&detector).contains("missing"));
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
