//! The clips of falls in other forms: whether the rule hangs on a detail of five recordings.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use crate::Place;
use crate::rates::share;
use crate::run::{known, replay, rows};

/// What is done to the picture.
#[derive(Clone, Copy)]
enum Form {
    /// GStreamer's own elements.
    Elements(&'static str),
    /// So much of the picture, black around it.
    Shrunk(f64),
    /// Less a tenth at each side.
    Cropped,
    /// To so much of its width.
    Squashed(f64),
}

const FORMS: [(&str, Form); 12] = [
    ("mirrored", Form::Elements("videoflip method=horizontal-flip")),
    ("0.8 times the pace", Form::Elements("videorate rate=0.8")),
    ("1.25 times the pace", Form::Elements("videorate rate=1.25")),
    ("0.6 of the picture, black around it", Form::Shrunk(0.6)),
    ("0.4 of the picture, black around it", Form::Shrunk(0.4)),
    ("dark", Form::Elements("videobalance brightness=-0.25 contrast=0.5")),
    ("turned by 5° to the right", Form::Elements("rotate angle=0.0873")),
    ("turned by 5° to the left", Form::Elements("rotate angle=-0.0873")),
    ("grey", Form::Elements("videobalance saturation=0")),
    ("blurred", Form::Elements("gaussianblur sigma=2")),
    ("cropped by a tenth at each side", Form::Cropped),
    ("squashed to 0.75 of its width", Form::Squashed(0.75)),
];

pub fn falls(place: &Place) -> String {
    let mut out = "## The same clips in other forms\n\n\
        They are the same five scenes, so this says whether the rule hangs on a detail, and no more.\n\n"
        .to_owned();
    let kinds = known(place, &["fall"]);
    if kinds.is_empty() {
        return out + "This version has no rule for falls.\n";
    }
    out += "| form | falls found | daily-life clips with a false one |\n|---|---|---|\n";
    // Of daily life and of falls: those told a fall, and all.
    let mut all = [[0; 2]; 2];
    for (name, form) in FORMS {
        let mut told = [[0; 2]; 2];
        for row in rows(&place.data.join("falls/labels.csv")) {
            let file = place.work.path().join("varied.mkv");
            let (w, h) = row["size"].split_once('x').unwrap();
            let (w, h) = (w.parse().unwrap(), h.parse().unwrap());
            record(
                &place.data.join("falls").join(&row["file"]),
                &elements(form, w, h),
                &file,
            );
            let fell = !replay(place, &file, None, &kinds).is_empty();
            let sort = usize::from(row["label"] == "fall");
            told[sort][0] += usize::from(fell);
            told[sort][1] += 1;
        }
        let [[wrong, daily], [hits, falls]] = told;
        let _ = writeln!(out, "| {name} | {hits} of {falls} | {wrong} of {daily} |");
        for (all, told) in all.iter_mut().flatten().zip(told.iter().flatten()) {
            *all += told;
        }
    }
    let [[wrong, daily], [hits, falls]] = all;
    let _ = writeln!(
        out,
        "\nFalls found in all forms: {}; false ones: {}.",
        share(hits, falls),
        share(wrong, daily)
    );
    out
}

/// For a clip of `w` by `h` pixels.
fn elements(form: Form, w: u32, h: u32) -> String {
    // Even numbers: encoders want them.
    let part = |whole: u32, share: f64| (f64::from(whole) * share / 2.0) as u32 * 2;
    let scaled = |w: u32, h: u32| {
        format!("videoscale add-borders=false ! video/x-raw,width={w},height={h},pixel-aspect-ratio=1/1")
    };
    match form {
        Form::Elements(elements) => elements.to_owned(),
        Form::Shrunk(share) => {
            let (x, y) = ((w - part(w, share)) / 2, (h - part(h, share)) / 2);
            let shrunk = scaled(w - 2 * x, h - 2 * y);
            format!("{shrunk} ! videobox left=-{x} right=-{x} top=-{y} bottom=-{y}")
        }
        Form::Cropped => {
            let (x, y) = (w / 10, h / 10);
            format!("videocrop left={x} right={x} top={y} bottom={y}")
        }
        Form::Squashed(share) => scaled(part(w, share), h),
    }
}

/// `from` with its pictures passed through `elements`, and without its sound.
fn record(from: &Path, elements: &str, to: &Path) {
    let location = |path: &Path| format!("location={}", path.display());
    let chain =
        format!("! decodebin ! videoconvert ! {elements} ! videoconvert ! jpegenc quality=92 ! matroskamux ! filesink");
    let output = Command::new("gst-launch-1.0")
        .args(["-q", "filesrc", &location(from)])
        .args(chain.split(' '))
        .arg(location(to))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{chain}: {said}");
}
