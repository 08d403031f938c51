//! A store on a temporary directory, and arbitrary spans.

use bramble_disk::{Disk, PageCache, ThreadsDisk};
use bramble_runtime::{Budget, BudgetName, ManualClock};
use bramble_signal::attributes::{AttributeValue, SYNTHETIC, put_array, put_attribute, put_key, put_list, put_value};
use bramble_signal::{
    ResourceEntry, ScopeEntry, SpanBatch, SpanEntry, SpanEvent, SpanId, SpanKind, SpanLink, StatusCode, TraceId,
    put_event, put_link,
};
use bramble_storage::contract::BASE_MS;
use bramble_storage::{
    AttributeScope, BlockId, BlockMeta, BlockStore, QueryContext, SpanFields, SpanPredicate, SpanScan, SpanSink,
    StoreError, TraceSource, ValueTest,
};
use bramble_store_traces::{TraceBudgets, TraceLimits, TraceStore};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) const BASE_NS: u64 = BASE_MS as u64 * 1_000_000;

/// A store and what a caller would keep about it.
pub(crate) struct Bench {
    pub(crate) store: TraceStore,
    pub(crate) directory: tempfile::TempDir,
    pub(crate) head: Budget,
    limits: TraceLimits,
    ids: AtomicU64,
    sequence: AtomicU64,
    blocks: std::sync::Mutex<Vec<BlockMeta>>,
}

fn open(directory: &tempfile::TempDir, head: &Budget, limits: TraceLimits) -> TraceStore {
    let disk: Arc<dyn Disk> = Arc::new(ThreadsDisk::new(directory.path()).unwrap());
    let budget = |name, bytes| Budget::standalone(name, bytes);
    TraceStore::new(
        disk,
        Arc::new(PageCache::new(budget(BudgetName::PageCache, 1 << 20))),
        Arc::new(ManualClock::new(BASE_MS * 1_000_000)),
        TraceBudgets {
            head: head.clone(),
            merge: budget(BudgetName::Merge, 64 << 20),
            index: budget(BudgetName::BlockIndex, 1 << 20),
        },
        limits,
        &prometheus::Registry::new(),
    )
}

impl Bench {
    fn with(head_bytes: usize, limits: TraceLimits) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let head = Budget::standalone(BudgetName::TraceHead, head_bytes);
        let store = open(&directory, &head, limits);
        let (ids, sequence) = (AtomicU64::new(1), AtomicU64::new(1));
        Bench { store, directory, head, limits, ids, sequence, blocks: Default::default() }
    }

    pub(crate) fn new() -> Self {
        Self::with_head(64 << 20)
    }

    pub(crate) fn with_head(bytes: usize) -> Self {
        Self::with(bytes, TraceLimits { max_age_ms: Some(7 * 86_400_000), ..Default::default() })
    }

    /// Takes spans of any time.
    pub(crate) fn open_limits() -> Self {
        Self::with(64 << 20, TraceLimits { future_ms: i64::MAX, ..Default::default() })
    }

    pub(crate) fn put(&self, batch: SpanBatch) {
        let prepared = self.store.prepare(batch, BASE_MS * 1_000_000 + 300_000_000_000).unwrap();
        assert!(prepared.rejections.is_empty(), "{}", prepared.rejections.first());
        self.store.apply(prepared, self.sequence.fetch_add(1, Ordering::Relaxed));
    }

    pub(crate) fn next_id(&self) -> BlockId {
        BlockId(self.ids.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn flush_of(&self, store: &TraceStore) {
        if store.freeze(self.sequence.load(Ordering::Relaxed) - 1) {
            let written = store.write_frozen(&mut || self.next_id()).unwrap();
            store.swap(&written, &[], true).unwrap();
            self.blocks.lock().unwrap().extend(written);
        }
    }

    pub(crate) fn flush(&self) {
        self.flush_of(&self.store);
    }

    /// Merges all blocks of each (day, class).
    pub(crate) fn merge_of(&self, store: &TraceStore) {
        let blocks = self.blocks();
        let partitions: BTreeSet<_> = blocks.iter().map(|b| (b.day, b.class)).collect();
        for partition in partitions {
            let inputs: Vec<BlockId> = blocks.iter().filter(|b| (b.day, b.class) == partition).map(|b| b.id).collect();
            let written = store.merge(&inputs, 1 << 20, &mut || self.next_id(), &|| true).unwrap();
            store.swap(&written, &inputs, false).unwrap();
            let mut known = self.blocks.lock().unwrap();
            known.retain(|b| !inputs.contains(&b.id));
            known.extend(written);
        }
    }

    pub(crate) fn merge(&self) {
        self.merge_of(&self.store);
    }

    pub(crate) fn blocks(&self) -> Vec<BlockMeta> {
        self.blocks.lock().unwrap().clone()
    }

    pub(crate) fn store_blocks(&self) -> Vec<BlockId> {
        self.blocks().iter().map(|b| b.id).collect()
    }

    pub(crate) fn reopen(&mut self) {
        assert_eq!(self.reopen_with(&self.blocks()), []);
    }

    pub(crate) fn reopen_with(&mut self, metas: &[BlockMeta]) -> Vec<(BlockId, StoreError)> {
        self.store = open(&self.directory, &self.head, self.limits);
        self.store.open_blocks(metas)
    }
}

/// Everything of each span as comparable text, ordered by id: independent of where its bytes lie.
pub(crate) fn canonical(batch: &SpanBatch) -> Vec<String> {
    let mut spans: Vec<(SpanId, String)> = batch
        .spans
        .iter()
        .map(|s| {
            let (r, c) = (&batch.resources[s.resource as usize], &batch.scopes[s.scope as usize]);
            let fixed = SpanEntry {
                resource: 0,
                scope: 0,
                name: Default::default(),
                status_message: Default::default(),
                trace_state: Default::default(),
                attributes: Default::default(),
                events: Default::default(),
                links: Default::default(),
                ..*s
            };
            let ranges = [s.name, s.status_message, s.trace_state, s.attributes, s.events, s.links];
            let own: Vec<&[u8]> = ranges.iter().map(|r| batch.bytes(*r)).collect();
            let resource = (batch.bytes(r.attributes), batch.bytes(r.schema_url), r.dropped_attributes);
            let texts = [c.name, c.version, c.attributes, c.schema_url].map(|r| batch.bytes(r));
            (s.span_id, format!("{fixed:?} {own:?} {resource:?} {texts:?} {}", c.dropped_attributes))
        })
        .collect();
    spans.sort();
    spans.into_iter().map(|(_, text)| text).collect()
}

/// (trace, span) of each span in range that passes, over a whole scan.
pub(crate) fn scan_all(
    store: &dyn TraceSource,
    predicates: &[SpanPredicate],
    start_ns: u64,
    end_ns: u64,
    context: &QueryContext,
) -> BTreeSet<(TraceId, SpanId)> {
    let mut cursor = store.scan(&SpanScan::whole(start_ns, end_ns, predicates), context).unwrap();
    let (mut batch, mut found, mut traces) = (SpanBatch::new(), BTreeSet::new(), BTreeSet::new());
    while cursor.next(&mut batch).unwrap() {
        for part in batch.spans.chunk_by(|a, b| a.trace_id == b.trace_id) {
            assert!(traces.insert(part[0].trace_id), "a trace came twice, or in pieces");
            for span in part {
                let passes = predicates.iter().all(|p| p.accepts(&batch, span));
                if passes && (start_ns..=end_ns).contains(&span.start_ns) {
                    found.insert((span.trace_id, span.span_id));
                }
            }
        }
    }
    found
}

#[derive(Clone, Debug)]
enum Value {
    Empty,
    Bool(bool),
    Int(i64),
    Double(u64),
    Text(String),
    Bytes(Vec<u8>),
    Array(Vec<Value>),
    List(Vec<(String, Value)>),
}

impl Value {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Value::Empty => put_value(out, AttributeValue::Empty),
            Value::Bool(b) => put_value(out, AttributeValue::Bool(*b)),
            Value::Int(i) => put_value(out, AttributeValue::Int(*i)),
            Value::Double(d) => put_value(out, AttributeValue::Double(f64::from_bits(*d))),
            Value::Text(s) => put_value(out, AttributeValue::Str(s)),
            Value::Bytes(b) => put_value(out, AttributeValue::Bytes(b)),
            Value::Array(values) => put_array::<()>(out, |out| {
                values.iter().for_each(|v| v.put(out));
                Ok(())
            })
            .unwrap(),
            Value::List(items) => put_list::<()>(out, |out| {
                put_all(out, items);
                Ok(())
            })
            .unwrap(),
        }
    }
}

fn put_all(out: &mut Vec<u8>, items: &[(String, Value)]) {
    for (key, value) in items {
        put_key(out, key);
        value.put(out);
    }
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Empty),
        any::<bool>().prop_map(Value::Bool),
        (0i64..5).prop_map(Value::Int),
        any::<i64>().prop_map(Value::Int),
        any::<u64>().prop_map(Value::Double),
        (0u8..4).prop_map(|n| Value::Double((f64::from(n) / 2.0).to_bits())),
        "[a-c]{0,2}".prop_map(Value::Text),
        "circ-[0-9]{5}".prop_map(Value::Text),
        "[0-9a-f]{16}".prop_map(Value::Text),
        ".{0,6}".prop_map(Value::Text),
        prop::collection::vec(any::<u8>(), 0..5).prop_map(Value::Bytes),
    ];
    leaf.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            prop::collection::vec(("[a-c]?", inner), 0..3).prop_map(Value::List),
        ]
    })
}

fn attributes() -> impl Strategy<Value = Vec<u8>> {
    let synthetic = any::<bool>().prop_map(|said| (SYNTHETIC.to_owned(), Value::Bool(said)));
    let item = prop_oneof![9 => ("[k-n]?", value()), 1 => synthetic];
    prop::collection::vec(item, 0..6).prop_map(|items| {
        let mut out = Vec::new();
        put_all(&mut out, &items);
        out
    })
}

type SpanParts = (
    (u8, u8, u8),
    (u64, u64),
    (u8, u8, u32, [u32; 3]),
    (Vec<u8>, Vec<u8>, Vec<u8>),
    (String, String, String),
    (u8, u8),
);

fn span() -> impl Strategy<Value = SpanParts> {
    let events = prop::collection::vec((any::<u64>(), "[a-b]{0,2}", attributes(), 0u32..3), 0..3).prop_map(|events| {
        let mut out = Vec::new();
        for (time_ns, name, attributes, dropped_attributes) in &events {
            let attributes = bramble_signal::attributes::AttributesRef::from_encoded(attributes);
            let (time_ns, dropped_attributes) = (*time_ns, *dropped_attributes);
            put_event(&mut out, &SpanEvent { time_ns, name, attributes, dropped_attributes });
        }
        out
    });
    // Half of them lead to traces and spans that may be there.
    let to_trace = prop_oneof![any::<[u8; 16]>(), (1u8..=6).prop_map(|n| [n; 16])];
    let to_span = prop_oneof![any::<[u8; 8]>(), (1u8..20).prop_map(|n| [n; 8])];
    let links = prop::collection::vec((to_trace, to_span, "[a-b]?", any::<u32>(), attributes()), 0..4);
    let links = links.prop_map(|links| {
        let mut out = Vec::new();
        for (trace, span, trace_state, flags, attributes) in &links {
            let attributes = bramble_signal::attributes::AttributesRef::from_encoded(attributes);
            let (trace_id, span_id, flags) = (TraceId(*trace), SpanId(*span), *flags);
            put_link(&mut out, &SpanLink { trace_id, span_id, trace_state, flags, attributes, dropped_attributes: 1 });
        }
        out
    });
    let times = (0u64..40, prop_oneof![0u64..10, any::<u64>(), 1_000_000_000u64..3_000_000_000]);
    let small = (0u8..6, 0u8..3, prop_oneof![Just(0u32), any::<u32>()], prop::array::uniform3(0u32..3));
    (
        (1u8..=6, 1u8..20, 0u8..22),
        times,
        small,
        (attributes(), events, links),
        ("op-[a-c]", "(failed)?", "(k=v)?"),
        (0u8..3, 0u8..2),
    )
}

/// Batches of spans of six traces over two days, with everything a span can have.
pub(crate) fn arbitrary_batch() -> impl Strategy<Value = SpanBatch> {
    let resources = prop::collection::vec((attributes(), "(https://x)?", 0u32..2), 3);
    let scopes = prop::collection::vec(("[a-b]?", "(1.0)?", attributes(), "(u)?", 0u32..2), 2);
    (resources, scopes, prop::collection::vec(span(), 0..60)).prop_map(|(resources, scopes, spans)| {
        let mut batch = SpanBatch::new();
        for (i, (attributes, schema, dropped_attributes)) in resources.iter().enumerate() {
            let mut encoded = Vec::new();
            if i < 2 {
                put_attribute(&mut encoded, "service.name", AttributeValue::Str(["a", "b"][i]));
            }
            encoded.extend_from_slice(attributes);
            let (attributes, schema_url) = (batch.put(&encoded), batch.put(schema.as_bytes()));
            batch.resources.push(ResourceEntry { attributes, schema_url, dropped_attributes: *dropped_attributes });
        }
        for (name, version, attributes, schema, dropped) in &scopes {
            let entry = ScopeEntry {
                name: batch.put(name.as_bytes()),
                version: batch.put(version.as_bytes()),
                attributes: batch.put(attributes),
                schema_url: batch.put(schema.as_bytes()),
                dropped_attributes: *dropped,
            };
            batch.scopes.push(entry);
        }
        for (ids, times, (kind, status, flags, dropped), bytes, texts, (resource, scope)) in &spans {
            let start_ns = BASE_NS + times.0 * 3_600_000_000_000 + u64::from(ids.1);
            let parent = if ids.2 == 21 { [0xee; 8] } else { [ids.2; 8] };
            let entry = SpanEntry {
                trace_id: TraceId([ids.0; 16]),
                span_id: SpanId([ids.1; 8]),
                parent_span_id: SpanId(parent),
                resource: u32::from(*resource),
                scope: u32::from(*scope),
                start_ns,
                end_ns: start_ns.wrapping_add(times.1),
                kind: SpanKind::from_code(u64::from(*kind)),
                status: StatusCode::from_code(u64::from(*status)),
                flags: *flags,
                dropped_attributes: dropped[0],
                dropped_events: dropped[1],
                dropped_links: dropped[2],
                name: batch.put(texts.0.as_bytes()),
                status_message: batch.put(texts.1.as_bytes()),
                trace_state: batch.put(texts.2.as_bytes()),
                attributes: batch.put(&bytes.0),
                events: batch.put(&bytes.1),
                links: batch.put(&bytes.2),
            };
            batch.spans.push(entry);
        }
        batch
    })
}

fn test() -> impl Strategy<Value = ValueTest> {
    prop_oneof![
        prop_oneof!["[0-4]", "[a-c]{0,2}", "true|false", "0\\.5|1\\.5|NaN"].prop_map(ValueTest::Is),
        prop_oneof![Just("^[ab]+$"), Just("^.?$"), Just("^circ-[0-4]")]
            .prop_map(|regex| ValueTest::Matches(regex::Regex::new(regex).unwrap())),
        (-1i32..4, 0i32..4).prop_map(|(from, length)| ValueTest::Within {
            at_least: f64::from(from) / 2.0,
            at_most: f64::from(from + length) / 2.0,
        }),
        Just(ValueTest::Present),
    ]
}

fn leaf() -> impl Strategy<Value = SpanPredicate> {
    let scope = prop_oneof![
        Just(AttributeScope::Any),
        Just(AttributeScope::Span),
        Just(AttributeScope::Resource),
        Just(AttributeScope::Instrumentation),
        Just(AttributeScope::Event),
        Just(AttributeScope::Link),
    ];
    let service = prop_oneof!["[a-c]".prop_map(ValueTest::Is), test()];
    let name = prop_oneof![
        "op-[a-d]".prop_map(ValueTest::Is),
        Just(ValueTest::Matches(regex::Regex::new("^op-[ac]$").unwrap())),
    ];
    prop_oneof![
        service.prop_map(SpanPredicate::Service),
        name.prop_map(SpanPredicate::Name),
        prop_oneof!["[a-c]{0,2}".prop_map(ValueTest::Is), test()].prop_map(SpanPredicate::EventName),
        prop_oneof![0u64..12, 500_000_000u64..3_000_000_000].prop_map(SpanPredicate::DurationAtLeast),
        prop_oneof![0u64..12, 500_000_000u64..3_000_000_000].prop_map(SpanPredicate::DurationAtMost),
        (0u64..6).prop_map(|k| SpanPredicate::Kind(SpanKind::from_code(k))),
        (0u64..3).prop_map(|k| SpanPredicate::Status(StatusCode::from_code(k))),
        Just(SpanPredicate::Root),
        Just(SpanPredicate::Measured),
        (scope.clone(), "[k-n]?", test()).prop_map(|(scope, key, test)| SpanPredicate::Attribute { scope, key, test }),
        (scope, "[k-n]?", test()).prop_map(|(scope, key, test)| SpanPredicate::Attribute { scope, key, test }),
    ]
}

fn predicate() -> impl Strategy<Value = SpanPredicate> {
    leaf().prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(SpanPredicate::All),
            prop::collection::vec(inner, 0..4).prop_map(SpanPredicate::Any),
        ]
    })
}

/// Up to two predicates, each a tree.
pub(crate) fn predicates() -> impl Strategy<Value = Vec<SpanPredicate>> {
    prop::collection::vec(predicate(), 0..3)
}

/// What may be wanted of spans.
pub(crate) fn fields() -> impl Strategy<Value = SpanFields> {
    let attributes = prop::option::of(prop::collection::vec("[k-n]?", 0..3));
    (attributes, any::<[bool; 3]>()).prop_map(|(attributes, [events, links, trace_state])| SpanFields {
        attributes,
        events,
        links,
        trace_state,
    })
}

/// The span with no more than is wanted of it, in a batch of its own.
fn reduced(batch: &SpanBatch, span: &SpanEntry, fields: &SpanFields) -> SpanBatch {
    let mut out = SpanBatch::new();
    out.push_from(batch, span);
    let mut kept = Vec::new();
    for (key, value) in batch.attributes(span.attributes).iter() {
        if fields.attributes.as_ref().is_none_or(|keys| keys.iter().any(|k| k == key)) {
            put_attribute(&mut kept, key, value);
        }
    }
    let attributes = out.put(&kept);
    let entry = &mut out.spans[0];
    entry.attributes = attributes;
    if !fields.events {
        entry.events = Default::default();
    }
    if !fields.links {
        entry.links = Default::default();
    }
    if !fields.trace_state {
        entry.trace_state = Default::default();
    }
    out
}

/// Spans that pass, each as (trace, text of all that is wanted of it), in order. Exactly what a scan gives, when it
/// is told to be exact: every span of the answer must pass and be in range then, and none may come twice.
pub(crate) fn single_spans(
    store: &dyn TraceSource,
    predicates: &[SpanPredicate],
    (start_ns, end_ns): (u64, u64),
    fields: &SpanFields,
    exact: bool,
    context: &QueryContext,
) -> Vec<(TraceId, String)> {
    // What is judged must be there; what is shown is reduced afterwards where the store gave more.
    let asked = if exact { fields.clone() } else { SpanFields::ALL };
    let scan = SpanScan { whole_traces: false, fields: asked, ..SpanScan::whole(start_ns, end_ns, predicates) };
    let mut cursor = store.scan(&scan, context).unwrap();
    let (mut batch, mut found, mut ids) = (SpanBatch::new(), Vec::new(), BTreeSet::new());
    while cursor.next(&mut batch).unwrap() {
        for span in &batch.spans {
            assert!(ids.insert((span.trace_id, span.span_id, span.kind as u8)), "a span came twice");
            assert!((start_ns..=end_ns).contains(&span.start_ns));
            found.push((span.trace_id, canonical(&reduced(&batch, span, fields)).remove(0)));
        }
    }
    found.sort();
    found
}
