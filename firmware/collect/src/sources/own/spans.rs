//! Own traces: `tracing` spans to spans.
//!
//! Only spans of Bramble's own crates at level INFO count. A root is kept with the given probability and its children
//! follow it, so that a busy receiver yields a few spans a second, not one per request.

use super::SERVICE;
use super::fields::Attributes;
use crate::sources::Outlet;
use bramble_runtime::{Cancel, Clock, Rng};
use bramble_signal::attributes::{AttributeValue, put_attribute};
use bramble_signal::{ResourceEntry, ScopeEntry, SpanBatch, SpanEntry, SpanId, SpanKind, StatusCode, TraceId};
use bramble_storage::Urgency;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;
use tracing::span::{self, Id};
use tracing::{Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// Spans between two rounds; each at most some 4 KiB.
const QUEUE_LENGTH: usize = 512;

const INTERVAL: Duration = Duration::from_secs(2);

/// A span that is open, or finished and on its way.
struct Record {
    trace_id: TraceId,
    span_id: SpanId,
    parent_span_id: SpanId,
    start_ns: i64,
    end_ns: i64,
    name: &'static str,
    kind: SpanKind,
    failed: bool,
    attributes: Vec<u8>,
}

/// The layer: put it into a subscriber that is a registry, with a filter of its own.
pub struct OwnSpansLayer {
    queue: SyncSender<Record>,
    overflowed: Arc<AtomicU64>,
    clock: Arc<dyn Clock>,
    random: Mutex<Rng>,
    keep_probability: f64,
}

/// What the layer collected; [`run_spans`] writes it.
pub struct OwnSpans {
    queue: Receiver<Record>,
    overflowed: Arc<AtomicU64>,
}

/// A layer and its other end. `keep_probability` (0 to 1) is that of a root; `seed` gives ids and decisions.
pub fn own_spans(clock: Arc<dyn Clock>, keep_probability: f64, seed: u64) -> (OwnSpansLayer, OwnSpans) {
    let (sender, receiver) = sync_channel(QUEUE_LENGTH);
    let overflowed = Arc::new(AtomicU64::new(0));
    let random = Mutex::new(Rng::new(seed));
    let layer = OwnSpansLayer { queue: sender, overflowed: Arc::clone(&overflowed), clock, random, keep_probability };
    (layer, OwnSpans { queue: receiver, overflowed })
}

impl OwnSpansLayer {
    /// Trace and parent of a new span; `None` when it is not kept.
    fn place(&self, parent: Option<(TraceId, SpanId)>, is_root: bool) -> Option<(TraceId, SpanId, SpanId)> {
        let mut random = self.random.lock();
        // Zero is not an id.
        let mut id = || (random.next_u64() | 1).to_be_bytes();
        match (parent, is_root) {
            (Some((trace_id, parent_id)), _) => Some((trace_id, parent_id, SpanId(id()))),
            (None, false) => None,
            (None, true) => {
                let mut trace_id = [0; 16];
                let (high, low) = (id(), id());
                trace_id.iter_mut().zip(high.into_iter().chain(low)).for_each(|(to, from)| *to = from);
                let span_id = SpanId(id());
                random.chance(self.keep_probability).then_some((TraceId(trace_id), SpanId::default(), span_id))
            }
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for OwnSpansLayer {
    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let metadata = attributes.metadata();
        let Some(span) = context.span(id) else { return };
        if *metadata.level() > Level::INFO || !metadata.target().starts_with(SERVICE) {
            return;
        }
        let parent = span.parent();
        let parent_ids =
            parent.as_ref().and_then(|parent| parent.extensions().get::<Record>().map(|r| (r.trace_id, r.span_id)));
        let Some((trace_id, parent_span_id, span_id)) = self.place(parent_ids, parent.is_none()) else { return };
        let mut record = Record {
            trace_id,
            span_id,
            parent_span_id,
            start_ns: self.clock.wall_ns(),
            end_ns: 0,
            name: metadata.name(),
            kind: SpanKind::Internal,
            failed: false,
            attributes: Vec::new(),
        };
        attributes.record(&mut record.fields());
        span.extensions_mut().insert(record);
    }

    fn on_record(&self, id: &Id, values: &span::Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(record) = span.extensions_mut().get_mut::<Record>() {
            values.record(&mut record.fields());
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(mut record) = context.span(&id).and_then(|span| span.extensions_mut().remove::<Record>()) else {
            return;
        };
        record.end_ns = self.clock.wall_ns();
        if self.queue.try_send(record).is_err() {
            self.overflowed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Record {
    fn fields(&mut self) -> Attributes<'_> {
        Attributes { out: &mut self.attributes, kind: &mut self.kind, failed: &mut self.failed }
    }
}

/// Writes what was collected every two seconds until `cancel` is raised, and then once more.
pub async fn run_spans(spans: OwnSpans, host: String, outlet: Outlet, cancel: Cancel) {
    let mut ticks = tokio::time::interval(INTERVAL);
    loop {
        ticks.tick().await;
        let last = cancel.is_cancelled();
        outlet.spans("own_spans", spans.drain(&host), Urgency::OwnTelemetry);
        let overflowed = spans.overflowed.swap(0, Ordering::Relaxed);
        if overflowed > 0 {
            outlet.dropped("own_spans", "queue_full", overflowed);
        }
        if last {
            return;
        }
    }
}

impl OwnSpans {
    fn drain(&self, host: &str) -> SpanBatch {
        let mut batch = SpanBatch::new();
        for record in self.queue.try_iter().take(QUEUE_LENGTH) {
            if batch.resources.is_empty() {
                put_resource(&mut batch, host);
            }
            let entry = SpanEntry {
                trace_id: record.trace_id,
                span_id: record.span_id,
                parent_span_id: record.parent_span_id,
                start_ns: u64::try_from(record.start_ns).unwrap_or(0),
                end_ns: u64::try_from(record.end_ns).unwrap_or(0),
                kind: record.kind,
                status: if record.failed { StatusCode::Error } else { StatusCode::Unset },
                name: batch.put(record.name.as_bytes()),
                attributes: batch.put(&record.attributes),
                ..SpanEntry::default()
            };
            batch.spans.push(entry);
        }
        batch
    }
}

fn put_resource(batch: &mut SpanBatch, host: &str) {
    let mut attributes = Vec::new();
    put_attribute(&mut attributes, "service.name", AttributeValue::Str(SERVICE));
    put_attribute(&mut attributes, "service.version", AttributeValue::Str(env!("CARGO_PKG_VERSION")));
    put_attribute(&mut attributes, "host.name", AttributeValue::Str(host));
    let resource = ResourceEntry { attributes: batch.put(&attributes), ..ResourceEntry::default() };
    let scope = ScopeEntry { name: batch.put(SERVICE.as_bytes()), ..ScopeEntry::default() };
    batch.resources.push(resource);
    batch.scopes.push(scope);
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::outlet;
    use super::*;
    use bramble_runtime::ManualClock;
    use tracing_subscriber::layer::SubscriberExt;

    async fn collected(keep: f64, emit: impl FnOnce(&ManualClock)) -> Option<SpanBatch> {
        let clock = Arc::new(ManualClock::new(1_000));
        let (layer, spans) = own_spans(clock.clone(), keep, 5);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || emit(&clock));
        let (writer, outlet, _) = outlet(1 << 20);
        let cancel = Cancel::new();
        cancel.cancel();
        run_spans(spans, "pi".into(), outlet, cancel).await;
        let mut batches = writer.spans.lock();
        batches.pop()
    }

    #[tokio::test(start_paused = true)]
    async fn a_child_is_in_the_trace_of_its_parent() {
        let batch = collected(1.0, |clock| {
            let root = tracing::info_span!("flush", signal = "logs", items = 5, otel.kind = "server");
            let _in_root = root.enter();
            clock.advance_ns(10);
            let child = tracing::info_span!("write", error = tracing::field::Empty);
            child.in_scope(|| clock.advance_ns(5));
            child.record("error", "disk full");
            let _other = tracing::info_span!(target: "hyper", "not ours").entered();
            let _debug = tracing::debug_span!("too fine").entered();
        });
        let batch = batch.await.unwrap();
        let [child, root] = batch.spans[..] else { panic!("{} spans", batch.spans.len()) };
        assert_eq!((batch.text(root.name), batch.text(child.name)), ("flush", "write"));
        assert_eq!((child.trace_id, child.parent_span_id), (root.trace_id, root.span_id));
        assert!(root.parent_span_id == SpanId::default() && !root.trace_id.is_zero());
        assert_eq!((root.start_ns, root.end_ns, child.start_ns, child.end_ns), (1000, 1015, 1010, 1015));
        assert_eq!((root.kind, root.status, child.status), (SpanKind::Server, StatusCode::Unset, StatusCode::Error));
        assert_eq!(batch.attributes(root.attributes).get("items"), Some(AttributeValue::Int(5)));
        assert_eq!(batch.service(&root), "bramble");
    }

    #[tokio::test(start_paused = true)]
    async fn sampling_keeps_whole_traces() {
        let emit = |_: &ManualClock| {
            for _ in 0..200 {
                let _root = tracing::info_span!("root").entered();
                let _child = tracing::info_span!("child").entered();
            }
        };
        let batch = collected(0.25, emit).await.unwrap();
        let roots = batch.spans.iter().filter(|span| span.parent_span_id == SpanId::default()).count();
        assert!((20..80).contains(&roots), "{roots} of 200");
        assert_eq!(batch.spans.len(), roots * 2);
        assert!(collected(0.0, emit).await.is_none());
    }
}
