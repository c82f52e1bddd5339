//! docs/configuration.md, made of the doc comments of [`super::raw`].

use std::fmt::Write as _;

use serde_json::Value;

use super::raw::Raw;

/// The reference of every key.
pub fn markdown() -> String {
    let schema = serde_json::to_value(schemars::schema_for!(Raw)).unwrap_or_default();
    let mut out = String::from(
        "# Configuration\n\nMade from the doc comments of `src/config/raw.rs` (`WATCHFIRE_BLESS=1 cargo test` writes it \
         anew).\n\n",
    );
    let text = |v: &Value| {
        v.get("description")
            .and_then(Value::as_str)
            .unwrap_or("")
            .replace('\n', " ")
    };
    let _ = writeln!(
        out,
        "{}\n\n`watchfire check` reports every error of these files at once, with its line. Models, the broker's \
         certificates and the device are looked at once the files are right.\n",
        text(&schema)
    );
    tables(&schema, &schema, "", &mut out);
    out
}

fn tables(schema: &Value, root: &Value, prefix: &str, out: &mut String) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return;
    };
    let mut deeper = Vec::new();
    let mut rows = String::new();
    for (key, value) in properties {
        let about = value
            .get("description")
            .and_then(Value::as_str)
            .unwrap_or("")
            .replace('\n', " ");
        let (target, many) = target(value, root);
        if target.get("properties").is_some() {
            let name = if prefix.is_empty() {
                key.clone()
            } else {
                format!("{prefix}.{key}")
            };
            deeper.push((
                if many {
                    format!("[[{name}]]")
                } else {
                    format!("[{name}]")
                },
                name,
                target,
                about,
            ));
        } else {
            let _ = writeln!(rows, "| `{key}` | {about} |");
        }
    }
    if !rows.is_empty() {
        let _ = writeln!(out, "| key | meaning |\n|---|---|\n{rows}");
    }
    for (title, name, target, about) in deeper {
        let _ = writeln!(out, "## `{title}`\n\n{about}\n");
        tables(target, root, &name, out);
    }
}

/// The schema behind a reference or list, and whether it was a list.
fn target<'a>(value: &'a Value, root: &'a Value) -> (&'a Value, bool) {
    if let Some(items) = value.get("items") {
        return (target(items, root).0, true);
    }
    let reference = value
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|r| r.strip_prefix("#/$defs/"));
    (
        reference.and_then(|name| root.get("$defs")?.get(name)).unwrap_or(value),
        false,
    )
}
