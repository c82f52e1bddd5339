//! The ways to the broker and to cameras: urls, certificates, passwords.

use super::*;
use crate::ingest::Source;

fn mqtt(lines: &str) -> Result<Loaded, Vec<Diagnostic>> {
    load_one(&format!("[mqtt]\n{lines}\n"))
}

fn camera(lines: &str, secrets: Secrets) -> Loaded {
    let text = format!("[[camera]]\nid = \"a\"\n{lines}\n");
    let around = Surroundings { secrets, ..around() };
    load_texts(vec![("w.toml".into(), text)], &around).unwrap()
}

#[test]
fn certificates_are_for_mqtts_only() {
    for key in ["ca", "cert", "key"] {
        for url in ["url = \"mqtt://10.0.0.9\"", "# the default"] {
            let errors = mqtt(&format!("{url}\n{key} = \"/dev/null\"")).unwrap_err();
            let told = errors
                .iter()
                .any(|e| e.line == 3 && e.camera.is_none() && e.message.contains("use mqtts://"));
            assert!(told, "{key}: {errors:#?}");
        }
    }
    assert!(mqtt("url = \"mqtts://10.0.0.9\"\nca = \"/dev/null\"").is_ok());
}

#[test]
fn a_password_for_the_broker_without_a_name_is_warned_of() {
    let loaded = mqtt("password = \"canary\"").unwrap();
    assert_eq!(loaded.warnings.len(), 1, "{:?}", loaded.warnings);
    assert!(loaded.warnings[0].message.contains("mqtt.username") && loaded.warnings[0].line == 2);
    let both = mqtt("username = \"guard\"\npassword = \"canary\"").unwrap();
    assert!(both.warnings.is_empty(), "{:?}", both.warnings);
}

#[test]
fn a_port_that_is_none_is_refused_without_a_word_of_the_text() {
    for url in [
        "mqtt://guard:hunter2",
        "mqtt://guard:hunter2/x",
        "mqtts://guard:70000",
        "mqtt://guard:0",
        "mqtt://fe80::hunter",
    ] {
        let errors = mqtt(&format!("url = \"{url}\"")).unwrap_err();
        assert!(
            errors.len() == 1 && errors[0].message.contains("1 to 65535"),
            "{url}: {errors:#?}"
        );
        let text = errors[0].to_string();
        assert!(!text.contains("hunter") && !text.contains("70000"), "{text}");
    }
    for url in [
        "rtsp://guard:hunter2",
        "rtsp://10.0.0.1:65536/x",
        "rtsps://guard:canary@10.0.0.1:70000/x",
    ] {
        let loaded = camera(&format!("url = \"{url}\""), Secrets::Needed);
        assert!(loaded.config.cameras.is_empty(), "{url}");
        let text = loaded.camera_errors[0].to_string();
        assert!(
            text.starts_with("w.toml:3:7:") && text.contains("1 to 65535"),
            "{url}: {text}"
        );
        assert!(!text.contains("hunter2") && !text.contains("canary"), "{text}");
    }
}

#[test]
fn an_ipv6_address_needs_no_port() {
    for (url, host, port) in [
        ("mqtt://[fe80::1]", "fe80::1", 1883),
        ("mqtts://[fe80::1]", "fe80::1", 8883),
        ("mqtt://guard@[fe80::1]:1884", "fe80::1", 1884),
    ] {
        let broker = mqtt(&format!("url = \"{url}\"")).unwrap().config.mqtt;
        assert_eq!((broker.host.as_str(), broker.port), (host, port), "{url}");
    }
    for url in [
        "rtsp://[fe80::1]/x",
        "rtsp://[fe80::1]:554/x",
        "rtsp://10.0.0.1:65535/x",
    ] {
        let loaded = camera(&format!("url = \"{url}\""), Secrets::Needed);
        assert_eq!(loaded.config.cameras.len(), 1, "{url}: {:?}", loaded.camera_errors);
    }
}

#[test]
fn a_cameras_authority_is_for_rtsps_and_looked_for_by_check() {
    let plain = camera(
        "url = \"rtsp://10.0.0.1/x\"\nca = \"/nowhere/ca.pem\"",
        Secrets::Checked,
    );
    assert!(plain.warnings.len() == 1 && plain.warnings[0].message.contains("use rtsps://"));
    match &plain.config.cameras[0].ingest.source {
        Source::Rtsp { ca, .. } => assert_eq!(ca, &None),
        other => panic!("{other:?}"),
    }
    let missing = "url = \"rtsps://10.0.0.1/x\"\nca = \"/nowhere/ca.pem\"";
    let told = camera(missing, Secrets::Checked).camera_errors;
    assert!(
        told.len() == 1 && told[0].line == 4 && told[0].message.contains("/nowhere/ca.pem cannot be read"),
        "{told:?}"
    );
    // The daemon tries anew with every connection.
    assert!(camera(missing, Secrets::Needed).camera_errors.is_empty());
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ca.pem");
    let lines = missing.replace("/nowhere/ca.pem", file.to_str().unwrap());
    std::fs::write(&file, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    let there = camera(&lines, Secrets::Checked);
    assert!(there.camera_errors.is_empty() && there.warnings.is_empty());
    // As cameras hand theirs out.
    std::fs::write(&file, [0x30, 0x82, 0x01, 0x0a, 0xff]).unwrap();
    let told = camera(&lines, Secrets::Checked).camera_errors;
    assert!(
        told.len() == 1 && told[0].line == 4 && told[0].message.contains("PEM is needed"),
        "{told:?}"
    );
}

#[test]
fn a_file_of_a_password_that_is_empty_is_refused_and_an_empty_word_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("password");
    std::fs::write(&file, "\n").unwrap();
    let with = |password: &str| {
        let lines = format!("url = \"rtsp://10.0.0.1/x\"\nusername = \"u\"\npassword = {password}");
        camera(&lines, Secrets::Checked).camera_errors
    };
    let told = with(&format!("{{ file = \"{}\" }}", file.display()));
    assert!(
        told.len() == 1 && told[0].line == 5 && told[0].message.ends_with("password is empty"),
        "{told:?}"
    );
    assert!(with("\"\"").is_empty());
}

#[test]
fn a_password_in_a_url_is_hidden_however_the_camera_wants_it_written() {
    for rest in [
        "/user=admin_password=canary-9_channel=1",
        "/x?access_token=canary-9",
        "?pwd=canary-9",
    ] {
        let loaded = camera(&format!("url = \"rtsp://10.0.0.21{rest}\""), Secrets::Needed);
        let printed = &loaded.resolved;
        assert!(printed.contains("=***") && !printed.contains("canary-9"), "{printed}");
    }
    let well = camera("url = \"rtsp://10.0.0.21/x?bypass=1&channel=2\"", Secrets::Needed);
    assert!(well.resolved.contains("/x?bypass=1&channel=2"), "{}", well.resolved);
}

#[test]
fn the_environment_of_the_service_is_missed_only_where_it_is_needed() {
    let text = "url = \"rtsp://10.0.0.1/x\"\npassword = { env = \"OF_THE_UNIT\" }";
    let needed = camera(text, Secrets::Needed).camera_errors;
    assert!(needed[0].message.contains("OF_THE_UNIT is not set"), "{needed:?}");
    let checked = camera(text, Secrets::Checked);
    assert!(checked.camera_errors.is_empty(), "{:?}", checked.camera_errors);
    let warning = &checked.warnings[0];
    assert!(
        warning.line == 4 && warning.message.starts_with("not checked here"),
        "{warning}"
    );
    assert!(warning.message.contains("Environment=OF_THE_UNIT="), "{warning}");
    let broker = Surroundings {
        secrets: Secrets::Checked,
        ..around()
    };
    let text = "[mqtt]\nusername = \"guard\"\npassword = { env = \"OF_THE_UNIT\" }\n";
    let loaded = load_texts(vec![("w.toml".into(), text.into())], &broker).unwrap();
    assert_eq!(loaded.warnings.len(), 1, "{:?}", loaded.warnings);
}

#[test]
fn a_camera_may_be_asked_for_its_stream_by_a_query_without_a_path() {
    for url in ["rtsp://10.0.0.21:554?channel=1", "rtsp://10.0.0.21?t=12:30"] {
        let loaded = load_one(&format!("[[camera]]\nid = \"a\"\nurl = \"{url}\"\n")).unwrap();
        assert!(loaded.camera_errors.is_empty(), "{url}: {:#?}", loaded.camera_errors);
    }
}

#[test]
fn a_password_is_given_in_one_of_four_ways_and_never_told_with_a_mistake() {
    for given in [
        "{ credentials = \"x\" }",
        "12345",
        "[\"x\"]",
        "{ env = \"SECRET\", file = \"/run/x\" }",
    ] {
        let text = GOOD.replace("{ env = \"SECRET\" }", given);
        let errors = match load_one(&text) {
            Ok(loaded) => loaded.camera_errors,
            Err(errors) => errors,
        };
        let told: String = errors.iter().map(ToString::to_string).collect();
        assert!(
            told.contains("a secret is a string, { env = \"NAME\" }"),
            "{given}: {told}"
        );
        assert!(!told.contains("12345"), "{told}");
    }
    // A URL where a table should be.
    for text in [
        "mqtt = \"mqtt://u:canary-9@127.0.0.1:1883\"\n",
        "camera = \"rtsp://u:canary-9@10.0.0.21/x\"\n",
    ] {
        let errors = load_one(text).unwrap_err();
        let told: String = errors.iter().map(|e| format!("{e}\n")).collect();
        assert!(told.contains("w.toml:1") && !told.contains("canary-9"), "{told}");
    }
}

#[test]
fn a_password_in_a_path_or_query_is_neither_printed_nor_logged() {
    for rest in [
        "x?token=canary-9",
        "user=admin&Password=canary-9&channel=1",
        "x?ch=1;pwd=canary-9",
    ] {
        let loaded = camera(&format!("url = \"rtsp://10.0.0.21/{rest}\""), Secrets::Needed);
        let printed = &loaded.resolved;
        assert!(printed.contains("10.0.0.21/") && printed.contains("=***"), "{printed}");
        assert!(!printed.contains("canary-9"), "{printed}");
        let Source::Rtsp { url, .. } = &loaded.config.cameras[0].ingest.source else {
            panic!("no camera");
        };
        assert!(url.ends_with(rest), "the camera is asked for it as it stands");
        assert!(!loaded.config.redactor.clean(url).contains("canary-9"));
    }
}

#[test]
fn a_password_without_a_user_is_warned_of() {
    let warned = |lines: &str| {
        let loaded = camera(&format!("url = \"rtsp://10.0.0.21/x\"\n{lines}"), Secrets::Needed);
        loaded
            .warnings
            .iter()
            .any(|w| w.message.contains("without a name: set `username`"))
    };
    assert!(warned("password = \"canary\""));
    assert!(!warned("username = \"viewer\"\npassword = \"canary\""));
}
