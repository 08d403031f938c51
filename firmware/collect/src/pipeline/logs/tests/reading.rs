//! Stages that read values, times and labels.

use super::{NOW, pipeline, run, shown, stages};
use crate::pipeline::logs::{LogBuilder, LogPipeline, RawLine};
use bramble_signal::Labels;

#[test]
fn broken_json_leaves_lines_alone_or_drops_them() {
    let lines = [r#"{"level":"info""#, r#"{"level":null}"#, "[{\"level\":\"x\"}]"];
    let keep = "- json: { expressions: { level: } }\n- labels: { level: }";
    assert_eq!(
        run(keep, &lines),
        [r#"{app="a"} {"level":"info""#, r#"{app="a"} {"level":null}"#, r#"{app="a"} [{"level":"x"}]"#]
    );
    let drop = "- json: { expressions: { level: '\"level\"' }, drop_malformed: true }";
    assert_eq!(run(drop, &lines), [r#"{app="a"} {"level":null}"#, r#"{app="a"} [{"level":"x"}]"#]);
}

#[test]
fn nested_json_by_source_and_numbers_as_go_prints_them() {
    let yaml = r#"
- json: { expressions: { log: } }
- json: { source: log, expressions: { a: "x[-1].y", big: big, e: e, t: t } }
- labels: { a: , big: , e: , t: }
"#;
    let line = r#"{"log":"{\"x\":[{\"y\":1},{\"y\":2.50}],\"big\":12345678901234567,\"e\":1e3,\"t\":true}"}"#;
    assert_eq!(
        run(yaml, &[line]),
        [format!(r#"{{a="2.5", app="a", big="12345678901234567", e="1000", t="true"}} {line}"#)]
    );
}

#[test]
fn logfmt_regex_pattern() {
    let yaml = "- logfmt: { mapping: { l: level, dur: } }\n- labels: { level: l }\n- structured_metadata: { dur: }";
    assert_eq!(
        run(yaml, &[r#"level=warn dur="1 s" x"#]),
        [r#"{app="a", level="warn"} {dur="1 s"} level=warn dur="1 s" x"#]
    );
    let yaml = r#"
- regex: { expression: '^(?P<ip>\S+) (?P<user>\S+)(?: (?P<rest>.*))?$' }
- labels: { user: , rest: }
- regex: { source: ip, expression: '^(?P<net>\d+\.\d+)', labels_from_groups: true }
"#;
    assert_eq!(
        run(yaml, &["10.1.2.3 bob", "none"]),
        [r#"{app="a", net="10.1", user="bob"} 10.1.2.3 bob"#, r#"{app="a"} none"#]
    );
    let yaml = "- pattern: { pattern: '<ip> - <_> [<time>] <rest>', labels_from_groups: true }\n- labeldrop: [rest]";
    assert_eq!(
        run(yaml, &["1.2.3.4 - x [now] GET /"]),
        [r#"{app="a", ip="1.2.3.4", time="now"} 1.2.3.4 - x [now] GET /"#]
    );
}

#[test]
fn labels_are_values_too() {
    let yaml = r#"
- labels: { copy: app }
- static_labels: { env: prod, none: }
- labeldrop: [app]
- template: { source: text, template: "{{ .app }}-{{ .env }}-{{ .Entry }}" }
- output: { source: text }
- tenant: { value: t1 }
- labelallow: [copy, env, tenant]
"#;
    // Values are the labels that a line came with; what stages set is no value.
    assert_eq!(run(yaml, &["x"]), [r#"{copy="a", env="prod", tenant="t1"} a--x"#]);
}

#[test]
fn times_that_cannot_be_read() {
    let of = |action: &str| {
        let yaml = format!(
            "- regex: {{ expression: '^(?P<t>\\S+)' }}\n- timestamp: {{ source: t, format: Unix, fallback_formats: \
             ['2006-01-02T15:04'], location: Europe/Berlin, action_on_failure: {action} }}"
        );
        run(&yaml, &["a", "1700000001 b", "c", "d", "2023-11-14T23:14 e"])
    };
    let later = "@1700000040000000000";
    assert_eq!(
        of("fudge"),
        [
            r#"{app="a"} a"#.to_owned(),
            r#"{app="a"} @1700000001000000000 1700000001 b"#.to_owned(),
            r#"{app="a"} @1700000001000000001 c"#.to_owned(),
            r#"{app="a"} @1700000001000000002 d"#.to_owned(),
            format!(r#"{{app="a"}} {later} 2023-11-14T23:14 e"#)
        ]
    );
    assert_eq!(of("skip")[2..4], [r#"{app="a"} c"#, r#"{app="a"} d"#]);
}

#[test]
fn cri_pieces_are_joined() {
    let yaml = "- cri: {}";
    let time = "2023-11-14T22:13:20.000000000Z";
    let lines = [
        format!("{time} stdout F whole"),
        format!("{time} stdout P one "),
        format!("{time} stderr F between"),
        format!("{time} stdout P two "),
        format!("{time} stdout F three"),
        format!("{time} stdout F "),
        format!("{time} stdout F"),
        "not of a runtime".to_owned(),
        format!("{time} stdout P never ends"),
    ];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    assert_eq!(
        run(yaml, &lines),
        [
            r#"{app="a", stream="stdout"} whole"#,
            r#"{app="a", stream="stdout"} one two three"#,
            r#"{app="a", stream="stdout"} "#,
            r#"{app="a", stream="stdout"} "#,
            r#"{app="a", stream="stdout"} never ends"#,
            r#"{app="a", stream="stderr"} between"#,
            r#"{app="a"} not of a runtime"#,
        ]
    );
}

#[test]
fn docker_lines() {
    let lines = [
        r#"{"log":"whole\n","stream":"stdout","time":"2023-11-14T22:13:20Z"}"#,
        r#"{"log":"a \"b\" ","stream":"stderr","time":"2023-11-14T22:13:20Z"}"#,
        r#"{"log":"c\r\n","stream":"stderr","time":"2023-11-14T22:13:20Z"}"#,
        "text",
    ];
    assert_eq!(
        run("- docker: {}", &lines),
        [r#"{app="a", stream="stdout"} whole"#, r#"{app="a", stream="stderr"} a "b" c"#, r#"{app="a"} text"#]
    );
}

#[test]
fn pieces_too_long_are_cut_or_passed_on() {
    let line = |flag: &str, text: &str| format!("2023-11-14T22:13:20Z stdout {flag} {text}");
    let lines = [line("P", "aaaa"), line("P", "bbbb"), line("F", "cccc")];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let cut = "- cri: { max_partial_line_size: 6, max_partial_line_size_truncate: true }";
    assert_eq!(run(cut, &lines), [r#"{app="a", stream="stdout"} aaaabb"#]);
    let whole = "- cri: { max_partial_line_size: 6 }";
    assert_eq!(run(whole, &lines), [r#"{app="a", stream="stdout"} aaaa"#, r#"{app="a", stream="stdout"} bbbbcccc"#]);
}

#[test]
fn what_is_held_is_known_by_its_mark() {
    let mut pipeline = pipeline("- cri: {}\n- multiline: { firstline: '^\\S' }");
    let (labels, mut out) = (Labels::from_pairs([("app", "a")]), LogBuilder::new());
    let push = |pipeline: &mut LogPipeline, mark, text: &str, out: &mut LogBuilder| {
        let line = format!("2023-11-14T22:13:20Z stdout {text}");
        pipeline.push(RawLine { mark, ..RawLine::new(NOW, labels.as_ref(), line.as_bytes()) }, out);
        pipeline.held()
    };
    assert_eq!(push(&mut pipeline, 10, "F first", &mut out), Some(10));
    assert_eq!(push(&mut pipeline, 20, "P  second", &mut out), Some(10));
    assert_eq!(push(&mut pipeline, 30, "F  goes on", &mut out), Some(10));
    assert_eq!(out.len(), 0);
    assert_eq!(push(&mut pipeline, 40, "F third", &mut out), Some(40));
    assert_eq!(shown(&mut out), ["{app=\"a\", stream=\"stdout\"} first\n second goes on"]);
    pipeline.tick(NOW + 1_000_000_000, &mut out);
    assert!(out.is_empty(), "it has not waited long enough");
    pipeline.tick(NOW + 3_000_000_000, &mut out);
    assert_eq!((shown(&mut out).len(), pipeline.held()), (1, None));
}

#[test]
fn what_is_not_served_is_refused_by_name_and_place() {
    for (yaml, error) in [
        ("- json: {}", "pipeline_stages[0]: json: expressions: at least one is needed"),
        (
            "- json: { expressions: { a: 'b | c' } }",
            "pipeline_stages[0]: json: expressions: unexpected text; of JMESPath, names, \"quoted names\" and [indexes] \
             joined by dots are served: b | c",
        ),
        (
            "- docker:\n- regex: { expression: 'a' }",
            "pipeline_stages[1]: regex: expression: needs a named group, (?P<name>…): a",
        ),
        (
            "- match: { selector: '{a=\"b\"}', stages: [ { labels: { 'x-y': } } ] }",
            "pipeline_stages[0].match.stages[0]: labels: invalid label name: \"x-y\"",
        ),
        (
            "- geoip: { db: x }",
            "pipeline_stages[0]: geoip: not served: it needs MaxMind's database; look addresses up where the logs are read",
        ),
        (
            "- timestamp: { source: t, format: RFC3339, location: Middle/Earth }",
            "pipeline_stages[0]: timestamp: location: time zone Middle/Earth: ",
        ),
        ("- limit: { rate: 0, burst: 1 }", "pipeline_stages[0]: limit: rate: must be a positive number: 0"),
        ("- template: { source: a, template: '{{ nonsense }}' }", "pipeline_stages[0]: template: template: "),
        ("- drop: {}", "pipeline_stages[0]: drop: one of source, expression, older_than and longer_than is needed"),
        ("- drop: { older_than: soon }", "pipeline_stages[0]: drop: older_than: not a positive duration"),
        ("- match: { selector: '{a=', action: drop }", "pipeline_stages[0]: match: selector: parse error"),
    ] {
        let refused = LogPipeline::compile(&stages(yaml)).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(refused.starts_with(error), "{yaml}: {refused}");
    }
}

#[test]
fn unknown_stages_and_fields_are_named_by_the_reader() {
    for (yaml, named) in [("- jsn: {}", "jsn"), ("- json: { expresions: {} }", "expresions")] {
        let refused = serde_saphyr::from_str::<Vec<crate::pipeline::logs::StageConfig>>(yaml).err();
        assert!(refused.is_some_and(|e| e.to_string().contains(named)), "{yaml}");
    }
}
