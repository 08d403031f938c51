//! Pipelines as they are written, lines in and entries out.

mod reading;
mod shaping;

use super::*;
use bramble_signal::Labels;

fn stages(yaml: &str) -> Vec<StageConfig> {
    serde_saphyr::from_str(yaml).unwrap_or_else(|e| panic!("{e}"))
}

fn pipeline(yaml: &str) -> LogPipeline {
    LogPipeline::compile(&stages(yaml)).unwrap_or_else(|e| panic!("{e}"))
}

/// 2023-11-14T22:13:20Z.
const NOW: i64 = 1_700_000_000_000_000_000;

/// Entries as `labels metadata @time line`, by stream; the time is left out when it is that of the reading.
fn shown(out: &mut LogBuilder) -> Vec<String> {
    let batch = out.finish();
    let mut all = Vec::new();
    for stream in batch.streams() {
        for entry in stream.entries() {
            let metadata = if entry.metadata.is_empty() { String::new() } else { format!(" {}", entry.metadata) };
            let time = if entry.timestamp_ns == NOW { String::new() } else { format!(" @{}", entry.timestamp_ns) };
            all.push(format!("{}{metadata}{time} {}", stream.labels(), String::from_utf8_lossy(entry.line)));
        }
    }
    all
}

/// Lines of the stream `{app="a"}` through stages, to the end.
fn run(yaml: &str, lines: &[&str]) -> Vec<String> {
    let mut pipeline = pipeline(yaml);
    let labels = Labels::from_pairs([("app", "a")]);
    let mut out = LogBuilder::new();
    for line in lines {
        pipeline.push(RawLine::new(NOW, labels.as_ref(), line.as_bytes()), &mut out);
    }
    pipeline.flush(NOW, &mut out);
    shown(&mut out)
}

#[test]
fn json_labels_timestamp_output() {
    let yaml = r#"
- json:
    expressions: { level: , ts: time, message: "log.msg", first: "tags[0]", odd: '"x-id"' }
- labels: { level: , tag: first }
- structured_metadata: { odd: }
- timestamp: { source: ts, format: RFC3339Nano }
- output: { source: message }
"#;
    assert_eq!(
        run(
            yaml,
            &[
                r#"{"level":"info","time":"2023-11-14T22:13:21.5Z","log":{"msg":"hello \"you\""},"tags":["t"],"x-id":1.50}"#,
                "no json"
            ]
        ),
        [
            r#"{app="a", level="info", tag="t"} {odd="1.5"} @1700000001500000000 hello "you""#,
            r#"{app="a"} @1700000001500000001 no json"#
        ]
    );
}
