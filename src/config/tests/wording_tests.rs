//! What is said of a mistake: what to write instead, and nothing of a value.

use super::*;

const CAMERA: &str = "[[camera]]\nid = \"a\"\nurl = \"rtsp://10.0.0.1/x\"\n";

/// Every error, one a line.
fn told(text: &str) -> String {
    let errors = match load_one(text) {
        Ok(loaded) => loaded.camera_errors,
        Err(errors) => errors,
    };
    errors.iter().map(|e| format!("{e}\n")).collect()
}

#[test]
fn a_value_of_the_wrong_type_is_told_in_plain_words_and_not_shown() {
    for (text, said) in [
        (
            "[mqtt]\nkeep_alive_s = \"canary\"\n",
            "2:16: this must be a whole number",
        ),
        (
            "[mqtt]\nkeep_alive_s = -77\n",
            "2:16: this must be a whole number from 0",
        ),
        ("[mqtt]\nversion = 77\n", "2:11: this must be a string, in quotes"),
        ("[mqtt]\ncommands = \"canary\"\n", "2:12: this must be true or false"),
        (
            "[state]\nkeep_days = \"canary, expected u32\"\n",
            "2:13: this must be a number",
        ),
        (
            "[state]\nkeep_days = 77777777777777777777\n",
            "2:13: this number is too large",
        ),
        ("mqtt = \"canary\"\n", "1:8: this must be a table"),
        (&*format!("{CAMERA}kinds = \"canary\"\n"), "4:9: this must be a list"),
        (
            &*format!("{CAMERA}username = [\"canary\"]\n"),
            "4:12: this must be a string",
        ),
    ] {
        let told = told(text);
        assert!(told.starts_with(&format!("w.toml:{said}")), "{text}: {told}");
        assert!(!told.contains("canary") && !told.contains("77"), "{text}: {told}");
    }
    // A URL that stands where a name should.
    let told = told("[[camera]]\nid = \"rtsp://u:canary@10.0.0.1/x\"\nurl = \"a\"\n");
    assert!(told.contains("camera.id") && !told.contains("canary"), "{told}");
}

#[test]
fn brackets_that_are_one_too_few_or_too_many_are_told_with_what_to_write() {
    for (text, line, said) in [
        (
            "[camera]\nid = \"a\"\n",
            1,
            "`camera` is a list of tables: write [[camera]]",
        ),
        ("camera = \"x\"\n", 1, "`camera` is a list of tables: write [[camera]]"),
        (
            &*format!("{CAMERA}[camera.zone]\nname = \"z\"\n"),
            4,
            "`zone` is a list of tables: write [[camera.zone]]",
        ),
        ("[[mqtt]]\nversion = \"5\"\n", 1, "`mqtt` is one table: write [mqtt]"),
        (
            &*format!("{CAMERA}[[zone]]\nname = \"z\"\n"),
            4,
            "unknown key `zone` in the file; write [[camera.zone]] below its [[camera]]",
        ),
        (
            &*format!("{CAMERA}[[rules]]\nkind = \"siren\"\n"),
            4,
            "write [[camera.rule]] below its [[camera]]",
        ),
    ] {
        let told = told(text);
        assert!(told.starts_with(&format!("w.toml:{line}:")), "{text}: {told}");
        assert!(told.contains(said) && told.lines().count() == 1, "{text}: {told}");
    }
    let texts = vec![
        ("w.toml".into(), String::new()),
        ("cameras.d/a.toml".into(), format!("{CAMERA}[[mask]]\nname = \"m\"\n")),
    ];
    let errors = load_texts(texts, &around()).unwrap_err();
    assert!(
        errors[0].message.contains("write [[camera.mask]] below its"),
        "{errors:?}"
    );
}

#[test]
fn only_what_shares_most_letters_is_suggested() {
    for (text, said) in [
        ("x = 1\n", "known are box, camera"),
        ("[[camer]]\n", "did you mean `camera`?"),
        ("[mqtt]\nversion = \"3\"\n", "known are 5, 3.1.1"),
        ("[mqtt]\nversion = \"3.1\"\n", "known are 5, 3.1.1"),
        (&*format!("{CAMERA}transport = \"dup\"\n"), "did you mean `udp`?"),
        (&*format!("{CAMERA}transport = \"quic\"\n"), "known are tcp, udp"),
        (
            &*GOOD.replace(
                "kind = \"gunshot\"\nthreshold = 0.8",
                "kind = \"intrusion\"\nzone = \"fnce\"",
            ),
            "no zone and no line `fnce`; did you mean `fence`?",
        ),
    ] {
        let told = told(text);
        assert!(told.contains(said), "{text}: {told}");
    }
}

#[test]
fn a_polygon_whose_sides_cross_is_warned_of() {
    let warned = |corners: &str| {
        let loaded = load_one(&GOOD.replace("[[0.0, 0.6], [1.0, 0.6], [1.0, 1.0]]", corners)).unwrap();
        assert!(loaded.camera_errors.is_empty(), "{corners}: {:?}", loaded.camera_errors);
        loaded
            .warnings
            .iter()
            .any(|w| w.line == 13 && w.message.contains("sides cross"))
    };
    // Named in rows, and a star.
    assert!(warned("[[0.1, 0.1], [0.9, 0.1], [0.1, 0.6], [0.7, 0.9]]"));
    assert!(warned("[[0.5, 0.0], [0.8, 0.9], [0.0, 0.3], [1.0, 0.3], [0.2, 0.9]]"));
    for simple in [
        "[[0.1, 0.1], [0.9, 0.1], [0.7, 0.9], [0.1, 0.6]]",
        // Concave, and with a corner on another's side.
        "[[0.0, 0.0], [1.0, 0.0], [1.0, 0.3], [0.3, 0.3], [0.3, 1.0], [0.0, 1.0]]",
        "[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.5, 0.0], [0.0, 1.0]]",
    ] {
        assert!(!warned(simple), "{simple}");
    }
}

#[test]
fn a_camera_without_any_kind_is_warned_of() {
    let loaded = load_one(&format!("{CAMERA}kinds = []\n")).unwrap();
    let warnings = &loaded.warnings;
    assert!(
        warnings.len() == 1 && warnings[0].line == 4 && warnings[0].message.contains("leave it out for the defaults"),
        "{warnings:?}"
    );
}

/// A folder with a main file and these beside it, loaded.
fn load_folder(files: &[(&str, &[u8])]) -> Result<Loaded, Vec<Diagnostic>> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("cameras.d")).unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    load(&dir.path().join("w.toml"), &around())
}

#[test]
fn a_file_beside_the_cameras_that_nobody_reads_is_warned_of() {
    let text = CAMERA.as_bytes();
    let loaded = load_folder(&[
        ("w.toml", b"".as_slice()),
        ("cameras.d/a.toml", text),
        ("cameras.d/b.tml", text),
        ("cameras.d/a.toml~", text),
        ("cameras.d/.a.toml.swp", text),
    ])
    .unwrap();
    let warned: Vec<_> = loaded
        .warnings
        .iter()
        .map(|w| (w.file.file_name().unwrap(), &w.message))
        .collect();
    assert!(
        warned.len() == 1 && warned[0].0 == "b.tml" && warned[0].1.contains(".toml"),
        "{warned:?}"
    );
}

#[test]
fn a_file_that_is_not_utf_8_is_told_with_its_line() {
    let text = b"[site]\n# \xc3\xbc, caf\xe9\nname = \"yard\"\n";
    let errors = load_folder(&[("w.toml", text.as_slice())]).unwrap_err();
    assert_eq!(
        (errors.len(), errors[0].line, errors[0].column),
        (1, 2, 9),
        "{errors:?}"
    );
    assert!(errors[0].message.contains("save the file as UTF-8"), "{errors:?}");
}
