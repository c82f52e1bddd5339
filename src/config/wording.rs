//! How a mistake is told: what was probably meant, and types as an operator calls them.

/// The known word that was probably meant: most of its letters are there.
pub(super) fn near<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = (given.chars().count() / 2).min(3);
    known
        .into_iter()
        .map(|word| (strsim::damerau_levenshtein(word, given), word))
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, word)| word)
}

/// The deserializer's message in plain words, and without the value: it may be a password in the wrong place.
pub(super) fn plain(message: &str) -> String {
    let kind = ["invalid type: ", "invalid value: "]
        .into_iter()
        .find(|kind| message.starts_with(*kind));
    let (Some(kind), Some((found, expected))) = (kind, message.rsplit_once(", expected ")) else {
        return message.to_owned();
    };
    // More than 64 bits, whatever was expected.
    if found.ends_with("128") {
        return "this number is too large".to_owned();
    }
    let wanted = match expected {
        "f32" => "a number",
        "u32" if kind == "invalid type: " => "a whole number",
        "u32" => "a whole number from 0 to 4294967295",
        "a boolean" => "true or false",
        "a string" => "a string, in quotes",
        "a sequence" => "a list, in [ ]",
        table if table.starts_with("struct ") => "a table",
        other => other,
    };
    format!("this must be {wanted}")
}
