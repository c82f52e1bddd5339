//! Commands that somebody stops by Ctrl-C.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use watchfire::ingest::gst::sim::{Mount, SimServer};

use super::house::{Process, ROOT, footage};

#[test]
fn a_probe_that_is_stopped_tells_what_it_has_found() {
    let mount = Mount::test("yard", "h264", "pcmu");
    let cameras = SimServer::start(&[mount], None, None).unwrap();
    let mut probe = Command::new(env!("CARGO_BIN_EXE_watchfire"));
    probe.args(["probe", &cameras.url("yard"), "--json", "--seconds", "600"]);
    // Its log says when it streams; without this it keeps to what it tells at its end.
    probe
        .env("RUST_LOG", "info")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut probe = Process(probe.spawn().unwrap());
    let stderr = BufReader::new(probe.0.stderr.take().unwrap());
    let mut log = stderr.lines().map(Result::unwrap);
    log.find(|line| line.contains("streaming")).expect("it streams");
    probe.signal(Signal::SIGINT);
    let status = probe.ended(Duration::from_secs(20)).expect("it ends");
    assert_eq!(status.code(), Some(130));
    let mut said = String::new();
    probe.0.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    let facts: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(facts["state"], "streaming");
    assert_eq!(facts["video"]["codec"], "h264");
    assert!(log.any(|line| line.contains("stopped after")));
}

fn demo(dir: &Path) -> Command {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_watchfire"));
    demo.args(["demo", "--models"]).arg(Path::new(ROOT).join("models"));
    demo.arg("--footage").arg(footage()).arg("--dir").arg(dir);
    demo.stdout(Stdio::piped()).stderr(Stdio::piped());
    demo
}

#[test]
fn a_demo_that_is_stopped_says_so_and_ends_its_daemon_and_a_second_one_is_refused_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = Process(demo(dir.path()).stderr(Stdio::null()).spawn().unwrap());
    let mut told = BufReader::new(first.0.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let listen = told.find(|line| line.starts_with("listen ")).expect("how to listen");
    assert!(listen.contains("mosquitto_sub -V mqttv5 -h 127.0.0.1 -p "), "{listen}");
    let metrics = told
        .find(|line| line.starts_with("metrics "))
        .expect("where figures are");
    told.find(|line| line.ends_with(" streaming")).expect("a camera");

    let second = demo(dir.path()).output().unwrap();
    let said = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(said.contains("another demo uses this folder"), "{said}");

    first.signal(Signal::SIGINT);
    let status = first.ended(Duration::from_secs(60)).expect("it ends");
    let rest: Vec<String> = told.collect();
    assert_eq!(status.code(), Some(130), "{rest:?}");
    assert!(
        rest.iter()
            .any(|line| line.starts_with("Stopped before the clips were over")),
        "{rest:?}"
    );
    let page = metrics.split("http://").nth(1).unwrap();
    let address: SocketAddr = page.split('/').next().unwrap().parse().unwrap();
    assert!(TcpStream::connect(address).is_err(), "the daemon still runs");
}
