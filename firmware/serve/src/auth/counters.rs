//! What `/metrics` says of the guard.

use prometheus::{IntCounterVec, IntGauge, Opts, Registry};

/// Counters of the guard. Labels have the values of [`Reason`](super::refusal::Reason) only.
pub(super) struct Counters {
    pub(super) refusals: IntCounterVec,
    pub(super) owner: IntGauge,
    pub(super) sessions: IntGauge,
    pub(super) tokens: IntGauge,
}

impl Counters {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let refusals = Opts::new("bramble_auth_refusals_total", "Requests and sign-ins that were refused, by reason.");
        let counters = Counters {
            refusals: IntCounterVec::new(refusals, &["reason"])?,
            owner: IntGauge::new("bramble_auth_owner", "Whether there is an owner.")?,
            sessions: IntGauge::new("bramble_auth_sessions", "Sessions of people.")?,
            tokens: IntGauge::new("bramble_auth_tokens", "Tokens of programs.")?,
        };
        registry.register(Box::new(counters.refusals.clone()))?;
        registry.register(Box::new(counters.owner.clone()))?;
        registry.register(Box::new(counters.sessions.clone()))?;
        registry.register(Box::new(counters.tokens.clone()))?;
        Ok(counters)
    }
}
