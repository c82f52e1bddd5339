//! A TOML file with its places: finds every unknown key and every value of the wrong type, not only the first, and whose
//! camera each is of.

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde_json::Value;
use toml::de::{DeTable, DeValue};

use super::Diagnostic;
use super::raw::Raw;
use super::wording::{near, plain};
use crate::data::Redactor;

/// A parsed file.
pub(super) struct Document {
    pub path: PathBuf,
    text: String,
    pub raw: Raw,
    pub errors: Vec<Diagnostic>,
}

/// What a key at the top stands in.
const WHOLE: &str = "the file";

/// A step down the tree.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Key(&'static str),
    Index(usize),
}

/// What is wrong with a key: where, what, and the id of the camera whose table holds it.
type Found = (Range<usize>, String, Option<String>);

impl Document {
    /// `cameras_only` is for the files of `cameras.d`.
    pub fn parse(path: &Path, text: &str, cameras_only: bool) -> Self {
        let mut document = Self {
            path: path.to_owned(),
            text: text.to_owned(),
            raw: Raw::default(),
            errors: Vec::new(),
        };
        let (mut tree, syntax) = DeTable::parse_recoverable(text);
        for error in &syntax {
            document.error(error.span(), error.message().to_owned(), None);
        }
        let schema = serde_json::to_value(schemars::schema_for!(Raw)).unwrap_or_default();
        let mut unknown = Vec::new();
        if cameras_only {
            keep_cameras(tree.get_mut(), &mut unknown);
        }
        check_keys(tree.get_mut(), &schema, &schema, WHOLE, None, &mut unknown);
        for (span, message, camera) in unknown {
            document.error(Some(span), message, camera);
        }
        // Each wrong value is told and taken out, until what is left fits. To stop before would leave nothing of the file.
        loop {
            match Raw::deserialize(tree.clone().into_deserializer()) {
                Ok(raw) => {
                    document.raw = raw;
                    break;
                }
                Err(error) => {
                    let removed = error.span().and_then(|span| remove(tree.get_mut(), &span));
                    // What cannot be taken out leaves nothing of the file: that is no camera's own error.
                    let goes_on = removed.is_some();
                    let camera = removed.and_then(|r| r.camera);
                    document.error(error.span(), plain(error.message()), camera);
                    if !goes_on {
                        break;
                    }
                }
            }
        }
        document
    }

    /// Where a value stands: line and column, from 1. The nearest part that exists, when it does not.
    pub fn place(&self, steps: &[Step]) -> (usize, usize) {
        let (tree, _) = DeTable::parse_recoverable(&self.text);
        let mut span = tree.span();
        let mut here: Option<&DeValue> = None;
        for (i, step) in steps.iter().enumerate() {
            let next = match (step, here) {
                (Step::Key(key), None) if i == 0 => tree.get_ref().get(*key),
                (Step::Key(key), Some(DeValue::Table(table))) => table.get(*key),
                (Step::Index(n), Some(DeValue::Array(array))) => array.get(*n),
                _ => None,
            };
            let Some(next) = next else { break };
            span = next.span();
            here = Some(next.get_ref());
        }
        line_column(&self.text, span.start)
    }

    pub fn error(&mut self, span: Option<Range<usize>>, message: String, camera: Option<String>) {
        let (line, column) = span.map_or((0, 0), |s| line_column(&self.text, s.start));
        // A URL with a password may stand where a key should.
        let message = Redactor::default().clean(message.trim()).replace('\n', "; ");
        self.errors.push(Diagnostic {
            file: self.path.clone(),
            line,
            column,
            message,
            camera,
        });
    }
}

/// Both from 1.
pub(super) fn line_column(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..at.min(text.len())];
    let line_start = before.rfind('\n').map_or(0, |i| i + 1);
    (
        before.matches('\n').count() + 1,
        before[line_start..].chars().count() + 1,
    )
}

/// The id in a camera's table.
fn id(camera: &DeTable) -> Option<String> {
    camera.get("id")?.get_ref().as_str().map(str::to_owned)
}

/// Takes out what is no camera, and says so: nobody reads it there.
fn keep_cameras(table: &mut DeTable, found: &mut Vec<Found>) {
    let others: Vec<_> = table
        .keys()
        .filter(|key| &**key.get_ref() != "camera")
        .cloned()
        .collect();
    for key in others {
        let hint = astray(key.get_ref()).unwrap_or_else(|| match near(key.get_ref(), ["camera"]) {
            Some(_) => "did you mean `camera`?".into(),
            None => "all else stands in the main file".into(),
        });
        let message = format!("`{}`: a file of cameras.d holds [[camera]] only; {hint}", key.get_ref());
        found.push((key.span(), message, None));
        table.remove(&key);
    }
}

/// What to do with a table of a camera's that stands outside of one.
fn astray(key: &str) -> Option<String> {
    let table = ["zone", "line", "mask", "rule"]
        .into_iter()
        .find(|table| *table == key.trim_end_matches('s'))?;
    Some(format!("write [[camera.{table}]] below its [[camera]]"))
}

/// Takes unknown keys out and says so, with the nearest known one, and tables that should be lists of them.
fn check_keys(
    table: &mut DeTable,
    schema: &Value,
    root: &Value,
    place: &str,
    camera: Option<&str>,
    found: &mut Vec<Found>,
) {
    let schema = deref(schema, root);
    let Some(known) = schema.get("properties").and_then(Value::as_object) else {
        return;
    };
    let mut strangers = Vec::new();
    for (key, value) in table.iter_mut() {
        let Some(sub) = known.get(key.get_ref().as_ref()) else {
            let outside = astray(key.get_ref()).filter(|_| place == WHOLE);
            let hint = outside.unwrap_or_else(|| match near(key.get_ref(), known.keys().map(String::as_str)) {
                Some(k) => format!("did you mean `{k}`?"),
                None => format!("known are {}", known.keys().cloned().collect::<Vec<_>>().join(", ")),
            });
            found.push((
                key.span(),
                format!("unknown key `{}` in {place}; {hint}", key.get_ref()),
                camera.map(str::to_owned),
            ));
            strangers.push(key.clone());
            continue;
        };
        let sub = deref(sub, root);
        let item_schema = sub.get("items").map(|i| deref(i, root)).unwrap_or(&Value::Null);
        let name = key.get_ref();
        let list = if place.starts_with("[[") {
            format!("[[{}.{name}]]", place.trim_matches(['[', ']']))
        } else {
            format!("[[{name}]]")
        };
        match value.get_mut() {
            DeValue::Array(_) if sub.get("properties").is_some() => {
                let message = format!("`{name}` is one table: write [{name}], with one bracket");
                found.push((key.span(), message, camera.map(str::to_owned)));
                strangers.push(key.clone());
            }
            DeValue::Array(items) => {
                for item in items.iter_mut() {
                    if let DeValue::Table(t) = item.get_mut() {
                        // No table but the file itself has a list of this name.
                        let own = (&**key.get_ref() == "camera").then(|| id(t));
                        let camera = own.as_ref().map_or(camera, Option::as_deref);
                        check_keys(t, item_schema, root, &list, camera, found);
                    }
                }
            }
            _ if item_schema.get("properties").is_some() => {
                let message = format!("`{name}` is a list of tables: write {list}, with two brackets");
                found.push((key.span(), message, camera.map(str::to_owned)));
                strangers.push(key.clone());
            }
            DeValue::Table(t) => check_keys(t, sub, root, &format!("[{name}]"), camera, found),
            _ => {}
        }
    }
    for key in strangers {
        table.remove(&key);
    }
}

/// Follows `$ref`, and the one real branch of an optional value.
fn deref<'a>(schema: &'a Value, root: &'a Value) -> &'a Value {
    if let Some(name) = schema
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|r| r.strip_prefix("#/$defs/"))
    {
        return root
            .get("$defs")
            .and_then(|d| d.get(name))
            .map_or(schema, |s| deref(s, root));
    }
    match schema.get("anyOf").and_then(Value::as_array) {
        Some(branches) if branches.len() == 2 => branches
            .iter()
            .find(|b| b.get("type").and_then(Value::as_str) != Some("null"))
            .map_or(schema, |b| deref(b, root)),
        _ => schema,
    }
}

/// What was taken out of the tree.
#[derive(Default)]
struct Removed {
    /// The id of the camera whose table held it.
    camera: Option<String>,
}

/// Takes the entry whose value holds the span out of the tree. A table's own span is its header only, so that every
/// table is looked into.
fn remove(table: &mut DeTable, span: &Range<usize>) -> Option<Removed> {
    let mut culprit = None;
    for (key, value) in table.iter_mut() {
        let holds = value.span().start <= span.start && span.end <= value.span().end;
        let deeper = match value.get_mut() {
            DeValue::Table(t) => remove(t, span),
            DeValue::Array(items) => items.iter_mut().find_map(|item| match item.get_mut() {
                DeValue::Table(t) if &**key.get_ref() == "camera" => {
                    let camera = id(t);
                    remove(t, span).map(|_| Removed { camera })
                }
                DeValue::Table(t) => remove(t, span),
                _ => None,
            }),
            _ => None,
        };
        if deeper.is_some() {
            return deeper;
        }
        if holds || key.span() == *span {
            culprit = Some(key.clone());
            break;
        }
    }
    table.remove(&culprit?).map(|_| Removed::default())
}
