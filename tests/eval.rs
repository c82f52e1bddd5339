//! `watchfire models eval`: figures and predictions in the form that scripts outside this repository read.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn eval(model: &str, dataset: &Path, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_watchfire"))
        .args(["models", "--dir", "models", "eval", model])
        .arg(dataset)
        .args(more)
        .current_dir(ROOT)
        .output()
        .unwrap()
}

#[test]
fn people_in_a_known_picture_are_counted_and_told_in_pixels() {
    let dir = tempfile::tempdir().unwrap();
    let predictions = dir.path().join("p.jsonl");
    let dataset = Path::new(ROOT).join("tests/data/eval");
    let output = eval(
        "detector",
        &dataset,
        &[
            "--json",
            "--predictions",
            predictions.to_str().unwrap(),
            "--device",
            "cpu",
            "--thresholds",
            "0.02,0.99",
        ],
    );
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["n"], 1);
    assert!(told["model"].as_str().unwrap().starts_with("detector@"));
    let person = &told["per_class"]["person"];
    assert_eq!(person["objects"], 6.0);
    assert!(person["recall"].as_f64().unwrap() > 0.8, "{told}");
    // Of one picture: whole numbers, and no more than the boxes over the threshold.
    let false_ones = person["false_per_picture"].as_f64().unwrap();
    assert!((0.0..3.0).contains(&false_ones) && false_ones.fract() == 0.0, "{told}");
    assert!(told["metrics"]["person_ap50"].as_f64().unwrap() > 0.8, "{told}");
    assert_eq!(told["interval95"]["person_ap50"].as_array().unwrap().len(), 2);
    let at = |threshold: &str, figure: &str| told["at_threshold"]["person"][threshold][figure].as_f64().unwrap();
    assert!(at("0.02", "recall") >= person["recall"].as_f64().unwrap());
    assert!(at("0.02", "false_per_picture") > false_ones);
    assert_eq!([at("0.99", "recall"), at("0.99", "false_per_picture")], [0.0, 0.0]);

    let lines = std::fs::read_to_string(predictions).unwrap();
    let rows: Vec<Value> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert!(rows.len() >= 6);
    for row in &rows {
        assert_eq!(row["image"], "square.jpg");
        assert!(row["class"].is_u64() && row["score"].as_f64().unwrap() >= 0.01);
        let pixels: Vec<f64> = row["box"]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v.as_f64().unwrap())
            .collect();
        assert!(
            pixels[0] <= pixels[2] && pixels[2] <= 640.0 && pixels[3] <= 480.0,
            "{row}"
        );
    }
    // In pixels of the picture, not fractions of it.
    assert!(rows.iter().any(|r| r["box"][2].as_f64().unwrap() > 500.0));
}

#[test]
fn what_is_counted_is_printed_whole() {
    let output = eval(
        "detector",
        &Path::new(ROOT).join("tests/data/eval"),
        &["--device", "cpu"],
    );
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && told.contains("1 items"), "{told}");
    let words: Vec<&str> = told.split_whitespace().collect();
    let after = |name: &str| words.windows(2).find(|pair| pair[0] == name).map(|pair| pair[1]);
    assert_eq!(after("objects"), Some("6"), "{told}");
    assert!(after("recall").is_some_and(|recall| recall.contains('.')), "{told}");
}

#[test]
fn boxes_in_pixels_are_no_truth() {
    let dir = tempfile::tempdir().unwrap();
    for part in ["images", "labels"] {
        std::fs::create_dir(dir.path().join(part)).unwrap();
    }
    let picture = Path::new(ROOT).join("tests/data/eval/images/square.jpg");
    std::fs::copy(picture, dir.path().join("images/a.jpg")).unwrap();
    std::fs::write(dir.path().join("labels/a.txt"), "0 0.5 0.5 0.1 0.1\n0 5 5 9 9\n").unwrap();
    let output = eval("detector", dir.path(), &["--device", "cpu"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in ["labels/a.txt", "line 2", "0 5 5 9 9", "from 0 to 1"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

/// An array of bytes as NumPy writes it.
fn npy(shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n");
    let mut out = b"\x93NUMPY\x01\x00".to_vec();
    out.extend((header.len() as u16).to_le_bytes());
    out.extend(header.as_bytes());
    out.extend(data);
    out
}

#[test]
fn faces_that_nobody_voted_on_count_for_nothing_and_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("faces.npz");
    // Neutral, as three voters say, and two faces without any.
    let mut votes = [0; 30];
    votes[0] = 3;
    let grey: Vec<u8> = (0..3 * 48 * 48).map(|i: usize| (i % 251) as u8).collect();
    let mut zip = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
    for (name, bytes) in [
        ("images.npy", npy("(3, 48, 48)", &grey)),
        ("votes.npy", npy("(3, 10)", &votes)),
    ] {
        let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        zip.start_file(name, options).unwrap();
        zip.write_all(&bytes).unwrap();
    }
    zip.finish().unwrap();
    let output = eval("face_emotion", &path, &["--json", "--device", "cpu"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains("2 of 3 faces"), "{said}");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&told["n"], &told["metrics"]["left_out"]), (&1.into(), &2.0.into()));
    assert_eq!(told["per_class"]["neutral"]["items"], 1.0);
}

#[test]
fn what_does_not_belong_together_or_is_broken_is_named() {
    let dir = tempfile::tempdir().unwrap();
    for (folder, file, bytes) in [
        ("images", "a.jpg", &b"no picture"[..]),
        ("labels", "a.txt", b"0 0.5 0.5 0.1 0.1"),
    ] {
        std::fs::create_dir_all(dir.path().join(folder)).unwrap();
        std::fs::write(dir.path().join(folder).join(file), bytes).unwrap();
    }
    for (model, dataset, word) in [
        ("detector", dir.path(), "a.jpg"),
        ("sound", dir.path(), "task sound"),
        ("detector", Path::new("/nowhere"), "/nowhere"),
    ] {
        let output = eval(model, dataset, &[]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(word) && !said.contains("panicked"), "{said}");
    }
}

#[test]
fn pictures_without_labels_are_read_and_chosen_by_name_and_a_model_of_one_sense_drops_none() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("images")).unwrap();
    let picture = Path::new(ROOT).join("tests/data/eval/images/square.jpg");
    for name in ["a.jpg", "b.jpg"] {
        std::fs::copy(&picture, dir.path().join("images").join(name)).unwrap();
    }
    let predictions = dir.path().join("p.jsonl");
    let output = eval(
        "detector",
        dir.path(),
        &[
            "--json",
            "--where",
            "image!=a.jpg",
            "--predictions",
            predictions.to_str().unwrap(),
        ],
    );
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&told["n"], &told["metrics"]["without_label_file"]),
        (&1.into(), &1.0.into())
    );
    let lines = std::fs::read_to_string(predictions).unwrap();
    assert!(lines.lines().count() >= 6 && !lines.contains("a.jpg"));

    for (more, word) in [
        (&[][..], "--predictions"),
        (&["--drop", "audio"], "--drop"),
        (&["--where", "fold=5"], "image"),
        (&["--where", "image=c.jpg"], "no picture"),
    ] {
        let output = eval("detector", dir.path(), more);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.code() == Some(1) && said.contains(word),
            "{more:?}: {said}"
        );
    }
}

#[test]
fn models_are_listed_and_verified_and_a_damaged_one_is_named_while_the_others_are_done() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["detector", "sound"] {
        let to = dir.path().join(name);
        std::fs::create_dir(&to).unwrap();
        for file in ["model.toml", "weights.safetensors", "golden.safetensors"] {
            std::fs::copy(Path::new(ROOT).join("models").join(name).join(file), to.join(file)).unwrap();
        }
    }
    let models = |what: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_watchfire"))
            .args(["models", "--dir"])
            .arg(dir.path())
            .args(what)
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, told, said) = models(&["list", "--json", "--device", "cpu"]);
    assert_eq!(code, Some(0), "{said}");
    let lines: Vec<Value> = told.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0]["parameters"].as_u64().unwrap() > 1_000_000 && lines[0]["device"] == "cpu");
    assert!(lines.iter().all(|l| l["ms"].as_f64().unwrap() > 0.0));
    let (code, told, said) = models(&["verify"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(told.matches("answers as the reference does").count(), 2, "{told}");

    // Reference results of another network, and weights with one bit turned.
    let of = |name: &str, file: &str| dir.path().join(name).join(file);
    std::fs::copy(of("sound", "golden.safetensors"), of("detector", "golden.safetensors")).unwrap();
    let mut weights = std::fs::read(of("sound", "weights.safetensors")).unwrap();
    let last = weights.len() - 1;
    weights[last] ^= 1;
    std::fs::write(of("sound", "weights.safetensors"), weights).unwrap();
    let (code, told, said) = models(&["verify"]);
    assert_eq!((code, told.as_str()), (Some(1), ""));
    assert!(said.contains("golden.safetensors") && said.contains("sha256"), "{said}");

    // A manifest that cannot be read is a fault, and not a folder of something else.
    std::fs::remove_file(of("sound", "model.toml")).unwrap();
    std::os::unix::fs::symlink("nowhere", of("sound", "model.toml")).unwrap();
    std::fs::create_dir(dir.path().join("notes")).unwrap();
    let (code, _, said) = models(&["list"]);
    assert!(code == Some(1) && said.contains("sound/model.toml"), "{said}");
    assert!(!said.contains("notes"), "{said}");

    // What cannot be had is told once, and what would be ignored is refused.
    let (code, _, said) = models(&["verify", "--device", "cuda:99"]);
    assert_eq!((code, said.matches("cuda:99").count()), (Some(1), 1), "{said}");
    for args in [
        &["list", "--config", "w.toml", "--device", "cpu"][..],
        &["list", "--config", "w.toml", "--threads", "2"],
        &["bench", "--seconds", "nan"],
    ] {
        assert_eq!(models(args).0, Some(2), "{args:?}");
    }
    let (code, _, said) = models(&["list", "--config", "w.toml"]);
    assert!(
        code == Some(1) && said.contains("--dir does not go with --config"),
        "{said}"
    );
}
