//! What is known of a cluster.

use super::objects::{EndpointSlice, Endpoints, Ingress, Namespace, Node, Object, Pod, Service};
use super::watch::Change;
use super::{endpoints, endpointslice, ingress, labels, pod};
use crate::discovery::config::{AttachMetadata, KubernetesRole};
use crate::discovery::group::TargetGroup;
use std::collections::BTreeMap;

/// A change, on its way from a follower's task.
pub(super) type Update = Box<dyn FnOnce(&mut World) + Send>;

const CORE: &str = "/api/v1";
const DISCOVERY: &str = "/apis/discovery.k8s.io/v1";
const NETWORKING: &str = "/apis/networking.k8s.io/v1";

/// A kind of object that is kept.
pub(super) trait Kept: Object {
    const GROUP: &'static str;
    const NAME: &'static str;
    /// Whose selectors apply.
    const ROLE: Option<KubernetesRole>;
    fn store(world: &mut World) -> &mut Store<Self>
    where
        Self: Sized;
}

macro_rules! kept {
    ($($type:ident, $field:ident, $group:expr, $role:expr;)*) => {
        $(impl Kept for $type {
            const GROUP: &'static str = $group;
            const NAME: &'static str = stringify!($field);
            const ROLE: Option<KubernetesRole> = $role;
            fn store(world: &mut World) -> &mut Store<Self> {
                &mut world.$field
            }
        })*
    };
}
kept! {
    Pod, pods, CORE, Some(KubernetesRole::Pod);
    Node, nodes, CORE, Some(KubernetesRole::Node);
    Service, services, CORE, Some(KubernetesRole::Service);
    Endpoints, endpoints, CORE, Some(KubernetesRole::Endpoints);
    EndpointSlice, endpointslices, DISCOVERY, Some(KubernetesRole::EndpointSlice);
    Ingress, ingresses, NETWORKING, Some(KubernetesRole::Ingress);
    Namespace, namespaces, CORE, None;
}

/// Objects of one kind, per list that is followed.
#[derive(Debug)]
pub(super) struct Store<T> {
    lists: Vec<Followed<T>>,
}

#[derive(Debug)]
struct Followed<T> {
    objects: BTreeMap<(String, String), T>,
    /// Whether the list was read once.
    is_read: bool,
    error: Option<String>,
}

impl<T> Default for Store<T> {
    fn default() -> Self {
        Store { lists: Vec::new() }
    }
}

impl<T: Object> Store<T> {
    /// Makes room for one more list; returns its number.
    pub(super) fn open(&mut self) -> usize {
        self.lists.push(Followed { objects: BTreeMap::new(), is_read: false, error: None });
        self.lists.len() - 1
    }

    pub(super) fn get(&self, namespace: &str, name: &str) -> Option<&T> {
        let key = (namespace.to_owned(), name.to_owned());
        self.lists.iter().find_map(|list| list.objects.get(&key))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.lists.iter().flat_map(|list| list.objects.values())
    }

    /// Whether every list was read, or at least tried.
    fn is_tried(&self) -> bool {
        self.lists.iter().all(|list| list.is_read || list.error.is_some())
    }

    fn is_read(&self) -> bool {
        self.lists.iter().all(|list| list.is_read)
    }

    fn error(&self) -> Option<&String> {
        self.lists.iter().find_map(|list| list.error.as_ref())
    }

    /// Whether it was a failure.
    fn apply(&mut self, scope: usize, change: Change<T>) -> bool {
        let Some(list) = self.lists.get_mut(scope) else { return false };
        let key = |object: &T| (object.metadata().namespace.clone(), object.metadata().name.clone());
        match change {
            Change::Reset(objects) => {
                list.objects = objects.into_iter().map(|object| (key(&object), object)).collect();
                list.is_read = true;
            }
            Change::Applied(object) => _ = list.objects.insert(key(&object), object),
            Change::Deleted(object) => _ = list.objects.remove(&key(&object)),
            Change::Recovered => list.error = None,
            Change::Failed(error) => {
                list.error = Some(error);
                return true;
            }
        }
        false
    }
}

/// All that is known.
#[derive(Debug)]
pub(crate) struct World {
    role: KubernetesRole,
    pub(super) attach: AttachMetadata,
    pub(super) pods: Store<Pod>,
    pub(super) nodes: Store<Node>,
    pub(super) services: Store<Service>,
    pub(super) endpoints: Store<Endpoints>,
    pub(super) endpointslices: Store<EndpointSlice>,
    pub(super) ingresses: Store<Ingress>,
    pub(super) namespaces: Store<Namespace>,
    new_failures: bool,
}

impl World {
    pub(super) fn new(role: KubernetesRole, attach: AttachMetadata) -> Self {
        World {
            role,
            attach,
            pods: Store::default(),
            nodes: Store::default(),
            services: Store::default(),
            endpoints: Store::default(),
            endpointslices: Store::default(),
            ingresses: Store::default(),
            namespaces: Store::default(),
            new_failures: false,
        }
    }

    pub(super) fn apply<T: Kept>(&mut self, scope: usize, change: Change<T>) {
        let failed = T::store(self).apply(scope, change);
        self.new_failures |= failed;
    }

    /// Whether something failed since this was last asked.
    pub(super) fn take_new_failures(&mut self) -> bool {
        std::mem::take(&mut self.new_failures)
    }

    /// Whether groups can be made: the role's own objects were read, and the others at least tried.
    pub(super) fn is_ready(&self) -> bool {
        let own = match self.role {
            KubernetesRole::Node => self.nodes.is_read(),
            KubernetesRole::Pod => self.pods.is_read(),
            KubernetesRole::Service => self.services.is_read(),
            KubernetesRole::Endpoints => self.endpoints.is_read(),
            KubernetesRole::EndpointSlice => self.endpointslices.is_read(),
            KubernetesRole::Ingress => self.ingresses.is_read(),
        };
        own && self.nodes.is_tried() && self.pods.is_tried() && self.services.is_tried() && self.namespaces.is_tried()
    }

    /// Why something cannot be read now.
    pub(super) fn error(&self) -> Option<String> {
        let each = [
            self.nodes.error(),
            self.pods.error(),
            self.services.error(),
            self.endpoints.error(),
            self.endpointslices.error(),
            self.ingresses.error(),
            self.namespaces.error(),
        ];
        each.into_iter().flatten().next().cloned()
    }

    /// The groups of the role.
    pub(super) fn groups(&self) -> Vec<TargetGroup> {
        match self.role {
            KubernetesRole::Node => self.nodes.iter().map(labels::node_group).collect(),
            KubernetesRole::Pod => self.pods.iter().map(|one| pod::group(one, self)).collect(),
            KubernetesRole::Service => self.services.iter().map(|one| labels::service_group(one, self)).collect(),
            KubernetesRole::Endpoints => self.endpoints.iter().map(|one| endpoints::group(one, self)).collect(),
            KubernetesRole::EndpointSlice => {
                self.endpointslices.iter().map(|one| endpointslice::group(one, self)).collect()
            }
            KubernetesRole::Ingress => self.ingresses.iter().map(|one| ingress::group(one, self)).collect(),
        }
    }
}
