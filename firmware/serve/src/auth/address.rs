//! Where a request comes from.
//!
//! What a connection's address says is believed; what a header says only when the connection comes from a proxy that
//! is named as trusted. A request that says it was forwarded, by a proxy that is not, comes from nobody knows where:
//! a reverse proxy on this machine must not turn the internet into loopback.

use http::HeaderMap;
use ipnet::IpNet;
use std::net::IpAddr;

/// Headers of proxies.
const FORWARDED: [&str; 4] = ["x-forwarded-for", "forwarded", "x-real-ip", "x-forwarded-host"];

/// How far away it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// This machine.
    Loopback,
    /// A private network: RFC 1918, unique local or link-local.
    Private,
    /// Anywhere else, or unknown.
    Elsewhere,
}

impl Place {
    /// Of an address.
    pub(super) fn of(address: IpAddr) -> Place {
        let address = address.to_canonical();
        let is_private = match address {
            IpAddr::V4(v4) => v4.is_private() || v4.is_link_local(),
            IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local(),
        };
        match address {
            address if address.is_loopback() => Place::Loopback,
            _ if is_private => Place::Private,
            _ => Place::Elsewhere,
        }
    }
}

/// Where a request comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Origin {
    pub(super) address: IpAddr,
    pub(super) place: Place,
    /// Whether its way up to us was encrypted, as a trusted proxy says.
    pub(super) is_secure: bool,
}

/// Where a request with `headers` on a connection from `peer` comes from.
pub(super) fn origin(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Origin {
    let peer = peer.to_canonical();
    let is_trusted = |address: IpAddr| trusted.iter().any(|net| net.contains(&address));
    let known = |address| Origin { address, place: Place::of(address), is_secure: false };
    let is_forwarded = FORWARDED.iter().any(|name| headers.contains_key(*name));
    if !is_forwarded {
        return known(peer);
    }
    let unknown = Origin { address: peer, place: Place::Elsewhere, is_secure: false };
    if !is_trusted(peer) {
        return unknown;
    }
    let texts = headers.get_all("x-forwarded-for").iter().map(|value| value.to_str().unwrap_or("?"));
    let hops: Vec<&str> = texts.flat_map(|text| text.split(',')).map(str::trim).collect();
    // The nearest hop is the last; trusted proxies wrote all up to the first that is none.
    for hop in hops.iter().rev() {
        match hop.parse::<IpAddr>().map(|address| address.to_canonical()) {
            Ok(address) if is_trusted(address) => {}
            Ok(address) => return Origin { is_secure: is_secure(headers), ..known(address) },
            Err(_) => return unknown,
        }
    }
    unknown
}

fn is_secure(headers: &HeaderMap) -> bool {
    headers.get("x-forwarded-proto").is_some_and(|proto| proto.as_bytes().eq_ignore_ascii_case(b"https"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(peer: &str, headers: &[(&'static str, &str)], trusted: &[&str]) -> (String, Place) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        let origin = origin(peer.parse().unwrap(), &map, &trusted);
        (origin.address.to_string(), origin.place)
    }

    #[test]
    fn addresses_are_near_or_far() {
        for (address, expected) in [
            ("127.0.0.1", Place::Loopback),
            ("::1", Place::Loopback),
            ("::ffff:127.0.0.1", Place::Loopback),
            ("192.168.1.7", Place::Private),
            ("172.16.0.1", Place::Private),
            ("172.32.0.1", Place::Elsewhere),
            ("169.254.1.1", Place::Private),
            ("fe80::1", Place::Private),
            ("fd12::1", Place::Private),
            ("::ffff:10.1.1.1", Place::Private),
            ("100.64.0.1", Place::Elsewhere),
            ("8.8.8.8", Place::Elsewhere),
            ("2001:db8::1", Place::Elsewhere),
        ] {
            assert_eq!(Place::of(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let forwarded = [("x-forwarded-for", "127.0.0.1")];
        assert_eq!(place("127.0.0.1", &forwarded, &[]), ("127.0.0.1".into(), Place::Elsewhere));
        assert_eq!(place("127.0.0.1", &[("forwarded", "for=10.0.0.1")], &[]).1, Place::Elsewhere);
        let by_proxy = [("x-forwarded-for", "127.0.0.1, 192.168.1.9")];
        let trusted = ["127.0.0.0/8"];
        assert_eq!(place("127.0.0.1", &by_proxy, &trusted), ("192.168.1.9".into(), Place::Private));
        let by_two = [("x-forwarded-for", "127.0.0.1, 8.8.8.8, 10.9.9.9")];
        assert_eq!(place("127.0.0.1", &by_two, &["127.0.0.1/32", "10.9.9.9/32"]), ("8.8.8.8".into(), Place::Elsewhere));
        assert_eq!(place("127.0.0.1", &[("x-forwarded-for", "who knows")], &trusted).1, Place::Elsewhere);
        assert_eq!(place("127.0.0.1", &[], &trusted).1, Place::Loopback);
    }
}
