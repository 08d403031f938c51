//! Shares of traces, decided by their ids.
//!
//! OpenTelemetry's consistent probability sampling: a trace's randomness is 56 bits, the last seven bytes of its id or
//! `rv` of the vendor `ot` in its state (<https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/>);
//! it is kept when they are not below a threshold. So a share keeps all that a smaller share keeps, whoever decides.

use bramble_signal::TraceId;

const RANGE: u64 = 1 << 56;

/// A share of all traces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Share {
    /// Traces below it are dropped; [`RANGE`] drops all.
    threshold: u64,
}

impl Share {
    /// Every trace.
    pub const ALL: Share = Share { threshold: 0 };
    /// No trace.
    pub const NONE: Share = Share { threshold: RANGE };

    /// `share` of 1; `None` unless it is from 0 to 1.
    pub fn new(share: f64) -> Option<Self> {
        (0.0..=1.0).contains(&share).then(|| Share { threshold: RANGE - (share * RANGE as f64) as u64 })
    }

    /// Of 1.
    pub fn share(self) -> f64 {
        (RANGE - self.threshold) as f64 / RANGE as f64
    }

    /// Whether nothing is dropped.
    pub fn is_all(self) -> bool {
        self.threshold == 0
    }

    /// Whether a trace is kept. `trace_state` is that of any of its spans.
    pub fn keeps(self, trace_id: TraceId, trace_state: &str) -> bool {
        self.is_all() || randomness(trace_id, trace_state) >= self.threshold
    }
}

fn randomness(trace_id: TraceId, trace_state: &str) -> u64 {
    if let Some(said) = explicit(trace_state) {
        return said;
    }
    trace_id.0.iter().skip(9).fold(0, |bits, byte| bits << 8 | u64::from(*byte))
}

/// `rv:` of the vendor `ot`: 14 hex digits.
fn explicit(trace_state: &str) -> Option<u64> {
    let ot = trace_state.split(',').find_map(|member| member.trim().strip_prefix("ot="))?;
    let digits = ot.split(';').find_map(|part| part.strip_prefix("rv:"))?;
    let plain = digits.len() == 14 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    u64::from_str_radix(digits, 16).ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(low: u64) -> TraceId {
        let mut bytes = [0xee; 16];
        bytes[8..].copy_from_slice(&low.to_be_bytes());
        TraceId(bytes)
    }

    #[test]
    fn the_last_seven_bytes_decide() {
        let half = Share::new(0.5).unwrap();
        assert!(half.keeps(id(0xff80_0000_0000_0000), "") && half.keeps(id(0x0080_0000_0000_0000), ""));
        assert!(!half.keeps(id(0xff7f_ffff_ffff_ffff), ""));
        assert!(Share::ALL.keeps(id(0), "") && !Share::NONE.keeps(id(u64::MAX), ""));
        assert_eq!((Share::new(1.0), Share::new(0.0)), (Some(Share::ALL), Some(Share::NONE)));
        assert!(Share::new(1.1).is_none() && Share::new(f64::NAN).is_none());
        assert_eq!(half.share(), 0.5);
    }

    #[test]
    fn what_the_state_says_is_preferred() {
        let half = Share::new(0.5).unwrap();
        assert!(half.keeps(id(0), "a=b, ot=th:0;rv:80000000000000"));
        assert!(!half.keeps(id(u64::MAX), "ot=rv:7fffffffffffff,a=b"));
        for wrong in ["ot=rv:8", "rv:80000000000000", "ot=rv:+8000000000000", "ot="] {
            assert!(!half.keeps(id(0), wrong), "{wrong}");
        }
    }

    #[test]
    fn a_larger_share_keeps_what_a_smaller_one_does() {
        let (small, large) = (Share::new(0.1).unwrap(), Share::new(0.25).unwrap());
        let mut rng = bramble_runtime::Rng::new(7);
        let ids: Vec<TraceId> = (0..20_000).map(|_| id(rng.next_u64())).collect();
        let kept = |share: Share| ids.iter().filter(|id| share.keeps(**id, "")).count();
        assert!(ids.iter().all(|id| large.keeps(*id, "") || !small.keeps(*id, "")));
        assert!((1800..2200).contains(&kept(small)) && (4700..5300).contains(&kept(large)));
    }
}
