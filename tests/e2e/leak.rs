//! A camera that comes and goes costs nothing in the end.

use std::time::{Duration, Instant};

use watchfire::ingest::gst::sim::{Mount, SimServer};

use super::house::{House, wait_for_port};

const WARM_UP: usize = 5;
const RECONNECTS: usize = 50;

/// What the process holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    threads: usize,
    descriptors: usize,
    rss_kb: usize,
}

fn held(pid: u32) -> Held {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let field = |name: &str| -> usize {
        let line = status.lines().find(|l| l.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    Held {
        threads: field("Threads:"),
        descriptors: std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count(),
        rss_kb: field("VmRSS:"),
    }
}

/// What the process holds once that no longer changes: GLib keeps idle threads for 15 s.
fn settled(pid: u32) -> Held {
    let (mut last, mut since) = (held(pid), Instant::now());
    let deadline = Instant::now() + Duration::from_secs(40);
    let look = crossbeam_channel::tick(Duration::from_millis(200));
    while since.elapsed() < Duration::from_secs(17) && Instant::now() < deadline {
        look.recv().unwrap();
        let now = held(pid);
        if (now.threads, now.descriptors) != (last.threads, last.descriptors) {
            since = Instant::now();
        }
        last = now;
    }
    last
}

#[test]
fn after_fifty_reconnects_threads_and_descriptors_are_as_before_and_memory_within_5_percent() {
    let mount = [Mount::test("yard", "h264", "aac")];
    let mut server = Some(SimServer::start(&mount, None, None).unwrap());
    let (port, url) = server.as_ref().map(|s| (s.port(), s.url("yard"))).unwrap();
    let mut house = House::new();
    house.configure(&format!(
        "[[camera]]\nid = \"yard\"\nurl = \"{url}\"\nretry_s = 0.05\nretry_max_s = 1.0\n"
    ));
    // As the systemd unit has it: an allocator with many arenas grows with the number of threads that ever were.
    house.start_under(&["env", "MALLOC_ARENA_MAX=1"]);
    let pid = house.daemon().0.id();
    // With its sound: then every branch of the pipeline is there.
    let whole = |topic: &str, payload: &[u8]| {
        let status: serde_json::Value = serde_json::from_slice(payload).ok()?;
        (topic.ends_with("yard/status") && status["state"] == "streaming" && !status["audio"].is_null()).then_some(())
    };
    house.wait("the first picture and sound", 60, whole);
    let mut before = None;
    for reconnect in 1..=WARM_UP + RECONNECTS {
        if reconnect % 2 == 0 {
            // Its power is cut, and comes back.
            drop(server.take());
            server = Some(SimServer::start(&mount, Some(port), None).unwrap());
            wait_for_port(port);
        } else if let Some(server) = &server {
            server.cut();
        }
        house.wait_state("yard", "offline", None, 30);
        house.wait("picture and sound again", 60, whole);
        if reconnect == WARM_UP {
            before = Some(settled(pid));
        }
    }
    let (before, last) = (before.unwrap(), settled(pid));
    println!("before: {before:?}, after {RECONNECTS} reconnects: {last:?}");
    assert_eq!(last.threads, before.threads, "{before:?} {last:?}");
    assert_eq!(last.descriptors, before.descriptors, "{before:?} {last:?}");
    assert!(
        last.rss_kb * 100 <= before.rss_kb * 105,
        "memory grew by more than 5 %: {before:?} {last:?}"
    );
}
