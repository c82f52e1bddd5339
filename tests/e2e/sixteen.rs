//! Many cameras on a small box: windows may be shed, but nobody starves.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use watchfire::ingest::gst::sim::{Mount, SimServer};

use super::house::House;

#[test]
fn of_sixteen_cameras_none_starves() {
    let names: Vec<String> = (0..16).map(|i| format!("c{i:02}")).collect();
    let mounts: Vec<Mount> = names.iter().map(|name| Mount::test(name, "mjpeg", "pcmu")).collect();
    let server = SimServer::start(&mounts, None, None).unwrap();
    let cameras: String = names
        .iter()
        .map(|name| {
            format!(
                "[[camera]]\nid = \"{name}\"\nurl = \"{}\"\nanalysis_fps = 2.0\n",
                server.url(name)
            )
        })
        .collect();
    let mut house = House::new();
    house.configure(&cameras);
    house.start();
    let mut waiting = names.clone();
    house.wait("sixteen cameras streaming", 120, |topic, payload| {
        let streaming = String::from_utf8_lossy(payload).contains("\"state\":\"streaming\"");
        waiting.retain(|name| !(streaming && topic.ends_with(&format!("{name}/status"))));
        waiting.is_empty().then_some(())
    });
    // For a while after all have come, the time since each camera's last good look is read once a second.
    let mut worst: BTreeMap<String, f64> = BTreeMap::new();
    let until = Instant::now() + Duration::from_secs(20);
    let second = crossbeam_channel::tick(Duration::from_secs(1));
    let mut settled = 0;
    while Instant::now() < until {
        second.recv().unwrap();
        settled += 1;
        let page = house.get("/metrics");
        for line in page.lines().filter(|l| l.starts_with("watchfire_vision_age_seconds{")) {
            let name = line.split('"').nth(1).unwrap().to_owned();
            let age: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
            if settled > 5 {
                let entry = worst.entry(name).or_default();
                *entry = entry.max(age);
            }
        }
    }
    assert_eq!(worst.len(), 16, "{worst:?}");
    let page = house.get("/metrics");
    let frames = page.lines().filter(|l| l.starts_with("watchfire_camera_frames_total{"));
    assert_eq!(frames.filter(|l| !l.ends_with(" 0")).count(), 16, "{page}");
    assert!(
        worst.values().all(|age| *age <= 5.0),
        "seconds since the last look: {worst:?}"
    );
}
