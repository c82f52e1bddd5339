//! The state folder: one daemon at a time has it, and a database that breaks there while it runs does not end the alerts.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::broker::{hears_sirens, siren_camera};
use super::house::{House, Process};

#[test]
fn a_second_daemon_on_one_state_folder_is_refused_and_who_only_looks_is_not() {
    let mut house = House::new();
    house.configure("");
    house.start();
    house.wait_log("a start", 60, |log| log.contains("ready"));
    let watchfire = |command: &str| {
        let mut watchfire = Command::new(env!("CARGO_BIN_EXE_watchfire"));
        watchfire.args([command, "--config"]).arg(house.config_path());
        watchfire
    };
    let second = watchfire("run").stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut second = Process(second.unwrap());
    let status = second.ended(Duration::from_secs(60)).expect("it is refused");
    let mut said = String::new();
    second.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    let events = watchfire("events").output().unwrap();
    let first = format!("(process {})", house.daemon().0.id());
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("another Watchfire") && said.contains(&first), "{said}");
    assert!(events.status.success(), "{events:?}");
    assert!(house.daemon().ended(Duration::ZERO).is_none(), "the first one goes on");
}

#[test]
fn a_database_that_breaks_while_it_runs_ends_the_daemon_and_is_put_aside() {
    let mut house = House::new();
    let cameras = siren_camera(house.dir.path());
    house.configure(&hears_sirens(&cameras));
    house.start();
    let before = house.wait_alert("gate", "siren", "end", 60);
    for name in ["watchfire.db", "watchfire.db-wal"] {
        let path = house.state_dir().join(name);
        let bytes = std::fs::metadata(&path).unwrap().len();
        let file = File::options().write(true).open(&path).unwrap();
        file.write_all_at(&vec![0x5a; bytes as usize], 0).unwrap();
    }
    // The next alert meets it, or the look at the outbox that is taken every half minute.
    let status = house.daemon().ended(Duration::from_secs(60)).expect("it gives up");
    assert_eq!(status.code(), Some(1), "{}", house.log());
    assert!(house.log().contains("to be started anew"), "{}", house.log());

    // As systemd does.
    house.heard.extend(house.messages.try_iter());
    house.start();
    let after = house.wait_alert("gate", "siren", "start", 60);
    assert_ne!(before["id"], after["id"]);
    assert!(house.log().contains("it was put aside as"), "{}", house.log());
    let state = std::fs::read_dir(house.state_dir()).unwrap();
    let names = state.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(names.into_iter().any(|name| name.starts_with("watchfire.db.damaged-")));
}
