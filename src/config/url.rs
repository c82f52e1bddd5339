//! Takes a url apart, without a copy of the password in any error.

/// `scheme`, user info, host and port, and what follows.
pub(super) struct Url<'a> {
    pub scheme: &'a str,
    pub user: Option<(String, Option<String>)>,
    pub host: &'a str,
    pub rest: &'a str,
}

/// Without a word of the text: where the port is no number, a password may stand in its place.
pub(super) const NO_PORT: &str = "what stands behind the host's `:` must be a port, 1 to 65535; user and password stand \
                                  before an `@`, and an IPv6 address stands in brackets";

impl<'a> Url<'a> {
    /// The host, and the port where there is one; None where it is no port.
    pub fn host_port(&self) -> Option<(&'a str, Option<u16>)> {
        // Some cameras are asked for their stream by a query without a path.
        let host = self.host.split_once('?').map_or(self.host, |(host, _)| host);
        match host.rsplit_once(':') {
            // These colons are those of an IPv6 address.
            Some((_, end)) if end.ends_with(']') => Some((host, None)),
            Some((host, port)) => {
                let port = port.parse::<u16>().ok().filter(|p| *p > 0)?;
                (!host.is_empty()).then_some((host, Some(port)))
            }
            None => Some((host, None)),
        }
    }
}

/// None where it is no url, or a password in it holds a slash that is not written `%2F`.
pub(super) fn url(text: &str) -> Option<Url<'_>> {
    let (scheme, after) = text.split_once("://")?;
    let end = after.find('/').unwrap_or(after.len());
    let (authority, rest) = after.split_at(end);
    // A slash within a password would make host and path of it, and both are shown.
    let port = authority.rsplit_once(':').map(|(_, port)| port);
    let no_port = port.is_some_and(|p| !p.ends_with(']') && p.parse::<u16>().is_err());
    if no_port && !authority.contains('@') && rest.contains('@') {
        return None;
    }
    let (user, host) = match authority.rsplit_once('@') {
        None => (None, authority),
        Some((info, host)) => {
            let (user, password) = info.split_once(':').map_or((info, None), |(u, p)| (u, Some(p)));
            (Some((percent_decoded(user), password.map(percent_decoded))), host)
        }
    };
    Some(Url {
        scheme,
        user,
        host,
        rest,
    })
}

/// Passwords that stand in a path or query, as some cameras want it: `/user=admin&password=…`. Others part them by `_`, which
/// a password may hold: all that follows is taken for it.
pub(super) fn passwords_in(url: &str) -> Vec<&str> {
    const KEYS: [&str; 5] = ["password", "passwd", "pass", "pwd", "token"];
    let named = |before: &str| {
        let key = before.rsplit(|c: char| !c.is_ascii_alphanumeric()).next();
        key.is_some_and(|key| KEYS.iter().any(|k| key.eq_ignore_ascii_case(k)))
    };
    url.split(['/', '?', '&', ';'])
        .filter_map(|piece| {
            let (at, _) = piece.match_indices('=').find(|(at, _)| named(&piece[..*at]))?;
            Some(&piece[at + 1..])
        })
        .filter(|value| !value.is_empty())
        .collect()
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(b) = rest.next() {
        let mut ahead = rest.clone();
        let pair = (b == b'%').then(|| Some([ahead.next()?, ahead.next()?])).flatten();
        let decoded = pair.and_then(|p| u8::from_str_radix(std::str::from_utf8(&p).ok()?, 16).ok());
        if decoded.is_some() {
            rest = ahead;
        }
        bytes.push(decoded.unwrap_or(b));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
