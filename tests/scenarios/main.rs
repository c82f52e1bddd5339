//! Stories as data: tracks, sounds and pictures in time, and what must come of them, or must not.
//!
//! Every `*.toml` beside this file is played through the real configuration, behaviour and policy. Time is the
//! story's own. To add one, copy a file, say in its first comment what it tells, and run `cargo test --test scenarios`.

mod clips;
mod feelings;
mod play;
mod properties;
mod story;
mod verdict;
mod view;

use std::path::PathBuf;

use play::{Twist, play};
use story::Story;

/// Every story with its file name, in order.
fn stories() -> Vec<(String, Story)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scenarios");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "toml"));
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(
                text.starts_with("# "),
                "{name}: the first line says in a comment what it tells"
            );
            let story = toml::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
            (name, story)
        })
        .collect()
}

#[test]
fn every_story_comes_out_as_it_is_written() {
    let mut wrong = Vec::new();
    for (name, story) in stories() {
        let alerts = play(&story, Twist::default());
        wrong.extend(
            verdict::judge(&story, &alerts)
                .into_iter()
                .map(|why| format!("{name}: {why}")),
        );
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn half_of_the_stories_are_of_things_that_must_not_alarm() {
    let all = stories();
    let quiet = all.iter().filter(|(_, s)| s.expect.is_empty()).count();
    assert!(all.len() >= 60, "{} stories", all.len());
    assert!(2 * quiet >= all.len(), "{quiet} of {} are quiet", all.len());
}
