//! Any line comes back, whatever the lines before it were.

use super::super::{Body, Decoder, Encoder, LOGS, LOGS_0, Targets};
use super::*;
use bramble_runtime::{Budget, BudgetName, OverBudget};
use bramble_storage::{PreparedLogs, Rejections};
use parking_lot::Mutex;
use proptest::prelude::*;

/// Entries as they were handed over, stream by stream.
type Entries = Vec<(Vec<u8>, i64, Vec<u8>, Vec<u8>)>;

fn entries(batch: &LogBatch) -> Entries {
    let of = |e: LogEntry<'_>| (e.timestamp_ns, e.line.to_vec(), e.metadata.as_bytes().to_vec());
    let stream = |s: bramble_signal::LogStream<'_>| -> Entries {
        s.entries().map(of).map(|(t, line, metadata)| (s.labels().as_bytes().to_vec(), t, line, metadata)).collect()
    };
    batch.streams().flat_map(stream).collect()
}

#[derive(Default)]
struct Replayed(Mutex<Entries>);

impl LogSink for Replayed {
    fn prepare(&self, _: LogBatch, _: i64) -> Result<PreparedLogs, OverBudget> {
        unreachable!("a replay prepares nothing")
    }

    fn apply(&self, _: PreparedLogs, _: Sequence) {}

    fn replay(&self, batch: &LogBatch, _: Sequence) {
        self.0.lock().extend(entries(batch));
    }
}

fn body(batch: &LogBatch) -> Body {
    let space = Budget::standalone(BudgetName::LogHead, 1 << 20).reserve(0).unwrap();
    Body::Logs(PreparedLogs { batch: batch.clone(), accepted: 0, rejections: Rejections::new(), space })
}

/// Encodes batches, a new epoch before some, and replays them.
fn assert_round_trip(batches: &[(bool, LogBatch)], soft_max_bytes: usize) -> usize {
    let (mut encoder, mut decoder) = (Encoder::new(soft_max_bytes), Decoder::default());
    let (replayed, mut epoch, mut taken) = (Replayed::default(), 1, 0);
    for (is_new_epoch, batch) in batches {
        epoch += u64::from(*is_new_epoch);
        encoder.enter(epoch);
        let mut from = Some(0);
        while let Some(next) = from {
            let mut record = Vec::new();
            from = encoder.encode(&body(batch), next, &mut record);
            taken += record.len();
            let targets = Targets { metrics: None, logs: Some(&replayed), spans: None };
            decoder.replay(epoch, 1, &record, &targets).unwrap();
        }
    }
    let sent: Entries = batches.iter().flat_map(|(_, batch)| entries(batch)).collect();
    assert!(*replayed.0.lock() == sent, "{sent:?}");
    taken
}

/// Pieces that lines are made of, so that skeletons and values recur.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let text = |s: &'static str| Just(s.as_bytes().to_vec());
    prop_oneof![
        text("level=info msg=\"took "),
        text("a"),
        text(" "),
        text("T"),
        text("-"),
        text("\n"),
        text("\u{1}\u{f8}"),
        text("2026-11-19T00:00:01.007Z"),
        "[0-9]{1,3}".prop_map(String::into_bytes),
        "[0-9]{1,70}".prop_map(String::into_bytes),
        "[0-9a-f]{1,4}".prop_map(String::into_bytes),
        "[0-9a-f]{16}|[0-9a-f]{32}|[0-9A-F]{9}|[0-9a-f]{60,70}".prop_map(String::into_bytes),
        "[0-9a-zA-Z]{1,9}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..6),
        prop::collection::vec(0xf0u8.., 0..3),
    ]
}

fn line() -> impl Strategy<Value = Vec<u8>> {
    let fixed = (0u32..40, "[0-9a-f]{32}").prop_map(|(n, id)| {
        format!("{{\"time\":\"2026-11-19T00:00:{n:02}.5Z\",\"trace_id\":\"{id}\",\"ms\":{n}.{n:02}}}").into_bytes()
    });
    prop_oneof![fixed, prop::collection::vec(piece(), 0..12).prop_map(|pieces| pieces.concat())]
}

fn time() -> impl Strategy<Value = i64> {
    let near = (0i64..100).prop_map(|s| (1_795_046_400 + s) * 1_000_000_000);
    prop_oneof![near.clone(), near.prop_map(|t| t + 7_000_000), any::<i64>()]
}

fn batch() -> impl Strategy<Value = LogBatch> {
    let entry = (time(), line(), "[0-9a-f]{0,32}", prop::bool::ANY);
    let stream = (0u8..70, prop::collection::vec(entry, 0..12));
    prop::collection::vec(stream, 0..5).prop_map(|streams| {
        let mut batch = LogBatch::new();
        for (name, entries) in &streams {
            batch.start_stream(&mut [("service", &name.to_string())]).unwrap();
            for (time, line, id, repeats) in entries {
                // An id that the line has too, as senders attach them.
                let at = line.windows(12).position(|w| w == b"\"trace_id\":\"").map(|at| at + 12).filter(|_| *repeats);
                let known = at.and_then(|at| std::str::from_utf8(line.get(at..at + 32)?).ok());
                let mut metadata = [("trace_id", known.unwrap_or(id)), ("\u{1}level", "info")];
                batch.push_entry(*time, line, &mut metadata).unwrap();
            }
        }
        batch
    })
}

proptest! {
    #[test]
    fn entries_come_back(batches in prop::collection::vec((prop::bool::weighted(0.2), batch()), 0..6), soft_max_bytes in prop_oneof![Just(512usize << 10), 64usize..2000]) {
        assert_round_trip(&batches, soft_max_bytes);
    }

    #[test]
    fn damaged_records_do_no_harm(batch in batch(), places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5)) {
        let mut record = Vec::new();
        let mut encoder = Encoder::default();
        encoder.enter(1);
        encoder.encode(&body(&batch), 0, &mut record);
        for (at, byte) in places {
            let at = at.index(record.len());
            record[at] = byte;
        }
        let replayed = Replayed::default();
        let _ = Decoder::default().replay(1, 1, &record, &Targets { metrics: None, logs: Some(&replayed), spans: None });
    }

    #[test]
    fn any_bytes_are_refused_not_feared(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let record = [&[LOGS], &bytes[..]].concat();
        let replayed = Replayed::default();
        let _ = Decoder::default().replay(1, 1, &record, &Targets { metrics: None, logs: Some(&replayed), spans: None });
    }
}

fn one_stream(lines: impl Iterator<Item = String>) -> LogBatch {
    let mut batch = LogBatch::new();
    batch.start_stream(&mut [("service", "x")]).unwrap();
    for (at, line) in lines.enumerate() {
        batch.push_entry(at as i64 * 1_000_000_000, line.as_bytes(), &mut []).unwrap();
    }
    batch
}

#[test]
fn what_repeats_takes_next_to_nothing() {
    let line = |n: u64| format!("GET /api/orders/{n} took {}.{:02} ms status=200 from 10.0.0.7", n % 7, n % 100);
    let taken = assert_round_trip(&[(false, one_stream((0..10_000).map(line)))], 512 << 10);
    assert!(taken < 10_000 * 4, "{taken}");
    // A time that is the entry's own.
    let line = |n: u64| format!("2026-11-19T{:02}:{:02}:{:02}Z tick", n / 3600, n / 60 % 60, n % 60);
    let taken = assert_round_trip(&[(false, one_stream((0..10_000).map(line)))], 512 << 10);
    assert!(taken < 5000, "{taken}");
}

#[test]
fn an_epoch_with_more_than_it_can_remember_goes_on() {
    let words = |mut n: usize| -> String {
        let mut word = String::new();
        while n > 0 {
            word.push(char::from(b'g' + (n % 19) as u8));
            n /= 19;
        }
        word
    };
    // More skeletons than are remembered, more texts, and more streams than groups.
    let many = one_stream((0..20_000).map(|n| format!("user {} did {n} w{n}x{n}y", words(n))));
    let mut wide = LogBatch::new();
    for stream in 0..300 {
        wide.start_stream(&mut [("s", &format!("{stream}"))]).unwrap();
        wide.push_entry(stream, b"user gg did 5 w5x5y", &mut []).unwrap();
        wide.push_entry(stream, &b"1 ".repeat(5000), &mut []).unwrap();
        wide.push_entry(stream, &b"1 ".repeat(500), &mut []).unwrap();
    }
    assert_round_trip(&[(false, many.clone()), (false, wide), (false, many)], 512 << 10);
}

/// `service=x`, two entries, as version 0 wrote them.
#[test]
fn records_of_version_0_are_read() {
    let mut runs = vec![1, 0, 0, 10];
    runs.extend(b"\x07service\x01x");
    runs.push(2);
    let mut record = vec![LOGS_0, 2];
    for column in [&runs[..], &[10, 3], &[0, 5, 1, b'k', 2, b'v', b'w'], &[3, 0]] {
        put_bytes(&mut record, column);
    }
    record.extend(b"a 1");
    let replayed = Replayed::default();
    let targets = Targets { metrics: None, logs: Some(&replayed), spans: None };
    assert_eq!(Decoder::default().replay(1, 1, &record, &targets), Ok(2));
    let labels = b"\x07service\x01x".to_vec();
    let expected = [(labels.clone(), 5, b"a 1".to_vec(), vec![]), (labels, 3, vec![], b"\x01k\x02vw".to_vec())];
    assert_eq!(*replayed.0.lock(), expected);
}
