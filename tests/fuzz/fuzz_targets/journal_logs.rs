//! Journal records of logs: any bytes are read without harm, and any lines come back from what was written of them.
#![no_main]

use bramble_runtime::{Budget, BudgetName, OverBudget};
use bramble_signal::LogBatch;
use bramble_storage::{LogSink, PreparedLogs, Rejections, Sequence};
use libfuzzer_sys::fuzz_target;
use bramble_record::{Body, Decoder, Encoder, Targets};
use std::sync::Mutex;

#[derive(Default)]
struct Replayed(Mutex<Vec<(i64, Vec<u8>, Vec<u8>)>>);

impl LogSink for Replayed {
    fn prepare(&self, _: LogBatch, _: i64) -> Result<PreparedLogs, OverBudget> {
        unreachable!("a replay prepares nothing")
    }

    fn apply(&self, _: PreparedLogs, _: Sequence) {}

    fn replay(&self, batch: &LogBatch, _: Sequence) {
        bramble_fuzz::check_logs(batch);
        self.0.lock().unwrap().extend(entries(batch));
    }
}

fn entries(batch: &LogBatch) -> Vec<(i64, Vec<u8>, Vec<u8>)> {
    let entries = batch.streams().flat_map(|stream| stream.entries());
    entries.map(|e| (e.timestamp_ns, e.line.to_vec(), e.metadata.as_bytes().to_vec())).collect()
}

/// Lines of the input: each begins with its time, after a byte that says whether the text is metadata too.
fn batch(data: &[u8]) -> LogBatch {
    let mut batch = LogBatch::new();
    for (stream, lines) in data.split(|&byte| byte == 0xfd).enumerate() {
        batch.start_stream(&mut [("stream", &stream.to_string())]).unwrap();
        for line in lines.split(|&byte| byte == b'\n') {
            let time = line.iter().fold(0i64, |time, &byte| time.wrapping_mul(1_000_003).wrapping_add(byte.into()));
            let time = if line.first().is_some_and(|byte| byte & 1 == 1) { time } else { time / 1_000_000 * 1_000_000 };
            let text = String::from_utf8_lossy(line);
            let metadata = if line.len() & 1 == 1 { text.as_ref() } else { "" };
            batch.push_entry(time, line, &mut [("\u{1}id", metadata), ("level", "info")]).unwrap();
        }
    }
    batch
}

fuzz_target!(|data: &[u8]| {
    let replayed = Replayed::default();
    let targets = Targets { metrics: None, logs: Some(&replayed), spans: None };
    let Some((&first, data)) = data.split_first() else { return };
    if first == 0x12 || first == 0x02 {
        let mut record = vec![first];
        record.extend_from_slice(data);
        let _ = Decoder::default().replay(1, 1, &record, &targets);
        return;
    }
    let batch = batch(data);
    let space = Budget::standalone(BudgetName::LogHead, 1 << 20).reserve(0).unwrap();
    let expected = entries(&batch);
    let body = Body::Logs(PreparedLogs { batch, accepted: 0, rejections: Rejections::new(), space });
    let (mut encoder, mut decoder, mut from) =
        (Encoder::new(usize::from(first) * 16 + 64), Decoder::default(), Some(0));
    // Twice: the second time everything is known.
    for _ in 0..2 {
        encoder.enter(1);
        while let Some(next) = from {
            let mut record = Vec::new();
            from = encoder.encode(&body, next, &mut record);
            decoder.replay(1, 1, &record, &targets).expect("what was written is read");
        }
        assert_eq!(std::mem::take(&mut *replayed.0.lock().unwrap()), expected);
        from = Some(0);
    }
});
