//! What a span's shape alone says about a search: most tests are of what shapes have, and there are few shapes.

use crate::shape::{HAS_EVENTS, HAS_LINKS, Shape};
use crate::view::{ValueType, resource_parts, scope_parts, service_of};
use bramble_signal::attributes::AttributesRef;
use bramble_storage::{AttributeScope, SpanPredicate, SpanScan, ValueTest};
use std::collections::HashMap;

/// Most tests in a search's tree that are looked at; whoever asks judges again.
const TESTS_MAX: usize = 512;

/// A scan's question, owned.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    pub(crate) start_ns: u64,
    pub(crate) end_ns: u64,
    /// All of the predicates, cheap ones first wherever that is free to choose.
    pub(crate) test: SpanPredicate,
}

impl Query {
    pub(crate) fn new(scan: &SpanScan<'_>) -> Self {
        let mut tests = 0;
        let all = scan.predicates.iter().take_while(|p| {
            tests += size(p);
            tests <= TESTS_MAX
        });
        let mut test = SpanPredicate::All(all.cloned().collect());
        sort(&mut test);
        Query { start_ns: scan.start_ns, end_ns: scan.end_ns, test }
    }
}

fn size(predicate: &SpanPredicate) -> usize {
    match predicate {
        SpanPredicate::All(parts) | SpanPredicate::Any(parts) => 1 + parts.iter().map(size).sum::<usize>(),
        _ => 1,
    }
}

/// What a test must look at: 0 shapes, 1 a number of every span, 2 attribute columns, 3 events and links.
fn cost(predicate: &SpanPredicate) -> usize {
    match predicate {
        SpanPredicate::All(parts) | SpanPredicate::Any(parts) => parts.iter().map(cost).max().unwrap_or(0),
        SpanPredicate::DurationAtLeast(_) | SpanPredicate::DurationAtMost(_) | SpanPredicate::Root => 1,
        SpanPredicate::EventName(_) => 3,
        SpanPredicate::Attribute { scope, .. } => match scope {
            AttributeScope::Resource | AttributeScope::Instrumentation => 0,
            AttributeScope::Span | AttributeScope::Any => 2,
            AttributeScope::Event | AttributeScope::Link => 3,
        },
        _ => 0,
    }
}

fn sort(predicate: &mut SpanPredicate) {
    if let SpanPredicate::All(parts) | SpanPredicate::Any(parts) = predicate {
        parts.iter_mut().for_each(sort);
        parts.sort_by_key(cost);
    }
}

/// Which of a shape's spans pass. Ordered, so that the answer of "all" is the least and of "any" the greatest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Verdict {
    None,
    /// The spans themselves must be asked.
    Some,
    All,
}

impl Verdict {
    fn of(passes: bool) -> Self {
        if passes { Verdict::All } else { Verdict::None }
    }
}

/// Where a shape's numbers point, and what else is known of its spans.
pub(crate) trait Dictionaries {
    fn resource(&self, id: u32) -> &[u8];
    fn scope(&self, id: u32) -> &[u8];
    fn name(&self, id: u32) -> &[u8];
    /// Types of the attributes of this key in a template that may pass the test; `leaf` names who asks.
    fn types(&self, template: u32, asked: (&str, &ValueTest), leaf: usize, visit: &mut dyn FnMut(ValueType));
    /// Shortest and longest duration of all spans, nanoseconds.
    fn durations(&self) -> (u64, u64);
    /// Whether some event or link may pass a test of them.
    fn extras_may_pass(&self, leaf: &SpanPredicate) -> bool;
}

/// A name for a test of a query, as long as the query stays where it is.
pub(crate) fn leaf_of(predicate: &SpanPredicate) -> usize {
    std::ptr::from_ref(predicate).addr()
}

/// Whether a value of this type can pass.
pub(crate) fn may_pass(test: &ValueTest, value_type: ValueType) -> bool {
    use ValueType::*;
    match test {
        ValueTest::Is(_) => matches!(value_type, Bool | Int | Double | Text | Array | Rest),
        ValueTest::Matches(_) => matches!(value_type, Text | Array | Rest),
        ValueTest::Within { .. } => matches!(value_type, Int | Double | Array | Rest),
        ValueTest::Present => true,
    }
}

/// Judges shapes, each distinct resource, scope, name and template once per test.
#[derive(Default)]
pub(crate) struct Judge(HashMap<(usize, u8, u32), Verdict>);

const RESOURCE: u8 = 0;
const SCOPE: u8 = 1;
const NAME: u8 = 2;
const TEMPLATE: u8 = 3;
const EXTRAS: u8 = 4;

impl Judge {
    /// Which spans of a shape pass.
    pub(crate) fn judge(&mut self, predicate: &SpanPredicate, shape: &Shape, owner: &dyn Dictionaries) -> Verdict {
        let leaf = leaf_of(predicate);
        match predicate {
            SpanPredicate::All(parts) => {
                let mut verdict = Verdict::All;
                for part in parts {
                    verdict = verdict.min(self.judge(part, shape, owner));
                    if verdict == Verdict::None {
                        break;
                    }
                }
                verdict
            }
            SpanPredicate::Any(parts) => {
                let mut verdict = Verdict::None;
                for part in parts {
                    verdict = verdict.max(self.judge(part, shape, owner));
                    if verdict == Verdict::All {
                        break;
                    }
                }
                verdict
            }
            SpanPredicate::Service(test) => self.ask(leaf, RESOURCE, shape.resource, || {
                Verdict::of(test.accepts_text(service_of(owner.resource(shape.resource))))
            }),
            SpanPredicate::Name(test) => self.ask(leaf, NAME, shape.name, || {
                Verdict::of(test.accepts_text(std::str::from_utf8(owner.name(shape.name)).unwrap_or("")))
            }),
            SpanPredicate::DurationAtLeast(ns) => {
                let (shortest, longest) = owner.durations();
                if longest < *ns { Verdict::None } else { Verdict::of(shortest >= *ns).max(Verdict::Some) }
            }
            SpanPredicate::DurationAtMost(ns) => {
                let (shortest, longest) = owner.durations();
                if shortest > *ns { Verdict::None } else { Verdict::of(longest <= *ns).max(Verdict::Some) }
            }
            SpanPredicate::Kind(kind) => Verdict::of(shape.kind() == *kind),
            SpanPredicate::Status(status) => Verdict::of(shape.status() == *status),
            SpanPredicate::Root => Verdict::Some,
            SpanPredicate::Measured => self.ask(leaf, RESOURCE, shape.resource, || {
                let attributes = resource_parts(owner.resource(shape.resource)).2;
                Verdict::of(!AttributesRef::from_encoded(attributes).is_synthetic())
            }),
            SpanPredicate::EventName(_) => self.extras(predicate, shape, HAS_EVENTS, owner),
            SpanPredicate::Attribute { scope, key, test } => {
                self.attribute(predicate, (*scope, key, test), shape, owner)
            }
        }
    }

    fn attribute(
        &mut self,
        predicate: &SpanPredicate,
        (scope, key, test): (AttributeScope, &str, &ValueTest),
        shape: &Shape,
        owner: &dyn Dictionaries,
    ) -> Verdict {
        let leaf = leaf_of(predicate);
        let has = |attributes: &[u8]| Verdict::of(test.accepts_attribute(AttributesRef::from_encoded(attributes), key));
        let resource = |judge: &mut Judge| {
            judge.ask(leaf, RESOURCE, shape.resource, || has(resource_parts(owner.resource(shape.resource)).2))
        };
        let library =
            |judge: &mut Judge| judge.ask(leaf, SCOPE, shape.scope, || has(scope_parts(owner.scope(shape.scope)).2));
        let own = |judge: &mut Judge| {
            judge.ask(leaf, TEMPLATE, shape.template, || {
                let mut verdict = Verdict::None;
                owner.types(shape.template, (key, test), leaf, &mut |value_type| {
                    verdict = verdict.max(match test {
                        // All keys of a list that is kept whole are under one.
                        ValueTest::Present if value_type != ValueType::Rest => Verdict::All,
                        _ if may_pass(test, value_type) => Verdict::Some,
                        _ => Verdict::None,
                    });
                });
                verdict
            })
        };
        match scope {
            AttributeScope::Any => match resource(self).max(library(self)) {
                Verdict::All => Verdict::All,
                verdict => verdict.max(own(self)),
            },
            AttributeScope::Span => own(self),
            AttributeScope::Resource => resource(self),
            AttributeScope::Instrumentation => library(self),
            AttributeScope::Event => self.extras(predicate, shape, HAS_EVENTS, owner),
            AttributeScope::Link => self.extras(predicate, shape, HAS_LINKS, owner),
        }
    }

    fn extras(&mut self, leaf: &SpanPredicate, shape: &Shape, which: u8, owner: &dyn Dictionaries) -> Verdict {
        if !shape.has(which) {
            return Verdict::None;
        }
        self.ask(leaf_of(leaf), EXTRAS, 0, || if owner.extras_may_pass(leaf) { Verdict::Some } else { Verdict::None })
    }

    fn ask(&mut self, leaf: usize, what: u8, id: u32, answer: impl FnOnce() -> Verdict) -> Verdict {
        *self.0.entry((leaf, what, id)).or_insert_with(answer)
    }

    /// Forgets what depends on columns, of which more is known now.
    pub(crate) fn forget_columns(&mut self) {
        self.0.retain(|(_, what, _), _| !matches!(*what, TEMPLATE | EXTRAS));
    }
}
