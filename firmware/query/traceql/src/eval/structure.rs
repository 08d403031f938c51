//! How spans lie to each other: children, ancestors, siblings.

use super::view::{At, TraceView};
use crate::syntax::ast::Relation;

/// Spans of `right` that lie so to one of `left` (or to none, if `negated`), with `union` also their partners of
/// `left`. Both ascending; so is the answer.
pub(super) fn related(
    view: &TraceView<'_>,
    relation: Relation,
    negated: bool,
    union: bool,
    left: &[At],
    right: &[At],
) -> Vec<At> {
    match relation {
        Relation::And if left.is_empty() || right.is_empty() => return Vec::new(),
        Relation::And | Relation::Or => return merged(left, right),
        _ => {}
    }
    let lies = lying(view, relation, left);
    let mut out: Vec<At> = right.iter().copied().filter(|at| lies(*at) != negated).collect();
    if union {
        let back = lying(view, reversed(relation), right);
        let partners: Vec<At> = left.iter().copied().filter(|at| back(*at)).collect();
        out = merged(&out, &partners);
    }
    out
}

fn reversed(relation: Relation) -> Relation {
    match relation {
        Relation::Child => Relation::Parent,
        Relation::Parent => Relation::Child,
        Relation::Descendant => Relation::Ancestor,
        Relation::Ancestor => Relation::Descendant,
        same => same,
    }
}

fn merged(a: &[At], b: &[At]) -> Vec<At> {
    let mut out = [a, b].concat();
    out.sort_unstable();
    out.dedup();
    out
}

/// A test whether a span is the child (parent, …) of one of `others`.
fn lying<'v>(view: &'v TraceView<'_>, relation: Relation, others: &'v [At]) -> Box<dyn Fn(At) -> bool + 'v> {
    let tree = view.tree();
    let count = view.spans.len();
    let parent = move |at: At| tree.parents.get(at).copied().flatten();
    let mut marked = vec![false; count];
    let mark = |marked: &mut Vec<bool>, at: At| marked.get_mut(at).map(|m| std::mem::replace(m, true));
    match relation {
        Relation::Child | Relation::Descendant => others.iter().for_each(|at| _ = mark(&mut marked, *at)),
        Relation::Parent => others.iter().filter_map(|at| parent(*at)).for_each(|at| _ = mark(&mut marked, at)),
        Relation::Ancestor => {
            for at in others {
                let mut above = parent(*at);
                // An ancestor that is marked already has all above it marked.
                while let Some(at) = above.filter(|at| mark(&mut marked, *at) == Some(false)) {
                    above = parent(at);
                }
            }
        }
        Relation::Sibling | Relation::And | Relation::Or => {}
    }
    let is_marked = move |at: At| marked.get(at).copied().unwrap_or(false);
    match relation {
        Relation::Child => Box::new(move |at| parent(at).is_some_and(&is_marked)),
        Relation::Descendant => {
            let below = below_marked(count, parent, is_marked);
            Box::new(move |at| below.get(at) == Some(&true))
        }
        Relation::Sibling => {
            let mut of_parent = vec![0u32; count];
            for above in others.iter().filter_map(|at| parent(*at)) {
                if let Some(n) = of_parent.get_mut(above) {
                    *n += 1;
                }
            }
            Box::new(move |at| {
                let siblings = parent(at).and_then(|p| of_parent.get(p)).copied().unwrap_or(0);
                siblings > u32::from(others.binary_search(&at).is_ok())
            })
        }
        _ => Box::new(is_marked),
    }
}

/// Whether each span has an ancestor that is marked. Each span is walked over once: traces may be as deep as they are
/// large, and parents may form cycles.
fn below_marked(count: usize, parent: impl Fn(At) -> Option<At>, is_marked: impl Fn(At) -> bool) -> Vec<bool> {
    let (mut known, mut path): (Vec<Option<bool>>, Vec<At>) = (vec![None; count], Vec::new());
    for start in 0..count {
        let mut at = start;
        // Spans on the way are taken to have none until it is known: a cycle without marks ends there.
        let found = loop {
            if let Some(found) = known.get(at).copied().flatten() {
                break found;
            }
            path.push(at);
            known.get_mut(at).into_iter().for_each(|k| *k = Some(false));
            match parent(at) {
                None => break false,
                Some(above) if is_marked(above) => break true,
                Some(above) => at = above,
            }
        };
        for at in path.drain(..) {
            known.get_mut(at).into_iter().for_each(|k| *k = Some(found));
        }
    }
    known.into_iter().map(|k| k == Some(true)).collect()
}
