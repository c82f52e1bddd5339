//! `replay --report`: a folder of recordings, one report, and going on where it was interrupted.

#[path = "support/wav.rs"]
mod wav;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;
use watchfire::demo::media::siren;
use wav::wav;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn silence(seconds: usize) -> Vec<u8> {
    wav(&vec![0.0; 16_000 * seconds])
}

/// Silence of most of a day that takes no space: the zeros were never written.
fn long_silence(path: &Path) {
    const BYTES: u32 = 60_000 * 2 * 16_000;
    let mut header = wav(&[]);
    header[4..8].copy_from_slice(&(36 + BYTES).to_le_bytes());
    header[40..44].copy_from_slice(&BYTES.to_le_bytes());
    std::fs::write(path, header).unwrap();
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_len(u64::from(44 + BYTES)).unwrap();
}

fn command(folder: &Path, report: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_watchfire"));
    command
        .args(["replay", "--models"])
        .arg(Path::new(ROOT).join("models"))
        .arg("--report")
        .args([report, folder])
        .args(more);
    command
}

fn moderate(folder: &Path, report: &Path, kinds: &str) -> Output {
    command(folder, report, &["--kinds", kinds]).output().unwrap()
}

/// A command that waits for ever fails (124), and does not hold up the tests.
fn in_time(command: &Command) -> (Option<i32>, String) {
    let mut timeout = Command::new("timeout");
    timeout.arg("120").arg(command.get_program()).args(command.get_args());
    let output = timeout.output().unwrap();
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    (output.status.code(), said.concat())
}

fn pipe(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
}

fn read(report: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap()
}

fn prepared() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("uploads");
    std::fs::create_dir_all(folder.join("deeper")).unwrap();
    std::fs::write(folder.join("a.wav"), silence(2)).unwrap();
    std::fs::write(folder.join("deeper/b.WAV"), wav(&siren(4.0))).unwrap();
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
    let line = said.lines().find(|l| l.contains("broken.mp4")).unwrap_or_default();
    assert_eq!(line.matches("Could not determine type").count(), 1, "{said}");
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
    assert_eq!(quiet["seconds"], 2.0, "{quiet}");
}

#[test]
fn finished_files_are_skipped_until_they_or_the_job_change() {
    let (_dir, folder, report) = prepared();
    std::fs::remove_file(folder.join("broken.mp4")).unwrap();
    let done_in = |folder: &Path, more: &[&str]| {
        let output = command(folder, &report, more).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let done = |kinds: &str| done_in(&folder, &["--kinds", kinds]);
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
    let mut longer = silence(2);
    longer.extend([0; 64]);
    std::fs::write(folder.join("a.wav"), longer).unwrap();
    done("gunshot");
    assert_eq!(marked(), 1);
    mark();
    // The same folder by another name.
    assert!(done_in(&folder.join("../uploads/."), &["--kinds", "gunshot"]).contains("2 of them before"));
    let before = read(&report);
    for (folder, more, why) in [
        (
            &folder,
            ["--kinds", "gunshot,siren"],
            "kinds was gunshot, is gunshot,siren",
        ),
        (&folder.join("deeper"), ["--kinds", "gunshot"], "uploads was judged too"),
    ] {
        let output = command(folder, &report, &more).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(
            said.contains("of another job") && said.contains(why) && said.contains("--fresh"),
            "{said}"
        );
        assert_eq!(read(&report), before, "it was discarded");
    }
    done_in(&folder, &["--kinds", "gunshot,siren", "--fresh"]);
    assert_eq!(marked(), 0, "what another job found was believed");
}

#[test]
fn without_kinds_it_looks_for_accidents_violence_and_sounds_and_tells_why_and_when() {
    let (_dir, folder, report) = prepared();
    std::fs::remove_file(folder.join("broken.mp4")).unwrap();
    std::fs::copy(folder.join("deeper/b.WAV"), folder.join("c.wav")).unwrap();
    let output = command(&folder, &report, &[]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = read(&report);
    let kinds = "fall fight gunshot explosion glass_break siren baby_cry dog_bark";
    let kinds: Vec<&str> = kinds.split(' ').collect();
    assert_eq!(told["job"]["kinds"], serde_json::json!(kinds));
    let files = told["files"].as_array().unwrap();
    let file = files
        .iter()
        .find(|f| f["file"].as_str().unwrap().ends_with("b.WAV"))
        .unwrap();
    let siren = &file["verdicts"]["siren"];
    let (span, why) = (&siren["spans"][0], &siren["spans"][0]["evidence"][0]);
    assert_eq!(
        (&siren["severity"], &why["modality"], &why["label"]),
        (&"info".into(), &"audio".into(), &"siren".into())
    );
    assert!(
        siren["score"].as_f64().unwrap() >= 0.5 && why["contribution"].as_f64().unwrap() > 0.0,
        "{siren}"
    );
    assert!(why["model"].as_str().unwrap().starts_with("sound@"), "{siren}");
    let s = |key: &str| span[key].as_f64().unwrap();
    assert!(s("from_s") < 1.5 && s("to_s") > 2.0 && s("to_s") <= 4.5, "{siren}");
    assert_eq!(told["totals"]["flagged"], serde_json::json!({"siren": 2}));
    // A sound says nothing of what only a picture shows, and is not clean for that.
    assert_eq!(
        file["not_judged"],
        serde_json::json!({"fall": "there is no picture", "fight": "there is no picture"})
    );
    assert_eq!(told["totals"]["not_judged"], serde_json::json!({"fall": 3, "fight": 3}));
    assert_eq!(told["totals"]["clean"], 0);
    let odds = |key: &str| s(key).ln() - (1.0 - s(key)).ln();
    let weight = why["contribution"].as_f64().unwrap();
    assert!((odds("prior") + weight - odds("score")).abs() < 0.02, "{span}");
    let other = files
        .iter()
        .find(|f| f["file"].as_str().unwrap().ends_with("c.wav"))
        .unwrap();
    let other = &other["verdicts"]["siren"]["spans"][0];
    // Each player judges alike, whichever file it takes.
    for key in ["from_s", "to_s", "score", "evidence"] {
        assert_eq!(other[key], span[key], "{key}");
    }
    assert_ne!(other["alert"], span["alert"], "two recordings share an alert");
}

#[test]
fn what_ends_and_comes_again_is_told_again() {
    let dir = tempfile::tempdir().unwrap();
    let twice = [siren(4.0), vec![0.0; 16_000 * 11], siren(4.0), vec![0.0; 16_000 * 6]].concat();
    std::fs::write(dir.path().join("a.wav"), wav(&twice)).unwrap();
    let report = dir.path().join("report.json");
    let output = moderate(dir.path(), &report, "siren");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.starts_with("1 file: 1 finished, 0 unreadable"), "{said}");
    let spans = &read(&report)["files"][0]["verdicts"]["siren"]["spans"];
    let from_s: Vec<f64> = spans
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["from_s"].as_f64().unwrap())
        .collect();
    assert!(
        from_s.len() == 2 && from_s[0] < 2.0 && (14.0..17.0).contains(&from_s[1]),
        "{spans}"
    );
}

#[test]
fn what_is_finished_when_it_is_interrupted_is_not_done_again() {
    let (_dir, folder, report) = prepared();
    std::fs::remove_file(folder.join("broken.mp4")).unwrap();
    let long = folder.join("z.wav");
    long_silence(&long);
    let kinds = ["--kinds", "gunshot"];
    let mut process = command(&folder, &report, &kinds).spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    let finished = || report.exists() && read(&report)["totals"]["finished"] == 2;
    while !finished() {
        assert!(Instant::now() < until, "the two short files are not told");
        assert!(process.try_wait().unwrap().is_none(), "the long file was too short");
        std::thread::park_timeout(Duration::from_millis(20));
    }
    let second = command(&folder, &report, &kinds).output().unwrap();
    let said = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(said.contains("another process writes this report"), "{said}");
    process.kill().unwrap();
    process.wait().unwrap();
    std::fs::remove_file(&long).unwrap();
    // What the killed one has left locks nothing, and is gone after a job that ends.
    let lock = report.with_extension("json.lock");
    assert!(lock.exists());
    let output = command(&folder, &report, &kinds).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("2 files: 2 finished (2 of them before)"), "{said}");
    assert!(!lock.exists());
}

/// A share that is not mounted is a folder that is not there, or that is empty.
#[test]
fn what_cannot_be_looked_at_for_the_moment_keeps_its_verdicts() {
    let (dir, folder, report) = prepared();
    std::fs::remove_file(folder.join("broken.mp4")).unwrap();
    let root = dir.path().canonicalize().unwrap();
    let [share, away, single, moved] = ["share", "away", "d.wav", "moved.wav"].map(|name| root.join(name));
    let (nested, kept) = (folder.join("nas"), root.join("e.wav"));
    std::fs::create_dir(&nested).unwrap();
    std::fs::write(nested.join("e.wav"), silence(1)).unwrap();
    std::fs::create_dir(&share).unwrap();
    std::fs::write(share.join("c.wav"), silence(1)).unwrap();
    std::fs::write(&single, silence(1)).unwrap();
    let more = ["--kinds", "gunshot", share.to_str().unwrap(), single.to_str().unwrap()];
    let run = || {
        let output = command(&folder, &report, &more).output().unwrap();
        let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
        (output.status.code(), said.concat())
    };
    let finished = || -> Vec<Value> {
        let told = read(&report);
        let files = told["files"].as_array().unwrap().iter();
        files.filter(|f| f["unreadable"].is_null()).cloned().collect()
    };
    let (code, said) = run();
    assert_eq!((code, finished().len()), (Some(0), 5), "{said}");
    let before = finished();

    std::fs::rename(&share, &away).unwrap();
    std::fs::rename(&single, &moved).unwrap();
    std::fs::rename(nested.join("e.wav"), &kept).unwrap();
    for empty in [false, true] {
        if empty {
            std::fs::create_dir(&share).unwrap();
        }
        let (code, said) = run();
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("5 finished (5 of them before), 2 unreadable"), "{said}");
        assert!(said.contains("d.wav"), "{said}");
        assert_eq!(finished(), before, "{said}");
    }

    std::fs::remove_dir(&share).unwrap();
    std::fs::rename(&away, &share).unwrap();
    std::fs::rename(&moved, &single).unwrap();
    std::fs::rename(&kept, nested.join("e.wav")).unwrap();
    let (code, said) = run();
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("5 files: 5 finished (5 of them before), 0 unreadable"),
        "{said}"
    );
    assert_eq!(finished(), before);
    // In a folder that can be read, what is not there is gone.
    std::fs::remove_file(folder.join("a.wav")).unwrap();
    assert!(run().1.contains("4 files: 4 finished"));
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

/// As an upload from an old system may have.
#[test]
fn a_name_that_is_not_utf_8_is_told_and_the_others_are_done() {
    use std::os::unix::ffi::OsStrExt;
    let (_dir, folder, report) = prepared();
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9.wav");
    std::fs::write(folder.join(name), silence(1)).unwrap();
    for _ in 0..2 {
        let output = moderate(&folder, &report, "gunshot");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("its name is not UTF-8"), "{said}");
        let told = read(&report);
        assert_eq!(
            (&told["totals"]["files"], &told["totals"]["finished"]),
            (&4.into(), &2.into()),
            "{told}"
        );
    }
}

#[test]
fn what_cannot_be_looked_at_is_never_among_the_files_in_which_nothing_was_found() {
    let (_dir, folder, report) = prepared();
    std::fs::remove_file(folder.join("broken.mp4")).unwrap();
    pipe(&folder.join("pipe.mp4"));
    // The header of a sound without a sample.
    std::fs::write(folder.join("header.wav"), wav(&[])).unwrap();
    std::fs::write(folder.join("empty.mp4"), b"").unwrap();
    std::fs::write(folder.join("e\u{1b}[31mv\nil.mp4"), b"no film").unwrap();
    let command = command(&folder, &report, &["--kinds", "gunshot"]);
    let (code, said) = in_time(&command);
    assert_eq!(code, Some(1), "{said}");
    for why in [
        "pipe.mp4: is a pipe, not a file",
        "header.wav: nothing in it could be decoded",
        "empty.mp4: is empty",
        "e\\u{1b}[31mv\\nil.mp4: ",
        "6 files: 2 finished, 4 unreadable",
    ] {
        assert!(said.contains(why), "{why:?} is missing in\n{said}");
    }
    assert!(!said.contains("e\u{1b}[31mv"), "{said}");
    let told = read(&report);
    assert_eq!(told["totals"]["clean"], 2, "{told}");
    assert_eq!(told["totals"]["unreadable"].as_array().unwrap().len(), 4, "{told}");

    // What was found in a file says nothing of a pipe in its place.
    std::fs::remove_file(folder.join("a.wav")).unwrap();
    pipe(&folder.join("a.wav"));
    let (code, said) = in_time(&command);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("6 files: 1 finished (1 of them before), 5 unreadable"),
        "{said}"
    );
}

#[test]
fn folders_behind_links_are_judged_once_and_a_link_that_leads_nowhere_is_named() {
    use std::os::unix::fs::symlink;
    let (dir, folder, report) = prepared();
    std::fs::remove_file(folder.join("broken.mp4")).unwrap();
    let away = dir.path().join("away");
    std::fs::create_dir(&away).unwrap();
    std::fs::write(away.join("c.wav"), silence(1)).unwrap();
    symlink(&away, folder.join("linked")).unwrap();
    symlink(&folder, folder.join("deeper/round")).unwrap();
    symlink(folder.join("deeper"), folder.join("again")).unwrap();
    let command = command(&folder, &report, &["--kinds", "gunshot"]);
    let files = || -> Vec<String> {
        let told = read(&report);
        let files = told["files"].as_array().unwrap().iter();
        let root = folder.canonicalize().unwrap().display().to_string();
        files.map(|f| f["file"].as_str().unwrap().replace(&root, "")).collect()
    };
    let (code, said) = in_time(&command);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(files(), ["/a.wav", "/deeper/b.WAV", "/linked/c.wav"], "{said}");

    // As a share behind a link that is not mounted: what was found there stands.
    let hidden = dir.path().join("hidden");
    std::fs::rename(&away, &hidden).unwrap();
    let (code, said) = in_time(&command);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("linked: No such file"), "{said}");
    assert!(said.contains("3 finished (3 of them before), 1 unreadable"), "{said}");
    std::fs::rename(&hidden, &away).unwrap();
    let (code, said) = in_time(&command);
    assert_eq!((code, files().len()), (Some(0), 3), "{said}");
}
