//! "Bring your own": other labels, and a larger network, by manifest alone.

#[path = "support/wav.rs"]
mod wav;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use serde_json::Value;
use sha2::{Digest, Sha256};
use wav::wav;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn models(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_watchfire"))
        .args(["models", "--dir"])
        .arg(dir)
        .args(args)
        .current_dir(ROOT)
        .output()
        .unwrap()
}

/// A seeded network of the tests with three classes, without the reference results in the same file.
fn weights(seeded: &str) -> Vec<u8> {
    let path = Path::new(ROOT).join(format!("tests/data/golden/{seeded}.safetensors"));
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let own: BTreeMap<String, TensorView> = file
        .tensors()
        .into_iter()
        .filter(|(name, _)| !name.starts_with("golden."))
        .collect();
    safetensors::serialize(own, None).unwrap()
}

/// A model folder of a user.
fn folder(dir: &Path, name: &str, manifest: &str, weights: &[u8]) -> PathBuf {
    let to = dir.join(name);
    std::fs::create_dir_all(&to).unwrap();
    let sha256: String = Sha256::digest(weights).iter().map(|b| format!("{b:02x}")).collect();
    let manifest = manifest.replace("SHA256", &sha256).replace("NAME", name);
    std::fs::write(to.join("model.toml"), manifest).unwrap();
    std::fs::write(to.join("weights.safetensors"), weights).unwrap();
    to
}

/// The shipped sound model, for a camera that wants both.
fn shipped_sound(dir: &Path) {
    let sound = dir.join("sound");
    std::fs::create_dir(&sound).unwrap();
    for file in ["model.toml", "weights.safetensors"] {
        std::fs::copy(Path::new(ROOT).join("models/sound").join(file), sound.join(file)).unwrap();
    }
}

/// A configuration with the detector `yard` of `models`, these further lines of `[models]`, and one camera.
fn config(dir: &Path, models: &Path, more: &str, camera: &str) -> PathBuf {
    let (file, state) = (dir.join("watchfire.toml"), dir.join("state"));
    let text = format!(
        "[site]\nname = \"s\"\n[models]\ndir = {models:?}\ndetector = \"yard\"\n{more}[state]\ndir = {state:?}\n\
         [[camera]]\nid = \"c\"\nurl = \"rtsp://127.0.0.1:1/x\"\n{camera}"
    );
    std::fs::write(&file, text).unwrap();
    file
}

/// Exit code and stderr of `watchfire check`.
fn check(config: &Path) -> (Option<i32>, String) {
    let mut check = Command::new(env!("CARGO_BIN_EXE_watchfire"));
    let output = check.args(["check", "--config"]).arg(config).output().unwrap();
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

const YARD: &str = r#"
name = "NAME"
version = "0.1.0"
task = "detector"
arch = "yolox"
license = "ours"
[weights]
file = "weights.safetensors"
sha256 = "SHA256"
[input]
width = 96
height = 96
colour = "rgb"
mean = 0.0
scale = 0.00392
[arch_config]
width = 0.0625
depth = 0.33
depthwise = false
[[label]]
name = "forklift"
coco = 0
threshold = 0.3
[[label]]
name = "pallet"
coco = 1
threshold = 0.3
[[label]]
name = "helmet"
coco = 2
threshold = 0.3
"#;

#[test]
fn a_detector_with_labels_of_ones_own_is_listed_measured_and_watches_a_camera() {
    let dir = tempfile::tempdir().unwrap();
    folder(dir.path(), "yard", YARD, &weights("yolox_tiny_seeded"));
    let output = models(dir.path(), &["list", "--json"]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["labels"], serde_json::json!(["forklift", "pallet", "helmet"]));
    // The numbers in the label files are those of `coco` in the manifest.
    let output = models(dir.path(), &["eval", "yard", "tests/data/eval", "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["per_class"]["forklift"]["objects"], 6.0);

    // The daemon's own graph takes it, chosen by its folder's name, for a camera that asks for its labels.
    shipped_sound(dir.path());
    let camera = "kinds = [\"intrusion\"]\ndetect = [\"forklift\"]\n[[camera.zone]]\nname = \"z\"\n\
                  polygon = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]\nkinds = [\"intrusion\"]\n\
                  classes = [\"forklift\"]\n";
    // A class that it has not is told.
    let wrong = camera.replace("detect = [\"forklift\"]", "detect = [\"forklfit\"]");
    let (_, said) = check(&config(dir.path(), dir.path(), "", &wrong));
    assert!(
        said.contains("camera c: yard@0.1.0 never finds a \"forklfit\"; its classes are forklift, pallet, helmet"),
        "{said}"
    );
    let right = config(dir.path(), dir.path(), "", camera);
    let (code, said) = check(&right);
    assert!(code == Some(0) && !said.contains("never"), "{said}");
    // Its `models.dir` names the folder.
    let mut list = Command::new(env!("CARGO_BIN_EXE_watchfire"));
    let list = list.args(["models", "list", "--json", "--config"]).arg(&right);
    let output = list.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(told.matches("\"loaded\":true").count(), 2, "{output:?}");
}

#[test]
fn check_fails_on_a_model_that_would_not_load_and_only_warns_where_no_models_are() {
    let dir = tempfile::tempdir().unwrap();
    let yard = folder(dir.path(), "yard", YARD, &weights("yolox_tiny_seeded"));
    shipped_sound(dir.path());
    let camera = "kinds = [\"gunshot\"]\ndetect = [\"forklift\"]\n";
    let (code, said) = check(&config(dir.path(), dir.path(), "", camera));
    assert_eq!(code, Some(0), "{said}");

    let file = yard.join("weights.safetensors");
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let (code, said) = check(&config(dir.path(), dir.path(), "", camera));
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("models.detector = \"yard\"") && said.contains(file.to_str().unwrap()),
        "{said}"
    );

    let nowhere = dir.path().join("nowhere");
    let (code, said) = check(&config(dir.path(), &nowhere, "", camera));
    assert_eq!(code, Some(0), "{said}");
    let warning = format!("warning: {}: no models here", nowhere.display());
    assert!(said.contains(&warning), "{said}");
}

#[test]
fn another_network_takes_its_place_by_manifest_alone_and_a_wrong_size_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = YARD
        .replace("depthwise = false", "depthwise = true")
        .replace("width = 96", "width = 160");
    folder(dir.path(), "nano", &manifest, &weights("yolox_nano_seeded"));
    assert!(models(dir.path(), &["verify"]).status.success());
    folder(
        dir.path(),
        "nano",
        &manifest.replace("0.0625", "0.125"),
        &weights("yolox_nano_seeded"),
    );
    let output = models(dir.path(), &["verify"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && said.contains("has shape"), "{said}");
}

#[test]
fn sounds_with_labels_of_ones_own_are_heard_by_their_names() {
    let dir = tempfile::tempdir().unwrap();
    let shipped = Path::new(ROOT).join("models/sound");
    let weights = std::fs::read(shipped.join("weights.safetensors")).unwrap();
    let manifest = std::fs::read_to_string(shipped.join("model.toml")).unwrap();
    let manifest: String = manifest
        .replace("name = \"sound\"", "name = \"NAME\"")
        .replace("name = \"siren\"", "name = \"chainsaw\"\naliases = [\"saw\"]")
        .lines()
        .map(|line| match line.starts_with("sha256") {
            true => "sha256 = \"SHA256\"\n".to_owned(),
            false => format!("{line}\n"),
        })
        .collect();
    folder(dir.path(), "forest", &manifest, &weights);
    let output = models(dir.path(), &["list", "--json"]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && told.contains("chainsaw"),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );

    // A data set with the label's other word: a horn of five harmonics, and silence.
    let horn = |i: u32| {
        let turns = i as f32 / 16_000.0 * 700.0 * std::f32::consts::TAU;
        (1..=5).map(|k| (k as f32 * turns).sin() / k as f32).sum::<f32>() * 0.2
    };
    let sounds = dir.path().join("sounds");
    std::fs::create_dir(&sounds).unwrap();
    let horn: Vec<f32> = (0..48_000).map(horn).collect();
    std::fs::write(sounds.join("horn.wav"), wav(&horn)).unwrap();
    std::fs::write(sounds.join("quiet.wav"), wav(&[0.0; 48_000])).unwrap();
    std::fs::write(
        sounds.join("labels.csv"),
        "file,label\nhorn.wav,saw\nquiet.wav,background\n",
    )
    .unwrap();
    let output = models(dir.path(), &["eval", "forest", sounds.to_str().unwrap(), "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(told["model"].as_str().unwrap().starts_with("forest@"), "{told}");
    let saw = &told["per_class"]["chainsaw"];
    assert_eq!(
        (&saw["found"], &saw["false_alarms"]),
        (&1.0.into(), &0.0.into()),
        "{told}"
    );
    assert_eq!(told["metrics"]["accuracy"], 1.0, "{told}");
}

/// The manifest of docs/models.md, with a network of other channels and another number of labels.
#[test]
fn a_sound_network_of_other_channels_and_labels_is_loaded_measured_and_accepted_for_a_camera() {
    let docs = std::fs::read_to_string(Path::new(ROOT).join("docs/models.md")).unwrap();
    let (_, from) = docs.split_once("```toml\nname = \"forest\"").unwrap();
    let printed = format!("name = \"NAME\"{}", from.split_once("```").unwrap().0);
    let label = |name: &str| format!("[[label]]\nname = \"{name}\"\nthreshold = 0.5\n");
    let manifest = printed
        .replace("sha256 = \"…\"", "sha256 = \"SHA256\"")
        .replace("[16, 32, 64, 96, 128]", "[8, 12, 16]");
    let manifest = manifest.replace("[0, 1, 2, 3]", "[0, 1]") + &label("siren") + &label("owl");
    let dir = tempfile::tempdir().unwrap();
    folder(dir.path(), "forest", &manifest, &weights("mel_cnn_seeded"));
    let output = models(dir.path(), &["list", "--json"]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        told["labels"],
        serde_json::json!(["chainsaw", "background", "siren", "owl"])
    );
    assert!(models(dir.path(), &["verify"]).status.success());
    let sounds = dir.path().join("sounds");
    std::fs::create_dir(&sounds).unwrap();
    std::fs::write(sounds.join("a.wav"), wav(&[0.1; 32_000])).unwrap();
    std::fs::write(sounds.join("labels.csv"), "file,label\na.wav,owl\n").unwrap();
    let output = models(dir.path(), &["eval", "forest", sounds.to_str().unwrap(), "--json"]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&told["n"], &told["per_class"]["owl"]["items"]),
        (&1.into(), &1.0.into()),
        "{told}"
    );

    folder(dir.path(), "yard", YARD, &weights("yolox_tiny_seeded"));
    let camera = "kinds = [\"siren\", \"gunshot\"]\ndetect = [\"forklift\"]\n";
    let (code, said) = check(&config(dir.path(), dir.path(), "sound = \"forest\"\n", camera));
    assert_eq!(code, Some(0), "{said}");
    // It hears sirens, and says that it knows no shot.
    assert!(
        said.contains("never hears a gunshot") && !said.contains("never hears a siren"),
        "{said}"
    );
}
