//! A full disk is survived, told, and forgotten when there is room again.

use std::process::Command;

use super::broker::siren_camera;
use super::house::House;

/// Files of the process may not grow beyond this; to the process a full disk looks the same.
fn limit_files(pid: u32, bytes: &str) {
    let set = Command::new("prlimit")
        .args(["--pid", &pid.to_string(), &format!("--fsize={bytes}:unlimited")])
        .status()
        .expect("prlimit is a part of util-linux");
    assert!(set.success());
}

#[test]
fn alerts_wait_in_memory_while_the_disk_is_full_and_the_box_says_so() {
    let mut house = House::new();
    let cameras = siren_camera(house.dir.path());
    house.configure(&format!(
        "[[camera]]\nid = \"gate\"\nurl = \"{}\"\nkinds = [\"siren\"]\nsnapshots = \"off\"\n\
         [[camera.rule]]\nkind = \"siren\"\nhold_s = 1.0\ncooldown_s = 0.0\n",
        cameras.url("gate")
    ));
    // A write over the limit must fail, as on a full disk, and not end the process.
    house.start_under(&["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"]);
    let first = house.wait_alert("gate", "siren", "end", 60);
    let pid = house.daemon().0.id();
    let log = house.state_dir().join("watchfire.db-wal");
    limit_files(pid, &std::fs::metadata(log).unwrap().len().to_string());
    house.wait_log("the full disk", 60, |log| log.contains("alerts wait in memory"));
    let health = house.get("/healthz");
    assert!(
        health.starts_with("HTTP/1.1 200") && health.contains("watchfire.db"),
        "the box lives and says what is wrong: {health}"
    );

    // From here on only what waited in memory, or came later.
    house.heard.extend(house.messages.try_iter());
    limit_files(pid, "unlimited");
    let second = house.wait_alert("gate", "siren", "start", 60);
    assert_ne!(first["id"], second["id"]);
    house.wait_alert("gate", "siren", "end", 60);
    house.wait_page("/healthz", "the trouble to be over", 30, |page| {
        !page.contains("watchfire.db")
    });
}
