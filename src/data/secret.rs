use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;
use secrecy::{ExposeSecret, SecretString};

/// A password or the like: cannot be printed, compared or serialised by accident.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    pub fn new(text: String) -> Self {
        Self(SecretString::from(text))
    }

    /// The text itself, for the one call that needs it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// Takes known secrets, and anything that looks like `scheme://user:password@`, out of a text that leaves the process.
///
/// Clones share the list: what the configuration loads is known to every log line from then on.
#[derive(Clone, Default, Debug)]
pub struct Redactor {
    known: Arc<RwLock<Vec<Secret>>>,
}

impl Redactor {
    /// From now on this secret is taken out of every text.
    pub fn add(&self, secret: &Secret) {
        // Shorter ones would turn every text into stars.
        if secret.expose().len() >= 3 {
            self.known.write().push(secret.clone());
        }
    }

    /// The text with `***` in the place of known secrets and of every `user:password` in a URL.
    pub fn clean(&self, text: &str) -> String {
        let mut text = without_url_passwords(text);
        for secret in self.known.read().iter() {
            text = text.replace(secret.expose(), "***");
            text = text.replace(&percent_encoded(secret.expose()), "***");
        }
        text
    }
}

fn without_url_passwords(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let authority = after
            .find(|c: char| c == '/' || c.is_whitespace() || c == '"')
            .unwrap_or(after.len());
        match after[..authority].rfind('@') {
            Some(user_info) => {
                out.push_str("***");
                rest = &after[user_info..];
            }
            None => rest = after,
        }
    }
    out + rest
}

/// As a URL carries it: everything but RFC 3986's unreserved letters as %XX.
fn percent_encoded(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    text.bytes()
        .map(|b| {
            if plain(b) {
                char::from(b).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_secrets_and_url_passwords_become_stars() {
        let redactor = Redactor::default();
        redactor.add(&Secret::new("p@ss/word".into()));
        let text = "open rtsp://viewer:hunter2@10.0.0.1/x failed for p@ss/word (p%40ss%2Fword) at http://host/y";
        let clean = redactor.clean(text);
        assert_eq!(
            clean,
            "open rtsp://***@10.0.0.1/x failed for *** (***) at http://host/y"
        );
    }

    #[test]
    fn a_secret_is_not_printed_by_debug() {
        assert_eq!(format!("{:?}", Secret::new("abc".into())), "Secret(***)");
    }
}
