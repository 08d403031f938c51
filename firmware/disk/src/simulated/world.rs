//! Names, files, handles and power of a simulated disk.

use std::collections::{BTreeMap, BTreeSet};

use bramble_runtime::Rng;

use super::SimulatedOptions;
use super::node::Node;
use crate::disk::FileId;
use crate::error::DiskError;

pub(crate) type NodeId = u64;

/// What an operation costs when it does not stall: near a card's.
const OPERATION_NS: u64 = 1_000_000;

pub(crate) struct World {
    pub(crate) rng: Rng,
    pub(crate) options: SimulatedOptions,
    pub(crate) powered: bool,
    pub(crate) operations: u64,
    pub(crate) cut_at: Option<u64>,
    pub(crate) elapsed_ns: u64,
    nodes: BTreeMap<NodeId, Node>,
    /// Names as programs see them.
    names: BTreeMap<String, NodeId>,
    /// Names as they are on the medium; where the two differ, a cut decides by coin.
    durable_names: BTreeMap<String, NodeId>,
    handles: BTreeMap<FileId, (NodeId, String)>,
    next_id: u64,
}

fn directory(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(directory, _)| directory)
}

impl World {
    pub(crate) fn new(rng: Rng, options: SimulatedOptions) -> Self {
        World {
            rng,
            options,
            powered: true,
            operations: 0,
            cut_at: None,
            elapsed_ns: 0,
            nodes: BTreeMap::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            handles: BTreeMap::new(),
            next_id: 1,
        }
    }

    /// Counts a mutation; true when the power goes during it.
    pub(crate) fn count_operation(&mut self) -> bool {
        self.operations += 1;
        self.elapsed_ns += OPERATION_NS;
        if self.rng.chance(self.options.stall_chance) {
            self.elapsed_ns += self.options.stall_ns;
        }
        self.cut_at == Some(self.operations)
    }

    pub(crate) fn cut(&mut self) {
        self.powered = false;
        self.handles.clear();
        let changed: BTreeSet<String> = self.names.keys().chain(self.durable_names.keys()).cloned().collect();
        for name in changed {
            let (live, durable) = (self.names.get(&name).copied(), self.durable_names.get(&name).copied());
            if live == durable {
                continue;
            }
            let chosen = if self.rng.chance(0.5) { live } else { durable };
            for names in [&mut self.names, &mut self.durable_names] {
                match chosen {
                    Some(id) => _ = names.insert(name.clone(), id),
                    None => _ = names.remove(&name),
                }
            }
        }
        self.collect();
        for node in self.nodes.values_mut() {
            node.cut(&mut self.rng);
        }
    }

    /// Drops files that no name and no handle leads to.
    fn collect(&mut self) {
        let names = self.names.values().chain(self.durable_names.values());
        let used: BTreeSet<NodeId> = names.copied().chain(self.handles.values().map(|(id, _)| *id)).collect();
        self.nodes.retain(|id, _| used.contains(id));
    }

    pub(crate) fn lookup(&self, name: &str) -> Result<NodeId, DiskError> {
        self.names.get(name).copied().ok_or_else(|| DiskError::NotFound { name: name.into() })
    }

    pub(crate) fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(&id)
    }

    pub(crate) fn node_mut(&mut self, id: NodeId) -> Option<&mut Node> {
        self.nodes.get_mut(&id)
    }

    /// The file and the dice, for faults that throw them.
    pub(crate) fn node_and_rng(&mut self, id: NodeId) -> Option<(&mut Node, &mut Rng)> {
        self.nodes.get_mut(&id).map(|node| (node, &mut self.rng))
    }

    /// A new empty file under `name`, which loses its old one; not durable.
    pub(crate) fn create(&mut self, name: &str) -> NodeId {
        let id = self.next_id;
        self.next_id += 1;
        self.nodes.insert(id, Node::default());
        self.names.insert(name.into(), id);
        self.collect();
        id
    }

    pub(crate) fn remove(&mut self, name: &str) -> Result<(), DiskError> {
        self.lookup(name)?;
        self.names.remove(name);
        self.collect();
        Ok(())
    }

    /// Renames, atomically; `durably` syncs the target's directory too.
    pub(crate) fn rename(&mut self, from: &str, to: &str, durably: bool) -> Result<(), DiskError> {
        let id = self.lookup(from)?;
        self.names.remove(from);
        self.names.insert(to.into(), id);
        if durably {
            // One transaction of the file system's journal: both ends of the rename.
            self.durable_names.remove(from);
            self.sync_directory(directory(to));
        }
        self.collect();
        Ok(())
    }

    /// Makes the names in `synced` what they are now.
    pub(crate) fn sync_directory(&mut self, synced: &str) {
        self.durable_names.retain(|name, _| directory(name) != synced);
        let now = self.names.iter().filter(|(name, _)| directory(name) == synced);
        self.durable_names.extend(now.map(|(name, id)| (name.clone(), *id)));
    }

    pub(crate) fn sync_name(&mut self, name: &str) {
        if let Some(&id) = self.names.get(name) {
            self.durable_names.insert(name.into(), id);
        }
    }

    pub(crate) fn open(&mut self, id: NodeId, name: &str) -> FileId {
        let handle = FileId(self.next_id);
        self.next_id += 1;
        self.handles.insert(handle, (id, name.into()));
        handle
    }

    pub(crate) fn close(&mut self, file: FileId) {
        if self.handles.remove(&file).is_some() {
            self.collect();
        }
    }

    pub(crate) fn handle(&self, file: FileId, doing: &'static str) -> Result<(NodeId, String), DiskError> {
        let closed = DiskError::Invalid { name: format!("file {}", file.0), doing, what: "it is closed" };
        self.handles.get(&file).cloned().ok_or(closed)
    }

    pub(crate) fn used_bytes(&self) -> u64 {
        self.nodes.values().map(Node::footprint).sum()
    }

    /// Whether `id` may become `length` bytes long.
    pub(crate) fn fits(&self, id: NodeId, length: u64) -> bool {
        let now = self.node(id).map_or(0, Node::footprint);
        self.used_bytes() + length.saturating_sub(now) <= self.options.capacity_bytes || length <= now
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = (&String, u64)> {
        self.names.iter().map(|(name, id)| (name, self.node(*id).map_or(0, |node| node.len() as u64)))
    }
}
