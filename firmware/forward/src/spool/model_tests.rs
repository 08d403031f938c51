//! What comes back is what was written, and what an hour of it takes.

use super::load::Load;
use super::*;
use crate::item::{Origin, decode_batch, encode_batch, shown};
use bramble_disk::{SimulatedDisk, SimulatedOptions};
use bramble_signal::{
    BucketSpan, Exemplar, Labels, LogBatch, MetricBatch, MetricKind, MetricMetadata, NativeHistogram, SpanBatch,
};
use bramble_storage::Batch;
use proptest::prelude::*;

fn item_of(number: u64, batch: &Batch) -> Arc<Item> {
    let origin = Origin { lane: "push".into(), sequence: number, positions: Vec::new() };
    let (signal, items) = (batch.signal(), batch.item_count() as u64);
    let payload = encode_batch(shown(batch)).into();
    Arc::new(Item { signal, items, since_ms: 0, observed: 0, origin: Some(origin), payload })
}

/// Everything that counts in a batch, in its order, without how it is laid out. Doubles by their bits.
fn plain(batch: &Batch) -> Vec<String> {
    match batch {
        Batch::Metrics(batch) => {
            let mut all = vec![format!("{} {:?}", batch.backfill, batch.metadata)];
            for (index, (labels, samples)) in batch.iter().enumerate() {
                let exemplar = |e: &Exemplar| format!("{} {} {:x}", e.labels, e.timestamp_ms, e.value.to_bits());
                let exemplars: Vec<String> = batch.exemplars(index).map(exemplar).collect();
                let value = |value: f64| match batch.histogram(value) {
                    Some(histogram) => format!("{histogram:?}"),
                    None => format!("{:x}", value.to_bits()),
                };
                let samples: Vec<String> =
                    samples.iter().map(|sample| format!("{} {}", sample.timestamp_ms, value(sample.value))).collect();
                let start_ms = if samples.is_empty() { 0 } else { batch.start_ms(index) };
                if !samples.is_empty() || !exemplars.is_empty() {
                    all.push(format!("{labels} {start_ms} {samples:?} {exemplars:?}"));
                }
            }
            all
        }
        Batch::Logs(batch) => {
            let entry = |labels: &str, e: bramble_signal::LogEntry<'_>| {
                format!("{labels} {} {:?} {}", e.timestamp_ns, e.line, e.metadata)
            };
            let of = |stream: bramble_signal::LogStream<'_>| -> Vec<String> {
                let labels = stream.labels().to_string();
                stream.entries().map(|e| entry(&labels, e)).collect()
            };
            batch.streams().flat_map(of).collect()
        }
        Batch::Spans(batch) => batch
            .spans
            .iter()
            .map(|span| {
                let (r, s) = (batch.resources[span.resource as usize], batch.scopes[span.scope as usize]);
                let own = [span.name, span.status_message, span.trace_state, span.attributes, span.events, span.links];
                let others = [r.attributes, r.schema_url, s.name, s.version, s.attributes, s.schema_url];
                let texts: Vec<&[u8]> = own.iter().chain(&others).map(|range| batch.bytes(*range)).collect();
                let ids = (span.trace_id, span.span_id, span.parent_span_id, span.start_ns, span.end_ns);
                let numbers = (span.kind, span.status, span.flags, span.dropped_attributes, span.dropped_events);
                format!("{ids:?} {numbers:?} {} {} {texts:?}", span.dropped_links, r.dropped_attributes)
            })
            .collect(),
    }
}

fn pairs() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = prop_oneof!["[a-c_]{1,3}", Just("\u{1}trace_id".to_owned()), Just("ü".to_owned())];
    proptest::collection::btree_map(name, "\\PC{1,6}", 0..4).prop_map(|map| map.into_iter().collect())
}

fn borrowed(pairs: &[(String, String)]) -> Vec<(&str, &str)> {
    pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

fn metrics() -> impl Strategy<Value = Batch> {
    let value = prop_oneof![any::<u64>().prop_map(f64::from_bits), (-9i32..9).prop_map(f64::from)];
    let sample = (any::<i64>(), value, any::<u8>());
    let exemplar = (pairs(), any::<i64>());
    let entry = (pairs(), prop::collection::vec(sample, 0..5), prop::collection::vec(exemplar, 0..2), any::<i64>());
    let metadata = ("[a-z]{1,9}", "\\PC{0,9}");
    (prop::collection::vec(entry, 0..6), prop::collection::vec(metadata, 0..3), any::<bool>()).prop_map(
        |(entries, metadata, backfill)| {
            let mut batch = MetricBatch::new();
            batch.backfill = backfill;
            for (labels, samples, exemplars, start_ms) in &entries {
                batch.start_series(&mut borrowed(labels)).unwrap();
                batch.set_start(*start_ms);
                for (time, value, buckets) in samples {
                    match buckets {
                        0..200 => batch.push_sample(*time, *value),
                        more => {
                            let counts: Vec<f64> = (200..=*more).map(f64::from).collect();
                            batch.push_histogram(
                                *time,
                                NativeHistogram {
                                    sum: 1.5,
                                    count: counts.iter().sum(),
                                    positive_spans: vec![BucketSpan { offset: 3, length: counts.len() as u32 }],
                                    positive_counts: counts,
                                    ..Default::default()
                                },
                            );
                        }
                    }
                }
                for (labels, timestamp_ms) in exemplars {
                    let labels = Labels::from_pairs(borrowed(labels));
                    batch.push_exemplar(Exemplar { labels, value: 0.5, timestamp_ms: *timestamp_ms });
                }
            }
            for (name, help) in metadata {
                batch.metadata.push(MetricMetadata { name, kind: MetricKind::Counter, help, unit: String::new() });
            }
            Batch::Metrics(batch)
        },
    )
}

fn logs() -> impl Strategy<Value = Batch> {
    let line = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..30),
        "[a-c]{1,4} [0-9]{1,9} id=[0-9a-f]{16}".prop_map(String::into_bytes)
    ];
    let entry = (any::<i64>(), line, pairs());
    prop::collection::vec((pairs(), prop::collection::vec(entry, 0..6)), 0..4).prop_map(|streams| {
        let mut batch = LogBatch::new();
        for (labels, entries) in &streams {
            batch.start_stream(&mut borrowed(labels)).unwrap();
            for (time, line, metadata) in entries {
                batch.push_entry(*time, line, &mut borrowed(metadata)).unwrap();
            }
        }
        Batch::Logs(batch)
    })
}

fn spans() -> impl Strategy<Value = Batch> {
    (any::<u64>(), 1u64..5, any::<u32>()).prop_map(|(seed, traces, flags)| {
        let mut batch = Load::new(seed, 0).spans(seed >> 1, traces);
        for (at, span) in batch.spans.iter_mut().enumerate() {
            span.flags = flags;
            span.dropped_links = at as u32 % 3;
            if at % 5 == 0 {
                (span.start_ns, span.end_ns) = (span.end_ns, span.start_ns);
            }
        }
        Batch::Spans(batch)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Any batches, in a queue whose extents are small, with restarts in between.
    #[test]
    fn batches_come_back_as_they_were(
        batches in prop::collection::vec(prop_oneof![metrics(), logs(), spans()], 1..40),
        restarts in prop::collection::vec(0usize..40, 0..3),
    ) {
        let disk: Arc<dyn Disk> = Arc::new(SimulatedDisk::new(1, SimulatedOptions::default()));
        let options = SpoolOptions { bytes_max: 8 << 20, age_max_ms: 1 << 40 };
        let mut spool = Spool::open(disk.clone(), options, 0).unwrap();
        for (number, batch) in batches.iter().enumerate() {
            spool.append(&[item_of(number as u64, batch)], 0).unwrap();
            if restarts.contains(&number) {
                drop(spool);
                spool = Spool::open(disk.clone(), options, 0).unwrap();
            }
        }
        for (number, batch) in batches.iter().enumerate() {
            let waiting = spool.next(0).unwrap().unwrap();
            prop_assert_eq!(waiting.item.origin.as_ref().unwrap().sequence, number as u64);
            prop_assert_eq!(waiting.item.items, batch.item_count() as u64);
            let back = decode_batch(waiting.item.signal, &waiting.item.payload).unwrap();
            prop_assert_eq!(plain(&back), plain(batch));
            spool.settle(&waiting);
            if restarts.contains(&number) {
                spool.mark(0, true).unwrap();
                drop(spool);
                spool = Spool::open(disk.clone(), options, 0).unwrap();
            }
        }
        prop_assert!(spool.next(0).unwrap().is_none());
        prop_assert_eq!(spool.take_dropped(), Dropped::default());
    }
}

/// Batches that take several records, and several extents: what is in the models when one begins in the middle of an item.
#[test]
fn large_batches_are_cut_and_come_back() {
    let disk: Arc<dyn Disk> = Arc::new(SimulatedDisk::new(1, SimulatedOptions::default()));
    let options = SpoolOptions { bytes_max: 16 << 20, age_max_ms: 1 << 40 };
    let mut spool = Spool::open(disk, options, 0).unwrap();
    let mut load = Load::new(3, 5000);
    let batches: Vec<Batch> = (0..12)
        .map(|n| match n % 3 {
            0 => Batch::Metrics(load.metrics(n * 15_000)),
            1 => Batch::Logs(load.logs(n * 1_000_000_000, 10_000)),
            _ => Batch::Spans(load.spans(n as u64 * 1_000_000_000, 900)),
        })
        .collect();
    let items: Vec<Arc<Item>> = batches.iter().enumerate().map(|(n, batch)| item_of(n as u64, batch)).collect();
    spool.append(&items, 0).unwrap();
    for batch in &batches {
        let waiting = spool.next(0).unwrap().unwrap();
        let back = decode_batch(waiting.item.signal, &waiting.item.payload).unwrap();
        assert!(plain(&back) == plain(batch), "{:?}", waiting.item.signal);
        spool.settle(&waiting);
    }
    assert!(spool.next(0).unwrap().is_none() && spool.is_empty());
    spool.mark(0, false).unwrap();
    assert!(spool.records.memory_bytes() < 256 << 10, "{} bytes kept", spool.records.memory_bytes());
    spool.append(&items[..1], 0).unwrap();
    let waiting = spool.next(0).unwrap().unwrap();
    assert!(waiting.item.payload == items[0].payload, "models began anew");
}

/// Who misses the begin of what models remember reads nothing wrong: what is modelled is damaged, heads are told, until models
/// begin anew.
#[test]
fn what_was_missed_damages_what_rests_on_it() {
    let sizes = SpoolOptions { bytes_max: 8 << 20, age_max_ms: 1 << 40 }.sizes();
    let (mut records, mut load) = (Records::new(sizes), Load::new(5, 50));
    let mut written: Vec<Vec<u8>> = Vec::new();
    for number in 1..=6 {
        if number == 5 {
            records.forget();
        }
        let batch = Batch::Metrics(load.metrics(number as i64 * 1000));
        records.take_up(&mut [item_of(number, &batch)].into_iter());
        let commit = records.encode(1);
        written.extend(commit.records().iter().map(|record| record.to_vec()));
        records.committed(commit, |_, parts, item| assert_eq!((parts, item.items), (1, 50)));
    }
    let read = |from: usize| {
        let mut reader = Reader::new();
        let told = |joined: Option<Joined>| match joined {
            Some(Joined::Item(item)) => (item.origin.unwrap().sequence, item.payload.len() > 1000),
            Some(Joined::Damaged(item)) => (item.origin.unwrap().sequence, false),
            other => panic!("{other:?}"),
        };
        written[from..].iter().map(|record| told(reader.take(record))).collect::<Vec<_>>()
    };
    assert_eq!(read(0), (1..=6).map(|number| (number, true)).collect::<Vec<_>>());
    assert_eq!(read(2), [(3, false), (4, false), (5, true), (6, true)]);
    // Damage in the middle: what follows is not taken for what it is not.
    let mut reader = Reader::new();
    reader.take(&written[0]);
    let mut broken = written[1].clone();
    let end = broken.len();
    broken.truncate(end / 2);
    assert!(matches!(reader.take(&broken), Some(Joined::Damaged(_)) | None));
    assert!(matches!(reader.take(&written[2]), Some(Joined::Damaged(_))));
    assert!(matches!(reader.take(&written[4]), Some(Joined::Item(_))));
    let mut heads = Reader::of_heads();
    assert!(matches!(heads.take(&written[3]), Some(Joined::Item(item)) if item.payload.is_empty()));
}

/// How the load of a busy Pi gets into a queue.
#[derive(Clone, Copy)]
struct How {
    /// Multiples of which a commit takes.
    unit: usize,
    modelled: bool,
    /// Quarters of a second between two commits; 0: each batch has one of its own.
    gathered: i64,
    /// The queue's bound.
    bytes_max: u64,
}

/// MiB of an hour of what a busy Pi sends of some signals, as far as `minutes` tell; bytes of models at their largest; bytes on
/// disk per byte of payload.
fn hour_mib(minutes: i64, how: How, signals: &[Signal]) -> (f64, usize, f64) {
    let write_unit = how.unit;
    let disk: Arc<dyn Disk> =
        Arc::new(SimulatedDisk::new(1, SimulatedOptions { write_unit, ..SimulatedOptions::default() }));
    let options = SpoolOptions { bytes_max: how.bytes_max, age_max_ms: 1 << 40 };
    let mut spool = Spool::open(disk, options, 0).unwrap();
    if !how.modelled {
        spool.records = Records::new(Sizes { item_max: 0, ..options.sizes() });
    }
    let mut load = Load::new(1, 2000);
    let (mut number, mut memory_bytes, mut items) = (0, 0, Vec::new());
    for tick in 0..minutes * 240 {
        let now_ms = 1_700_000_000_000 + tick * 250;
        let mut batches = vec![Batch::Logs(load.logs(now_ms * 1_000_000, 50))];
        if tick % 2 == 0 {
            batches.push(Batch::Spans(load.spans(now_ms as u64 * 1_000_000, 3)));
        }
        if tick % 60 == 0 {
            batches.push(Batch::Metrics(load.metrics(now_ms)));
        }
        for batch in batches.iter().filter(|batch| signals.contains(&batch.signal())) {
            number += 1;
            items.push(item_of(number, batch));
            if how.gathered == 0 {
                spool.append(&items, now_ms).unwrap();
                items.clear();
            }
        }
        if how.gathered > 0 && tick % how.gathered == 0 {
            spool.append(&items, now_ms).unwrap();
            items.clear();
        }
        memory_bytes = memory_bytes.max(spool.records.memory_bytes());
    }
    let written = spool.journal.bytes_written() as f64 / (1 << 20) as f64;
    (written * 60.0 / minutes as f64, memory_bytes, spool.shrinkage().unwrap_or(1.0))
}

/// `cargo test -p bramble-forward --lib what_an_hour_takes -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn what_an_hour_takes() {
    let signals = [&[Signal::Metrics][..], &[Signal::Logs], &[Signal::Traces], &Signal::ALL];
    println!("MiB per hour: metrics, logs, traces, all; bytes of models; bytes on disk per byte of payload");
    for unit in [512, 4096] {
        for (modelled, gathered) in [(false, 0), (false, 1), (false, 2), (true, 0), (true, 1), (true, 2)] {
            let of = signals.map(|signals| hour_mib(10, How { unit, modelled, gathered, bytes_max: 1 << 30 }, signals));
            let [metrics, logs, traces, (all, memory_bytes, shrinkage)] = of;
            let (metrics, logs, traces) = (metrics.0, logs.0, traces.0);
            println!(
                "unit {unit}, modelled {modelled}, quarters gathered {gathered}: {metrics:.1}, {logs:.1}, {traces:.1}, {all:.1}; {memory_bytes}; {shrinkage:.3}"
            );
        }
        for bytes_max in [1 << 30, 256 << 20] {
            let how = How { unit, modelled: true, gathered: 2, bytes_max };
            let (mib, memory_bytes, _) = hour_mib(240, how, &Signal::ALL);
            println!("unit {unit}, queue of {} MiB, over four hours: {mib:.1}; {memory_bytes}", bytes_max >> 20);
        }
    }
}

/// The bound of the issue: 24 hours in 1 GiB.
#[test]
fn a_day_of_a_busy_pi_fits_into_a_gibibyte() {
    for unit in [512, 4096] {
        let (mib, memory_bytes, shrinkage) =
            hour_mib(1, How { unit, modelled: true, gathered: 2, bytes_max: 1 << 30 }, &Signal::ALL);
        assert!(mib < 42.0, "{mib} MiB per hour in units of {unit}");
        assert!(memory_bytes < 2 << 20, "{memory_bytes}");
        // What a forecast rests on before there was a queue.
        assert!(shrinkage < crate::destination::SHRINKAGE, "{shrinkage}");
    }
}

#[test]
fn batches_of_the_load_are_what_they_were() {
    let batch: SpanBatch = Load::new(1, 0).spans(1 << 60, 2);
    assert_eq!((batch.spans.len(), batch.resources.len()), (16, 4));
}
