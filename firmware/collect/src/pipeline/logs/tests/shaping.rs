//! Stages that change, drop, join and count entries.

use super::{NOW, pipeline, run, shown};
use crate::pipeline::logs::{LogBuilder, LogPipeline, Outcome, RawLine, RedactConfig, Redactor};
use bramble_signal::Labels;
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;

#[test]
fn multiline_joins_and_bounds() {
    let yaml = "- multiline: { firstline: '^\\[', max_lines: 3 }";
    let lines = ["before", "[1] a", " b", "[2] c", " d", " e", " f", "[3] g"];
    assert_eq!(
        run(yaml, &lines),
        [
            r#"{app="a"} before"#,
            "{app=\"a\"} [1] a\n b",
            "{app=\"a\"} [2] c\n d\n e",
            r#"{app="a"}  f"#,
            r#"{app="a"} [3] g"#
        ]
    );
}

#[test]
fn drops() {
    for (stage, kept) in [
        ("- drop: { expression: 'debug' }", vec!["short", "a longer line"]),
        ("- drop: { longer_than: 6B }", vec!["short"]),
        ("- drop: { longer_than: 6, expression: long }", vec!["short", "debug it"]),
        (
            "- regex: { expression: '(?P<w>\\w+)' }\n- drop: { source: w, value: short }",
            vec!["debug it", "a longer line"],
        ),
        (
            "- regex: { expression: '(?P<w>d)(?P<v>e)' }\n- drop: { source: [w, v], value: 'd;e' }",
            vec!["short", "a longer line"],
        ),
        ("- drop: { source: nothing }", vec!["short", "debug it", "a longer line"]),
        ("- match: { selector: '{app=~\".*\"} |= \"debug\"', action: drop }", vec!["short", "a longer line"]),
    ] {
        let kept: Vec<String> = kept.iter().map(|k| format!(r#"{{app="a"}} {k}"#)).collect();
        assert_eq!(run(stage, &["short", "debug it", "a longer line"]), kept, "{stage}");
    }
    let yaml = "- timestamp: { source: line, format: Unix }\n- drop: { older_than: 1h }";
    let yaml = format!("- regex: {{ expression: '(?P<line>.*)' }}\n{yaml}");
    assert_eq!(run(&yaml, &["1699990000", "1699999999"]), [r#"{app="a"} @1699999999000000000 1699999999"#]);
}

#[test]
fn limits_drop_or_ask_to_wait() {
    let labels = [Labels::from_pairs([("app", "a")]), Labels::from_pairs([("app", "b")])];
    let mut out = LogBuilder::new();
    let mut first = pipeline("- limit: { rate: 1, burst: 2, drop: true, by_label_name: app }");
    let mut second = first.fork();
    for at in 0..3 {
        for (pipeline, labels) in [&mut first, &mut second].into_iter().zip(&labels) {
            pipeline.push(RawLine::new(NOW + at, labels.as_ref(), b"x"), &mut out);
        }
    }
    assert_eq!(out.finish().entry_count(), 4);
    first.push(RawLine::new(NOW + 1_500_000_000, labels[0].as_ref(), b"x"), &mut out);
    assert_eq!(out.len(), 1, "a token a second");
    first.tick(NOW, &mut out);
    second.tick(NOW, &mut out);
    let count = &first.counts()[0];
    assert_eq!((count.lines_in, count.lines_out, count.dropped, count.reason.as_str()), (7, 5, 2, "limit"));
    let mut waiting = pipeline("- limit: { rate: 10, burst: 1 }");
    let mut push = |at| waiting.push(RawLine::new(NOW + at, labels[0].as_ref(), b"x"), &mut out);
    assert_eq!((push(0), push(0), push(0)), (None, Some(Duration::from_millis(100)), Some(Duration::from_millis(200))));
}

#[test]
fn match_runs_stages_for_some() {
    let yaml = r#"
- match:
    selector: '{app="a"} |~ "^\\{"'
    stages:
      - json: { expressions: { msg: } }
      - drop: { source: msg, value: noise, drop_counter_reason: noise }
      - output: { source: msg }
- static_labels: { all: "yes" }
"#;
    assert_eq!(
        run(yaml, &[r#"{"msg":"m"}"#, r#"{"msg":"noise"}"#, "plain"]),
        [r#"{all="yes", app="a"} m"#, r#"{all="yes", app="a"} plain"#]
    );
    let mut pipeline = pipeline(yaml);
    let labels = Labels::from_pairs([("app", "a")]);
    let mut out = LogBuilder::new();
    pipeline.push(RawLine::new(NOW, labels.as_ref(), br#"{"msg":"noise"}"#), &mut out);
    pipeline.tick(NOW, &mut out);
    let counts: Vec<String> =
        pipeline.counts().iter().map(|c| format!("{} {} {}", c.place, c.stage, c.dropped)).collect();
    assert_eq!(counts, ["0 match 0", "0.0 json 0", "0.1 drop 1", "0.2 output 0", "1 static_labels 0"]);
}

#[test]
fn pack_template_replace_decolorize() {
    let yaml = "- regex: { expression: '(?P<w>\\w+)' }\n- pack: { labels: [app, w, none], ingest_timestamp: false }";
    assert_eq!(run(yaml, &["say \"x\"\t"]), [r#"{} {"_entry":"say \"x\"\t","app":"a","w":"say"}"#]);
    let yaml = r#"
- regex: { expression: '(?P<level>\w+)' }
- template: { source: level, template: '{{ if eq .Value "WARN" }}{{ Replace .Value "WARN" "warning" -1 }}{{ else }}{{ ToLower .Value }}{{ end }}' }
- template: { source: short, template: '{{ printf "%s!" .level }}' }
- labels: { level: , short: }
"#;
    assert_eq!(
        run(yaml, &["WARN x", "INFO y"]),
        [r#"{app="a", level="warning", short="warning!"} WARN x"#, r#"{app="a", level="info", short="info!"} INFO y"#]
    );
    for (stage, line, expected) in [
        (
            "- replace: { expression: 'password (\\S+)', replace: '****' }",
            "password a, password b",
            "password **** password ****",
        ),
        ("- replace: { expression: '(\\w+)@(\\w+)', replace: '{{ .Value | ToUpper }}' }", "a@b c@d", "A@B C@D"),
        ("- replace: { expression: 'x(\\d+)x', replace: '' }", "x12x", "xx"),
        ("- replace: { expression: '\\d+', replace: 'N' }", "12 and 34", "N and N"),
        ("- decolorize:", "\x1b[31mred\x1b[0m", "red"),
    ] {
        assert_eq!(run(stage, &[line]), [format!(r#"{{app="a"}} {expected}"#)], "{stage}");
    }
}

#[test]
fn sampling_keeps_its_share() {
    let lines = vec!["x"; 10_000];
    let kept = run("- sampling: { rate: 0.25 }", &lines).len();
    assert!((2200..2800).contains(&kept), "{kept}");
    assert_eq!(run("- sampling: { rate: 1 }", &lines).len(), 10_000);
    assert_eq!(run("- sampling: { rate: 0 }", &lines).len(), 0);
}

#[test]
fn series_out_of_lines() {
    let yaml = r#"
- logfmt: { mapping: { took: , status: } }
- metrics:
    requests_total: { type: Counter, source: status, config: { value: "500", action: inc } }
    bytes_total: { type: Counter, prefix: my_, config: { match_all: true, count_entry_bytes: true, action: add } }
    took_seconds: { type: Histogram, source: took, config: { buckets: [0.1, 1] } }
    last: { type: Gauge, source: status, config: { action: set } }
"#;
    let pipeline = pipeline(yaml);
    let registry = prometheus::Registry::new();
    registry.register(pipeline.collector("test")).unwrap();
    let labels = Labels::from_pairs([("app", "a")]);
    let mut out = LogBuilder::new();
    for (instance, line) in [(0, "took=50ms status=200"), (1, "took=0.5 status=500"), (0, "took=none status=500")] {
        let mut fork = pipeline.fork();
        fork.push(RawLine::new(NOW + instance, labels.as_ref(), line.as_bytes()), &mut out);
    }
    let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    for line in [
        r#"promtail_custom_requests_total{app="a"} 2"#,
        r#"my_bytes_total{app="a"} 59"#,
        r#"promtail_custom_took_seconds_bucket{app="a",le="0.1"} 1"#,
        r#"promtail_custom_took_seconds_bucket{app="a",le="1"} 2"#,
        r#"promtail_custom_took_seconds_count{app="a"} 2"#,
        r#"promtail_custom_last{app="a"} 500"#,
        r#"bramble_pipeline_stage_lines_total{direction="in",pipeline="test",place="1",stage="metrics"} 3"#,
        r#"bramble_pipeline_stage_errors_total{pipeline="test",place="1",stage="metrics"} 1"#,
    ] {
        assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
    }
}

#[test]
fn the_last_step_redacts_lines_and_metadata() {
    let redactor = Arc::new(Redactor::new(&RedactConfig::default()).unwrap());
    let mut pipeline = pipeline("- logfmt: { mapping: { api_token: } }\n- structured_metadata: { api_token: }")
        .redacting(Some(redactor));
    let (labels, mut out) = (Labels::from_pairs([("app", "a")]), LogBuilder::new());
    let line = "login password=hunter2 api_token=abcdef0123456789";
    let mut steps = Vec::new();
    pipeline.trace(RawLine::new(NOW, labels.as_ref(), line.as_bytes()), &mut out, |step| {
        steps.push((step.stage, step.outcome.clone(), String::from_utf8_lossy(&step.line).into_owned()));
    });
    let clean = "login password=<redacted:password> api_token=<redacted:secret>";
    assert_eq!(shown(&mut out), [format!(r#"{{app="a"}} {{api_token="<redacted:secret>"}} {clean}"#)]);
    assert_eq!(steps.len(), 4);
    assert_eq!(steps[3], ("redaction", Outcome::Passed, clean.to_owned()));
}

#[test]
fn without_stages_lines_pass() {
    let mut pipeline = LogPipeline::compile(&[]).unwrap();
    let labels = Labels::from_pairs([("app", "a")]);
    let mut out = LogBuilder::new();
    pipeline.push(RawLine::new(5, labels.as_ref(), b"x \xff"), &mut out);
    assert_eq!(out.finish().entry(0).line, b"x \xff");
}

proptest! {
    /// Whatever the lines, no line is lost or made up by a pipeline that drops none.
    #[test]
    fn joining_loses_nothing(lines in prop::collection::vec("[\\[ a]{1,4}", 0..40)) {
        let joined: Vec<&str> = lines.iter().map(String::as_str).collect();
        let shown = run("- multiline: { firstline: '^\\[' }", &joined);
        let texts: Vec<&str> = shown.iter().map(|s| s.strip_prefix("{app=\"a\"} ").unwrap()).collect();
        prop_assert_eq!(texts.join("\n"), joined.join("\n"));
    }
}
