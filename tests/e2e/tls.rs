//! The daemon over TLS on both sides: cameras and broker.

use serde_json::Value;
use watchfire::ingest::gst::sim::{Access, Mount, SimServer};

use super::house::{House, free_port, mosquitto_with};
use super::mqtt::tls_listener;
use super::pki::Pki;

fn yard(video: &'static str, audio: &'static str) -> [Mount; 1] {
    [Mount::test("yard", video, audio)]
}

#[test]
fn mqtt_3_1_1_over_tls_with_a_client_certificate() {
    let mut house = House::new();
    let pki = Pki::make(house.dir.path());
    let secure = free_port();
    house.broker.take();
    house.broker = Some(mosquitto_with(
        house.dir.path(),
        house.mqtt_port,
        &tls_listener(&pki, secure),
    ));
    let file = |name: &str| pki.file(name).display().to_string();
    house.configure_with(
        &format!(
            "url = \"mqtts://127.0.0.1:{secure}\"\nversion = \"3.1.1\"\nca = \"{}\"\ncert = \"{}\"\nkey = \"{}\"\n",
            file("ca.pem"),
            file("client.pem"),
            file("client.key")
        ),
        "",
    );
    house.start();
    house.wait("online", 30, |t, p| {
        (t.ends_with("b/available") && p == b"online").then_some(())
    });
    house.daemon().signal(nix::sys::signal::Signal::SIGKILL);
    house.wait("offline, by the last will", 60, |t, p| {
        (t.ends_with("b/available") && p == b"offline").then_some(())
    });
}

#[test]
fn an_rtsps_camera_is_trusted_by_its_authority_only() {
    let mut house = House::new();
    let pki = Pki::make(house.dir.path());
    let both = pki.file("server-both.pem");
    let access = Access {
        tls: Some(&both),
        login: Some(("viewer", "right")),
        ..Access::default()
    };
    let server = SimServer::start_with(&yard("h264", "aac"), &access).unwrap();
    let camera = |id: &str, ca: &str| {
        format!(
            "[[camera]]\nid = \"{id}\"\nurl = \"{}\"\nusername = \"viewer\"\npassword = \"right\"\nca = \"{}\"\n",
            server.url("yard"),
            pki.file(ca).display()
        )
    };
    assert!(server.url("yard").starts_with("rtsps://"));
    let plain = SimServer::start(&yard("mjpeg", ""), None, None).unwrap();
    let not_tls = plain.url("yard").replace("rtsp://", "rtsps://");
    house.configure(&format!(
        "{}{}[[camera]]\nid = \"plain\"\nurl = \"{not_tls}\"\n",
        camera("good", "ca.pem"),
        camera("wrong", "stranger.pem")
    ));
    house.start();
    let mut waiting = vec![
        ("good", "streaming", Value::Null),
        ("wrong", "error", "tls".into()),
        ("plain", "error", "tls".into()),
    ];
    let mut details = String::new();
    house.wait("the three states", 60, |topic, payload| {
        let status: Value = serde_json::from_slice(payload).unwrap_or_default();
        waiting.retain(|(id, state, reason)| {
            let told = topic == format!("watchfire/t/camera/{id}/status")
                && status["state"] == *state
                && status["reason"] == *reason;
            if told && *id == "wrong" {
                details = status["detail"].to_string();
            }
            !told
        });
        waiting.is_empty().then_some(())
    });
    assert!(
        details.contains("its issuer is not known") && details.contains("check `ca`"),
        "{details}"
    );
}
