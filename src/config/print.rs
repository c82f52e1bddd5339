//! The resolved configuration as TOML: gathered while it is judged, so that whatever the judge decided stands in it.

use toml::{Table, Value};

use super::document::Step;

/// What `check --print` shows.
#[derive(Clone, Debug, Default)]
pub(super) struct Printed {
    root: Table,
}

impl Printed {
    /// Notes what the key at `steps` came to.
    pub fn set(&mut self, steps: &[Step], value: impl Into<Value>) {
        if let [Step::Key(key), rest @ ..] = steps {
            let place = self.root.entry(*key).or_insert_with(|| empty(rest));
            put(place, rest, value.into());
        }
    }

    /// Forgets the rules of a camera: they are noted anew, one for every kind.
    pub fn clear_rules(&mut self, camera: usize) {
        let cameras = self.root.get_mut("camera").and_then(Value::as_array_mut);
        if let Some(table) = cameras.and_then(|c| c.get_mut(camera)).and_then(Value::as_table_mut) {
            table.remove("rule");
        }
    }

    /// Takes over the cameras that another document's judge noted.
    pub fn add_cameras(&mut self, other: Self) {
        let theirs = match other.root.into_iter().find(|(key, _)| key == "camera") {
            Some((_, Value::Array(cameras))) => cameras,
            _ => return,
        };
        let ours = self.root.entry("camera").or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(ours) = ours {
            // A judge looks at one camera; the places before it are empty.
            ours.extend(
                theirs
                    .into_iter()
                    .filter(|c| c.as_table().is_some_and(|t| !t.is_empty())),
            );
        }
    }

    pub fn text(&self) -> String {
        toml::to_string(&self.root).unwrap_or_default()
    }
}

/// As the operator would write it: 0.1, and not the 0.10000000149 that a wider number makes of it.
pub(super) fn number(v: f32) -> Value {
    Value::Float(v.to_string().parse().unwrap_or_else(|_| f64::from(v)))
}

pub(super) fn words<T: AsRef<str>>(words: &[T]) -> Value {
    Value::Array(words.iter().map(|w| Value::from(w.as_ref())).collect())
}

fn put(place: &mut Value, steps: &[Step], value: Value) {
    match (steps, place) {
        ([], place) => *place = value,
        ([Step::Key(key), rest @ ..], Value::Table(table)) => {
            put(table.entry(*key).or_insert_with(|| empty(rest)), rest, value);
        }
        ([Step::Index(i), rest @ ..], Value::Array(array)) => {
            while array.len() <= *i {
                array.push(empty(rest));
            }
            put(&mut array[*i], rest, value);
        }
        // A place that is already something else keeps it.
        _ => {}
    }
}

fn empty(next: &[Step]) -> Value {
    match next.first() {
        Some(Step::Index(_)) => Value::Array(Vec::new()),
        _ => Value::Table(Table::new()),
    }
}
