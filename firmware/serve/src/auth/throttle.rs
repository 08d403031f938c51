//! How often codes and passwords may be tried.
//!
//! Two buckets must have a token left: that of the address (a /64 of IPv6 is one), so that one guesser does not lock
//! the owner out, and one for all, so that many addresses do not guess faster. Only failures cost a token. Memory is bounded:
//! of more addresses than [`ADDRESSES_MAX`] the one that failed longest ago is forgotten.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv6Addr};

const ADDRESSES_MAX: usize = 128;

/// Failures at once, and milliseconds until one more is allowed.
const OF_ADDRESS: Rate = Rate { burst: 5, every_ms: 20_000 };
const OF_ALL: Rate = Rate { burst: 30, every_ms: 5_000 };

#[derive(Clone, Copy)]
struct Rate {
    burst: i64,
    every_ms: i64,
}

/// When a bucket would be full again, milliseconds; the emptier the later.
#[derive(Clone, Copy, Default)]
struct Bucket {
    full_ms: i64,
}

impl Bucket {
    /// Milliseconds until a failure is allowed; 0 for now.
    fn wait_ms(self, rate: Rate, now_ms: i64) -> i64 {
        (self.full_ms - now_ms - (rate.burst - 1) * rate.every_ms).max(0)
    }

    fn fail(&mut self, rate: Rate, now_ms: i64) {
        self.full_ms = self.full_ms.max(now_ms) + rate.every_ms;
    }
}

/// Counts failures. Times are milliseconds of a clock that does not go back.
#[derive(Default)]
pub(super) struct Throttle {
    all: Bucket,
    /// The one that failed last at the end.
    addresses: VecDeque<(IpAddr, Bucket)>,
}

impl Throttle {
    /// Whether `address` may try now; otherwise after how many seconds.
    ///
    /// # Errors
    /// Seconds to wait, at least 1.
    pub(super) fn check(&self, address: IpAddr, now_ms: i64) -> Result<(), u64> {
        let address = network(address);
        let known = self.addresses.iter().find(|(known, _)| *known == address);
        let own_ms = known.map_or(0, |(_, bucket)| bucket.wait_ms(OF_ADDRESS, now_ms));
        match own_ms.max(self.all.wait_ms(OF_ALL, now_ms)) {
            0 => Ok(()),
            wait_ms => Err((wait_ms as u64).div_ceil(1000)),
        }
    }

    /// It tried and failed.
    pub(super) fn fail(&mut self, address: IpAddr, now_ms: i64) {
        let address = network(address);
        self.all.fail(OF_ALL, now_ms);
        let at = self.addresses.iter().position(|(known, _)| *known == address);
        let mut bucket = at.and_then(|at| self.addresses.remove(at)).map_or(Bucket::default(), |(_, bucket)| bucket);
        bucket.fail(OF_ADDRESS, now_ms);
        if self.addresses.len() >= ADDRESSES_MAX {
            self.addresses.pop_front();
        }
        self.addresses.push_back((address, bucket));
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_is_slowed_down_and_others_are_not() {
        let mut throttle = Throttle::default();
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        for _ in 0..5 {
            assert_eq!(throttle.check(one, 1000), Ok(()));
            throttle.fail(one, 1000);
        }
        assert_eq!((throttle.check(one, 1000), throttle.check(other, 1000)), (Err(20), Ok(())));
        assert_eq!((throttle.check(one, 20_500), throttle.check(one, 21_000)), (Err(1), Ok(())));
        assert_eq!(throttle.check(one, 10_000_000), Ok(()));
    }

    #[test]
    fn many_addresses_together_are_slowed_down_and_take_bounded_memory() {
        let mut throttle = Throttle::default();
        for n in 0..1000u32 {
            throttle.fail(IpAddr::V4((0x0a00_0000 + n).into()), 0);
        }
        assert_eq!(throttle.addresses.len(), ADDRESSES_MAX);
        assert!(throttle.check(IpAddr::from([192, 168, 0, 1]), 0).is_err());
        let (a, b): (IpAddr, IpAddr) = ("fd00::1:2".parse().unwrap(), "fd00::7".parse().unwrap());
        assert_eq!(network(a), network(b));
        assert_eq!(network("::ffff:1.2.3.4".parse().unwrap()), IpAddr::from([1, 2, 3, 4]));
    }
}
