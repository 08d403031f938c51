//! Entities: what an origin is made of, as numbers.
//!
//! An entity's id is the xxHash64 (seed 0) of `<kind>`, a zero byte and its canonical key:
//!
//! | kind | key |
//! | --- | --- |
//! | `node` | host name in lower case without its domain (`Rpi-1.lan` is `rpi-1`); an IP address as it is |
//! | `pod` | `<namespace>/<pod>`; a namespace that nothing tells is `default` |
//! | `container` | `<namespace>/<pod>/<container>`; outside pods `<node>/<container>` |
//! | `service` | its name as it is |
//! | `unit` | `<node>/<unit>`; a unit without a suffix is a `.service` |
//!
//! Names that nothing tells make no entity, but that containers and units of a node that is not known stand alone: `/<unit>`.

use crate::origin::Origin;
use bramble_signal::hash::xxhash64;
use std::fmt;
use std::net::IpAddr;

/// What an entity is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum EntityKind {
    /// A machine.
    Node,
    /// A pod of Kubernetes.
    Pod,
    /// A container, in a pod or not.
    Container,
    /// What several processes do together under one name.
    Service,
    /// A unit of systemd.
    Unit,
}

impl EntityKind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [EntityKind; 5] =
        [EntityKind::Node, EntityKind::Pod, EntityKind::Container, EntityKind::Service, EntityKind::Unit];

    /// Its name in ids and answers: `node`, `pod`, `container`, `service`, `unit`.
    pub fn as_str(self) -> &'static str {
        match self {
            EntityKind::Node => "node",
            EntityKind::Pod => "pod",
            EntityKind::Container => "container",
            EntityKind::Service => "service",
            EntityKind::Unit => "unit",
        }
    }
}

/// Names an entity: the same for equal kinds and keys on every host and in every version.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntityId(pub u64);

impl EntityId {
    /// The id of what has this canonical key.
    pub fn of(kind: EntityKind, key: &str) -> EntityId {
        let kind_hash = [kind.as_str().as_bytes(), &[0], key.as_bytes()].concat();
        EntityId(xxhash64(&kind_hash, 0))
    }
}

/// 16 hex digits.
impl fmt::Display for EntityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for EntityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Origin<'_> {
    /// The entities that it is made of, in the order of [`EntityKind::ALL`]. Allocates: ask once per origin.
    pub fn entities(&self) -> impl Iterator<Item = (EntityKind, EntityId)> {
        EntityKind::ALL.into_iter().filter_map(|kind| Some((kind, EntityId::of(kind, &self.entity_key(kind)?))))
    }

    /// The canonical key of its entity of a kind; `None` where nothing tells of one.
    pub fn entity_key(&self, kind: EntityKind) -> Option<String> {
        let told = |name: &str| !name.is_empty();
        match kind {
            EntityKind::Node => told(self.node).then(|| node_key(self.node)),
            EntityKind::Pod => told(self.pod).then(|| self.pod_key()),
            EntityKind::Container if !told(self.container) => None,
            EntityKind::Container if told(self.pod) => Some(format!("{}/{}", self.pod_key(), self.container)),
            EntityKind::Container => Some(format!("{}/{}", node_key(self.node), self.container)),
            EntityKind::Service => {
                (told(self.service) && self.service != "unknown_service").then(|| self.service.to_owned())
            }
            EntityKind::Unit if !told(self.unit) => None,
            EntityKind::Unit => {
                let suffix = if self.unit.contains('.') { "" } else { ".service" };
                Some(format!("{}/{}{suffix}", node_key(self.node), self.unit))
            }
        }
    }

    fn pod_key(&self) -> String {
        let namespace = if self.namespace.is_empty() { "default" } else { self.namespace };
        format!("{namespace}/{}", self.pod)
    }
}

fn node_key(node: &str) -> String {
    if node.parse::<IpAddr>().is_ok() {
        return node.to_owned();
    }
    node.split('.').next().unwrap_or(node).to_ascii_lowercase()
}
