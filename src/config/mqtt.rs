//! `[mqtt]`: the way to the broker.

use std::time::Duration;

use super::Secrets;
use super::document::Step::Key;
use super::judge::Judge;
use super::raw::RawSecret;
use super::url::{NO_PORT, url};
use crate::publish::{MqttOptions, MqttVersion};

pub(super) fn mqtt(judge: &mut Judge, site: &str, box_name: &str) -> MqttOptions {
    let raw = judge.document.raw.mqtt.clone();
    let text = raw.url.as_deref().unwrap_or("mqtt://127.0.0.1:1883");
    let place = [Key("mqtt"), Key("url")];
    let parsed = url(text).filter(|u| matches!(u.scheme, "mqtt" | "mqtts") && !u.host.is_empty());
    if parsed.is_none() {
        judge.error(
            &place,
            "the broker's url must be mqtt://host:port or mqtts://host:port; a `/` in a password is written %2F",
        );
    }
    let tls = parsed.as_ref().is_some_and(|u| u.scheme == "mqtts");
    let host_port = parsed.as_ref().map(|u| u.host_port());
    if host_port == Some(None) {
        judge.error(&place, NO_PORT);
    }
    let (host, port) = host_port.flatten().unwrap_or_default();
    let port = port.unwrap_or(if tls { 8883 } else { 1883 });
    let mut username = raw.username;
    let mut password = raw
        .password
        .as_ref()
        .and_then(|p| judge.secret(&[Key("mqtt"), Key("password")], p));
    if let Some((user, secret)) = parsed.as_ref().and_then(|u| u.user.clone()) {
        username.get_or_insert(user);
        if let Some(secret) = secret {
            let warning = judge.at(
                &place,
                "a password in the url is easily shown; use mqtt.password".into(),
            );
            judge.warnings.push(warning);
            let secret = judge.secret(&[Key("mqtt"), Key("password")], &RawSecret::Plain(secret));
            password = password.or(secret);
        }
    }
    if password.is_some() && username.as_deref().is_none_or(str::is_empty) {
        judge.warn(
            &[Key("mqtt"), Key("password")],
            "the password is not sent without a name: set mqtt.username",
        );
    }
    let scheme = if tls { "mqtts" } else { "mqtt" };
    judge.note(&place, format!("{scheme}://{host}:{port}"));
    if let Some(username) = &username {
        judge.note(&[Key("mqtt"), Key("username")], username.clone());
    }
    for (key, file) in [("ca", &raw.ca), ("cert", &raw.cert), ("key", &raw.key)] {
        let Some(file) = file else { continue };
        judge.note(&[Key("mqtt"), Key(key)], file.clone());
        if parsed.is_some() && !tls {
            let message = format!("`{key}` does nothing for mqtt://, which is not encrypted; use mqtts://");
            judge.error(&[Key("mqtt"), Key(key)], message);
        } else if judge.around.secrets != Secrets::Unused {
            judge.readable(&[Key("mqtt"), Key(key)], file);
        }
    }
    let keep_alive_s = judge.whole(&[Key("mqtt"), Key("keep_alive_s")], raw.keep_alive_s, 5, 65_535, 20);
    let versions = [("5", MqttVersion::V5), ("3.1.1", MqttVersion::V311)];
    let version = judge.word(
        &[Key("mqtt"), Key("version")],
        raw.version.as_deref(),
        &versions,
        MqttVersion::V5,
    );
    if raw.cert.is_some() != raw.key.is_some() {
        judge.error(&[Key("mqtt")], "a client certificate needs both `cert` and `key`");
    }
    let switch = |judge: &mut Judge, key, given: Option<bool>, default| {
        judge.note(&[Key("mqtt"), Key(key)], given.unwrap_or(default))
    };
    MqttOptions {
        home_assistant: switch(judge, "home_assistant", raw.home_assistant, true),
        commands: switch(judge, "commands", raw.commands, false),
        version,
        host: host.trim_matches(['[', ']']).to_owned(),
        port,
        tls,
        username,
        password,
        ca: raw.ca.map(Into::into),
        cert: raw.cert.map(Into::into),
        key: raw.key.map(Into::into),
        site: site.to_owned(),
        box_name: box_name.to_owned(),
        keep_alive: Duration::from_secs(u64::from(keep_alive_s)),
        backoff_first: Duration::from_millis(500),
        backoff_cap: Duration::from_secs(30),
    }
}
