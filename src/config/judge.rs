//! Looks at one document's values, and gathers what is wrong with them, with the place.

use std::fmt;
use std::path::PathBuf;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{Error as PemError, PemObject};

use super::document::{Document, Step};
use super::print::{Printed, number, words};
use super::raw::{Arrow, Corner, RawSecret};
use super::wording::near;
use super::{Diagnostic, Secrets, Surroundings};
use crate::data::{Kind, Point, Redactor, Secret};
use crate::geometry::{area, crosses_itself};

/// Of the picture. A polygon of less is a slip: it is a pixel or two.
const LEAST_AREA: f32 = 1e-5;

/// What is wrong with one document, gathered on the way.
pub(super) struct Judge<'a> {
    pub document: &'a Document,
    pub camera: Option<String>,
    pub errors: Vec<Diagnostic>,
    pub warnings: Vec<Diagnostic>,
    pub around: &'a Surroundings,
    pub redactor: Redactor,
    /// Least frames a second for the chosen models, and the model that asks for it.
    pub least_fps: (f32, String),
    /// What the clip model needs; None when there is none.
    pub action_fps: Option<f32>,
    /// What every key came to.
    pub printed: Printed,
}

impl Judge<'_> {
    pub fn at(&self, steps: &[Step], message: String) -> Diagnostic {
        let (line, column) = self.document.place(steps);
        Diagnostic {
            file: self.document.path.clone(),
            line,
            column,
            // A URL with a password may stand in the place of another value.
            message: Redactor::default().clean(&message),
            camera: self.camera.clone(),
        }
    }

    pub fn error(&mut self, steps: &[Step], message: impl Into<String>) {
        let diagnostic = self.at(steps, message.into());
        self.errors.push(diagnostic);
    }

    pub fn warn(&mut self, steps: &[Step], message: impl Into<String>) {
        let diagnostic = self.at(steps, message.into());
        self.warnings.push(diagnostic);
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
            Some(n) => self.printed.set(steps, n),
        }
        name.unwrap_or_default().to_owned()
    }

    /// A value that is right whatever it is.
    pub fn note<T: Clone + Into<toml::Value>>(&mut self, steps: &[Step], value: T) -> T {
        self.printed.set(steps, value.clone());
        value
    }

    /// One of a list of words.
    pub fn word<T: Copy + PartialEq>(
        &mut self,
        steps: &[Step],
        given: Option<&str>,
        words: &[(&str, T)],
        default: T,
    ) -> T {
        let value = self.one_of(steps, given, words, default);
        if let Some((word, _)) = words.iter().find(|(_, v)| *v == value) {
            self.printed.set(steps, *word);
        }
        value
    }

    fn one_of<T: Copy>(&mut self, steps: &[Step], given: Option<&str>, words: &[(&str, T)], default: T) -> T {
        let Some(given) = given else { return default };
        if let Some((_, value)) = words.iter().find(|(w, _)| *w == given) {
            return *value;
        }
        let all = words.iter().map(|(w, _)| *w).collect::<Vec<_>>();
        let hint = match near(given, all.iter().copied()) {
            Some(w) => format!("did you mean `{w}`?"),
            None => format!("known are {}", all.join(", ")),
        };
        self.error(steps, format!("unknown value `{given}`; {hint}"));
        default
    }

    pub fn number(&mut self, steps: &[Step], given: Option<f32>, low: f32, high: f32, default: f32) -> f32 {
        let value = self.within(steps, given, low, high, default);
        self.printed.set(steps, number(value));
        value
    }

    /// What a probability must reach: over 0, which every one does.
    pub fn threshold(&mut self, steps: &[Step], given: Option<f32>, default: f32) -> f32 {
        let value = match given {
            Some(v) if !(f32::MIN_POSITIVE..=1.0).contains(&v) => {
                self.error(steps, format!("{v} is out of range: over 0, and 1 at most"));
                default
            }
            other => other.unwrap_or(default),
        };
        self.printed.set(steps, number(value));
        value
    }

    /// A whole number.
    pub fn whole(&mut self, steps: &[Step], given: Option<u32>, low: u32, high: u32, default: u32) -> u32 {
        let value = self.within(steps, given, low, high, default);
        self.printed.set(steps, i64::from(value));
        value
    }

    fn within<T: Copy + PartialOrd + fmt::Display>(
        &mut self,
        steps: &[Step],
        given: Option<T>,
        low: T,
        high: T,
        default: T,
    ) -> T {
        match given {
            Some(v) if !(low..=high).contains(&v) => {
                self.error(steps, format!("{v} is out of range: {low} to {high}"));
                default
            }
            other => other.unwrap_or(default),
        }
    }

    pub fn kinds(&mut self, steps: &[Step], given: Option<&Vec<String>>, default: &[Kind]) -> Vec<Kind> {
        let words: Vec<(&str, Kind)> = Kind::ALL.iter().map(|k| (k.as_str(), *k)).collect();
        let before = self.errors.len();
        let mut kinds = default.to_vec();
        if let Some(given) = given {
            kinds = given
                .iter()
                .map(|w| self.one_of(steps, Some(w), &words, Kind::Intrusion))
                .collect();
        }
        if self.errors.len() > before {
            kinds = default.to_vec();
        }
        self.note_words(steps, &kinds.iter().map(|k| k.as_str()).collect::<Vec<_>>());
        kinds
    }

    /// One kind, which has no default.
    pub fn kind(&mut self, steps: &[Step], given: &str) -> Option<Kind> {
        let words: Vec<(&str, Kind)> = Kind::ALL.iter().map(|k| (k.as_str(), *k)).collect();
        let before = self.errors.len();
        let kind = self.one_of(steps, Some(given), &words, Kind::Intrusion);
        (self.errors.len() == before).then_some(kind)
    }

    /// A list of words that are right whatever they are.
    pub fn note_words<T: AsRef<str>>(&mut self, steps: &[Step], list: &[T]) {
        self.printed.set(steps, words(list));
    }

    pub fn point(&mut self, steps: &[Step], Corner(p): Corner) -> Point {
        if !p.iter().all(|v| (0.0..=1.0).contains(v)) {
            self.error(
                steps,
                format!(
                    "[{}, {}] is outside the picture: both are fractions from 0 to 1",
                    p[0], p[1]
                ),
            );
        }
        self.printed.set(steps, pair(Corner(p)));
        Point { x: p[0], y: p[1] }
    }

    /// From a point to another.
    pub fn arrow(&mut self, steps: &[Step], Arrow([from, to]): Arrow) -> (Point, Point) {
        let points = (self.point(steps, from), self.point(steps, to));
        if from == to {
            self.error(steps, "its two points are the same");
        }
        self.printed.set(steps, vec![pair(from), pair(to)]);
        points
    }

    pub fn polygon(&mut self, steps: &[Step], corners: &[Corner]) -> Vec<Point> {
        if corners.len() < 3 {
            self.error(
                steps,
                format!("a polygon needs three corners at least, not {}", corners.len()),
            );
        }
        let points: Vec<Point> = corners.iter().map(|c| self.point(steps, *c)).collect();
        if corners.len() >= 3 && area(&points) < LEAST_AREA {
            self.error(
                steps,
                "the polygon encloses nothing: its corners lie on one line, or its sides cross",
            );
        } else if crosses_itself(&points) {
            self.warn(
                steps,
                "the polygon's sides cross, so that it may enclose something else than was meant: name its corners in \
                 order, once around",
            );
        }
        self.printed
            .set(steps, corners.iter().map(|c| pair(*c)).collect::<Vec<_>>());
        points
    }

    /// A file that whoever asks can open; the service's user may be another one.
    pub fn readable(&mut self, steps: &[Step], file: &str) {
        if let Err(error) = std::fs::File::open(file) {
            self.error(steps, format!("{file} cannot be read ({error})"));
        }
    }

    /// A file of certificates (PEM) that whoever asks can open.
    pub fn certificates(&mut self, steps: &[Step], file: &str) {
        let found = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let why = match found {
            Ok(found) if !found.is_empty() => return,
            Ok(_) => format!("{file}: no certificate in it; PEM is needed"),
            Err(PemError::Io(error)) => format!("{file} cannot be read ({error})"),
            Err(error) => format!("{file}: no PEM certificates ({error})"),
        };
        self.error(steps, why);
    }

    /// Printed as what refers to it, and as stars where it stands in the file itself.
    pub fn secret(&mut self, steps: &[Step], raw: &RawSecret) -> Option<Secret> {
        let reference =
            |key: &str, value: &str| toml::Value::from(toml::Table::from_iter([(key.into(), value.into())]));
        self.printed.set(
            steps,
            match raw {
                RawSecret::Plain(_) => "***".into(),
                RawSecret::Env { env } => reference("env", env),
                RawSecret::File { file } => reference("file", file),
                RawSecret::Credential { credential } => reference("credential", credential),
            },
        );
        let whence = match raw {
            RawSecret::Plain(_) => String::new(),
            RawSecret::Env { env } => format!("environment variable {env}"),
            RawSecret::File { file } => file.clone(),
            RawSecret::Credential { credential } => format!("credential {credential}"),
        };
        let found = match raw {
            RawSecret::Plain(text) => Ok(text.clone()),
            RawSecret::Env { env } => match (self.around.env)(env) {
                None if self.around.secrets == Secrets::Checked => {
                    let how = format!("Environment={env}=… or EnvironmentFile=");
                    return self.not_checked(steps, &how);
                }
                value => value.ok_or_else(|| format!("{whence} is not set")),
            },
            RawSecret::File { file } => std::fs::read_to_string(file).map_err(|e| format!("{whence}: {e}")),
            RawSecret::Credential { credential } => match (self.around.env)("CREDENTIALS_DIRECTORY") {
                None if self.around.secrets == Secrets::Checked => {
                    return self.not_checked(steps, &format!("LoadCredential={credential}:FILE"));
                }
                None => Err(format!(
                    "there are no credentials: add LoadCredential={credential}:FILE to the service"
                )),
                Some(dir) => {
                    std::fs::read_to_string(PathBuf::from(dir).join(credential)).map_err(|e| format!("{whence}: {e}"))
                }
            },
        };
        // Whoever wants an empty one writes it down.
        let found = found.and_then(|text| match text.trim_end_matches(['\n', '\r']) {
            "" if !matches!(raw, RawSecret::Plain(_)) => Err(format!("{whence} is empty")),
            text => Ok(text.to_owned()),
        });
        match found {
            Ok(text) => {
                let secret = Secret::new(text);
                self.redactor.add(&secret);
                Some(secret)
            }
            Err(_) if self.around.secrets == Secrets::Unused => Some(Secret::new(String::new())),
            Err(why) => {
                self.error(steps, why);
                None
            }
        }
    }

    /// A secret that systemd hands to the service alone.
    fn not_checked(&mut self, steps: &[Step], how: &str) -> Option<Secret> {
        self.warn(
            steps,
            format!("not checked here: the service gets it by {how} in its unit"),
        );
        Some(Secret::new(String::new()))
    }
}

fn pair(Corner(p): Corner) -> toml::Value {
    vec![number(p[0]), number(p[1])].into()
}
