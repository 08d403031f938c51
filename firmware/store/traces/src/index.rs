//! A block's index, its footer: where its groups are, and which services and operations it has.
//!
//! `age, complete, groups, operations`. Groups are ascending by trace id (a trace may continue in the next group).
//! Operations are ascending (service, name, kind), at most [`OPERATIONS_MAX`]; a block with more says that the list is
//! not complete, and readers ask the groups.

use crate::bytes::{put_bytes, put_varint, take_array, take_bytes, take_count, take_u32, take_varint};
use crate::group_write::GroupEntry;
use bramble_disk::segment::PageRef;
use bramble_signal::TraceId;
use std::collections::BTreeSet;

/// Most operations listed in a block's index.
pub(crate) const OPERATIONS_MAX: usize = 8192;
/// Longest text of all of them together, so that the index stays small.
const OPERATIONS_BYTES_MAX: usize = 512 << 10;
const GROUPS_MAX: usize = 1 << 20;

/// (service, operation, kind).
pub(crate) type Operation = (String, String, u8);

/// The operations of a block being written.
#[derive(Default)]
pub(crate) struct OperationSet {
    set: BTreeSet<Operation>,
    bytes: usize,
    overflow: bool,
}

impl OperationSet {
    /// Adds one.
    pub(crate) fn add(&mut self, service: &str, name: &str, kind: u8) {
        if self.overflow {
            return;
        }
        let bytes = service.len() + name.len() + 80;
        if self.set.len() >= OPERATIONS_MAX || self.bytes + bytes > OPERATIONS_BYTES_MAX {
            self.overflow = true;
            self.set.clear();
        } else if self.set.insert((service.to_owned(), name.to_owned(), kind)) {
            self.bytes += bytes;
        }
    }
}

/// What is known of a block's content.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct BlockIndex {
    /// Blocks with smaller ages hold what arrived earlier: a flushed block's number, a merged block's smallest.
    pub(crate) age: u64,
    /// Ascending by trace id.
    pub(crate) groups: Vec<GroupEntry>,
    /// Ascending; `None` when there are too many.
    pub(crate) operations: Option<Vec<Operation>>,
}

impl BlockIndex {
    pub(crate) fn new(age: u64, groups: Vec<GroupEntry>, operations: OperationSet) -> Self {
        let operations = (!operations.overflow).then(|| operations.set.into_iter().collect());
        BlockIndex { age, groups, operations }
    }

    /// The footer's bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(&mut out, self.age);
        put_varint(&mut out, self.groups.len() as u64);
        for group in &self.groups {
            group.header.put(&mut out);
            group.filter.put(&mut out);
            out.extend_from_slice(&group.first.0);
            out.extend_from_slice(&group.last.0);
            put_varint(&mut out, u64::from(group.spans));
            put_varint(&mut out, u64::from(group.traces));
            for time in [group.min_start_ns, group.max_start_ns, group.max_end_ns] {
                out.extend_from_slice(&time.to_le_bytes());
            }
            put_varint(&mut out, group.min_duration_ns);
            put_varint(&mut out, group.max_duration_ns);
            put_varint(&mut out, u64::from(group.memory_bytes));
            out.extend([group.kinds, group.statuses]);
        }
        out.push(u8::from(self.operations.is_some()));
        let operations = self.operations.as_deref().unwrap_or(&[]);
        put_varint(&mut out, operations.len() as u64);
        for (service, name, kind) in operations {
            put_bytes(&mut out, service.as_bytes());
            put_bytes(&mut out, name.as_bytes());
            out.push(*kind);
        }
        out
    }

    /// Reads a footer; `None` when damaged.
    pub(crate) fn decode(mut bytes: &[u8]) -> Option<Self> {
        let bytes = &mut bytes;
        let age = take_varint(bytes)?;
        let mut groups = Vec::new();
        for _ in 0..take_count(bytes, GROUPS_MAX)? {
            groups.push(take_group(bytes)?);
        }
        let [complete] = take_array(bytes)?;
        let mut operations = Vec::new();
        for _ in 0..take_count(bytes, OPERATIONS_MAX)? {
            let mut text = || Some(std::str::from_utf8(take_bytes(bytes)?).ok()?.to_owned());
            let (service, name) = (text()?, text()?);
            let [kind] = take_array(bytes)?;
            operations.push((service, name, kind));
        }
        Some(BlockIndex { age, groups, operations: (complete != 0).then_some(operations) })
    }

    /// About the most that one of its groups takes in memory when decoded.
    pub(crate) fn group_memory_bytes_max(&self) -> usize {
        self.groups.iter().map(|g| g.memory_bytes as usize).max().unwrap_or(0)
    }

    /// Groups in which a trace may be, by their range of ids.
    pub(crate) fn groups_of(&self, id: TraceId) -> &[GroupEntry] {
        let from = self.groups.partition_point(|g| g.last < id);
        let to = self.groups.partition_point(|g| g.first <= id);
        self.groups.get(from..to).unwrap_or(&[])
    }

    /// Memory held.
    pub(crate) fn memory_bytes(&self) -> usize {
        let operations = self.operations.iter().flatten();
        self.groups.capacity() * size_of::<GroupEntry>()
            + operations.map(|(s, n, _)| size_of::<Operation>() + s.len() + n.len()).sum::<usize>()
    }
}

fn take_group(bytes: &mut &[u8]) -> Option<GroupEntry> {
    let header = PageRef::take(bytes)?;
    let filter = PageRef::take(bytes)?;
    let (first, last) = (TraceId(take_array(bytes)?), TraceId(take_array(bytes)?));
    let (spans, traces) = (take_u32(bytes)?, take_u32(bytes)?);
    let mut time = || take_array(bytes).map(u64::from_le_bytes);
    let (min_start_ns, max_start_ns, max_end_ns) = (time()?, time()?, time()?);
    let (min_duration_ns, max_duration_ns) = (take_varint(bytes)?, take_varint(bytes)?);
    let memory_bytes = take_u32(bytes)?;
    let [kinds, statuses] = take_array(bytes)?;
    Some(GroupEntry {
        header,
        filter,
        first,
        last,
        spans,
        traces,
        min_start_ns,
        max_start_ns,
        max_end_ns,
        min_duration_ns,
        max_duration_ns,
        memory_bytes,
        kinds,
        statuses,
    })
}
