//! `ip("…")`: addresses, ranges and prefixes.

use std::net::{IpAddr, Ipv6Addr};

/// Addresses from `low` to `high`, both of one family.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IpMatcher {
    low: IpAddr,
    high: IpAddr,
}

fn prefix(address: IpAddr, bits: u8) -> Option<(IpAddr, IpAddr)> {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32u32.checked_sub(u32::from(bits))?).unwrap_or(0);
            let low = u32::from(v4) & mask;
            Some((IpAddr::V4(low.into()), IpAddr::V4((low | !mask).into())))
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128u32.checked_sub(u32::from(bits))?).unwrap_or(0);
            let low = u128::from(v6) & mask;
            Some((IpAddr::V6(Ipv6Addr::from(low)), IpAddr::V6(Ipv6Addr::from(low | !mask))))
        }
    }
}

impl IpMatcher {
    /// From `10.0.0.1`, `10.0.0.1-10.0.0.9` or `10.0.0.0/8`.
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        let parse = || {
            if let Some((low, high)) = text.split_once('-') {
                let (low, high): (IpAddr, IpAddr) = (low.trim().parse().ok()?, high.trim().parse().ok()?);
                return (low.is_ipv4() == high.is_ipv4() && low <= high).then_some((low, high));
            }
            if let Some((address, bits)) = text.split_once('/') {
                return prefix(address.parse().ok()?, bits.parse().ok()?);
            }
            text.parse().ok().map(|a| (a, a))
        };
        let (low, high) = parse().ok_or_else(|| format!("ip: invalid pattern: {}", crate::syntax::quote(text)))?;
        Ok(IpMatcher { low, high })
    }

    /// Whether `text` is such an address.
    pub(crate) fn is(&self, text: &str) -> bool {
        text.parse().is_ok_and(|address: IpAddr| {
            address.is_ipv4() == self.low.is_ipv4() && (self.low..=self.high).contains(&address)
        })
    }

    /// Whether such an address stands somewhere in the line.
    pub(crate) fn found_in(&self, line: &[u8]) -> bool {
        let v4 = self.low.is_ipv4();
        let part = |b: &u8| {
            if v4 { b.is_ascii_digit() || *b == b'.' } else { b.is_ascii_hexdigit() || *b == b':' || *b == b'.' }
        };
        let shortest = if v4 { 7 } else { 2 };
        line.split(|b| !part(b)).any(|word| {
            word.len() >= shortest
                && word.len() <= 45
                && std::str::from_utf8(word).is_ok_and(|w| self.is(w) || self.is(w.trim_matches('.')))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::IpMatcher;

    #[test]
    fn addresses_are_found() {
        let net = IpMatcher::new("10.0.0.0/24").unwrap();
        assert!(net.found_in(b"from 10.0.0.17 - alice") && !net.found_in(b"from 10.0.1.17"));
        assert!(!net.found_in(b"110.0.0.17"));
        let range = IpMatcher::new("192.168.4.5-192.168.4.6").unwrap();
        assert!(range.is("192.168.4.6") && !range.is("192.168.4.7") && !range.is("x"));
        let v6 = IpMatcher::new("2001:db8::/32").unwrap();
        assert!(v6.found_in(b"2001:db8::ff00:42:8329 - bob") && !v6.found_in(b"fe80::1"));
        assert!(IpMatcher::new("0.0.0.0/0").unwrap().is("9.9.9.9"));
        assert_eq!(IpMatcher::new("bogus").unwrap_err(), "ip: invalid pattern: \"bogus\"");
    }
}
