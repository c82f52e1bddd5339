//! `model.toml`: what a model is, what it takes, and how its weights are known to be the right ones.

mod input;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::ModelError;
use super::file::{self, printable};
pub use input::Input;

/// More are a mistake or an attack: the largest networks of this kind have 400 MB.
pub(super) const MAX_WEIGHTS_BYTES: u64 = 1 << 30;
const MAX_MANIFEST_BYTES: u64 = 1 << 20;
const MAX_LABELS: usize = 1000;
/// From a lower one on, every cell of a picture would be an object.
const LEAST_THRESHOLD: f32 = 0.01;

/// A model's folder, read and checked.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub name: String,
    pub version: String,
    /// What the model is asked, such as `detector` or `sound`.
    pub task: String,
    /// A file of `nn/arch`, such as `yolox` or `mel_cnn`.
    pub arch: String,
    pub license: String,
    weights: WeightsEntry,
    pub input: Input,
    #[serde(default)]
    pub needs: Needs,
    /// The architecture's own switches; see [`Manifest::config`].
    #[serde(default)]
    arch_config: toml::Table,
    /// Whose embeddings it takes: the task of each other model → sha256 of the weights that this one was trained beside.
    #[serde(default)]
    beside: BTreeMap<String, String>,
    #[serde(rename = "label")]
    pub labels: Vec<Label>,
    #[serde(skip)]
    dir: PathBuf,
    #[serde(skip)]
    sha256: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WeightsEntry {
    file: String,
    sha256: String,
}

/// What the model needs of its stream.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Needs {
    #[serde(default)]
    pub fps: f32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Label {
    pub name: Arc<str>,
    /// COCO's class number, for comparisons.
    pub coco: Option<u32>,
    /// A score from here on counts, unless the configuration says otherwise.
    pub threshold: f32,
    /// Other words for the label in data sets.
    #[serde(default)]
    pub aliases: Vec<String>,
}

impl Manifest {
    /// Reads `dir/model.toml`.
    ///
    /// # Errors
    /// The file is missing, is not TOML, or has keys that are not known or values that cannot be; the message names it.
    pub fn read(dir: &Path) -> Result<Self, ModelError> {
        let path = dir.join("model.toml");
        let fail = |why: String| ModelError::File {
            path: path.clone(),
            why,
        };
        let bytes = file::read(&path, MAX_MANIFEST_BYTES).map_err(|e| {
            fail(format!(
                "cannot be read ({e}); is models.dir right, and is the model installed?"
            ))
        })?;
        let text = String::from_utf8(bytes).map_err(|_| fail("is no text in UTF-8".into()))?;
        let mut manifest: Self = toml::from_str(&text).map_err(|e| fail(printable(&e.to_string())))?;
        manifest.check().map_err(fail)?;
        manifest.dir = dir.to_owned();
        manifest.sha256 = sha256(text.as_bytes());
        Ok(manifest)
    }

    fn check(&self) -> Result<(), String> {
        self.input.check()?;
        let beside = self
            .beside
            .iter()
            .flat_map(|(task, sha256)| [("[beside]", task), ("[beside]", sha256)]);
        let words = [
            ("name", &self.name),
            ("version", &self.version),
            ("task", &self.task),
            ("arch", &self.arch),
            ("license", &self.license),
            ("[weights] file", &self.weights.file),
            ("[weights] sha256", &self.weights.sha256),
        ];
        if let Some((key, word)) = words.into_iter().chain(beside).find(|(_, word)| !is_word(word)) {
            return Err(format!("{key} {word:?} must not be blank, nor hold control characters"));
        }
        if !(0.0..=60.0).contains(&self.needs.fps) {
            return Err("[needs] fps must be 0 to 60".into());
        }
        if !(1..=MAX_LABELS).contains(&self.labels.len()) {
            return Err(format!("a model needs one to {MAX_LABELS} [[label]]"));
        }
        let (mut names, mut numbers) = (BTreeSet::new(), BTreeSet::new());
        for label in &self.labels {
            let name = &*label.name;
            if !is_word(name) || !names.insert(name) {
                return Err(format!(
                    "[[label]] {name:?}: a name must not be blank, hold control characters or stand twice"
                ));
            }
            if !(LEAST_THRESHOLD..=1.0).contains(&label.threshold) {
                return Err(format!("[[label]] {name:?}: threshold must be {LEAST_THRESHOLD} to 1"));
            }
            if let Some(coco) = label.coco.filter(|coco| !numbers.insert(*coco)) {
                return Err(format!(
                    "[[label]] {name:?}: coco = {coco} is another label's number too"
                ));
            }
        }
        for label in &self.labels {
            if let Some(alias) = label.aliases.iter().find(|alias| !is_word(alias)) {
                return Err(format!(
                    "[[label]] {:?}: the alias {alias:?} must not be blank, nor hold control characters",
                    label.name
                ));
            }
            if let Some(alias) = label.aliases.iter().find(|alias| !names.insert(alias)) {
                return Err(format!(
                    "[[label]] {:?}: the alias {alias:?} means another label too",
                    label.name
                ));
            }
        }
        Ok(())
    }

    /// The label of this name.
    pub fn label(&self, name: &str) -> Option<&Label> {
        self.labels.iter().find(|l| &*l.name == name)
    }

    /// `name@version`
    pub fn id(&self) -> Arc<str> {
        format!("{}@{}", self.name, self.version).into()
    }

    /// `[arch_config]`, as the architecture wants it.
    ///
    /// # Errors
    /// A key is missing, unknown, of another type or of absurd size; the message names the file and the key.
    pub(super) fn config<T: serde::de::DeserializeOwned>(&self) -> Result<T, ModelError> {
        let fail = |why: String| ModelError::File {
            path: self.dir.join("model.toml"),
            why: printable(&format!("[arch_config]: {why}")),
        };
        if let Some((key, value)) = self.arch_config.iter().find(|(_, value)| !is_sane(value)) {
            return Err(fail(format!("{key} = {value} is no size of a network")));
        }
        self.arch_config
            .clone()
            .try_into()
            .map_err(|e: toml::de::Error| fail(e.to_string()))
    }

    pub fn label_names(&self) -> Arc<[Arc<str>]> {
        self.labels.iter().map(|l| l.name.clone()).collect()
    }

    /// The folder that it was read from.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Of `model.toml` itself: it changes with whatever changes the answers, for it names its weights' sha256.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    pub fn weights_path(&self) -> PathBuf {
        self.dir.join(&self.weights.file)
    }

    /// The weights' bytes, once their sha256 is the manifest's.
    pub(super) fn weights_bytes(&self) -> Result<Vec<u8>, ModelError> {
        let path = self.weights_path();
        let fail = |why: String| ModelError::File {
            path: path.clone(),
            why,
        };
        if path.extension().is_none_or(|e| e != "safetensors") {
            return Err(fail(
                "only .safetensors are loaded; bring other formats in with `watchfire models import`".into(),
            ));
        }
        if Path::new(&self.weights.file).components().count() != 1 || self.weights.file.contains("..") {
            return Err(fail(
                "[weights] file must be the name of a file in the model's folder".into(),
            ));
        }
        let bytes = file::read(&path, MAX_WEIGHTS_BYTES).map_err(|e| fail(format!("cannot be read ({e})")))?;
        let digest = sha256(&bytes);
        if !digest.eq_ignore_ascii_case(&self.weights.sha256) {
            return Err(fail(format!(
                "sha256 is {digest}, but model.toml says {}: the file is damaged or was replaced",
                self.weights.sha256
            )));
        }
        Ok(bytes)
    }

    /// Refuses other models than those whose embeddings this one was trained on: those of any other mean nothing to
    /// it, whatever their length.
    ///
    /// # Errors
    /// The manifest names other weights for a task of `others`, or none.
    pub fn expect_beside<'a>(&self, others: impl IntoIterator<Item = &'a Self>) -> Result<(), ModelError> {
        for other in others {
            let pinned = self.beside.get(&other.task).map(String::as_str).unwrap_or("none");
            if pinned.eq_ignore_ascii_case(&other.weights.sha256) {
                continue;
            }
            return Err(ModelError::File {
                path: self.dir.join("model.toml"),
                why: format!(
                    "{} was trained beside {} weights of sha256 {pinned}, but {} has {}: train it again beside those, \
                     or leave it out",
                    self.id(),
                    other.task,
                    other.id(),
                    other.weights.sha256
                ),
            });
        }
        Ok(())
    }

    /// Refuses a manifest that is for something else.
    pub(super) fn expect(&self, task: &str, arch: &str) -> Result<(), ModelError> {
        if self.task == task && self.arch == arch {
            return Ok(());
        }
        let why = format!(
            "task {:?} of arch {:?}, but task {task:?} of arch {arch:?} is needed here",
            self.task, self.arch
        );
        Err(ModelError::File {
            path: self.dir.join("model.toml"),
            why,
        })
    }
}

/// In hexadecimal digits, as manifests have it.
pub(super) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// Names go to terminals and into file names and topics.
fn is_word(text: &str) -> bool {
    !text.trim().is_empty() && !text.contains(char::is_control)
}

/// Whether all numbers of a value are so small that sizes made of them can be reckoned with.
fn is_sane(value: &toml::Value) -> bool {
    const MOST: f64 = 65_536.0;
    match value {
        toml::Value::Integer(n) => (*n as f64).abs() <= MOST,
        toml::Value::Float(v) => v.abs() <= MOST,
        toml::Value::Array(values) => values.iter().all(is_sane),
        _ => true,
    }
}
