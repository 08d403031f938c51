//! Names and values of what spans have, from the newest traces of a range.
//!
//! Found by reading: bounded by a number of spans and by the query's memory; what is cut off is said in the context's
//! warnings and in [`Tags::partial`].

use crate::eval::field::value_of;
use crate::eval::value::Value;
use crate::eval::view::{At, TraceView};
use crate::syntax::Query;
use crate::syntax::ast::{Field, Intrinsic, Scope};
use bramble_signal::attributes::AttributesRef;
use bramble_storage::{QueryContext, ReadError, SpanFields, TraceSource};
use std::collections::{BTreeMap, BTreeSet};

/// Most spans that are read for one answer: some seconds on a Pi.
const SPANS_MAX: usize = 500_000;

/// Most values in one answer.
const VALUES_MAX: usize = 10_000;

/// What was found, and whether something was left out.
#[derive(Clone, PartialEq, Debug)]
pub struct Tags<T> {
    /// What.
    pub found: T,
    /// More spans or values would have been there.
    pub partial: bool,
}

/// Shows `each` every span that the query accepts, until a bound is reached or it answers `false`. Answers whether
/// something was left out.
fn each_span(
    query: &Query,
    source: &dyn TraceSource,
    range_ns: (u64, u64),
    context: &QueryContext,
    mut each: impl FnMut(&TraceView<'_>, At) -> Result<bool, ReadError>,
) -> Result<bool, ReadError> {
    let mut read = 0;
    let mut plan = crate::plan::of(&query.stages, &[]);
    plan.fields = SpanFields::ALL;
    plan.whole_traces = true;
    let whole = crate::scan::accepted(&query.stages, &plan, source, range_ns, context, |view, at| {
        read += 1;
        Ok(each(view, at)? && read < SPANS_MAX)
    })?;
    if !whole {
        context.warn("partial: not all spans of the range were read for names and values");
    }
    Ok(!whole)
}

/// Keys of attributes by scope, of spans that `query` accepts and that start in `range_ns` (inclusive).
///
/// # Errors
/// [`ReadError`] of the store.
pub fn names(
    query: &Query,
    source: &dyn TraceSource,
    range_ns: (u64, u64),
    context: &QueryContext,
) -> Result<Tags<BTreeMap<Scope, BTreeSet<String>>>, ReadError> {
    let mut found: BTreeMap<Scope, BTreeSet<String>> = BTreeMap::new();
    let mut count = 0;
    let partial = each_span(query, source, range_ns, context, |view, at| {
        let Some(span) = view.spans.get(at) else { return Ok(true) };
        let mut note = |scope: Scope, attributes: AttributesRef<'_>| -> Result<(), ReadError> {
            for (key, _) in attributes.iter() {
                let keys = found.entry(scope).or_default();
                if !keys.contains(key) {
                    context.reserve(64 + key.len())?;
                    keys.insert(key.to_owned());
                    count += 1;
                }
            }
            Ok(())
        };
        note(Scope::Span, view.batch.attributes(span.attributes))?;
        note(Scope::Resource, view.batch.resource_attributes(span))?;
        if let Some(library) = view.batch.scopes.get(span.scope as usize) {
            note(Scope::Instrumentation, view.batch.attributes(library.attributes))?;
        }
        view.batch.events(span).try_for_each(|e| note(Scope::Event, e.attributes))?;
        view.batch.links(span).try_for_each(|l| note(Scope::Link, l.attributes))?;
        Ok(count < VALUES_MAX)
    })?;
    Ok(Tags { found, partial })
}

/// Different values of a field, of spans that `query` accepts and that start in `range_ns` (inclusive). Fields with a
/// value of its own for nearly every span (ids, times) have none here.
///
/// # Errors
/// [`ReadError`] of the store.
pub fn values(
    query: &Query,
    field: &Field,
    source: &dyn TraceSource,
    range_ns: (u64, u64),
    context: &QueryContext,
) -> Result<Tags<Vec<Value<'static>>>, ReadError> {
    let mut found: BTreeMap<String, Value<'static>> = BTreeMap::new();
    if is_endless(field) {
        return Ok(Tags { found: Vec::new(), partial: false });
    }
    let partial = each_span(query, source, range_ns, context, |view, at| {
        for value in value_of(view, at, field).singles() {
            let key = value.key();
            if *value != Value::Nil && !found.contains_key(&key) {
                context.reserve(128 + 2 * key.len())?;
                found.insert(key, value.clone().into_owned());
            }
        }
        Ok(found.len() < VALUES_MAX)
    })?;
    Ok(Tags { found: found.into_values().collect(), partial })
}

fn is_endless(field: &Field) -> bool {
    use Intrinsic::*;
    let Field::Intrinsic(intrinsic) = field else { return false };
    !matches!(
        intrinsic,
        Name | Status
            | StatusMessage
            | Kind
            | RootName
            | RootService
            | EventName
            | InstrumentationName
            | InstrumentationVersion
    )
}
