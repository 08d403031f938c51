//! A small world for tests: spans made by hand, a store that keeps what is emitted, a clock that moves when told.

use crate::{Derive, DeriveOptions};
use bramble_runtime::{Budget, BudgetName, ManualClock};
use bramble_signal::attributes::{AttributeValue, put_attribute};
use bramble_signal::{
    Matcher, ResourceEntry, ScopeEntry, SeriesSamples, SpanBatch, SpanEntry, SpanId, SpanKind, StatusCode, TraceId,
};
use bramble_storage::memory::MemoryMetrics;
use bramble_storage::{Durable, MetricSelect, MetricSink, MetricSource, Observer, QueryContext};
use prometheus::Registry;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) const START_MS: i64 = 1_700_000_000_000;
pub(crate) const SECOND_NS: u64 = 1_000_000_000;

/// A span, by what matters here.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) service: &'static str,
    pub(crate) trace: u8,
    pub(crate) id: u8,
    pub(crate) parent: u8,
    pub(crate) kind: SpanKind,
    pub(crate) name: String,
    pub(crate) status: StatusCode,
    pub(crate) duration_ms: i64,
    pub(crate) attributes: Vec<(&'static str, &'static str)>,
    pub(crate) resource: Vec<(&'static str, &'static str)>,
}

pub(crate) fn span(service: &'static str, kind: SpanKind, id: u8, parent: u8) -> Made {
    Made {
        service,
        trace: 1,
        id,
        parent,
        kind,
        name: "work".into(),
        status: StatusCode::Unset,
        duration_ms: 10,
        attributes: Vec::new(),
        resource: Vec::new(),
    }
}

pub(crate) fn client(service: &'static str, id: u8) -> Made {
    span(service, SpanKind::Client, id, 99)
}

pub(crate) fn server(service: &'static str, id: u8, parent: u8) -> Made {
    span(service, SpanKind::Server, id, parent)
}

fn encoded(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    pairs.iter().for_each(|(key, value)| put_attribute(&mut bytes, key, AttributeValue::Str(value)));
    bytes
}

pub(crate) fn batch(spans: &[Made]) -> SpanBatch {
    let mut batch = SpanBatch::new();
    batch.scopes.push(ScopeEntry::default());
    for made in spans {
        let mut resource = made.resource.clone();
        if !made.service.is_empty() {
            resource.push(("service.name", made.service));
        }
        let attributes = batch.put(&encoded(&resource));
        batch.resources.push(ResourceEntry { attributes, ..Default::default() });
        let (name, attributes) = (batch.put(made.name.as_bytes()), batch.put(&encoded(&made.attributes)));
        let start_ns = START_MS as u64 * 1_000_000;
        batch.spans.push(SpanEntry {
            trace_id: TraceId([made.trace; 16]),
            span_id: SpanId([made.id; 8]),
            parent_span_id: SpanId([made.parent; 8]),
            resource: (batch.resources.len() - 1) as u32,
            start_ns,
            end_ns: start_ns.saturating_add_signed(made.duration_ms * 1_000_000),
            kind: made.kind,
            status: made.status,
            name,
            attributes,
            ..Default::default()
        });
    }
    batch
}

pub(crate) struct World {
    pub(crate) derive: Derive,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) store: Arc<MemoryMetrics>,
    pub(crate) budget: Budget,
    pub(crate) registry: Registry,
    pub(crate) sequence: u64,
}

impl World {
    pub(crate) fn new(options: DeriveOptions) -> Self {
        let clock = Arc::new(ManualClock::new(START_MS * 1_000_000));
        clock.advance_ns(3600 * SECOND_NS);
        Self::after(options, Arc::new(MemoryMetrics::default()), clock)
    }

    /// A process that starts with what another one left in the store.
    pub(crate) fn after(options: DeriveOptions, store: Arc<MemoryMetrics>, clock: Arc<ManualClock>) -> Self {
        let (budget, registry) = (Budget::standalone(BudgetName::Derived, 16 << 20), Registry::new());
        let derive = Derive::new(options, store.clone(), clock.clone(), &budget, &registry).unwrap();
        World { derive, clock, store, budget, registry, sequence: 0 }
    }

    pub(crate) fn observe(&mut self, spans: &[Made]) {
        self.sequence += 1;
        self.derive.observe(Durable::Spans(&batch(spans)), self.sequence);
    }

    /// Fifteen seconds later everything is emitted and stored.
    pub(crate) fn emit(&self) {
        self.clock.advance_ns(15 * SECOND_NS);
        self.store_now();
    }

    /// Everything is emitted and stored.
    pub(crate) fn store_now(&self) {
        let emission = self.derive.emit();
        for write in emission.writes {
            let prepared = self.store.prepare(write, 0).unwrap();
            self.store.apply(prepared, 0);
        }
        self.derive.settle(emission.round, Some(0));
    }

    /// All samples of the series of a name.
    pub(crate) fn series(&self, name: &str) -> Vec<SeriesSamples> {
        let context = QueryContext::unlimited();
        let matchers = [Matcher::equal("__name__", name)];
        let select = MetricSelect { matchers: &matchers, start_ms: 0, end_ms: i64::MAX };
        let mut cursor = self.store.select(&select, &context).unwrap();
        let (mut all, mut one) = (Vec::new(), SeriesSamples::default());
        while cursor.next(&mut one).unwrap() {
            all.push(one.clone());
        }
        all
    }

    /// Labels (without the name) and last value of the series of a name; those that ended are left out.
    pub(crate) fn last(&self, name: &str) -> BTreeMap<String, f64> {
        let mut found = BTreeMap::new();
        for series in self.series(name) {
            let labels: Vec<String> = series
                .labels
                .as_ref()
                .iter()
                .filter(|(name, _)| *name != "__name__")
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            let value = series.values.last().copied().unwrap_or(f64::NAN);
            if !value.is_nan() {
                found.insert(labels.join(","), value);
            }
        }
        found
    }

    pub(crate) fn edges(&self) -> BTreeMap<String, f64> {
        self.last("traces_service_graph_request_total")
    }

    pub(crate) fn calls(&self) -> BTreeMap<String, f64> {
        self.last("traces_spanmetrics_calls_total")
    }

    pub(crate) fn own(&self, name: &str) -> f64 {
        let families = self.registry.gather();
        let metric = families.iter().find(|f| f.name() == name).and_then(|f| f.get_metric().first()).unwrap();
        metric.get_counter().get_value() + metric.get_gauge().get_value()
    }
}

/// Growth of a counter as PromQL's `increase` counts it over all samples: a sample below the one before is a reset.
pub(crate) fn increase(series: &SeriesSamples) -> f64 {
    let values = series.values.iter().copied().filter(|v| !v.is_nan());
    let (mut sum, mut before) = (0.0, None);
    for value in values {
        sum += match before {
            Some(before) if value >= before => value - before,
            Some(_) => value,
            None => 0.0,
        };
        before = Some(value);
    }
    sum
}
