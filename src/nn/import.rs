//! Weights from elsewhere → a model folder of ours. Files are only parsed: no code of theirs runs.

mod onnx;
mod pickle;
mod pth;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView};

use super::arch::yolox::{Config, conv_names};
use super::manifest::sha256;
use super::{Detector, DeviceChoice, ModelError};

/// Shape and values by name.
type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

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

/// Larger files are no YOLOX (x has 400 MB).
const MAX_BYTES: u64 = 2 << 30;
const MAX_CLASSES: usize = 1000;

/// Brings `source` (`.onnx`, `.pth` or `.safetensors`) in as a model folder `to` with weights, manifest and card.
///
/// # Errors
/// The file is damaged, too large, or of another architecture; `to` exists. Nothing is left behind then.
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
    if to.exists() {
        return Err(fail(to, "is there already; name a folder that is not".into()));
    }
    let bytes = read(source).map_err(|why| fail(source, why))?;
    let config = |classes| Config {
        width,
        depth,
        depthwise,
        classes,
    };
    let extension = source.extension().and_then(|e| e.to_str()).unwrap_or_default();
    let mut tensors = match extension {
        "onnx" => onnx::tensors(&bytes, &conv_names(&config(1))),
        "pth" | "pt" => pth::tensors(&bytes),
        "safetensors" => plain(&bytes),
        _ => Err("is none of .onnx, .pth and .safetensors".into()),
    }
    .map_err(|why| fail(source, why))?;
    tensors.retain(|name, _| !name.ends_with("num_batches_tracked"));
    let whole = |(shape, values): &(Vec<usize>, Vec<f32>)| {
        shape.iter().try_fold(1usize, |n, side| n.checked_mul(*side)) == Some(values.len())
    };
    if let Some((name, (shape, values))) = tensors.iter().find(|(_, tensor)| !whole(tensor)) {
        let why = format!(
            "tensor {name} says it has shape {shape:?} but holds {} values",
            values.len()
        );
        return Err(fail(source, why));
    }
    let head = tensors.get("head.cls_preds.0.weight");
    let classes = head.and_then(|(shape, _)| shape.first().copied()).unwrap_or(0);
    if !(1..=MAX_CLASSES).contains(&classes) {
        let why = format!("has no head.cls_preds.0.weight of one to {MAX_CLASSES} classes: it is no {name}");
        return Err(fail(source, why));
    }

    let weights = serialise(&tensors).map_err(|why| fail(source, why))?;
    let files = [
        (
            "model.toml",
            manifest(
                name,
                &config(classes),
                name == "yolox-nano-dense",
                side,
                &sha256(&weights),
            )
            .into_bytes(),
        ),
        ("card.md", card(name, source, &sha256(&bytes)).into_bytes()),
        ("weights.safetensors", weights),
    ];
    let written = std::fs::create_dir_all(to)
        .and_then(|()| {
            files
                .iter()
                .try_for_each(|(file, bytes)| std::fs::write(to.join(file), bytes))
        })
        .map_err(|e| fail(to, e.to_string()));
    // Loading it checks every name and shape.
    let checked = written.and_then(|()| Detector::load(to, DeviceChoice::Cpu, 1).map(|_| ()));
    if let Err(error) = checked {
        let _ = std::fs::remove_dir_all(to);
        let why = match error {
            // The path is of what was made and is gone.
            ModelError::File { why, .. } => why,
            other => other.to_string(),
        };
        return Err(fail(source, format!("does not fit {name}: {why}")));
    }
    Ok(())
}

fn read(source: &Path) -> Result<Vec<u8>, String> {
    let size = std::fs::metadata(source)
        .map_err(|e| format!("cannot be read ({e})"))?
        .len();
    if size > MAX_BYTES {
        return Err(format!("has {size} bytes, more than any known architecture"));
    }
    std::fs::read(source).map_err(|e| format!("cannot be read ({e})"))
}

fn plain(bytes: &[u8]) -> Result<Tensors, String> {
    let file = safetensors::SafeTensors::deserialize(bytes).map_err(|e| format!("is no safetensors file ({e})"))?;
    let mut tensors = Tensors::new();
    for (name, view) in file.tensors() {
        let data = view.data();
        let values = match view.dtype() {
            Dtype::F32 => data.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
            Dtype::F16 => data
                .as_chunks()
                .0
                .iter()
                .map(|b| half::f16::from_le_bytes(*b).to_f32())
                .collect(),
            Dtype::I64 => Vec::new(),
            other => return Err(format!("tensor {name} is {other:?}; f32 and f16 are read")),
        };
        tensors.insert(name, (view.shape().to_vec(), values));
    }
    Ok(tensors)
}

fn serialise(tensors: &Tensors) -> Result<Vec<u8>, String> {
    let bytes: Vec<(&String, &[usize], Vec<u8>)> = tensors
        .iter()
        .map(|(name, (shape, values))| (name, &shape[..], values.iter().flat_map(|v| v.to_le_bytes()).collect()))
        .collect();
    let views = bytes
        .iter()
        .map(|(name, shape, data)| Ok((name.as_str(), TensorView::new(Dtype::F32, shape.to_vec(), data)?)))
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>();
    views
        .and_then(|views| safetensors::serialize(views, None))
        .map_err(|e| e.to_string())
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

/// COCO's 80 classes in order.
const COCO: [&str; 80] = [
    "person",
    "bicycle",
    "car",
    "motorcycle",
    "airplane",
    "bus",
    "train",
    "truck",
    "boat",
    "traffic light",
    "fire hydrant",
    "stop sign",
    "parking meter",
    "bench",
    "bird",
    "cat",
    "dog",
    "horse",
    "sheep",
    "cow",
    "elephant",
    "bear",
    "zebra",
    "giraffe",
    "backpack",
    "umbrella",
    "handbag",
    "tie",
    "suitcase",
    "frisbee",
    "skis",
    "snowboard",
    "sports ball",
    "kite",
    "baseball bat",
    "baseball glove",
    "skateboard",
    "surfboard",
    "tennis racket",
    "bottle",
    "wine glass",
    "cup",
    "fork",
    "knife",
    "spoon",
    "bowl",
    "banana",
    "apple",
    "sandwich",
    "orange",
    "broccoli",
    "carrot",
    "hot dog",
    "pizza",
    "donut",
    "cake",
    "chair",
    "couch",
    "potted plant",
    "bed",
    "dining table",
    "toilet",
    "tv",
    "laptop",
    "mouse",
    "remote",
    "keyboard",
    "cell phone",
    "microwave",
    "oven",
    "toaster",
    "sink",
    "refrigerator",
    "book",
    "clock",
    "vase",
    "scissors",
    "teddy bear",
    "hair drier",
    "toothbrush",
];

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_head_of_no_shape_or_of_millions_of_classes_is_refused() {
        for (shape, data) in [
            (vec![], &[0u8; 4][..]),
            (vec![20_000_000, 0, 1, 1], &[]),
            (vec![0], &[]),
        ] {
            let head = TensorView::new(Dtype::F32, shape, data).unwrap();
            let file = safetensors::serialize([("head.cls_preds.0.weight", head)], None).unwrap();
            assert!(refused("head.safetensors", &file, "yolox-nano").contains("classes"));
        }
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
        let tensors = plain(&bytes).unwrap();
        let again = plain(&serialise(&tensors).unwrap()).unwrap();
        assert_eq!(tensors, again);
    }
}
