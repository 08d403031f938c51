//! One trace as a tree. What costs a pass over the trace is worked out when first asked.

use bramble_signal::{SpanBatch, SpanEntry, SpanId, SpanKind};
use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap};

/// Place of a span among the trace's spans.
pub type At = usize;

/// Numbers of a nested set: a span's interval lies within its parent's.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Nested {
    /// When entering, from 1; 0 for spans that hang in the air.
    pub left: i64,
    /// When leaving.
    pub right: i64,
    /// The parent's `left`; -1 for a root, 0 when unknown.
    pub parent: i64,
}

/// The tree above a trace's spans.
#[derive(Default, Debug)]
pub struct Tree {
    /// Parent of each span, if it is known.
    pub parents: Vec<Option<At>>,
    /// Nested set numbers of each span.
    pub nested: Vec<Nested>,
}

/// Spans of one trace.
pub struct TraceView<'a> {
    /// Holds texts and attributes.
    pub batch: &'a SpanBatch,
    /// The trace's spans, at least one.
    pub spans: &'a [SpanEntry],
    /// Which batch of a scan, from 1; 0 when that is not known.
    pub batch_number: u64,
    tree: OnceCell<Tree>,
    bounds: OnceCell<(u64, u64)>,
    root: OnceCell<Option<At>>,
}

impl<'a> TraceView<'a> {
    /// A view of adjacent spans of a batch.
    pub fn new(batch: &'a SpanBatch, spans: &'a [SpanEntry]) -> Self {
        TraceView {
            batch,
            spans,
            batch_number: 0,
            tree: OnceCell::new(),
            bounds: OnceCell::new(),
            root: OnceCell::new(),
        }
    }

    /// A view of spans of any traces, in which nothing is known of their traces: for what looks at each span alone.
    pub fn loose(batch: &'a SpanBatch) -> Self {
        TraceView {
            batch,
            spans: &batch.spans,
            batch_number: 0,
            tree: OnceCell::from(Tree::default()),
            bounds: OnceCell::from((0, 0)),
            root: OnceCell::from(None),
        }
    }

    /// The same, of a batch of a scan.
    pub(crate) fn of_batch(self, batch_number: u64) -> Self {
        TraceView { batch_number, ..self }
    }

    /// First start and last end, nanoseconds.
    pub fn bounds(&self) -> (u64, u64) {
        *self.bounds.get_or_init(|| {
            let start = self.spans.iter().map(|s| s.start_ns).min().unwrap_or(0);
            (start, self.spans.iter().map(|s| s.end_ns).max().unwrap_or(0).max(start))
        })
    }

    /// The earliest span without a parent.
    pub fn root(&self) -> Option<&'a SpanEntry> {
        let at = *self.root.get_or_init(|| {
            let roots = self.spans.iter().enumerate().filter(|(_, s)| s.parent_span_id.is_zero());
            roots.min_by_key(|(_, s)| s.start_ns).map(|(at, _)| at)
        });
        at.and_then(|at| self.spans.get(at))
    }

    /// The tree.
    pub fn tree(&self) -> &Tree {
        self.tree.get_or_init(|| Tree::of(self.spans))
    }

    /// Number of spans, and of failed ones, by service.
    pub fn services(&self) -> BTreeMap<String, (u32, u32)> {
        let mut services: BTreeMap<String, (u32, u32)> = BTreeMap::new();
        for span in self.spans {
            let name = self.batch.service(span);
            if !services.contains_key(name) {
                services.insert(name.to_owned(), (0, 0));
            }
            if let Some((spans, errors)) = services.get_mut(name) {
                *spans += 1;
                *errors += u32::from(span.status == bramble_signal::StatusCode::Error);
            }
        }
        services
    }
}

impl Tree {
    fn of(spans: &[SpanEntry]) -> Self {
        let (ids, callers) = places(spans);
        let parent = |(at, s): (At, &SpanEntry)| {
            let caller = callers.get(&s.span_id).filter(|_| s.kind != SpanKind::Client);
            let above = || ids.get(&s.parent_span_id).filter(|_| !s.parent_span_id.is_zero());
            caller.or_else(above).copied().filter(|parent| *parent != at)
        };
        let parents: Vec<Option<At>> = spans.iter().enumerate().map(parent).collect();
        let mut children: Vec<Vec<At>> = vec![Vec::new(); spans.len()];
        for (at, parent) in parents.iter().enumerate() {
            if let Some(list) = parent.and_then(|p| children.get_mut(p)) {
                list.push(at);
            }
        }
        let nested = number(spans, &parents, &children);
        Tree { parents, nested }
    }
}

/// Where the span of each id is. Zipkin's two halves of a call share their id: what the callee does hangs below its half,
/// and that below the caller's half, which is in the second answer.
fn places(spans: &[SpanEntry]) -> (HashMap<SpanId, At>, HashMap<SpanId, At>) {
    let (mut ids, mut callers) = (HashMap::with_capacity(spans.len()), HashMap::new());
    for (at, span) in spans.iter().enumerate() {
        let Some(earlier) = ids.insert(span.span_id, at) else { continue };
        let is_caller = |at: At| spans.get(at).is_some_and(|s: &SpanEntry| s.kind == SpanKind::Client);
        match (is_caller(earlier), is_caller(at)) {
            (true, false) => _ = callers.insert(span.span_id, earlier),
            (false, true) => {
                callers.insert(span.span_id, at);
                ids.insert(span.span_id, earlier);
            }
            _ => {}
        }
    }
    (ids, callers)
}

/// Depth first from each root, without recursion: traces may be deep. Spans of a cycle are never reached and keep zeros.
fn number(spans: &[SpanEntry], parents: &[Option<At>], children: &[Vec<At>]) -> Vec<Nested> {
    let mut nested = vec![Nested::default(); spans.len()];
    let mut next = 1;
    let is_root = |at: At, s: &SpanEntry| s.parent_span_id.is_zero() && parents.get(at) == Some(&None);
    for (root, _) in spans.iter().enumerate().filter(|(at, s)| is_root(*at, s)) {
        let mut open: Vec<(At, usize)> = vec![(root, 0)];
        enter(&mut nested, root, -1, &mut next);
        while let Some((at, child)) = open.last_mut() {
            let at = *at;
            match children.get(at).and_then(|c| c.get(*child)) {
                Some(below) => {
                    *child += 1;
                    let parent = nested.get(at).map_or(0, |n| n.left);
                    enter(&mut nested, *below, parent, &mut next);
                    open.push((*below, 0));
                }
                None => {
                    if let Some(n) = nested.get_mut(at) {
                        n.right = next;
                    }
                    next += 1;
                    open.pop();
                }
            }
        }
    }
    nested
}

fn enter(nested: &mut [Nested], at: At, parent: i64, next: &mut i64) {
    if let Some(n) = nested.get_mut(at) {
        (n.left, n.parent) = (*next, parent);
    }
    *next += 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(id: u8, parent: u8) -> SpanEntry {
        let eight = |n| SpanId([0, 0, 0, 0, 0, 0, 0, n]);
        SpanEntry { span_id: eight(id), parent_span_id: eight(parent), ..Default::default() }
    }

    #[test]
    fn trees_with_orphans_and_cycles() {
        let spans = [span(1, 0), span(2, 1), span(3, 9), span(4, 5), span(5, 4), span(6, 6), span(7, 1)];
        let batch = SpanBatch::new();
        let view = TraceView::new(&batch, &spans);
        let tree = view.tree();
        assert_eq!(tree.parents, [None, Some(0), None, Some(4), Some(3), None, Some(0)]);
        let numbers: Vec<_> = tree.nested.iter().map(|n| (n.left, n.right, n.parent)).collect();
        assert_eq!(numbers, [(1, 6, -1), (2, 3, 1), (0, 0, 0), (0, 0, 0), (0, 0, 0), (0, 0, 0), (4, 5, 1)]);
    }

    #[test]
    fn halves_of_a_call_that_share_their_id() {
        let half = |kind, id, parent| SpanEntry { kind, ..span(id, parent) };
        for order in [[0, 1, 2], [1, 0, 2], [2, 1, 0]] {
            let all = [half(SpanKind::Client, 1, 0), half(SpanKind::Server, 1, 0), half(SpanKind::Internal, 2, 1)];
            let spans: Vec<SpanEntry> = order.iter().filter_map(|at| all.get(*at)).copied().collect();
            let at = |kind| spans.iter().position(|s| s.kind == kind);
            let (caller, callee) = (at(SpanKind::Client), at(SpanKind::Server));
            let batch = SpanBatch::new();
            let tree = TraceView::new(&batch, &spans);
            let parent = |at: Option<At>| at.and_then(|at| tree.tree().parents.get(at).copied().flatten());
            assert_eq!((parent(caller), parent(callee), parent(at(SpanKind::Internal))), (None, caller, callee));
        }
    }
}
