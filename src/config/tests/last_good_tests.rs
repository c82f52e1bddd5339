//! Where the last good configuration lies, told by a file that is wrong.

use super::*;

fn dir_of(text: &[u8]) -> Option<PathBuf> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("watchfire.toml");
    std::fs::write(&path, text).unwrap();
    state_dir(&path)
}

#[test]
fn a_file_with_mistakes_of_syntax_still_tells_its_state_folder() {
    let state = "[state]\ndir = \"/srv/wf\"\nkeep_days = 3\n";
    for before in [
        "",
        "[graph]\nwindow_ms = 5\n",
        "[site]\nname = \"yard\n",
        "[site]\nname = yard\"\n",
        "[site]\nname =\n",
        "[site\nname = \"yard\"\n",
        "[[camera]]\nid = \"yard\nmask = [[0.0, 1.0]\n",
        "[[camera]]\npassword = { file = \"/etc/x\"\n",
    ] {
        let text = format!("{before}{state}[http]\nlisten = \"off\n");
        assert_eq!(dir_of(text.as_bytes()), Some("/srv/wf".into()), "{text}");
    }
    // As an editor writes it that knows nothing of UTF-8.
    let latin = [b"# caf\xe9\n".as_slice(), state.as_bytes()].concat();
    assert_eq!(dir_of(&latin), Some("/srv/wf".into()));
}

#[test]
fn a_file_that_names_no_state_folder_tells_none() {
    for text in [
        "[site]\nname = \"yard\"\n",
        "[state]\nkeep_days = 3\n",
        "[state]\ndir = 3\n",
    ] {
        assert_eq!(dir_of(text.as_bytes()), None, "{text}");
    }
    assert_eq!(state_dir(Path::new("/nowhere/watchfire.toml")), None);
}
