//! Structural operators against their definition, on random forests: several roots, orphans, cycles, deep chains.

mod common;

use common::*;
use proptest::prelude::*;

const NAMES: [&str; 3] = ["a", "b", "c"];

/// Parents among 1..=12, some of them missing, zero (roots), the span itself, or below it.
fn forest() -> impl Strategy<Value = Vec<Span>> {
    prop::collection::vec((0u8..14, 0usize..3), 1..12).prop_map(|spans| {
        let one = |(at, (parent, name)): (usize, &(u8, usize))| span(1, at as u8 + 1, *parent, NAMES[*name]);
        spans.iter().enumerate().map(one).collect()
    })
}

fn parent(spans: &[Span], at: &Span) -> Option<Span> {
    spans.iter().find(|s| at.parent != 0 && s.id == at.parent && s.id != at.id).cloned()
}

fn is_above(spans: &[Span], upper: &Span, lower: &Span) -> bool {
    let mut at = lower.clone();
    for _ in 0..spans.len() {
        match parent(spans, &at) {
            Some(above) if above.id == upper.id => return true,
            Some(above) => at = above,
            None => return false,
        }
    }
    false
}

fn relates(spans: &[Span], sign: &str, l: &Span, r: &Span) -> bool {
    let above = |s: &Span| parent(spans, s).map(|p| p.id);
    match sign {
        ">" => above(r) == Some(l.id),
        "<" => above(l) == Some(r.id),
        ">>" => is_above(spans, l, r),
        "<<" => is_above(spans, r, l),
        _ => l.id != r.id && above(l).is_some() && above(l) == above(r),
    }
}

proptest! {
    #[test]
    fn as_defined(spans in forest(), left in 0usize..3, right in 0usize..3, sign in 0usize..5) {
        let (traces, sign) = (store(&spans), [">", "<", ">>", "<<", "~"][sign]);
        let of = |name: &'static str| spans.iter().filter(move |s| s.name == name);
        let (lefts, rights): (Vec<_>, Vec<_>) = (of(NAMES[left]).collect(), of(NAMES[right]).collect());
        let lies = |r: &Span| lefts.iter().any(|l| relates(&spans, sign, l, r));
        let ids = |spans: Vec<&Span>| {
            let mut ids: Vec<(u8, u8)> = spans.iter().map(|s| (1, s.id)).collect();
            ids.sort_unstable();
            ids.dedup();
            ids
        };
        let query = |prefix: &str| {
            format!("{{ name = \"{}\" }} {prefix}{sign} {{ name = \"{}\" }}", NAMES[left], NAMES[right])
        };
        let plain: Vec<&Span> = rights.iter().copied().filter(|r| lies(r)).collect();
        prop_assert_eq!(found(&query(""), &traces), ids(plain.clone()));
        let negated = rights.iter().copied().filter(|r| !lies(r)).collect();
        prop_assert_eq!(found(&query("!"), &traces), ids(negated));
        let partners = lefts.iter().copied().filter(|l| rights.iter().any(|r| relates(&spans, sign, l, r)));
        prop_assert_eq!(found(&query("&"), &traces), ids(plain.into_iter().chain(partners).collect()));
    }
}
