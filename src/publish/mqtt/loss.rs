//! Why a connection to the broker is gone, in words that say what to do.

use std::error::Error;
use std::fmt::Debug;

use rumqttc::v5::mqttbytes::v5::ConnectReturnCode as Code5;
use rumqttc::{ConnectReturnCode as Code311, v5};

/// A connection that could not be made, or broke.
#[derive(Debug)]
pub(super) struct Loss {
    pub why: String,
    /// The broker did not take the user or password: trying harder does not help.
    pub refused: bool,
}

impl Loss {
    pub fn plain(why: String) -> Self {
        Self { why, refused: false }
    }

    fn of_login(code: impl Debug) -> Self {
        Self {
            why: format!("the broker refused the login ({code:?}); check mqtt.username and mqtt.password"),
            refused: true,
        }
    }
}

pub(super) fn of_v5(error: &v5::ConnectionError) -> Loss {
    match error {
        v5::ConnectionError::ConnectionRefused(
            code @ (Code5::BadUserNamePassword | Code5::NotAuthorized | Code5::Banned | Code5::BadAuthenticationMethod),
        ) => Loss::of_login(code),
        v5::ConnectionError::ConnectionRefused(Code5::RefusedProtocolVersion | Code5::UnsupportedProtocolVersion) => {
            Loss::plain("the broker does not speak MQTT 5; try mqtt.version = \"3.1.1\"".into())
        }
        other => of_transport(other),
    }
}

pub(super) fn of_v311(error: &rumqttc::ConnectionError) -> Loss {
    match error {
        rumqttc::ConnectionError::ConnectionRefused(code @ (Code311::BadUserNamePassword | Code311::NotAuthorized)) => {
            Loss::of_login(code)
        }
        rumqttc::ConnectionError::ConnectionRefused(Code311::RefusedProtocolVersion) => {
            Loss::plain("the broker does not speak MQTT 3.1.1; try mqtt.version = \"5\"".into())
        }
        other => of_transport(other),
    }
}

fn of_transport(error: &(dyn Error + 'static)) -> Loss {
    let text = error.to_string();
    // Some wrappers keep nothing but the words.
    let alert = text.split("fatal alert: ").nth(1);
    Loss::plain(match (tls_error(error), alert) {
        (Some(rustls::Error::InvalidCertificate(why)), _) => {
            format!("the broker's certificate is not trusted ({why:?}); check mqtt.ca and the host name in mqtt.url")
        }
        (_, Some(alert)) => {
            format!("the broker broke off TLS ({alert}); check the client certificate in mqtt.cert and mqtt.key")
        }
        (Some(other), None) => format!("TLS fails: {other}; is that port one for TLS?"),
        (None, None) => text,
    })
}

/// The TLS library's own error, however deep it is wrapped.
fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    if let Some(found) = error.downcast_ref() {
        return Some(found);
    }
    // An I/O error does not count what it wraps among its sources.
    let wrapped = error.downcast_ref::<std::io::Error>().and_then(|e| e.get_ref());
    match wrapped {
        Some(inner) => tls_error(inner),
        None => error.source().and_then(tls_error),
    }
}
