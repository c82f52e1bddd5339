//! Weights from elsewhere → a model folder of ours. Files are only parsed: no code of theirs runs.

mod coco;
mod onnx;
mod pickle;
mod pth;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::io::ErrorKind;
use std::path::Path;

use candle_core::Device;
use safetensors::tensor::{Dtype, View};

use super::ModelError;
use super::arch::yolox::{Config, Yolox, conv_names};
use super::file::{self, printable};
use super::manifest::sha256;
use super::weights::Weights;
use coco::COCO;

/// Shape and values by name.
type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;
/// Shape by name: what a file tells before any number of it is read.
type Shapes = BTreeMap<String, Vec<usize>>;

/// What may be brought in: name, width, depth, depthwise, input side. The sizes are those of the YOLOX paper.
const ARCHS: [(&str, f64, f64, bool, usize); 7] = [
    ("yolox-nano", 0.25, 0.33, true, 416),
    // Its channels with whole convolutions: what models/training/detector makes.
    ("yolox-nano-dense", 0.25, 0.33, false, 416),
    ("yolox-tiny", 0.375, 0.33, false, 416),
    ("yolox-s", 0.5, 0.33, false, 640),
    ("yolox-m", 0.75, 0.67, false, 640),
    ("yolox-l", 1.0, 1.0, false, 640),
    ("yolox-x", 1.25, 1.33, false, 640),
];

/// Larger files are no YOLOX: the official checkpoint of x has 760 MB, half of which is the optimizer's.
const MAX_BYTES: u64 = 1 << 30;
/// As ONNX, x has 400 MB. Decoding one that lies can cost fifty times its size of memory.
const MAX_ONNX_BYTES: u64 = 512 << 20;
const MAX_CLASSES: usize = 1000;

/// Brings `source` (`.onnx`, `.pth` or `.safetensors`) in as a model folder `to` with weights, manifest and card.
///
/// # Errors
/// The file is damaged, too large, or of another architecture; `to` exists or cannot be made. Nothing is left behind then.
pub fn import(source: &Path, arch: &str, to: &Path) -> Result<(), ModelError> {
    let fail = |path: &Path, why: String| ModelError::File {
        path: path.to_owned(),
        why,
    };
    let Some(&(name, width, depth, depthwise, side)) = ARCHS.iter().find(|a| a.0 == arch) else {
        let known: Vec<&str> = ARCHS.iter().map(|a| a.0).collect();
        return Err(fail(
            source,
            format!("architecture {arch:?} is not known; there are {}", known.join(", ")),
        ));
    };
    // A link to nowhere is somebody's too.
    if to.as_os_str().is_empty() || to.symlink_metadata().is_ok() {
        return Err(fail(to, "is there already; name a folder that is not".into()));
    }
    let config = |classes| Config {
        width,
        depth,
        depthwise,
        classes,
    };
    let convs = conv_names(&config(1));
    let (tensors, classes, digest) = read(source, name, &convs).map_err(|why| fail(source, why))?;
    let weights = serialise(&tensors).map_err(|why| fail(source, why))?;
    drop(tensors);
    let weights = fitting(weights, &config(classes))
        .map_err(|error| fail(source, format!("does not fit {name}: {}", reason(error))))?;

    let own = name == "yolox-nano-dense";
    let manifest = manifest(name, &config(classes), own, side, &sha256(&weights));
    let files = [
        ("model.toml", manifest.into_bytes()),
        ("card.md", card(name, source, &digest).into_bytes()),
        ("weights.safetensors", weights),
    ];
    write(to, &files).map_err(|e| fail(to, format!("cannot be made ({e})")))
}

/// The tensors of a file, whose names are the architecture's, how many classes they find, and the file's sha256.
fn read(source: &Path, arch: &str, convs: &[String]) -> Result<(Tensors, usize, String), String> {
    let format = source.extension().and_then(|e| e.to_str()).unwrap_or_default();
    let limit = if format == "onnx" { MAX_ONNX_BYTES } else { MAX_BYTES };
    let bytes = file::read(source, limit).map_err(|e| format!("cannot be read ({e})"))?;
    let digest = sha256(&bytes);
    let mut classes = 0;
    let accept = |shapes: &Shapes| expect_network(shapes, arch, convs).map(|found| classes = found);
    let tensors = match format {
        "onnx" => onnx::tensors(&bytes, convs, accept),
        "pth" | "pt" => pth::tensors(&bytes, accept),
        "safetensors" => plain(bytes, accept),
        _ => Err("is none of .onnx, .pth and .safetensors".into()),
    }?;
    Ok((tensors, classes, digest))
}

/// How many classes a network of these tensors finds.
///
/// # Errors
/// They are of another architecture.
fn expect_network(shapes: &Shapes, arch: &str, convs: &[String]) -> Result<usize, String> {
    let head = shapes.get("head.cls_preds.0.weight");
    let classes = head.and_then(|shape| shape.first().copied()).unwrap_or(0);
    if !(1..=MAX_CLASSES).contains(&classes) {
        return Err(format!(
            "has no head.cls_preds.0.weight of one to {MAX_CLASSES} classes: it is no {arch}"
        ));
    }
    let known: BTreeSet<String> = convs.iter().flat_map(|conv| parts(conv)).collect();
    let foreign: Vec<&String> = shapes.keys().filter(|name| !known.contains(*name)).collect();
    match foreign.first() {
        None => Ok(classes),
        Some(name) => Err(format!(
            "does not fit {arch}: {} tensors are not part of it, {name:?} among them",
            foreign.len()
        )),
    }
}

/// The tensors of a convolution and of the norm behind it.
fn parts(conv: &str) -> Vec<String> {
    let mut names = vec![format!("{conv}.weight"), format!("{conv}.bias")];
    if let Some(module) = conv.strip_suffix(".conv") {
        let norm = ["weight", "bias", "running_mean", "running_var"];
        names.extend(norm.map(|part| format!("{module}.bn.{part}")));
    }
    names
}

/// The same bytes, once they are a whole network.
fn fitting(weights: Vec<u8>, config: &Config) -> Result<Vec<u8>, ModelError> {
    let weights = Weights::parse(weights, "weights.safetensors".into(), Device::Cpu)?;
    Yolox::new(&weights, config)?;
    weights.finish()?;
    Ok(weights.into_bytes())
}

/// Makes the folder and what is in it. When that fails, nothing that was made for it stays.
fn write(to: &Path, files: &[(&str, Vec<u8>)]) -> std::io::Result<()> {
    let is_new = |dir: &&Path| {
        let found = dir.symlink_metadata();
        !dir.as_os_str().is_empty() && found.is_err_and(|e| e.kind() == ErrorKind::NotFound)
    };
    let outermost = to.ancestors().take_while(is_new).last();
    let written = std::fs::create_dir_all(to).and_then(|()| {
        files
            .iter()
            .try_for_each(|(file, bytes)| std::fs::write(to.join(file), bytes))
    });
    if let (Err(_), Some(made)) = (&written, outermost) {
        let _ = std::fs::remove_dir_all(made);
    }
    written
}

/// What is wrong with weights that lie in no file of ours yet: the path would mislead.
fn reason(error: ModelError) -> String {
    match error {
        ModelError::File { why, .. } => why,
        other => other.to_string(),
    }
}

fn plain(bytes: Vec<u8>, accept: impl FnOnce(&Shapes) -> Result<(), String>) -> Result<Tensors, String> {
    let weights = Weights::parse(bytes, "weights.safetensors".into(), Device::Cpu).map_err(reason)?;
    let shapes = weights.shapes();
    accept(&shapes)?;
    let one = |name: String| {
        let tensor = weights.take_any(&name).map_err(reason)?;
        Ok::<_, String>((name, tensor))
    };
    shapes.into_keys().map(one).collect()
}

/// A tensor that becomes bytes when it is written, so that not all of them are held twice.
struct Written<'a> {
    shape: &'a [usize],
    values: &'a [f32],
}

impl View for Written<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        self.values.iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    fn data_len(&self) -> usize {
        size_of_val(self.values)
    }
}

fn serialise(tensors: &Tensors) -> Result<Vec<u8>, String> {
    let views = tensors
        .iter()
        .map(|(name, (shape, values))| (name, Written { shape, values }));
    safetensors::serialize(views, None).map_err(|e| printable(&e.to_string()))
}

/// Official YOLOX networks take BGR values of 0 to 255 as they are; those of models/training/detector, the dense ones, are
/// trained on (v - 114) / 64.
fn manifest(name: &str, config: &Config, own: bool, side: usize, sha256: &str) -> String {
    let (mean, scale) = if own { (114.0, 1.0 / 64.0) } else { (0.0, 1.0) };
    let mut text = format!(
        "name = \"{name}\"\nversion = \"1.0.0\"\ntask = \"detector\"\narch = \"yolox\"\nlicense = \"see card.md\"\n\n\
         [weights]\nfile = \"weights.safetensors\"\nsha256 = \"{sha256}\"\n\n\
         [input]\nwidth = {side}\nheight = {side}\ncolour = \"bgr\"\nmean = {mean:?}\nscale = {scale:?}\n\n\
         [needs]\nfps = 2.0\n\n\
         [arch_config]\nwidth = {:?}\ndepth = {:?}\ndepthwise = {}\n",
        config.width, config.depth, config.depthwise
    );
    for class in 0..config.classes {
        let name = match COCO.get(class).filter(|_| config.classes == COCO.len()) {
            Some(name) => (*name).to_owned(),
            None => format!("class_{class}"),
        };
        // Data sets count classes; without a number `models eval` would find none of them.
        let label = format!("name = \"{name}\"\ncoco = {class}");
        let _ = write!(text, "\n[[label]]\n{label}\nthreshold = 0.35\n");
    }
    text
}

fn card(name: &str, source: &Path, sha256: &str) -> String {
    let file = source.file_name().unwrap_or_default().to_string_lossy();
    format!(
        "# {name}: brought in, not trained here\n\nFrom `{file}`, sha256 `{sha256}`, by `watchfire models import`.\n\
         Its data, licence and figures are those that its publisher states. The thresholds in `model.toml` (0.35) were \
         not chosen by measurement: choose your own.\n"
    )
}

#[cfg(test)]
mod tests {
    use safetensors::tensor::TensorView;

    use super::*;
    use crate::nn::{Checked, DeviceChoice, shipped};

    fn refused(file: &str, bytes: &[u8], arch: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        let (source, to) = (dir.path().join(file), dir.path().join("new"));
        std::fs::write(&source, bytes).unwrap();
        let error = import(&source, arch, &to).unwrap_err().to_string();
        assert!(error.contains(file), "{error}");
        assert!(!to.exists(), "something was left behind");
        error
    }

    #[test]
    fn hostile_and_wrong_files_get_a_clear_error_and_leave_nothing_behind() {
        // A pickle that would call os.system if anybody ran it.
        let pickle = b"\x80\x02cos\nsystem\nX\x05\x00\x00\x00falsetR.";
        assert!(refused("evil.pth", pickle, "yolox-nano").contains("checkpoint"));
        assert!(refused("lies.safetensors", &[0xFF; 64], "yolox-s").contains("safetensors"));
        assert!(refused("noise.onnx", &[0xFF; 64], "yolox-s").contains("ONNX"));
        assert!(refused("empty.onnx", &[], "yolox-s").contains("convolutions"));
        assert!(refused("film.mp4", &[1], "yolox-s").contains(".onnx"));
        assert!(refused("x.onnx", &[1], "resnet").contains("yolox-nano"));
    }

    #[test]
    fn a_file_larger_than_any_network_is_refused_unread() {
        let dir = tempfile::tempdir().unwrap();
        for (file, limit) in [
            ("x.onnx", MAX_ONNX_BYTES),
            ("x.pth", MAX_BYTES),
            ("x.safetensors", MAX_BYTES),
        ] {
            let source = dir.path().join(file);
            std::fs::File::create(&source).unwrap().set_len(limit + 1).unwrap();
            let error = import(&source, "yolox-x", &dir.path().join("new")).unwrap_err();
            let most = format!("at most {} MiB", limit >> 20);
            assert!(error.to_string().contains(&most), "{error}");
        }
    }

    #[test]
    fn a_head_of_no_shape_or_of_millions_of_classes_is_refused() {
        for (shape, data, why) in [
            (vec![], &[0u8; 4][..], "classes"),
            (vec![1001, 1, 1, 1], &[0; 4004], "classes"),
            (vec![20_000_000, 0, 1, 1], &[], "empty"),
            (vec![0], &[], "empty"),
        ] {
            let head = TensorView::new(Dtype::F32, shape, data).unwrap();
            let file = safetensors::serialize([("head.cls_preds.0.weight", head)], None).unwrap();
            assert!(refused("head.safetensors", &file, "yolox-nano").contains(why));
        }
    }

    #[test]
    fn a_foreign_tensor_is_named_without_steering_the_terminal() {
        let head = TensorView::new(Dtype::F32, vec![1, 1, 1, 1], &[0; 4]).unwrap();
        let foreign = TensorView::new(Dtype::F32, vec![1], &[0; 4]).unwrap();
        let tensors = [("head.cls_preds.0.weight", head), ("ema\u{1b}[31m", foreign)];
        let error = refused(
            "more.safetensors",
            &safetensors::serialize(tensors, None).unwrap(),
            "yolox-nano",
        );
        assert!(error.contains("1 tensors are not part of it"), "{error}");
        assert!(error.contains("u{1b}") && !error.contains('\u{1b}'), "{error:?}");
    }

    #[test]
    fn what_fits_becomes_a_model_and_a_place_that_cannot_be_is_told_as_such() {
        let dir = tempfile::tempdir().unwrap();
        let source = shipped("detector").join("weights.safetensors");
        let bring = |to: &Path| import(&source, "yolox-nano-dense", to).map_err(|e| e.to_string());
        let to = dir.path().join("a/b/own");
        bring(&to).unwrap();
        assert!(Checked::load(&to, DeviceChoice::Cpu, 1).is_ok());

        // A name that is too long is found out when its folders are made.
        let long = dir.path().join("c/d").join("x".repeat(300));
        let said = bring(&long).unwrap_err();
        assert!(said.contains("xxx: cannot be made"), "{said}");
        assert!(!dir.path().join("c").exists(), "a folder was left behind");
        let below_a_file = to.join("card.md/new");
        let said = bring(&below_a_file).unwrap_err();
        assert!(said.contains("card.md/new: cannot be made"), "{said}");

        let link = dir.path().join("link");
        std::os::unix::fs::symlink("/nonexistent", &link).unwrap();
        assert!(bring(&link).unwrap_err().contains("is there already"));
        assert!(link.symlink_metadata().is_ok());
        // An empty path is the working folder.
        assert!(bring(Path::new("")).unwrap_err().contains("is there already"));
    }

    /// An ONNX file with one convolution whose tensor says this of itself.
    fn onnx(dims: &[u64], raw: &[u8]) -> Vec<u8> {
        fn varint(mut n: u64) -> Vec<u8> {
            let mut out = Vec::new();
            while n >= 0x80 {
                out.push(n as u8 | 0x80);
                n >>= 7;
            }
            out.push(n as u8);
            out
        }
        let field = |tag: u8, bytes: &[u8]| [vec![tag << 3 | 2], varint(bytes.len() as u64), bytes.to_vec()].concat();
        let mut tensor: Vec<u8> = dims.iter().flat_map(|d| [vec![8], varint(*d)].concat()).collect();
        tensor.extend([16, 1]);
        tensor.extend(field(8, b"w"));
        tensor.extend(field(9, raw));
        let node = [field(1, b"x"), field(1, b"w"), field(1, b"w"), field(4, b"Conv")].concat();
        let convs = conv_names(&Config {
            width: 0.25,
            depth: 0.33,
            depthwise: true,
            classes: 1,
        })
        .len();
        let mut graph: Vec<u8> = (0..convs).flat_map(|_| field(1, &node)).collect();
        graph.extend(field(5, &tensor));
        field(7, &graph)
    }

    #[test]
    fn onnx_tensors_of_absurd_sizes_are_refused() {
        for dims in [&[u64::MAX, 4][..], &[1 << 40, 1 << 40], &[1 << 33], &[3]] {
            let error = refused("absurd.onnx", &onnx(dims, &[0; 8]), "yolox-nano");
            assert!(error.contains("says it has shape"), "{error}");
        }
        let mut cut = onnx(&[2], &[0; 8]);
        cut.truncate(cut.len() - 3);
        assert!(refused("cut.onnx", &cut, "yolox-nano").contains("ONNX"));
        assert!(refused("nan.onnx", &onnx(&[2], &[0xFF; 8]), "yolox-nano").contains("NaN"));
    }

    #[test]
    fn a_network_of_another_size_is_refused_by_name() {
        let golden = std::fs::read(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/models/detector/weights.safetensors"
        ))
        .unwrap();
        assert!(refused("detector.safetensors", &golden, "yolox-s").contains("shape"));
    }

    #[test]
    fn what_is_written_is_read_back_equal() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/detector/weights.safetensors");
        let bytes = std::fs::read(source).unwrap();
        let tensors = plain(bytes, |_| Ok(())).unwrap();
        let again = plain(serialise(&tensors).unwrap(), |_| Ok(())).unwrap();
        assert_eq!(tensors, again);
    }
}
