//! `compare()`: which values of which fields are frequent among selected spans, and which among the others.
//!
//! For each field and value two counts over time, `__meta_type` `selection` and `baseline`; for each field how many
//! spans have it, `selection_total` and `baseline_total`, under the value nil. Of the values only those with the most
//! spans are shown.

use super::MetricSeries;
use super::grid::Grid;
use crate::eval::accepts;
use crate::eval::field::value_of;
use crate::eval::value::Value;
use crate::eval::view::{At, TraceView};
use crate::interner::Interner;
use crate::plan;
use crate::scan::{self, Partial};
use crate::syntax::Query;
use crate::syntax::ast::{Compare, Field, Intrinsic, Scope, SpansetExpr, Stage};
use bramble_signal::attributes::{AttributeValue, AttributesRef};
use bramble_storage::{QueryContext, ReadError, TraceSource};
use std::cmp::Reverse;

/// Most fields that are compared, and most values that are counted of each; more are only summed up.
const FIELDS_MAX: usize = 2_000;
const VALUES_MAX: usize = 1_000;

/// Fixed fields that are compared.
const INTRINSICS: [Intrinsic; 8] = [
    Intrinsic::Name,
    Intrinsic::Kind,
    Intrinsic::Status,
    Intrinsic::StatusMessage,
    Intrinsic::RootName,
    Intrinsic::RootService,
    Intrinsic::InstrumentationName,
    Intrinsic::InstrumentationVersion,
];

/// Keys that are nearly everywhere: a span without one says something, too, and counts for the value nil.
pub(crate) const WELL_KNOWN: [(Scope, &str); 17] = [
    (Scope::Resource, "service.name"),
    (Scope::Resource, "cluster"),
    (Scope::Resource, "namespace"),
    (Scope::Resource, "pod"),
    (Scope::Resource, "container"),
    (Scope::Resource, "k8s.cluster.name"),
    (Scope::Resource, "k8s.namespace.name"),
    (Scope::Resource, "k8s.pod.name"),
    (Scope::Resource, "k8s.container.name"),
    (Scope::Span, "http.method"),
    (Scope::Span, "http.request.method"),
    (Scope::Span, "http.url"),
    (Scope::Span, "http.route"),
    (Scope::Span, "http.status_code"),
    (Scope::Span, "server.address"),
    (Scope::Span, "url.path"),
    (Scope::Span, "url.route"),
];

/// Two counts for each step.
#[derive(Clone)]
struct Counts {
    /// Of the baseline, then of the selection.
    steps: [Vec<u64>; 2],
}

impl Counts {
    fn of(count: usize) -> Self {
        Counts { steps: [vec![0; count], vec![0; count]] }
    }

    fn add(&mut self, side: usize, place: usize, n: u64) {
        if let Some(cell) = self.steps.get_mut(side).and_then(|steps| steps.get_mut(place)) {
            *cell += n;
        }
    }

    fn total(&self, side: usize) -> u64 {
        self.steps.get(side).map_or(0, |steps| steps.iter().sum())
    }
}

struct Compared {
    field: Field,
    values: Interner,
    counted: Vec<(Value<'static>, Counts)>,
    all: Counts,
    too_many: bool,
}

struct Comparison {
    grid: Grid,
    /// The fixed fields, then the well-known keys, then others as they come.
    fields: Vec<Compared>,
    /// Of attributes, by scope and key.
    numbers: Interner,
    key: Vec<u8>,
    /// Whether the span has each of the well-known keys.
    seen: [bool; WELL_KNOWN.len()],
    /// Fixed fields that the filter names, which Tempo counts once more for that.
    named: Vec<Intrinsic>,
}

/// The series of a comparison, and why they may lack something.
pub(super) fn measure(
    query: &Query,
    compare: &Compare,
    source: &dyn TraceSource,
    grid: &Grid,
    context: &QueryContext,
) -> Result<(Vec<MetricSeries>, Option<Partial>), ReadError> {
    let mut plan = plan::of(&query.stages, &[]);
    // What the selection looks at beside attributes, which are all read.
    let selection = [Stage::Spanset(SpansetExpr::Filter(compare.selection.clone()))];
    let selected = plan::of(&selection, &[]).fields;
    plan.fields.attributes = None;
    plan.fields.events |= selected.events;
    plan.fields.links |= selected.links;
    // Roots' names are compared, too.
    plan.whole_traces = true;
    let mut comparison = Comparison::of(grid, query, context)?;
    let outcome = scan::accepted(&query.stages, &plan, source, grid.range_ns, context, |view, at| {
        let Some(span) = view.spans.get(at) else { return Ok(true) };
        let Some(place) = grid.place(span.start_ns) else { return Ok(true) };
        let in_window = compare.window_ns.is_none_or(|(start, end)| (start..=end).contains(&span.start_ns));
        let is_selected = in_window && accepts(view, at, compare.selection.as_ref());
        comparison.enter(view, at, place, usize::from(is_selected), context)?;
        Ok(true)
    });
    let partial = Partial::of(outcome, comparison.fields.iter().any(|f| !f.counted.is_empty()))?;
    Ok((comparison.series(compare.top), partial))
}

impl Comparison {
    fn of(grid: &Grid, query: &Query, context: &QueryContext) -> Result<Self, ReadError> {
        let named = INTRINSICS.into_iter().filter(|i| plan::names(&query.stages, &Field::Intrinsic(*i)));
        let mut comparison = Comparison {
            grid: *grid,
            fields: Vec::new(),
            numbers: Interner::default(),
            key: Vec::new(),
            seen: [false; WELL_KNOWN.len()],
            named: named.collect(),
        };
        for intrinsic in INTRINSICS {
            comparison.add_field(Field::Intrinsic(intrinsic), context)?;
        }
        for (scope, key) in WELL_KNOWN {
            comparison.attribute(scope, key, context)?;
        }
        Ok(comparison)
    }

    fn counts_bytes(&self) -> usize {
        size_of::<(Value<'static>, Counts)>() + 2 * size_of::<u64>() * self.grid.count
    }

    fn add_field(&mut self, field: Field, context: &QueryContext) -> Result<(), ReadError> {
        context.reserve(size_of::<Compared>() + self.counts_bytes() + 2 * self.key.len())?;
        let all = Counts::of(self.grid.count);
        self.fields.push(Compared { field, values: Interner::default(), counted: Vec::new(), all, too_many: false });
        Ok(())
    }

    /// The place of an attribute among the fields; `None` when there are too many.
    fn attribute(&mut self, scope: Scope, key: &str, context: &QueryContext) -> Result<Option<usize>, ReadError> {
        self.key.clear();
        self.key.push(scope as u8);
        self.key.extend_from_slice(key.as_bytes());
        let number = match self.numbers.find(&self.key) {
            Some(number) => number,
            None if self.numbers.len() >= FIELDS_MAX => return Ok(None),
            None => {
                self.add_field(Field::Attribute(scope, key.to_owned()), context)?;
                self.numbers.insert(&self.key)
            }
        };
        Ok(Some(INTRINSICS.len() + number))
    }

    fn enter(
        &mut self,
        view: &TraceView<'_>,
        at: At,
        place: usize,
        side: usize,
        context: &QueryContext,
    ) -> Result<(), ReadError> {
        let Some(span) = view.spans.get(at) else { return Ok(()) };
        for (number, intrinsic) in INTRINSICS.into_iter().enumerate() {
            let n = if self.named.contains(&intrinsic) { 2 } else { 1 };
            self.count(number, &value_of(view, at, &Field::Intrinsic(intrinsic)), n, (side, place), context)?;
        }
        self.seen = [false; WELL_KNOWN.len()];
        let batch = view.batch;
        self.attributes(Scope::Span, batch.attributes(span.attributes), (side, place), context)?;
        self.attributes(Scope::Resource, batch.resource_attributes(span), (side, place), context)?;
        if let Some(library) = batch.scopes.get(span.scope as usize) {
            self.attributes(Scope::Instrumentation, batch.attributes(library.attributes), (side, place), context)?;
        }
        for number in 0..WELL_KNOWN.len() {
            if self.seen.get(number) == Some(&false) {
                self.count(INTRINSICS.len() + number, &Value::Nil, 1, (side, place), context)?;
            }
        }
        Ok(())
    }

    fn attributes(
        &mut self,
        scope: Scope,
        attributes: AttributesRef<'_>,
        cell: (usize, usize),
        context: &QueryContext,
    ) -> Result<(), ReadError> {
        for (key, value) in attributes.iter() {
            if matches!(value, AttributeValue::Empty | AttributeValue::Bytes(_) | AttributeValue::List(_)) {
                continue;
            }
            let Some(number) = self.attribute(scope, key, context)? else { continue };
            if let Some(seen) = number.checked_sub(INTRINSICS.len()).and_then(|n| self.seen.get_mut(n)) {
                *seen = true;
            }
            for single in Value::of_attribute(value).singles() {
                self.count(number, single, 1, cell, context)?;
            }
        }
        Ok(())
    }

    fn count(
        &mut self,
        number: usize,
        value: &Value<'_>,
        n: u64,
        (side, place): (usize, usize),
        context: &QueryContext,
    ) -> Result<(), ReadError> {
        let (bytes, count) = (self.counts_bytes(), self.grid.count);
        let Some(compared) = self.fields.get_mut(number) else { return Ok(()) };
        compared.all.add(side, place, n);
        self.key.clear();
        value.write_key(&mut self.key);
        let at = match compared.values.find(&self.key) {
            Some(at) => at,
            None if compared.counted.len() >= VALUES_MAX => {
                compared.too_many = true;
                return Ok(());
            }
            None => {
                context.reserve(bytes + 64 + 2 * self.key.len())?;
                compared.counted.push((value.clone().into_owned(), Counts::of(count)));
                compared.values.insert(&self.key)
            }
        };
        if let Some((_, counts)) = compared.counted.get_mut(at) {
            counts.add(side, place, n);
        }
        Ok(())
    }

    fn series(&self, top: usize) -> Vec<MetricSeries> {
        const KINDS: [(&str, &str); 2] = [("baseline", "baseline_total"), ("selection", "selection_total")];
        let mut out = Vec::new();
        for compared in &self.fields {
            for (side, (kind, total)) in KINDS.into_iter().enumerate() {
                if compared.all.total(side) == 0 {
                    continue;
                }
                let mut ranked: Vec<&(Value<'static>, Counts)> =
                    compared.counted.iter().filter(|(_, counts)| counts.total(side) > 0).collect();
                ranked.sort_by_cached_key(|(value, counts)| (Reverse(counts.total(side)), value.to_string()));
                for (value, counts) in ranked.into_iter().take(top) {
                    out.push(self.one(kind, None, (&compared.field, value.clone()), counts, side));
                }
                let error = compared.too_many.then_some("__too_many_values__");
                out.push(self.one(total, error, (&compared.field, Value::Nil), &compared.all, side));
            }
        }
        out
    }

    fn one(
        &self,
        kind: &'static str,
        error: Option<&'static str>,
        (field, value): (&Field, Value<'static>),
        counts: &Counts,
        side: usize,
    ) -> MetricSeries {
        let mut labels = vec![("__meta_type".to_owned(), Value::Text(kind.into()))];
        labels.extend(error.map(|error| ("__meta_error".to_owned(), Value::Text(error.into()))));
        labels.push((field.to_string(), value));
        let steps = counts.steps.get(side).map_or(&[][..], Vec::as_slice);
        let samples = steps.iter().enumerate().map(|(place, n)| (self.grid.time_ms(place), *n as f64));
        MetricSeries { labels, samples: samples.collect(), exemplars: Vec::new() }
    }
}
