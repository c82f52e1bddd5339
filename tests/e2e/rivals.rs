//! Two boxes with one name: the broker throws out one for the other, again and again.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use watchfire::publish::{MqttOptions, MqttVersion};

use super::house::{free_port, mosquitto_with};
use super::mqtt::{Running, options};

fn is_named(trouble: Option<String>) -> bool {
    trouble.is_some_and(|t| t.contains("client id watchfire-t-b") && t.contains("box.name"))
}

#[test]
fn two_boxes_of_one_name_say_so_and_come_back_ever_more_seldom() {
    for version in [MqttVersion::V5, MqttVersion::V311] {
        let (dir, other_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let port = free_port();
        let _broker = mosquitto_with(dir.path(), port, "allow_anonymous true\n");
        let options = MqttOptions {
            backoff_cap: Duration::from_secs(2),
            ..options(port, version)
        };
        let start = Instant::now();
        let boxes = [dir.path(), other_dir.path()].map(|dir| Running::spawn(options.clone(), dir));
        for each in &boxes {
            each.0.all_told();
        }
        for each in &boxes {
            each.wait("the name of the rival", |s| is_named(s.trouble()));
        }
        boxes[0].wait("the sixth connection", |s| s.connects.load(Relaxed) >= 6);
        // 100, 200, 400, 800 and 800 ms lie between them: not one moment after the other.
        assert!(start.elapsed() >= Duration::from_secs(2), "{:?}", start.elapsed());
        for each in &boxes {
            // Also while there is a connection.
            each.wait("its name still", |s| is_named(s.trouble()));
            assert!(each.0.state().short.load(Relaxed) >= 3);
        }
    }
}

#[test]
fn a_broker_that_gives_the_reason_is_believed_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            if stream.read(&mut [0; 1024]).is_ok_and(|n| n > 0) {
                // CONNACK, and then DISCONNECT: session taken over.
                let _ = stream.write_all(&[0x20, 3, 0, 0, 0, 0xE0, 2, 0x8E, 0]);
            }
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    let running = Running::spawn(options(port, MqttVersion::V5), dir.path());
    running.0.all_told();
    running.wait("the broker's reason", |s| {
        is_named(s.trouble()) && s.trouble().is_some_and(|t| t.contains("session taken over"))
    });
}
