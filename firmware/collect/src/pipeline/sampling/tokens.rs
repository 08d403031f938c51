//! So many spans per second.

/// A bucket that fills at the rate up to one second's worth. A trace passes while it is not empty and may leave it in
/// debt, so that a trace larger than the bucket passes too.
#[derive(Debug)]
pub(super) struct Tokens {
    per_second: f64,
    left: f64,
    at_ns: u64,
}

impl Tokens {
    pub(super) fn new(per_second: u64, now_ns: u64) -> Self {
        Tokens { per_second: per_second as f64, left: per_second as f64, at_ns: now_ns }
    }

    fn fill(&mut self, now_ns: u64) {
        let seconds = now_ns.saturating_sub(self.at_ns) as f64 / 1e9;
        self.left = (self.left + seconds * self.per_second).min(self.per_second);
        self.at_ns = now_ns.max(self.at_ns);
    }

    /// Takes `spans`, or nothing when the bucket is empty.
    pub(super) fn take(&mut self, spans: usize, now_ns: u64) -> bool {
        self.fill(now_ns);
        let passes = self.left > 0.0;
        if passes {
            self.left -= spans as f64;
        }
        passes
    }

    /// Takes `spans` of a trace that has begun to pass.
    pub(super) fn take_anyway(&mut self, spans: usize, now_ns: u64) {
        self.fill(now_ns);
        self.left -= spans as f64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_holds_over_time() {
        let mut tokens = Tokens::new(10, 0);
        assert!(tokens.take(25, 0) && !tokens.take(1, 1_000_000_000), "in debt by 5");
        assert!(tokens.take(1, 1_600_000_000));
        tokens.take_anyway(100, 1_600_000_000);
        assert!(!tokens.take(1, 10_000_000_000) && tokens.take(1, 12_000_000_000));
        let mut none = Tokens::new(0, 0);
        assert!(!none.take(1, 1 << 40));
    }
}
