//! Whose packets and connections are taken where the protocol has no place for a token: syslog, Jaeger's agent.

use super::ReceiverState;
use std::net::IpAddr;
use std::sync::OnceLock;

type Rule = Box<dyn Fn(IpAddr) -> bool + Send + Sync>;

/// The rule; everybody's until one is set.
#[derive(Default)]
pub(crate) struct Admission(OnceLock<Rule>);

impl Admission {
    /// Whether what comes from `address` is taken.
    pub(crate) fn admits(&self, address: IpAddr) -> bool {
        self.0.get().is_none_or(|rule| rule(address.to_canonical()))
    }
}

impl ReceiverState {
    /// From now on `rule` says whose packets and connections are taken; what it refuses is counted as `not_admitted`. It is asked
    /// for every packet, so it should be quick. Set once: a second rule is ignored.
    pub fn set_admission(&self, rule: impl Fn(IpAddr) -> bool + Send + Sync + 'static) {
        let _ = self.0.admission.0.set(Box::new(rule));
    }
}

/// Why something was rejected, for counters.
pub(crate) const NOT_ADMITTED: &str = "not_admitted";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rule_holds() {
        let admission = Admission::default();
        let (near, far) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([8, 8, 8, 8]));
        assert!(admission.admits(near) && admission.admits(far));
        assert!(admission.0.set(Box::new(|address| address.is_loopback())).is_ok());
        assert!(admission.admits(near) && !admission.admits(far));
        assert!(admission.admits("::ffff:127.0.0.1".parse().unwrap()));
    }
}
