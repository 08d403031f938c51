//! Spans of a window as a tree: who is part of whom, how deep, how much of their time they spent themselves.

use super::items::Kept;
use bramble_signal::SpanKind;

/// No span.
pub(super) const NONE: u32 = u32::MAX;

/// Spans of a window, by their number among its items.
pub(super) struct Tree {
    /// Of each item: the span that it is part of (for entries: in which it was written); [`NONE`] where that is not known.
    pub(super) parents: Vec<u32>,
    /// Of each item: how many spans it is part of. Spans whose parent is not there are one deep where there is a root.
    pub(super) depths: Vec<u32>,
}

/// Both halves of a call may have one id (Zipkin): the client's comes first.
fn role(item: &Kept) -> u8 {
    match item.kind() {
        SpanKind::Client => 0,
        SpanKind::Server => 1,
        _ => 2,
    }
}

fn parent_of(at: u32, items: &[Kept], by_id: &[(u64, u8, u32)]) -> u32 {
    let item = &items[at as usize];
    let of_id = |id: u64| {
        let from = by_id.partition_point(|(other, ..)| *other < id);
        by_id[from..].iter().take_while(move |(other, ..)| *other == id)
    };
    if !item.is_span() {
        let own = of_id(item.span_id).min_by_key(|(_, _, span)| items[*span as usize].origin != item.origin);
        return own.filter(|_| item.span_id != 0).map_or(NONE, |(_, _, span)| *span);
    }
    if role(item) == 1
        && let Some((_, 0, client)) = of_id(item.span_id).next()
    {
        return *client;
    }
    let parent = item.parent();
    if parent == 0 || parent == item.span_id {
        return NONE;
    }
    let answers = role(item) == 1;
    let found = of_id(parent).min_by_key(|(_, role, span)| {
        let elsewhere = items[*span as usize].origin != item.origin;
        // A server answers the client's half; what a server does itself hangs below its own.
        if answers { (false, *role) } else { (elsewhere, u8::MAX - *role) }
    });
    found.map_or(NONE, |(_, _, span)| *span)
}

impl Tree {
    /// Of a window's items, in their order.
    pub(super) fn new(items: &[Kept]) -> Self {
        let spans = (0u32..).zip(items).filter(|(_, item)| item.is_span());
        let mut by_id: Vec<(u64, u8, u32)> = spans.map(|(at, item)| (item.span_id, role(item), at)).collect();
        by_id.sort_unstable();
        let parents: Vec<u32> = (0..items.len() as u32).map(|at| parent_of(at, items, &by_id)).collect();
        let has_root = by_id.iter().any(|(_, _, at)| is_root(*at, items, &parents));
        let depths = depths(items, &parents, has_root);
        Tree { parents, depths }
    }

    /// The span that an item is part of.
    pub(super) fn parent(&self, at: u32) -> Option<u32> {
        self.parents.get(at as usize).copied().filter(|&parent| parent != NONE)
    }
}

/// Whether a span has no parent, and is not only without one here.
pub(super) fn is_root(at: u32, items: &[Kept], parents: &[u32]) -> bool {
    parents[at as usize] == NONE && items[at as usize].parent() == 0
}

fn depths(items: &[Kept], parents: &[u32], has_root: bool) -> Vec<u32> {
    const UNKNOWN: u32 = u32::MAX;
    const ON_PATH: u32 = u32::MAX - 1;
    let mut depths = vec![UNKNOWN; items.len()];
    let mut path: Vec<u32> = Vec::new();
    for start in 0..items.len() as u32 {
        let mut at = start;
        // Up to what is known, to a root, or around in a circle.
        let mut depth = loop {
            match depths[at as usize] {
                UNKNOWN => {}
                ON_PATH => break u32::from(has_root),
                known => break known + 1,
            }
            depths[at as usize] = ON_PATH;
            path.push(at);
            match parents[at as usize] {
                NONE if is_root(at, items, parents) && items[at as usize].is_span() => break 0,
                NONE => break u32::from(has_root),
                parent => at = parent,
            }
        };
        while let Some(at) = path.pop() {
            depths[at as usize] = depth;
            depth += 1;
        }
    }
    depths
}

/// How long none of its children ran, for each item that is a span; `starts_ns` are on one clock.
pub(super) fn self_times(items: &[Kept], tree: &Tree, starts_ns: &[i64]) -> Vec<u64> {
    let mut children: Vec<(u32, i64, i64)> = Vec::new();
    for (at, item) in items.iter().enumerate().filter(|(_, item)| item.is_span()) {
        if let Some(parent) = tree.parent(at as u32) {
            let start_ns = starts_ns[at];
            children.push((parent, start_ns, start_ns.saturating_add_unsigned(item.duration_ns)));
        }
    }
    children.sort_unstable();
    let mut own: Vec<u64> = items.iter().map(|item| item.duration_ns).collect();
    for of_one in children.chunk_by(|a, b| a.0 == b.0) {
        let Some(&(parent, ..)) = of_one.first() else { continue };
        let parent = parent as usize;
        let from_ns = starts_ns[parent];
        let until_ns = from_ns.saturating_add_unsigned(items[parent].duration_ns);
        let mut covered_until_ns = from_ns;
        for &(_, start_ns, end_ns) in of_one {
            let (start_ns, end_ns) = (start_ns.max(covered_until_ns), end_ns.min(until_ns));
            if end_ns > start_ns {
                own[parent] = own[parent].saturating_sub(end_ns.abs_diff(start_ns));
                covered_until_ns = end_ns;
            }
        }
    }
    own
}
