//! Where an item comes from.

/// Who said it, borrowed from labels or attributes; empty texts where it is not known.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Origin<'a> {
    /// Service; `unknown_service` where nothing tells.
    pub service: &'a str,
    /// Deployment environment.
    pub env: &'a str,
    /// Machine.
    pub node: &'a str,
    /// Kubernetes namespace.
    pub namespace: &'a str,
    /// Pod.
    pub pod: &'a str,
    /// Container.
    pub container: &'a str,
    /// systemd unit.
    pub unit: &'a str,
}
