//! `replay --report`: a folder of recordings, one report, and going on where it was interrupted.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A second of a mono WAV file: noise that fades, or silence.
fn wav(loud: bool) -> Vec<u8> {
    const RATE: u32 = 16_000;
    let mut state = 7u32;
    let mut sample = |i: u32| -> i16 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let fade = (-(i as f32) / 4_000.0).exp();
        if loud {
            ((state >> 16) as i16 as f32 * fade) as i16
        } else {
            0
        }
    };
    let data: Vec<u8> = (0..2 * RATE).flat_map(|i| sample(i).to_le_bytes()).collect();
    let mut out = b"RIFF".to_vec();
    out.extend((36 + data.len() as u32).to_le_bytes());
    out.extend(b"WAVEfmt ");
    out.extend(16u32.to_le_bytes());
    out.extend(1u16.to_le_bytes());
    out.extend(1u16.to_le_bytes());
    out.extend(RATE.to_le_bytes());
    out.extend((2 * RATE).to_le_bytes());
    out.extend(2u16.to_le_bytes());
    out.extend(16u16.to_le_bytes());
    out.extend(b"data");
    out.extend((data.len() as u32).to_le_bytes());
    out.extend(data);
    out
}

fn moderate(folder: &Path, report: &Path, kinds: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_watchfire"))
        .args(["replay", "--models"])
        .arg(Path::new(ROOT).join("models"))
        .args(["--kinds", kinds, "--report"])
        .args([report, folder])
        .output()
        .unwrap()
}

fn read(report: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap()
}

fn prepared() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("uploads");
    std::fs::create_dir_all(folder.join("deeper")).unwrap();
    std::fs::write(folder.join("a.wav"), wav(false)).unwrap();
    std::fs::write(folder.join("deeper/b.WAV"), wav(true)).unwrap();
    std::fs::write(folder.join("broken.mp4"), b"no film").unwrap();
    std::fs::write(folder.join("notes.txt"), b"no recording").unwrap();
    let report = dir.path().join("report.json");
    (dir, folder, report)
}

#[test]
fn every_recording_gets_a_verdict_and_an_unreadable_one_is_named() {
    let (_dir, folder, report) = prepared();
    let output = moderate(&folder, &report, "gunshot,explosion");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("broken.mp4"), "{said}");
    let told = read(&report);
    assert_eq!(told["schema"], "watchfire.report/1");
    assert_eq!(told["totals"]["files"], 3);
    assert_eq!(told["totals"]["finished"], 2);
    assert_eq!(told["totals"]["unreadable"].as_array().unwrap().len(), 1);
    assert_eq!(told["job"]["kinds"].as_array().unwrap().len(), 2);
    let files = told["files"].as_array().unwrap();
    let quiet = files
        .iter()
        .find(|f| f["file"].as_str().unwrap().ends_with("a.wav"))
        .unwrap();
    assert_eq!(
        (&quiet["unreadable"], &quiet["verdicts"]),
        (&Value::Null, &serde_json::json!({}))
    );
    assert!((quiet["seconds"].as_f64().unwrap() - 2.0).abs() < 0.6, "{quiet}");
}

#[test]
fn finished_files_are_skipped_until_they_or_the_job_change() {
    let (_dir, folder, report) = prepared();
    std::fs::remove_file(folder.join("broken.mp4")).unwrap();
    let done = |kinds: &str| {
        let output = moderate(&folder, &report, kinds);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(done("gunshot").contains("2 files: 2 finished, 0 unreadable"));
    // A mark that only a file judged anew loses.
    let mark = || {
        let mut told = read(&report);
        for file in told["files"].as_array_mut().unwrap() {
            file["seconds"] = 99.0.into();
        }
        std::fs::write(&report, told.to_string()).unwrap();
    };
    let marked = || {
        let told = read(&report);
        let files = told["files"].as_array().unwrap();
        files.iter().filter(|f| f["seconds"] == 99.0).count()
    };
    mark();
    assert!(done("gunshot").contains("2 finished (2 of them before)"));
    assert_eq!(marked(), 2);
    let mut longer = wav(false);
    longer.extend([0; 64]);
    std::fs::write(folder.join("a.wav"), longer).unwrap();
    done("gunshot");
    assert_eq!(marked(), 1);
    mark();
    done("gunshot,siren");
    assert_eq!(marked(), 0, "a report of another job was believed");
}

#[test]
fn a_file_that_is_no_report_is_not_overwritten() {
    let (_dir, folder, report) = prepared();
    std::fs::write(&report, b"a letter").unwrap();
    let output = moderate(&folder, &report, "gunshot");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no report"));
    assert_eq!(std::fs::read(&report).unwrap(), b"a letter");
}
