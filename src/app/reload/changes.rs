//! What a new configuration changes, in words.

use std::fmt;

use crate::config::Config;
use crate::data::{CameraId, Secret};
use crate::nn::ModelOptions;
use crate::publish::MqttOptions;
use crate::store::StoreOptions;

/// Names beyond this many are counted.
const NAMED: usize = 12;

/// What a reload did with the cameras.
#[derive(Default)]
pub(super) struct Changes {
    pub added: Vec<CameraId>,
    pub switched_on: Vec<CameraId>,
    pub restarted: Vec<CameraId>,
    pub switched_off: Vec<CameraId>,
    /// What the new configuration says of them cannot run.
    pub wrong: Vec<CameraId>,
    pub removed: Vec<CameraId>,
    pub failed: Vec<CameraId>,
    /// Cameras that go on as they were.
    pub unchanged: usize,
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lists = [
            ("added", &self.added),
            ("switched on", &self.switched_on),
            ("restarted", &self.restarted),
            ("switched off", &self.switched_off),
            ("wrong and stopped", &self.wrong),
            ("removed", &self.removed),
            ("could not be started", &self.failed),
        ];
        f.write_str("cameras: ")?;
        for (what, ids) in lists.into_iter().filter(|(_, ids)| !ids.is_empty()) {
            let names: Vec<&str> = ids.iter().take(NAMED).map(CameraId::as_str).collect();
            write!(f, "{} {what} ({}", ids.len(), names.join(", "))?;
            if ids.len() > NAMED {
                write!(f, " and {} more", ids.len() - NAMED)?;
            }
            f.write_str("), ")?;
        }
        write!(f, "{} unchanged", self.unchanged)
    }
}

/// The keys that differ and that a running daemon takes at a restart only, secrets included; [`Config::keep_what_is_fixed`] keeps
/// the old values.
pub(super) fn waiting_for_a_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    // Taken apart in full: a further field has to be named here too.
    let MqttOptions {
        host,
        port,
        version,
        tls,
        username,
        password,
        ca,
        cert,
        key,
        site,
        box_name,
        home_assistant,
        commands,
        keep_alive,
        backoff_first: _,
        backoff_cap: _,
    } = &new.mqtt;
    let StoreOptions {
        dir: state,
        keep_for,
        outbox_max,
        outbox_max_age,
    } = &new.store;
    let ModelOptions {
        dir: models,
        detector,
        sound,
        action,
        av_fight,
        fusion,
        speech_emotion,
        face,
        face_emotion,
        device,
        threads,
    } = &new.models;
    let (mqtt, store, was) = (&old.mqtt, &old.store, &old.models);
    let place = |m: &MqttOptions| (m.host.clone(), m.port, m.tls);
    let exposed = |secret: &Option<Secret>| secret.as_ref().map(|s| s.expose().to_owned());
    let differs = [
        ("site.name", *site != mqtt.site),
        ("box.name", *box_name != mqtt.box_name),
        ("mqtt.url", (host.clone(), *port, *tls) != place(mqtt)),
        ("mqtt.version", *version != mqtt.version),
        ("mqtt.username", *username != mqtt.username),
        ("mqtt.password", exposed(password) != exposed(&mqtt.password)),
        ("mqtt.ca", *ca != mqtt.ca),
        ("mqtt.cert", *cert != mqtt.cert),
        ("mqtt.key", *key != mqtt.key),
        ("mqtt.home_assistant", *home_assistant != mqtt.home_assistant),
        ("mqtt.commands", *commands != mqtt.commands),
        ("mqtt.keep_alive_s", *keep_alive != mqtt.keep_alive),
        ("state.dir", *state != store.dir),
        ("state.keep_days", *keep_for != store.keep_for),
        ("state.outbox_max", *outbox_max != store.outbox_max),
        ("state.outbox_max_age_h", *outbox_max_age != store.outbox_max_age),
        ("models.dir", *models != was.dir),
        ("models.detector", *detector != was.detector),
        ("models.sound", *sound != was.sound),
        ("models.action", *action != was.action),
        ("models.av_fight", *av_fight != was.av_fight),
        ("models.speech_emotion", *speech_emotion != was.speech_emotion),
        ("models.face", *face != was.face),
        ("models.face_emotion", *face_emotion != was.face_emotion),
        ("fusion.method", *fusion != was.fusion),
        ("inference.device", *device != was.device),
        ("inference.threads", *threads != was.threads),
        ("http.listen", old.http != new.http),
    ];
    let differing = differs.into_iter().filter(|(_, differs)| *differs);
    differing.map(|(key, _)| key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Surroundings, load_texts};

    fn config(text: &str) -> Config {
        let text = format!("[box]\nname = \"b\"\n{text}");
        let loaded = load_texts(vec![("w.toml".into(), text)], &Surroundings::real());
        loaded.unwrap_or_else(|errors| panic!("{errors:?}")).config
    }

    #[test]
    fn exactly_the_keys_that_changed_and_need_a_restart_are_named() {
        let old = config("[mqtt]\nurl = \"mqtt://a\"\nusername = \"u\"\npassword = \"one\"\n");
        assert!(waiting_for_a_restart(&old, &old).is_empty());
        let new = config(
            "[mqtt]\nurl = \"mqtt://a\"\nusername = \"u\"\npassword = \"two\"\n[inference]\nthreads = 3\n\
             [camera_defaults]\nanalysis_fps = 7.0\n",
        );
        assert_eq!(
            waiting_for_a_restart(&old, &new),
            ["mqtt.password", "inference.threads"]
        );
    }

    #[test]
    fn whatever_is_fixed_at_the_start_has_a_name_and_is_kept() {
        let old = config("");
        for (lines, key) in [
            ("[site]\nname = \"s\"", "site.name"),
            ("[mqtt]\nurl = \"mqtts://127.0.0.1:1883\"", "mqtt.url"),
            ("[mqtt]\nversion = \"3.1.1\"", "mqtt.version"),
            ("[mqtt]\nusername = \"u\"", "mqtt.username"),
            ("[mqtt]\nhome_assistant = false", "mqtt.home_assistant"),
            ("[mqtt]\ncommands = true", "mqtt.commands"),
            ("[mqtt]\nkeep_alive_s = 33", "mqtt.keep_alive_s"),
            ("[state]\ndir = \"/elsewhere\"", "state.dir"),
            ("[state]\nkeep_days = 3", "state.keep_days"),
            ("[state]\noutbox_max = 33", "state.outbox_max"),
            ("[state]\noutbox_max_age_h = 3", "state.outbox_max_age_h"),
            ("[models]\ndir = \"/elsewhere\"", "models.dir"),
            ("[models]\ndetector = \"own\"", "models.detector"),
            ("[fusion]\nmethod = \"sum\"", "fusion.method"),
            ("[inference]\ndevice = \"cuda:3\"", "inference.device"),
            ("[http]\nlisten = \"off\"", "http.listen"),
        ] {
            let mut new = config(lines);
            assert_eq!(waiting_for_a_restart(&old, &new), [key], "{lines}");
            new.keep_what_is_fixed(&old);
            assert!(waiting_for_a_restart(&old, &new).is_empty(), "{lines}");
        }
    }

    #[test]
    fn cameras_are_told_by_what_was_done_with_them() {
        let ids = |names: &[&str]| names.iter().map(|n| CameraId::new(n)).collect::<Vec<_>>();
        let changes = Changes {
            added: ids(&["c"]),
            restarted: ids(&["a", "b"]),
            unchanged: 3,
            ..Changes::default()
        };
        assert_eq!(
            changes.to_string(),
            "cameras: 1 added (c), 2 restarted (a, b), 3 unchanged"
        );
        assert_eq!(Changes::default().to_string(), "cameras: 0 unchanged");
        let many = Changes {
            removed: ids(&["x"; NAMED + 2]),
            ..Changes::default()
        };
        assert!(many.to_string().contains("x and 2 more), 0 unchanged"), "{many}");
    }
}
