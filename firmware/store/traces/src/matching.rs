//! Which spans pass a scan's predicates: first by shape, then by the columns that are left to ask.

use crate::group_read::{Column, GroupHeader, PageSource, Position};
use crate::group_write::GroupEntry;
use crate::head::Generation;
use crate::shape::Shape;
use crate::view::{ValueType, resource_parts, scope_parts, service_of, template_items};
use bramble_disk::DiskError;
use bramble_signal::attributes::{ArrayRef, AttributeValue, AttributesRef};
use bramble_storage::{AttributeScope, SpanPredicate, ValueTest};
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

/// A scan's question, owned.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    pub(crate) start_ns: u64,
    pub(crate) end_ns: u64,
    /// At most 64; further ones are left to the asker, who checks again anyway.
    pub(crate) predicates: Vec<SpanPredicate>,
}

fn has_attribute(attributes: &[u8], key: &str, test: &ValueTest) -> bool {
    test.accepts_attribute(AttributesRef::from_encoded(attributes), key)
}

/// Where a shape's numbers point.
trait Dictionaries {
    fn resource(&self, id: u32) -> &[u8];
    fn scope(&self, id: u32) -> &[u8];
    fn name(&self, id: u32) -> &[u8];
    fn template_has(&self, template: u32, key: &str) -> bool;
}

impl Dictionaries for Generation {
    fn resource(&self, id: u32) -> &[u8] {
        self.resources.get(id)
    }
    fn scope(&self, id: u32) -> &[u8] {
        self.scopes.get(id)
    }
    fn name(&self, id: u32) -> &[u8] {
        self.strings.get(id)
    }
    fn template_has(&self, template: u32, key: &str) -> bool {
        template_items(self.templates.get(template)).any(|(_, k)| k == key)
    }
}

impl Dictionaries for GroupHeader {
    fn resource(&self, id: u32) -> &[u8] {
        self.resources.get(id)
    }
    fn scope(&self, id: u32) -> &[u8] {
        self.scopes.get(id)
    }
    fn name(&self, id: u32) -> &[u8] {
        self.names.get(id)
    }
    fn template_has(&self, template: u32, key: &str) -> bool {
        let columns = self.templates.get(template as usize).into_iter().flatten();
        columns.filter_map(|c| self.columns.get(*c as usize)).any(|c| c.key == key)
    }
}

/// Answers of predicates per resource, scope and template, so that each distinct one is read once.
#[derive(Default)]
struct Memo(HashMap<(usize, u8, u32), bool>);

impl Memo {
    fn ask(&mut self, predicate: usize, what: u8, id: u32, answer: impl FnOnce() -> bool) -> bool {
        *self.0.entry((predicate, what, id)).or_insert_with(answer)
    }
}

/// `None`: no span of this shape passes. `Some(bits)`: one may, if the attribute predicates of these bits hold for
/// its own attributes (and its times fit).
fn judge(shape: &Shape, query: &Query, memo: &mut Memo, owner: &dyn Dictionaries) -> Option<u64> {
    let mut open = 0;
    for (i, predicate) in query.predicates.iter().enumerate() {
        let passes = match predicate {
            SpanPredicate::Service(test) => {
                memo.ask(i, 0, shape.resource, || test.accepts_text(service_of(owner.resource(shape.resource))))
            }
            SpanPredicate::Name(test) => {
                std::str::from_utf8(owner.name(shape.name)).is_ok_and(|n| test.accepts_text(n))
            }
            SpanPredicate::Kind(kind) => shape.kind() == *kind,
            SpanPredicate::Status(status) => shape.status() == *status,
            SpanPredicate::Attribute { scope: AttributeScope::Any, key, test: test @ ValueTest::Is(_) } => {
                let resource = || has_attribute(resource_parts(owner.resource(shape.resource)).2, key, test);
                let scope = || has_attribute(scope_parts(owner.scope(shape.scope)).2, key, test);
                memo.ask(i, 0, shape.resource, resource) || memo.ask(i, 1, shape.scope, scope) || {
                    open |= 1 << i;
                    memo.ask(i, 2, shape.template, || owner.template_has(shape.template, key))
                }
            }
            _ => true,
        };
        if !passes {
            return None;
        }
    }
    Some(open)
}

/// The shortest and longest duration that passes, nanoseconds; `None` when any does.
fn duration_range(query: &Query) -> Option<(u64, u64)> {
    let mut range = (0, u64::MAX);
    for predicate in &query.predicates {
        match predicate {
            SpanPredicate::DurationAtLeast(ns) => range.0 = range.0.max(*ns),
            SpanPredicate::DurationAtMost(ns) => range.1 = range.1.min(*ns),
            _ => {}
        }
    }
    (range != (0, u64::MAX)).then_some(range)
}

/// Spans of a generation among numbers `spans` that pass: their traces' numbers with the latest passing start.
pub(crate) fn match_head(
    generation: &Generation,
    spans: std::ops::Range<usize>,
    query: &Query,
    found: &mut BTreeMap<u32, u64>,
) {
    let mut memo = Memo::default();
    let verdicts: Vec<Option<u64>> =
        generation.shapes.all.iter().map(|s| judge(s, query, &mut memo, generation)).collect();
    let durations = duration_range(query).unwrap_or((0, u64::MAX));
    let mut scratch = Vec::new();
    for at in spans {
        let Some(span) = generation.spans.get(at) else { return };
        let Some(open) = verdicts.get(span.shape as usize).copied().flatten() else { continue };
        let duration = span.end_ns.saturating_sub(span.start_ns);
        if !(query.start_ns..=query.end_ns).contains(&span.start_ns) || !(durations.0..=durations.1).contains(&duration)
        {
            continue;
        }
        let passes = open == 0
            || generation.view(at as u32, &mut scratch).is_some_and(|view| {
                query.predicates.iter().enumerate().all(|(i, p)| match p {
                    SpanPredicate::Attribute { key, test, .. } if open & 1 << i != 0 => {
                        has_attribute(view.attributes, key, test)
                    }
                    _ => true,
                })
            });
        if passes {
            let latest = found.entry(span.trace).or_insert(0);
            *latest = span.start_ns.max(*latest);
        }
    }
}

/// Whether the index alone says that no span of a group passes.
pub(crate) fn rules_out(entry: &GroupEntry, query: &Query) -> bool {
    entry.max_start_ns < query.start_ns
        || entry.min_start_ns > query.end_ns
        || query.predicates.iter().any(|p| match p {
            SpanPredicate::DurationAtLeast(ns) => entry.max_duration_ns < *ns,
            SpanPredicate::DurationAtMost(ns) => entry.min_duration_ns > *ns,
            SpanPredicate::Kind(kind) => entry.kinds & 1 << *kind as u8 == 0,
            SpanPredicate::Status(status) => entry.statuses & 1 << *status as u8 == 0,
            _ => false,
        })
}

/// What to look for in one column for one predicate.
struct Needle {
    predicate: usize,
    /// The text's number in the column's list.
    text: Option<u32>,
    /// Numbers of the arrays in the column's list that have such an element, ascending.
    arrays: Vec<u32>,
    int: Option<i64>,
    double: Option<f64>,
    boolean: Option<bool>,
}

impl Needle {
    fn new(predicate: usize, text: &str, column: &Column, value_type: ValueType) -> Self {
        let same = |printed: String| printed == text;
        let is_array = value_type == ValueType::Array;
        let test = ValueTest::is(text);
        let has = |array: &[u8]| test.accepts(&AttributeValue::Array(ArrayRef::from_encoded(array)));
        Needle {
            predicate,
            text: match column {
                Column::Texts(texts) if !is_array => {
                    texts.list.iter().position(|t| t == text.as_bytes()).map(|at| at as u32)
                }
                _ => None,
            },
            arrays: match column {
                Column::Texts(texts) if is_array => {
                    texts.list.iter().enumerate().filter(|(_, array)| has(array)).map(|(at, _)| at as u32).collect()
                }
                _ => Vec::new(),
            },
            int: text.parse().ok().filter(|i: &i64| same(i.to_string())),
            double: text.parse().ok().filter(|d: &f64| same(d.to_string())),
            boolean: text.parse().ok(),
        }
    }

    fn is_at(&self, column: &Column, index: usize, duration: i64) -> bool {
        let double = |d: f64| self.double.is_some_and(|n| n.to_bits() == d.to_bits() || (n.is_nan() && d.is_nan()));
        match column {
            Column::Texts(texts) => {
                texts.ids.get(index).is_some_and(|id| Some(*id) == self.text || self.arrays.binary_search(id).is_ok())
            }
            Column::Ints(values) => self.int.is_some() && values.get(index).copied() == self.int,
            Column::Doubles(values) => values.get(index).copied().is_some_and(double),
            Column::Duration(unit) => double(duration as f64 / unit),
            Column::Bools(values) => values.get(index).map(|b| *b != 0) == self.boolean && self.boolean.is_some(),
            Column::Empty => false,
        }
    }

    fn may_match(&self, column: &Column) -> bool {
        match column {
            Column::Texts(_) => self.text.is_some() || !self.arrays.is_empty(),
            Column::Ints(values) => self.int.is_some_and(|i| values.contains(&i)),
            Column::Doubles(_) | Column::Duration(_) => self.double.is_some(),
            Column::Bools(_) => self.boolean.is_some(),
            Column::Empty => false,
        }
    }
}

/// A column that must be walked, and what is looked for in it.
struct Walked {
    column: Column,
    needles: Vec<Needle>,
    position: Position,
}

/// The columns that attribute predicates ask, by number. Bits of predicates that no column can satisfy are returned.
fn needed_columns(
    header: &GroupHeader,
    query: &Query,
    asked: u64,
    pages: &PageSource<'_>,
) -> Result<(HashMap<u32, Walked>, u64), DiskError> {
    let (mut needed, mut hopeless) = (HashMap::<u32, Walked>::new(), asked);
    for (i, predicate) in query.predicates.iter().enumerate() {
        let SpanPredicate::Attribute { scope: AttributeScope::Any, key, test: ValueTest::Is(text) } = predicate else {
            hopeless &= !(1 << i);
            continue;
        };
        if asked & 1 << i == 0 {
            continue;
        }
        for (number, _) in header.columns.iter().enumerate().filter(|(_, c)| c.key == *key) {
            let walked = match needed.entry(number as u32) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    let column = header.column(number, pages)?;
                    new.insert(Walked { column, needles: Vec::new(), position: Position::START })
                }
            };
            let Some(value_type) = header.columns.get(number).map(|c| c.value_type) else { continue };
            let needle = Needle::new(i, text, &walked.column, value_type);
            // Lists and bytes have no text in this sense.
            let type_has_text = (value_type as u8) < 5 || value_type == ValueType::Array;
            if type_has_text && needle.may_match(&walked.column) {
                hopeless &= !(1 << i);
                walked.needles.push(needle);
            }
        }
    }
    needed.retain(|_, walked| !walked.needles.is_empty());
    Ok((needed, hopeless))
}

/// Numbers of the traces of a group that have a passing span, ascending.
///
/// # Errors
/// Damage, or what the disk says.
pub(crate) fn match_group(
    header: &GroupHeader,
    entry: &GroupEntry,
    query: &Query,
    pages: &PageSource<'_>,
) -> Result<Vec<u32>, DiskError> {
    let mut memo = Memo::default();
    let mut verdicts: Vec<Option<u64>> = header.shapes.iter().map(|s| judge(s, query, &mut memo, header)).collect();
    let asked = verdicts.iter().flatten().fold(0, |all, open| all | open);
    let (mut walked, hopeless) = needed_columns(header, query, asked, pages)?;
    for verdict in &mut verdicts {
        *verdict = verdict.filter(|open| open & hopeless == 0);
    }
    if verdicts.iter().all(Option::is_none) {
        return Ok(Vec::new());
    }
    let layout = header.layout(pages)?;
    let inside = entry.min_start_ns >= query.start_ns && entry.max_start_ns <= query.end_ns;
    let range = duration_range(query);
    let derived = walked.values().any(|w| matches!(w.column, Column::Duration(_)));
    let durations = if range.is_some() || derived { header.durations(pages)? } else { Vec::new() };
    // A negative one is an end before the start, or a span of centuries: only the start can tell.
    let unclear = range.is_some() && durations.iter().any(|d| *d < 0);
    let starts = if inside && !unclear { Vec::new() } else { header.starts(&layout, pages)? };
    // For each shape, the walked columns in which its spans have values.
    let columns_of = |shape: &Shape| -> Vec<u32> {
        let template = header.templates.get(shape.template as usize).into_iter().flatten();
        template.copied().filter(|c| walked.contains_key(c)).collect()
    };
    let columns: Vec<Vec<u32>> = header.shapes.iter().map(columns_of).collect();

    let mut found = Vec::new();
    let mut row = 0;
    for (trace, &count) in layout.spans_per_trace.iter().enumerate() {
        let mut passes = false;
        for _ in 0..count {
            let Some(&shape) = layout.shape_of.get(row) else { break };
            let duration = durations.get(row).copied().unwrap_or(0);
            let mut open = verdicts.get(shape as usize).copied().flatten();
            for number in columns.get(shape as usize).into_iter().flatten() {
                let Some(walked) = walked.get_mut(number) else { continue };
                let at = walked.position.step(walked.column.per_trace(), trace as u32);
                if let Some(open) = open.as_mut().filter(|open| **open != 0) {
                    for needle in &walked.needles {
                        if needle.is_at(&walked.column, at, duration) {
                            *open &= !(1 << needle.predicate);
                        }
                    }
                }
            }
            let start = starts.get(row).copied();
            let lasts = match u64::try_from(duration) {
                Ok(lasts) => lasts,
                Err(_) => start.map_or(0, |s| s.wrapping_add(duration as u64).saturating_sub(s)),
            };
            passes |= open == Some(0)
                && start.is_none_or(|s| (query.start_ns..=query.end_ns).contains(&s))
                && range.is_none_or(|(shortest, longest)| (shortest..=longest).contains(&lasts));
            row += 1;
        }
        if passes {
            found.push(trace as u32);
        }
    }
    Ok(found)
}
