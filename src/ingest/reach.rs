//! Why a camera cannot be reached. GStreamer says "failed to connect" to everything; one plain connection tells a closed
//! port from a missing route.

use std::io::ErrorKind;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvError, bounded, select};

use crate::data::StateReason;

/// Name resolution and all addresses together.
const WITHIN: Duration = Duration::from_secs(3);

/// Looks whether the host of an `rtsp(s)://` URL answers. None when told to stop, or when the port is open and the
/// trouble is another.
pub(super) fn trouble(url: &str, stopped: &Receiver<()>) -> Option<(StateReason, String)> {
    let address = address(url)?;
    let (tell, told) = bounded(1);
    // A thread of its own: name resolution has no deadline. It ends by itself.
    let look = move || drop(tell.send(look(&address)));
    std::thread::Builder::new().name("reach".into()).spawn(look).ok()?;
    select! {
        recv(told) -> answer => answer.ok().flatten(),
        recv(stopped) -> end => { let _: Result<(), RecvError> = end; None }
        default(WITHIN) => Some((StateReason::Unreachable, "no answer to a connection".into())),
    }
}

fn look(address: &str) -> Option<(StateReason, String)> {
    let addresses = match address.to_socket_addrs() {
        Ok(addresses) => addresses,
        Err(error) => return Some((StateReason::Unreachable, format!("{address}: {error}"))),
    };
    let mut last = (StateReason::Unreachable, format!("{address}: the name has no address"));
    for at in addresses {
        match TcpStream::connect_timeout(&at, WITHIN / 2) {
            Ok(_) => return None,
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                last = (StateReason::Refused, format!("{at} refused the connection"));
            }
            Err(error) => last = (StateReason::Unreachable, format!("{at}: {error}")),
        }
    }
    Some(last)
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
        assert_eq!(trouble(&format!("rtsp://127.0.0.1:{port}/x"), &stopped), None);
        drop(listener);
        let refused = trouble(&format!("rtsp://127.0.0.1:{port}/x"), &stopped).unwrap();
        assert_eq!(refused.0, StateReason::Refused);
        // The broadcast address of the loopback network: the kernel has no route for a connection.
        let unreachable = trouble("rtsp://127.255.255.255:554/x", &stopped).unwrap();
        assert_eq!(unreachable.0, StateReason::Unreachable);
    }
}
