//! Exemplars that name a trace.

use crate::correlation::Correlation;
use crate::view::event::{Event, EventWhat, Join};
use crate::view::places::Places;
use crate::view::search::Range;
use bramble_line::ids::{IdKind, find_in_field};
use bramble_signal::{Exemplar, Labels, METRIC_NAME, Matcher, SpanId, TraceId};
use bramble_storage::{MetricSelect, MetricSource, QueryContext, ReadError};

/// Exemplars that are shown.
const EXEMPLARS_MAX: usize = 64;
const NS_PER_MS: i64 = 1_000_000;

/// Those of the series that the correlation has, in range, at most 64.
pub(crate) fn of_trace(
    correlation: &Correlation,
    range: Range,
    metrics: Option<&dyn MetricSource>,
    places: &Places,
    context: &QueryContext,
) -> Result<Vec<Event>, ReadError> {
    let Some(metrics) = metrics else { return Ok(Vec::new()) };
    let name = |series: &String| series.split('{').next().unwrap_or("").to_owned();
    let mut names: Vec<String> = correlation.exemplar_series.iter().map(name).filter(|name| !name.is_empty()).collect();
    names.sort_unstable();
    names.dedup();
    let mut found = Vec::new();
    for name in names {
        context.check()?;
        let matchers = [Matcher::equal(METRIC_NAME, name)];
        let (start_ms, end_ms) = (range.start_ns.div_euclid(NS_PER_MS), range.end_ns.div_euclid(NS_PER_MS));
        for series in metrics.exemplars(&MetricSelect { matchers: &matchers, start_ms, end_ms }, context)? {
            let of_trace = |exemplar: &Exemplar| named(&exemplar.labels).0 == Some(correlation.id.trace_id);
            let theirs = series.exemplars.iter().filter(|exemplar| of_trace(exemplar));
            found.extend(theirs.map(|exemplar| event(&series.labels, exemplar, places)));
        }
    }
    found.sort_by(Event::in_order);
    found.truncate(EXEMPLARS_MAX);
    Ok(found)
}

/// The trace and span that an exemplar leads to.
fn named(labels: &Labels) -> (Option<TraceId>, SpanId) {
    let (mut trace, mut span) = (None, None);
    for (name, value) in labels.iter() {
        find_in_field(name.as_bytes(), value.as_bytes(), &mut |kind, value| {
            let Ok(value) = std::str::from_utf8(value) else { return };
            match kind {
                IdKind::Trace => trace = trace.or_else(|| TraceId::parse(value)),
                IdKind::Span => span = span.or_else(|| SpanId::parse(value)),
                _ => {}
            }
        });
    }
    (trace, span.unwrap_or_default())
}

fn event(series: &Labels, exemplar: &Exemplar, places: &Places) -> Event {
    let origin = crate::origin::Origin::of_labels(series.as_ref());
    let time_ns = exemplar.timestamp_ms.saturating_mul(NS_PER_MS);
    let (trace, span_id) = named(&exemplar.labels);
    Event {
        time_ns,
        corrected_ns: time_ns.saturating_sub(places.ahead_ns(origin.service, origin.node)),
        service: origin.service.to_owned(),
        node: origin.node.to_owned(),
        trace_id: trace.unwrap_or_default(),
        span_id,
        join: Join::certain(IdKind::Trace),
        what: EventWhat::Exemplar { series: text_of(series), value: exemplar.value },
    }
}

/// `name{label="value"}`.
fn text_of(series: &Labels) -> String {
    let rest = Labels::from_pairs(series.iter().filter(|(name, _)| *name != METRIC_NAME));
    let name = series.get(METRIC_NAME).unwrap_or("");
    if rest.is_empty() { name.to_owned() } else { format!("{name}{}", rest.as_ref()) }
}
