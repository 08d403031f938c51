//! Items out of exemplars.

use super::Extracted;
use super::ids::Ids;
use super::pairs::pairs;
use crate::item::{Item, ItemSink, What};
use crate::origin::Origin;
use bramble_signal::labels::is_plain_name;
use bramble_signal::{LabelsRef, METRIC_NAME, MetricBatch};

/// Series that come out of spans here: their exemplars say nothing that the spans do not.
const DERIVED: [&str; 3] = ["traces_spanmetrics_", "traces_span_metrics_", "traces_service_graph_"];

/// An exemplar says what its labels say, and is of whoever its series is of. `text` is for the series.
pub(super) fn extract(batch: &MetricBatch, text: &mut String, sink: &mut impl ItemSink) -> Extracted {
    let mut extracted = Extracted::default();
    if batch.exemplar_count() == 0 {
        return extracted;
    }
    let is_derived = |labels: LabelsRef<'_>| {
        labels.get(METRIC_NAME).is_some_and(|name| DERIVED.iter().any(|prefix| name.starts_with(prefix)))
    };
    for (index, (labels, _)) in batch.iter().enumerate().filter(|(_, (labels, _))| !is_derived(*labels)) {
        let mut told = false;
        for exemplar in batch.exemplars(index) {
            let mut ids = Ids::default();
            pairs(exemplar.labels.as_ref()).for_each(|(name, value)| ids.add_field(name, value));
            if ids.trace_id.is_zero() {
                continue;
            }
            if !told {
                sink.origin(&Origin::of_labels(labels));
                put_series(labels, text);
                told = true;
            }
            extracted.exemplars += 1;
            let time_ns = exemplar.timestamp_ms.saturating_mul(1_000_000);
            let what = What::Exemplar { series: text, value: exemplar.value };
            let Ids { trace_id, span_id, business } = ids;
            sink.item(&Item { time_ns, trace_id, span_id, ids: business, what });
        }
    }
    extracted
}

/// `name{label="value"}`, as PromQL takes it.
fn put_series(labels: LabelsRef<'_>, text: &mut String) {
    text.clear();
    let name = labels.get(METRIC_NAME).unwrap_or("");
    let plain = is_plain_name(&name.replace(':', "_"));
    if plain {
        text.push_str(name);
    }
    let mut between = '{';
    for (label, value) in labels.iter().filter(|(label, _)| !plain || *label != METRIC_NAME) {
        text.push(between);
        between = ',';
        put_name(label, text);
        text.push('=');
        put_quoted(value, text);
    }
    if between == ',' {
        text.push('}');
    } else if !plain {
        text.push_str("{}");
    }
}

fn put_name(name: &str, text: &mut String) {
    if is_plain_name(name) { text.push_str(name) } else { put_quoted(name, text) }
}

fn put_quoted(value: &str, text: &mut String) {
    text.push('"');
    for c in value.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
    }
    text.push('"');
}
