//! Words for people who read a terminal.

use std::fmt::Display;

/// Text from elsewhere (a file's name, a label, an alert on stdin) with all that would steer a terminal, or pass for a line of
/// ours, written out as `\n` or `\u{1b}`. Letters of every script stay as they are, also those that are put together from several
/// characters, and what was written out already stays so.
pub fn shown(text: impl Display) -> String {
    let text = text.to_string();
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// Control characters, line breaks of Unicode's own, and what turns the order of the letters behind it about.
fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `1 file`, `2 files`.
pub fn counted(n: usize, what: &str) -> String {
    let s = if n == 1 { "" } else { "s" };
    format!("{n} {what}{s}")
}

/// `an explosion`, `a siren`. A quotation mark before the word does not count.
pub fn with_article(word: &str) -> String {
    let first = word.trim_start_matches('"').to_ascii_lowercase();
    // As it is spoken: a unicycle, a uniform.
    let vowel = first.starts_with(['a', 'e', 'i', 'o', 'u']) && !first.starts_with("uni");
    let article = if vowel { "an" } else { "a" };
    format!("{article} {word}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_written_out_and_letters_stay() {
        assert_eq!(
            shown("e\x1b[31mv\nil\u{7f}\u{9b}\u{202e}4pm"),
            "e\\u{1b}[31mv\\nil\\u{7f}\\u{9b}\\u{202e}4pm"
        );
        // The second e is one with an accent of its own, as some systems write names.
        for name in [
            "Überwachung é e\u{301} 監視 مراقبة",
            "what's \"this\"\\that",
            "e\\u{1b}[31m",
        ] {
            assert_eq!(shown(name), name);
        }
    }

    #[test]
    fn one_is_not_many_and_a_vowel_has_an_article_of_its_own() {
        assert_eq!([0, 1, 2].map(|n| counted(n, "file")), ["0 files", "1 file", "2 files"]);
        assert_eq!(
            ["explosion", "siren", "\"airplane\"", "\"car\"", "unicycle"].map(with_article),
            ["an explosion", "a siren", "an \"airplane\"", "a \"car\"", "a unicycle"]
        );
    }
}
