//! Looks at one document's values, and gathers what is wrong with them, with the place.

use std::path::PathBuf;

use super::document::{Document, Step};
use super::raw::RawSecret;
use super::{Diagnostic, Surroundings};
use crate::data::{Kind, Point, Redactor, Secret};

/// What is wrong with one document, gathered on the way.
pub(super) struct Judge<'a> {
    pub document: &'a Document,
    pub camera: Option<String>,
    pub errors: Vec<Diagnostic>,
    pub warnings: Vec<Diagnostic>,
    pub around: &'a Surroundings,
    pub redactor: Redactor,
}

impl Judge<'_> {
    pub fn at(&self, steps: &[Step], message: String) -> Diagnostic {
        let (line, column) = self.document.place(steps);
        Diagnostic {
            file: self.document.path.clone(),
            line,
            column,
            message,
            camera: self.camera.clone(),
        }
    }

    pub fn error(&mut self, steps: &[Step], message: impl Into<String>) {
        let diagnostic = self.at(steps, message.into());
        self.errors.push(diagnostic);
    }

    pub fn name(&mut self, steps: &[Step], what: &str, name: Option<&str>) -> String {
        let good = |n: &str| {
            (1..=64).contains(&n.len())
                && n.bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
        };
        match name {
            None => self.error(steps, format!("{what} is missing")),
            Some(n) if !good(n) => {
                self.error(
                    steps,
                    format!("{what} {n:?} must be 1 to 64 of the letters a to z, 0 to 9, `_` and `-`"),
                );
            }
            Some(_) => {}
        }
        name.unwrap_or_default().to_owned()
    }

    /// One of a list of words.
    pub fn word<T: Copy>(&mut self, steps: &[Step], given: Option<&str>, words: &[(&str, T)], default: T) -> T {
        let Some(given) = given else { return default };
        if let Some((_, value)) = words.iter().find(|(w, _)| *w == given) {
            return *value;
        }
        let all = words.iter().map(|(w, _)| *w).collect::<Vec<_>>();
        let near = all.iter().map(|w| (strsim::damerau_levenshtein(w, given), *w)).min();
        let hint = match near {
            Some((d, w)) if d <= 3 => format!("did you mean `{w}`?"),
            _ => format!("known are {}", all.join(", ")),
        };
        self.error(steps, format!("unknown value `{given}`; {hint}"));
        default
    }

    pub fn number(&mut self, steps: &[Step], given: Option<f32>, low: f32, high: f32, default: f32) -> f32 {
        match given {
            Some(v) if !(low..=high).contains(&v) => {
                self.error(steps, format!("{v} is out of range: {low} to {high}"));
                default
            }
            other => other.unwrap_or(default),
        }
    }

    pub fn kinds(&mut self, steps: &[Step], given: Option<&Vec<String>>) -> Option<Vec<Kind>> {
        let words: Vec<(&str, Kind)> = Kind::ALL.iter().map(|k| (k.as_str(), *k)).collect();
        let before = self.errors.len();
        let kinds: Vec<Kind> = given?
            .iter()
            .map(|w| self.word(steps, Some(w), &words, Kind::Intrusion))
            .collect();
        (self.errors.len() == before).then_some(kinds)
    }

    pub fn point(&mut self, steps: &[Step], p: [f32; 2]) -> Point {
        if !p.iter().all(|v| (0.0..=1.0).contains(v)) {
            self.error(
                steps,
                format!(
                    "[{}, {}] is outside the picture: both are fractions from 0 to 1",
                    p[0], p[1]
                ),
            );
        }
        Point { x: p[0], y: p[1] }
    }

    pub fn polygon(&mut self, steps: &[Step], corners: &[[f32; 2]]) -> Vec<Point> {
        if corners.len() < 3 {
            self.error(
                steps,
                format!("a polygon needs three corners at least, not {}", corners.len()),
            );
        }
        corners.iter().map(|c| self.point(steps, *c)).collect()
    }

    pub fn secret(&mut self, steps: &[Step], raw: &RawSecret) -> Option<Secret> {
        let found = match raw {
            RawSecret::Plain(text) => Ok(text.clone()),
            RawSecret::Env { env } => {
                (self.around.env)(env).ok_or_else(|| format!("environment variable {env} is not set"))
            }
            RawSecret::File { file } => std::fs::read_to_string(file).map_err(|e| format!("{file}: {e}")),
            RawSecret::Credential { credential } => match (self.around.env)("CREDENTIALS_DIRECTORY") {
                None => Err("there are no credentials: add LoadCredential= to the service".to_owned()),
                Some(dir) => std::fs::read_to_string(PathBuf::from(dir).join(credential))
                    .map_err(|e| format!("credential {credential}: {e}")),
            },
        };
        match found {
            Ok(text) => {
                let secret = Secret::new(text.trim_end_matches(['\n', '\r']).to_owned());
                self.redactor.add(&secret);
                Some(secret)
            }
            Err(why) => {
                self.error(steps, why);
                None
            }
        }
    }
}
