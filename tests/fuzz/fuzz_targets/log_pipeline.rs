//! Any text as stages and any bytes as lines: what compiles takes whatever lines, and holds what it says of them.
//! The input is the stages in YAML, a line `---`, and the lines.
#![no_main]

use bramble_collect::pipeline::logs::{LogBuilder, LogPipeline, RawLine, RedactConfig, Redactor, config::stages_of_jobs};
use bramble_signal::{Labels, LabelsRef};
use libfuzzer_sys::fuzz_target;
use std::sync::{Arc, LazyLock};

static REDACTOR: LazyLock<Arc<Redactor>> =
    LazyLock::new(|| Arc::new(Redactor::new(&RedactConfig::default()).expect("the kinds are ours")));
const NOW: i64 = 1_700_000_000_000_000_000;

fuzz_target!(|input: &[u8]| {
    let cut = input.windows(5).position(|w| w == b"\n---\n");
    let (stages, lines) = cut.map_or((input, &b""[..]), |at| (&input[..at], &input[at + 5..]));
    let Ok(stages) = std::str::from_utf8(stages) else { return };
    let Ok(jobs) = stages_of_jobs(stages) else { return };
    let Some((_, stages)) = jobs.first() else { return };
    let Ok(pipeline) = LogPipeline::compile(stages) else { return };
    let mut pipeline = pipeline.redacting(Some(REDACTOR.clone()));
    let labels = Labels::from_pairs([("app", "web"), ("env", "dev")]);
    let (mut out, mut pushed) = (LogBuilder::new(), 0);
    for (mark, line) in lines.split(|b| *b == b'\n').enumerate() {
        let raw = RawLine { mark: mark as u64, ..RawLine::new(NOW + mark as i64, labels.as_ref(), line) };
        pipeline.push(raw, &mut out);
        pushed += 1;
        assert!(pipeline.held().is_none_or(|held| held <= mark as u64), "what is held was pushed");
    }
    pipeline.tick(NOW + 1_000_000_000, &mut out);
    pipeline.flush(NOW, &mut out);
    assert_eq!(pipeline.held(), None, "nothing waits after the end");
    // No stage makes two entries of one line.
    let batch = out.finish();
    assert!(batch.entry_count() <= pushed);
    for stream in batch.streams() {
        assert!(LabelsRef::parse(stream.labels().as_bytes()).is_some(), "labels are a set");
        for entry in stream.entries() {
            assert!(LabelsRef::parse(entry.metadata.as_bytes()).is_some(), "metadata is a set");
        }
    }
});
