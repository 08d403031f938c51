//! Writes the seeds of what nodes send: `cargo run --example delivery_seeds` in this directory. Its output is committed.

use bramble_signal::attributes::{AttributeValue, put_attribute};
use bramble_signal::histogram::{BucketSpan, NativeHistogram};
use bramble_signal::{Exemplar, Labels, LogBatch, MetricBatch, MetricKind, MetricMetadata, ResourceEntry, ScopeEntry};
use bramble_signal::{Signal, SpanBatch, SpanEntry, SpanEvent, SpanId, SpanLink, TraceId, put_event, put_link};
use bramble_wire::delivery::{Deliver, Hello, HelloAnswer, SourceDelivered, put_logs, put_metrics, put_spans};
use std::path::Path;

fn main() -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/node_delivery");
    std::fs::create_dir_all(&folder)?;
    let save = |kind: u8, name: &str, write: &dyn Fn(&mut Vec<u8>)| {
        let mut out = vec![kind];
        write(&mut out);
        std::fs::write(folder.join(name), out)
    };
    save(b'm', "metrics", &|out| put_metrics(&metrics(), out))?;
    save(b'l', "logs", &|out| put_logs(&logs(), out))?;
    save(b's', "spans", &|out| put_spans(&spans(), out))?;
    let hello = Hello { node_id: "n1".into(), token: "t".into(), sources: vec!["files".into()], ..Hello::default() };
    save(b'h', "hello", &|out| hello.encode(out))?;
    let positions = vec![("k".to_owned(), "v".to_owned())];
    let delivered = vec![SourceDelivered { source: "files".into(), sequence: 7, positions }];
    let answer = HelloAnswer { hub_id: "h1".into(), now_ms: 5, delivered, ..HelloAnswer::default() };
    save(b'a', "answer", &|out| answer.encode(out))?;
    let deliver = Deliver {
        node_id: "n1",
        credential: "c",
        source: "files",
        sequence: 8,
        late: true,
        signal: Signal::Logs,
        payload: b"abc",
        positions: vec![("k", "v")],
    };
    save(b'd', "deliver", &|out| deliver.encode(out))
}

fn metrics() -> MetricBatch {
    let mut batch = MetricBatch::new();
    for pairs in [[("__name__", "up"), ("job", "pi")], [("__name__", "lat"), ("job", "pi")]] {
        _ = batch.start_series(&mut pairs.clone());
        batch.set_start(1_600_000_000_000);
        batch.push_sample(1_700_000_000_000, 1.5);
    }
    for count in [3.0, 3.5] {
        let mut histogram = NativeHistogram { count, sum: 1.0, zero_threshold: 0.1, ..NativeHistogram::default() };
        histogram.positive_spans.push(BucketSpan { offset: -2, length: 2 });
        histogram.positive_counts = vec![1.0, count - 1.0];
        batch.push_histogram(1_700_000_015_000, histogram);
    }
    let labels = Labels::from_pairs([("trace_id", "ab")]);
    batch.push_exemplar(Exemplar { labels, value: 0.5, timestamp_ms: 1_700_000_000_000 });
    let (name, help, unit) = ("lat".to_owned(), "How long".to_owned(), "s".to_owned());
    batch.metadata.push(MetricMetadata { name, kind: MetricKind::Histogram, help, unit });
    batch.backfill = true;
    batch
}

fn logs() -> LogBatch {
    let mut batch = LogBatch::new();
    _ = batch.start_stream(&mut [("app", "x"), ("host", "pi")]);
    _ = batch.push_entry(1_700_000_000_000_000_001, b"a \xff line", &mut [("trace_id", "ab")]);
    _ = batch.push_entry(-1, b"", &mut []);
    batch
}

fn spans() -> SpanBatch {
    let mut batch = SpanBatch::new();
    let mut attributes = Vec::new();
    put_attribute(&mut attributes, "service.name", AttributeValue::Str("shop"));
    put_attribute(&mut attributes, "n", AttributeValue::Int(-1));
    put_attribute(&mut attributes, "d", AttributeValue::Double(0.5));
    let attributes = batch.put(&attributes);
    batch.resources.push(ResourceEntry { attributes, ..ResourceEntry::default() });
    batch.scopes.push(ScopeEntry::default());
    let (mut events, mut links) = (Vec::new(), Vec::new());
    let none = batch.attributes(bramble_signal::Span32::default());
    put_event(&mut events, &SpanEvent { time_ns: 5, name: "e", attributes: none, dropped_attributes: 1 });
    let (trace_id, span_id) = (TraceId([2; 16]), SpanId([2; 8]));
    let link = SpanLink { trace_id, span_id, trace_state: "a=b", flags: 1, attributes: none, dropped_attributes: 0 };
    put_link(&mut links, &link);
    let (name, events, links) = (batch.put(b"get /"), batch.put(&events), batch.put(&links));
    let (trace_id, span_id) = (TraceId([1; 16]), SpanId([1; 8]));
    batch.spans.push(SpanEntry { trace_id, span_id, name, attributes, events, links, ..SpanEntry::default() });
    batch
}
