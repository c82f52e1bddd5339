//! The rules of the house, checked by reading the source: who may import whom, and what may not appear where.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Every module and its floor. A new module finds its place here first, then in ARCHITECTURE.md's table.
const FLOORS: &[(u8, &[&str])] = &[
    (0, &["clock", "data", "error"]),
    (
        1,
        &[
            "cells",
            "colour",
            "denoise",
            "draw",
            "faces",
            "geometry",
            "loudness",
            "mel",
            "motion",
            "patches",
            "picture_stats",
            "wiener",
        ],
    ),
    (
        2,
        &["behaviour", "fusion", "nn", "policy", "scream", "tracking", "window"],
    ),
    (3, &["console", "ingest", "publish", "stages", "store"]),
    (4, &["graph"]),
    (5, &["config"]),
    (6, &["app", "cli", "demo", "eval", "main", "service"]),
];

/// Imports between siblings of one floor, each with its reason. Floor 6 composes and is free.
const SIBLINGS: &[(&str, &str, &str)] = &[
    ("draw", "colour", "what is drawn is drawn in a colour"),
    ("motion", "cells", "motion is a difference of cells"),
    ("motion", "picture_stats", "brightness is weighed the same everywhere"),
    ("faces", "picture_stats", "a pixel's grey is the same everywhere"),
    ("denoise", "picture_stats", "a pixel's grey is the same everywhere"),
    ("behaviour", "fusion", "a finding's score is pooled from its evidence"),
    ("policy", "fusion", "an alert tells each evidence's share"),
    ("publish", "store", "the outbox is read where it is stored"),
    ("store", "publish", "what is stored is the wire form of an alert"),
    ("console", "publish", "the console shows payloads as they are published"),
    ("console", "store", "the console shows the newest events"),
];

/// Longer files hide a second idea. The design aims at 400; this is where the test stops it.
const MAX_LINES: usize = 450;

struct Source {
    /// Below `src/`, with forward slashes.
    path: String,
    /// The first part of the path: the module's name.
    module: String,
    /// Code only: comments and the contents of strings are blanked, line by line.
    code: Vec<String>,
    /// The first line of the tests at the file's end.
    tests_from: usize,
}

impl Source {
    /// Lines that ship, with their numbers.
    fn shipped(&self) -> impl Iterator<Item = (usize, &str)> {
        let end = if self.path.ends_with("tests.rs") {
            0
        } else {
            self.tests_from
        };
        self.code[..end]
            .iter()
            .enumerate()
            .map(|(i, line)| (i + 1, line.as_str()))
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&root, &mut files);
    assert!(files.len() > 40, "the sources were not found under {}", root.display());
    files
        .into_iter()
        .map(|file| {
            let text = fs::read_to_string(&file).unwrap();
            let path = file.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/");
            let module = path.split(['/', '.']).next().unwrap_or_default().to_owned();
            let code: Vec<String> = blanked(&text).lines().map(str::to_owned).collect();
            let tests_from = code
                .windows(2)
                .position(|l| l[0].trim_start().starts_with("#[cfg(test)]") && l[1].trim_start().starts_with("mod "))
                .unwrap_or(code.len());
            Source {
                path,
                module,
                code,
                tests_from,
            }
        })
        .collect()
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            walk(&entry, files);
        } else if entry.extension().is_some_and(|e| e == "rs") {
            files.push(entry);
        }
    }
}

/// The text with comments and the insides of string literals turned into spaces; line breaks stay.
fn blanked(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    let keep = |c: char| if c == '\n' { '\n' } else { ' ' };
    while at < chars.len() {
        let next = chars.get(at + 1).copied();
        match chars[at] {
            '/' if next == Some('/') => {
                while at < chars.len() && chars[at] != '\n' {
                    out.push(' ');
                    at += 1;
                }
            }
            'r' if matches!(next, Some('"' | '#')) && raw_hashes(&chars[at + 1..]).is_some() => {
                let hashes = raw_hashes(&chars[at + 1..]).unwrap_or(0);
                out.push('"');
                at += hashes + 2;
                while at < chars.len()
                    && !(chars[at] == '"'
                        && chars[at + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes)
                {
                    out.push(keep(chars[at]));
                    at += 1;
                }
                out.push('"');
                at += hashes + 1;
            }
            '"' => {
                out.push('"');
                at += 1;
                while at < chars.len() && chars[at] != '"' {
                    if chars[at] == '\\' {
                        out.push(' ');
                        at += 1;
                    }
                    out.push(chars.get(at).map_or(' ', |c| keep(*c)));
                    at += 1;
                }
                out.push('"');
                at += 1;
            }
            // A character literal that could be mistaken for a string's start.
            '\'' if next == Some('"') => {
                out.push_str("' '");
                at += 3;
            }
            '\'' if next == Some('\\') && chars.get(at + 3) == Some(&'\'') => {
                out.push_str("'  '");
                at += 4;
            }
            c => {
                out.push(c);
                at += 1;
            }
        }
    }
    out
}

/// How many `#` stand between `r` and its quote; None when this is no raw string.
fn raw_hashes(after_r: &[char]) -> Option<usize> {
    let hashes = after_r.iter().take_while(|c| **c == '#').count();
    (after_r.get(hashes) == Some(&'"')).then_some(hashes)
}

fn floor(module: &str) -> Option<u8> {
    FLOORS
        .iter()
        .find(|(_, names)| names.contains(&module))
        .map(|(floor, _)| *floor)
}

/// The table below "The floors" in ARCHITECTURE.md: each floor with what stands on it, such as `window.rs` or `nn/`.
fn told_floors(text: &str) -> Vec<(u8, &str)> {
    let section = text.split("\n## The floors\n").nth(1).unwrap_or_default();
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter_map(|line| {
        let mut cells = line.split('|').skip(1).map(str::trim);
        Some((cells.next()?.parse::<u8>().ok()?, cells.next()?))
    });
    rows.flat_map(|(floor, files)| files.split('`').skip(1).step_by(2).map(move |file| (floor, file)))
        .collect()
}

/// `window.rs` → `window`, `nn/` → `nn`.
fn module_of(file: &str) -> &str {
    file.trim_end_matches(".rs").trim_end_matches('/')
}

/// The modules that a line names as `crate::NAME`; `crate::{a, b::c}` gives both.
fn named_modules(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    for part in line.split("crate::").skip(1) {
        let word = |s: &str| -> String { s.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect() };
        match part.strip_prefix('{') {
            Some(list) => {
                let mut depth = 0;
                let mut item = String::new();
                for c in list.chars() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => found.push(word(std::mem::take(&mut item).trim())),
                        c if depth == 0 => item.push(c),
                        _ => {}
                    }
                }
                found.push(word(item.trim()));
            }
            None => found.push(word(part)),
        }
    }
    found.retain(|w| !w.is_empty());
    found
}

fn assert_none(rule: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}

#[test]
fn every_module_has_a_floor() {
    let broken: Vec<_> = sources()
        .iter()
        .filter(|s| s.path != "lib.rs" && floor(&s.module).is_none())
        .map(|s| s.path.clone())
        .collect();
    assert_none("these files belong to no floor of tests/floors.rs", &broken);
}

#[test]
fn the_table_in_architecture_md_is_the_list_of_this_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let told = told_floors(&text);
    let mut broken = Vec::new();
    for (theirs, file) in &told {
        let ours = floor(module_of(file));
        if ours != Some(*theirs) {
            broken.push(format!("{file} is told on floor {theirs}; by this test it is {ours:?}"));
        }
        if !root.join("src").join(file).exists() {
            broken.push(format!("{file} is told on floor {theirs} and is not there"));
        }
    }
    for (own, module) in FLOORS
        .iter()
        .flat_map(|(own, names)| names.iter().map(move |n| (own, n)))
    {
        let times = told.iter().filter(|(_, file)| module_of(file) == *module).count();
        if times != 1 {
            broken.push(format!("{module} of floor {own} is told {times} times"));
        }
    }
    assert_none("the table of floors in ARCHITECTURE.md", &broken);
}

#[test]
fn a_module_imports_only_from_the_floors_below_it() {
    let mut broken = Vec::new();
    for source in sources() {
        let Some(own) = floor(&source.module) else { continue };
        for (number, line) in source.code.iter().enumerate() {
            for other in named_modules(line) {
                let Some(theirs) = floor(&other) else { continue };
                let sibling = own == 6
                    || SIBLINGS
                        .iter()
                        .any(|(from, to, _)| *from == source.module && *to == other);
                if other != source.module && (theirs > own || (theirs == own && !sibling)) {
                    broken.push(format!(
                        "{}:{}: {} (floor {own}) imports {other} (floor {theirs})",
                        source.path,
                        number + 1,
                        source.module
                    ));
                }
            }
        }
    }
    assert_none("imports that go upwards or sideways", &broken);
}

#[test]
fn each_foreign_library_stays_where_it_belongs() {
    let homes: &[(&str, &[&str])] = &[
        ("gstreamer", &["ingest/gst"]),
        ("rumqttc", &["publish/mqtt"]),
        ("rumqttd", &["demo/"]),
        ("candle_core", &["nn/"]),
        ("candle_nn", &["nn/"]),
        ("rusqlite", &["store/"]),
        ("axum", &["console/"]),
        ("clap", &["cli/", "main.rs", "demo/"]),
    ];
    let mut broken = Vec::new();
    for source in sources() {
        for (number, line) in source.code.iter().enumerate() {
            for (library, places) in homes {
                let used = line.contains(&format!("{library}::")) || line.contains(&format!("use {library} "));
                if used && !places.iter().any(|home| source.path.starts_with(home)) {
                    broken.push(format!("{}:{}: {library}", source.path, number + 1));
                }
            }
        }
    }
    assert_none("libraries outside their home", &broken);
}

#[test]
fn no_lock_stands_on_the_data_path() {
    let places = ["graph/", "stages/", "nn/", "window.rs"];
    let mut broken = Vec::new();
    for source in sources() {
        if !places.iter().any(|p| source.path.starts_with(p)) {
            continue;
        }
        for (number, line) in source.shipped() {
            if line.contains("Mutex") || line.contains("RwLock") || line.contains("Condvar") {
                broken.push(format!("{}:{number}", source.path));
            }
        }
    }
    assert_none("locks on the data path (invariant 3)", &broken);
}

#[test]
fn unsafe_stays_in_the_kernels() {
    let mut broken = Vec::new();
    for source in sources() {
        for (number, line) in source.code.iter().enumerate() {
            let word = line
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .any(|w| w == "unsafe");
            if word && !source.path.starts_with("nn/kernels/") {
                broken.push(format!("{}:{}", source.path, number + 1));
            }
        }
    }
    assert_none("unsafe outside nn/kernels/", &broken);
}

#[test]
fn nothing_that_ships_can_panic_by_a_shortcut() {
    // `expect` is for true impossibilities: the line before it says `// Cannot fail: …`.
    let mut broken = Vec::new();
    for source in sources() {
        let raw = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(&source.path)).unwrap();
        let raw: Vec<&str> = raw.lines().collect();
        for (number, line) in source.shipped() {
            let excused =
                (number.saturating_sub(4)..number).any(|i| raw.get(i).is_some_and(|l| l.contains("// Cannot fail:")));
            let shortcut = [
                ".unwrap()",
                ".expect(\"",
                "panic!(",
                "todo!(",
                "unimplemented!(",
                "unreachable!(",
            ]
            .iter()
            .any(|s| line.contains(s));
            // Two arguments: a method of our own, not Option's.
            let own = line.contains(".expect(\"") && line.contains("\", \"");
            if shortcut && !own && !excused {
                broken.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    assert_none("shortcuts that can panic", &broken);
}

#[test]
fn a_file_holds_one_idea() {
    let broken: Vec<_> = sources()
        .iter()
        .filter(|s| s.code.len() > MAX_LINES)
        .map(|s| format!("{}: {} lines", s.path, s.code.len()))
        .collect();
    assert_none(&format!("files over {MAX_LINES} lines"), &broken);
}

#[test]
fn the_sibling_list_names_only_siblings() {
    let floors: BTreeMap<&str, u8> = FLOORS
        .iter()
        .flat_map(|(floor, names)| names.iter().map(move |n| (*n, *floor)))
        .collect();
    for (from, to, reason) in SIBLINGS {
        assert_eq!(
            floors[from], floors[to],
            "{from} and {to} do not share a floor ({reason})"
        );
    }
}

#[test]
fn the_reader_of_this_test_sees_code_and_not_words_about_it() {
    let text = "let a = \"crate::graph\"; // crate::cli\nlet b = r#\"unsafe \"x\" \"#; let c = '\"'; use crate::{data::X, nn};";
    let code = blanked(text);
    assert!(!code.contains("graph") && !code.contains("cli") && !code.contains("unsafe"));
    assert_eq!(named_modules(code.lines().nth(1).unwrap()), ["data", "nn"]);
}
