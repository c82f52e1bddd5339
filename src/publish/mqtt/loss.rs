//! Why a connection to the broker is gone, in words that say what to do.

use std::error::Error;
use std::fmt::Debug;

use rumqttc::v5::mqttbytes::v5::{ConnectReturnCode as Code5, DisconnectReasonCode};
use rumqttc::{ConnectReturnCode as Code311, TlsError, v5};

/// A connection that could not be made, or broke.
#[derive(Debug)]
pub(super) struct Loss {
    pub why: String,
    pub cause: Cause,
}

/// What follows from a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The broker did not take the user or password: trying harder does not help.
    Login,
    /// Another client with our client id has connected.
    TakenOver,
    /// The connection is gone, and nobody said why.
    Silent,
    /// The words say all.
    Told,
}

impl Loss {
    pub fn plain(why: String) -> Self {
        let cause = Cause::Told;
        Self { why, cause }
    }

    fn of_login(code: impl Debug) -> Self {
        let code = words(&code);
        Self {
            why: format!("the broker refused the login ({code}); check mqtt.username and mqtt.password"),
            cause: Cause::Login,
        }
    }

    fn of_refusal(code: impl Debug) -> Self {
        Self::plain(format!("the broker refused the connection ({})", words(&code)))
    }

    /// The broker's own goodbye (MQTT 5).
    fn of_goodbye(code: DisconnectReasonCode, text: Option<&str>) -> Self {
        let more = text.map(|text| format!(": {text:?}")).unwrap_or_default();
        Self {
            why: format!("the broker ended the connection ({}{more})", words(&code)),
            cause: match code {
                DisconnectReasonCode::SessionTakenOver => Cause::TakenOver,
                _ => Cause::Told,
            },
        }
    }
}

/// A reason of the protocol as people write it: `NotAuthorized` is `not authorized`.
pub(super) fn words(code: &impl Debug) -> String {
    let mut out = String::new();
    for letter in format!("{code:?}").replace("QoS", "Qos").chars() {
        if letter.is_ascii_uppercase() && !out.is_empty() {
            out.push(' ');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

pub(super) fn of_v5(error: &v5::ConnectionError) -> Loss {
    use v5::{ConnectionError as Lost, StateError as State};
    match error {
        Lost::ConnectionRefused(
            code @ (Code5::BadUserNamePassword | Code5::NotAuthorized | Code5::Banned | Code5::BadAuthenticationMethod),
        ) => Loss::of_login(code),
        Lost::ConnectionRefused(Code5::RefusedProtocolVersion | Code5::UnsupportedProtocolVersion) => {
            Loss::plain("the broker does not speak MQTT 5; try mqtt.version = \"3.1.1\"".into())
        }
        Lost::ConnectionRefused(code) => Loss::of_refusal(code),
        Lost::MqttState(State::ServerDisconnect {
            reason_code,
            reason_string,
        }) => Loss::of_goodbye(*reason_code, reason_string.as_deref()),
        // Also where the broker gave a reason without properties: rumqttc does not understand those. Mosquitto 2.0.11 gives none.
        Lost::MqttState(State::ConnectionAborted) => of_transport(error, CLOSED.into()),
        Lost::MqttState(State::Io(io) | State::Deserialization(v5::mqttbytes::Error::Io(io))) => {
            of_transport(error, io.to_string())
        }
        Lost::Io(io) => of_transport(error, not_reached(io)),
        Lost::Timeout(_) => of_transport(error, NO_ANSWER.into()),
        Lost::Tls(TlsError::Io(io)) => of_transport(error, no_tls(io)),
        other => of_transport(other, other.to_string()),
    }
}

pub(super) fn of_v311(error: &rumqttc::ConnectionError) -> Loss {
    use rumqttc::{ConnectionError as Lost, StateError as State};
    match error {
        Lost::ConnectionRefused(code @ (Code311::BadUserNamePassword | Code311::NotAuthorized)) => Loss::of_login(code),
        Lost::ConnectionRefused(Code311::RefusedProtocolVersion) => {
            Loss::plain("the broker does not speak MQTT 3.1.1; try mqtt.version = \"5\"".into())
        }
        Lost::ConnectionRefused(code) => Loss::of_refusal(code),
        Lost::MqttState(State::ConnectionAborted) => of_transport(error, CLOSED.into()),
        Lost::MqttState(State::Io(io)) => of_transport(error, io.to_string()),
        Lost::Io(io) => of_transport(error, not_reached(io)),
        Lost::NetworkTimeout => of_transport(error, NO_ANSWER.into()),
        Lost::Tls(TlsError::Io(io)) => of_transport(error, no_tls(io)),
        other => of_transport(other, other.to_string()),
    }
}

const CLOSED: &str = "the broker closed the connection";
/// Neither to a connection nor, on an open port, to a login.
const NO_ANSWER: &str = "no answer in time; check host and port in mqtt.url: is that an MQTT broker?";

/// The name is not known, or nothing listens there.
fn not_reached(io: &std::io::Error) -> String {
    format!("{io}; check host and port in mqtt.url")
}

/// It broke off before either side had a certificate to complain about.
fn no_tls(io: &std::io::Error) -> String {
    format!("TLS fails: {io}; is that port one for TLS?")
}

/// `text`: what is told where it is nothing of TLS's.
fn of_transport(error: &(dyn Error + 'static), text: String) -> Loss {
    let raw = error.to_string();
    // Some wrappers keep nothing but the words.
    let alert = raw.split("fatal alert: ").nth(1);
    Loss::plain(match (tls_error(error), alert) {
        (Some(rustls::Error::InvalidCertificate(why)), _) => {
            let why = match why {
                rustls::CertificateError::UnknownIssuer => "its issuer is not known".into(),
                other => other.to_string(),
            };
            format!("the broker's certificate is not trusted ({why}); check mqtt.ca and the host name in mqtt.url")
        }
        (_, Some(alert)) => {
            format!("the broker broke off TLS ({alert}); check the client certificate in mqtt.cert and mqtt.key")
        }
        (Some(other), None) => format!("TLS fails: {other}; is that port one for TLS?"),
        (None, None) => {
            return Loss {
                why: text,
                cause: Cause::Silent,
            };
        }
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

#[cfg(test)]
mod tests {
    use std::io::{self, ErrorKind};

    use super::*;

    #[test]
    fn what_the_broker_says_at_its_goodbye_is_told_in_words() {
        let goodbye = |reason_code, reason_string| {
            of_v5(&v5::ConnectionError::MqttState(v5::StateError::ServerDisconnect {
                reason_code,
                reason_string,
            }))
        };
        let taken = goodbye(DisconnectReasonCode::SessionTakenOver, None);
        assert_eq!(taken.cause, Cause::TakenOver);
        assert_eq!(taken.why, "the broker ended the connection (session taken over)");
        let down = goodbye(DisconnectReasonCode::ServerShuttingDown, Some("until 5".into()));
        assert_eq!(down.cause, Cause::Told);
        assert_eq!(
            down.why,
            "the broker ended the connection (server shutting down: \"until 5\")"
        );
        assert_eq!(words(&DisconnectReasonCode::QoSNotSupported), "qos not supported");
    }

    #[test]
    fn a_connection_that_is_simply_gone_is_silent_in_both_versions_and_no_login_is_at_fault() {
        let closed = of_v5(&v5::StateError::ConnectionAborted.into());
        let closed_311 = of_v311(&rumqttc::StateError::ConnectionAborted.into());
        for loss in [closed, closed_311] {
            assert_eq!((loss.cause, &*loss.why), (Cause::Silent, CLOSED));
        }
        let busy = of_v5(&v5::ConnectionError::ConnectionRefused(Code5::ServerBusy));
        assert_eq!(busy.cause, Cause::Told);
        assert_eq!(busy.why, "the broker refused the connection (server busy)");
        let login = of_v311(&rumqttc::ConnectionError::ConnectionRefused(Code311::NotAuthorized));
        assert_eq!(login.cause, Cause::Login);
        assert!(login.why.contains("(not authorized)"), "{}", login.why);
    }

    #[test]
    fn a_connection_that_does_not_come_about_is_told_with_what_to_look_at() {
        let refused = || io::Error::from(ErrorKind::ConnectionRefused);
        let reset = || TlsError::Io(ErrorKind::ConnectionReset.into());
        let cases = [
            (
                of_v5(&refused().into()),
                "connection refused; check host and port in mqtt.url",
            ),
            (
                of_v311(&refused().into()),
                "connection refused; check host and port in mqtt.url",
            ),
            (of_v311(&rumqttc::ConnectionError::NetworkTimeout), NO_ANSWER),
            (
                of_v5(&reset().into()),
                "TLS fails: connection reset; is that port one for TLS?",
            ),
            (
                of_v311(&reset().into()),
                "TLS fails: connection reset; is that port one for TLS?",
            ),
        ];
        for (loss, why) in cases {
            assert_eq!((loss.cause, &*loss.why), (Cause::Silent, why));
        }
        // One that was there and broke off later is no matter of the address.
        let broke = of_v5(&v5::StateError::Io(ErrorKind::ConnectionReset.into()).into());
        assert_eq!((broke.cause, &*broke.why), (Cause::Silent, "connection reset"));
    }
}
