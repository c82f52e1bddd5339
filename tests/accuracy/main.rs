//! `make accuracy`: recordings with hand-marked truth through `watchfire replay`, and `docs/accuracy.md` from what came of it.

mod clips;
mod crossings;
mod faces;
mod gating;
mod quiet;
mod rates;
mod run;
mod sounds;
mod tampered;
mod varied;
mod voices;

use std::path::{Path, PathBuf};

/// What stands below this line was written by hand and is kept.
const NOTES: &str = "## What went wrong, looked at frame by frame";

/// Where things are.
pub struct Place {
    pub data: PathBuf,
    /// Models, binary and documents are this repository's.
    pub root: PathBuf,
    pub work: tempfile::TempDir,
}

impl Place {
    /// OpenCV's `vtest.avi`, as `make media` fetches it.
    pub fn footage(&self) -> PathBuf {
        let named = std::env::var_os("WATCHFIRE_FOOTAGE").map(PathBuf::from);
        named.unwrap_or_else(|| self.root.join(".cache/media/vtest.avi"))
    }
}

/// Plays its recordings and returns its part of the document.
type Part = fn(&Place) -> String;

/// In the order of the document. `PART=sounds make accuracy` prints one of them and leaves the document alone.
const PARTS: [(&str, Part); 11] = [
    ("persons", crossings::persons),
    ("cars", crossings::cars),
    ("falls", clips::falls),
    ("varied", varied::falls),
    ("fights", clips::fights),
    ("quiet", quiet::recordings),
    ("lenses", tampered::lenses),
    ("sounds", sounds::alerts),
    ("faces", faces::behind_the_detector),
    ("moods", voices::moods),
    ("gating", gating::savings),
];

#[test]
#[ignore = "minutes of work on recordings that are not in the repository: make accuracy"]
fn accuracy_on_recordings_with_truth() {
    let Some(data) = std::env::var_os("WATCHFIRE_DATA") else {
        println!("skipped: WATCHFIRE_DATA does not name the data folder");
        return;
    };
    let place = Place {
        data: data.into(),
        root: env!("CARGO_MANIFEST_DIR").into(),
        work: tempfile::tempdir().unwrap(),
    };
    if let Some(only) = std::env::var_os("PART") {
        let (_, part) = PARTS.iter().find(|(name, _)| only == **name).expect("a part");
        println!("{}", part(&place));
        return;
    }
    let sections = PARTS.map(|(_, part)| part(&place));
    let path = place.root.join("docs/accuracy.md");
    std::fs::write(&path, document(&sections, &path)).unwrap();
    println!("{} is written", path.display());
}

fn document(sections: &[String], path: &Path) -> String {
    let old = std::fs::read_to_string(path).unwrap_or_default();
    let notes = old.find(NOTES).map_or(NOTES, |at| &old[at..]).trim_end();
    format!(
        "# Accuracy on recordings\n\nWritten by `make accuracy` (all but the last part), which plays recordings with hand-marked truth \
         through `watchfire replay`: the daemon's graph, models and rules, with the default thresholds. Intervals are 95 % \
         (Wilson's for shares, Garwood's for rates, as if alarms came independently). The sets are small and some of their footage resembles what the models were trained on; the cards say \
         which. Recordings are not part of this repository.\n\n{}\n{notes}\n",
        sections.join("\n")
    )
}
