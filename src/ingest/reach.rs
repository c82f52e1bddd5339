//! Why a camera cannot be reached. GStreamer says "failed to connect" to everything; one plain connection tells a closed
//! port from a missing route, and from one where something else listens.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvError, bounded, select};

use crate::data::StateReason;

/// Name resolution and all addresses together.
const WITHIN: Duration = Duration::from_secs(3);

/// What a plain connection met.
#[derive(Debug, PartialEq)]
pub(super) enum Met {
    Trouble(StateReason, String),
    /// The port is open, and nothing there speaks RTSP.
    Stranger,
    /// The port is open, and the trouble is another; or it was told to stop.
    Nothing,
}

/// Looks whether the host of an `rtsp(s)://` URL answers.
pub(super) fn look_at(url: &str, stopped: &Receiver<()>) -> Met {
    let Some(address) = address(url) else {
        return Met::Nothing;
    };
    // What speaks TLS is not asked: its trouble is told by its certificate.
    let is_plain = !url.starts_with("rtsps://");
    let (tell, told) = bounded(1);
    // A thread of its own: name resolution has no deadline. It ends by itself.
    let look = move || drop(tell.send(look(&address, is_plain)));
    if std::thread::Builder::new().name("reach".into()).spawn(look).is_err() {
        return Met::Nothing;
    }
    select! {
        recv(told) -> answer => answer.unwrap_or(Met::Nothing),
        recv(stopped) -> end => { let _: Result<(), RecvError> = end; Met::Nothing }
        default(WITHIN) => Met::Trouble(StateReason::Unreachable, "no answer to a connection".into()),
    }
}

fn look(address: &str, is_plain: bool) -> Met {
    let addresses = match address.to_socket_addrs() {
        Ok(addresses) => addresses,
        Err(error) => return Met::Trouble(StateReason::Unreachable, format!("{address}: {error}")),
    };
    let mut last = Met::Trouble(StateReason::Unreachable, format!("{address}: the name has no address"));
    for at in addresses {
        match TcpStream::connect_timeout(&at, WITHIN / 2) {
            Ok(camera) if is_plain && !speaks_rtsp(&camera) => return Met::Stranger,
            Ok(_) => return Met::Nothing,
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                last = Met::Trouble(StateReason::Refused, format!("{at} refused the connection"));
            }
            Err(error) => last = Met::Trouble(StateReason::Unreachable, format!("{at}: {error}")),
        }
    }
    last
}

/// Asks without a login, which locks no account: a camera that wants one says so in RTSP too.
fn speaks_rtsp(mut camera: &TcpStream) -> bool {
    let mut begins = [0; 5];
    let answer = camera
        .set_read_timeout(Some(WITHIN / 3))
        .and_then(|()| camera.write_all(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n"))
        .and_then(|()| camera.read_exact(&mut begins));
    answer.is_ok() && &begins == b"RTSP/"
}

/// `host:port` of a URL without user and password.
fn address(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split(['/', '?']).next().filter(|h| !h.is_empty())?;
    let has_port = host
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if has_port && (!host.starts_with('[') || host.contains("]:")) {
        return Some(host.to_owned());
    }
    // The registered ports of RTSP and of RTSP over TLS.
    Some(format!("{host}:{}", if scheme == "rtsps" { 322 } else { 554 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_host_and_a_port() {
        let cases = [
            ("rtsp://cam/x", "cam:554"),
            ("rtsp://10.0.0.1:8554/x?y=1", "10.0.0.1:8554"),
            ("rtsps://cam", "cam:322"),
            ("rtsp://[fe80::1]/x", "[fe80::1]:554"),
            ("rtsp://[fe80::1]:88/x", "[fe80::1]:88"),
        ];
        for (url, expected) in cases {
            assert_eq!(address(url).as_deref(), Some(expected));
        }
        assert_eq!(address("rtsp:///x"), None);
    }

    #[test]
    fn a_closed_port_refuses_and_a_missing_route_does_not_reach() {
        let (_stop, stopped) = bounded(1);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let look = |scheme: &str| look_at(&format!("{scheme}://127.0.0.1:{port}/x"), &stopped);
        assert_eq!(look("rtsps"), Met::Nothing);
        drop(listener);
        for scheme in ["rtsp", "rtsps"] {
            let refused = look(scheme);
            assert!(matches!(refused, Met::Trouble(StateReason::Refused, _)), "{refused:?}");
        }
        // The broadcast address of the loopback network: the kernel has no route for a connection.
        let unreachable = look_at("rtsp://127.255.255.255:554/x", &stopped);
        assert!(
            matches!(unreachable, Met::Trouble(StateReason::Unreachable, _)),
            "{unreachable:?}"
        );
    }

    #[test]
    fn what_answers_in_another_protocol_or_not_at_all_is_a_stranger() {
        let (_stop, stopped) = bounded(1);
        let met = |answer: &'static [u8]| {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let server = std::thread::spawn(move || {
                let (mut client, _) = listener.accept().unwrap();
                assert!(client.read(&mut [0; 64]).is_ok_and(|n| n > 0));
                client.write_all(answer).unwrap();
                // Stays until the other has gone.
                let _ = client.read_to_end(&mut Vec::new());
            });
            let met = look_at(&format!("rtsp://127.0.0.1:{port}/x"), &stopped);
            server.join().unwrap();
            met
        };
        assert_eq!(met(b"RTSP/1.0 401 Unauthorized\r\nCSeq: 1\r\n\r\n"), Met::Nothing);
        assert_eq!(met(b"HTTP/1.1 400 Bad Request\r\n\r\n"), Met::Stranger);
        assert_eq!(met(b""), Met::Stranger);
    }
}
