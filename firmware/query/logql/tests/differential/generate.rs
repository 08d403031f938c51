//! Random queries, as trees and as text.

use super::data::{NAMES, Random, VALUES};

pub(crate) type Names = Vec<&'static str>;

#[derive(Clone, Debug)]
pub(crate) enum Test {
    Text { name: &'static str, op: &'static str, value: &'static str },
    Number { name: &'static str, op: &'static str, text: &'static str, kind: Kind },
    Ip { name: &'static str, text: &'static str },
    And(Box<Test>, Box<Test>),
    Or(Box<Test>, Box<Test>),
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Kind {
    Plain,
    Duration,
    Bytes,
}

#[derive(Clone, Debug)]
pub(crate) enum Stage {
    /// `|=`, `!=`, `|~`, `!~`, `|>`, `!>`
    Line {
        op: &'static str,
        texts: Names,
    },
    LineIp(&'static str),
    Json,
    JsonSome(Vec<(&'static str, &'static str)>),
    Logfmt {
        strict: bool,
        keep_empty: bool,
    },
    LogfmtSome(Vec<(&'static str, &'static str)>),
    Regexp(&'static str),
    Pattern(&'static str),
    Unpack,
    Test(Test),
    LineFormat(&'static str),
    LabelFormat {
        target: &'static str,
        from: &'static str,
        template: bool,
    },
    Decolorize,
    Drop(Vec<(&'static str, Option<&'static str>)>),
    Keep(Vec<(&'static str, Option<&'static str>)>),
}

#[derive(Clone, Debug)]
pub(crate) struct Log {
    pub(crate) selector: &'static str,
    pub(crate) stages: Vec<Stage>,
}

#[derive(Clone, Debug)]
pub(crate) struct Grouping {
    pub(crate) without: bool,
    pub(crate) names: Names,
}

#[derive(Clone, Debug)]
pub(crate) struct Range {
    pub(crate) op: &'static str,
    pub(crate) log: Log,
    pub(crate) unwrap: Option<(&'static str, Kind, Option<Test>)>,
    pub(crate) seconds: i64,
    pub(crate) offset: i64,
    pub(crate) grouping: Option<Grouping>,
}

#[derive(Clone, Debug)]
pub(crate) enum Sample {
    Range(Range),
    Aggregate(&'static str, Option<Grouping>, Box<Sample>),
    Number(&'static str, Box<Sample>, f64),
    Between(&'static str, Box<Sample>, Box<Sample>),
}

pub(crate) const SELECTORS: [&str; 3] = [r#"{app=~".+"}"#, r#"{app="api"}"#, r#"{app=~"a.*|web"}"#];
pub(crate) const TEMPLATES: [&str; 8] = [
    "{{.level}}/{{.app}}",
    "{{ToUpper .user}} {{.msg | ToLower}}",
    r#"{{if eq .level "info"}}I{{else if .status}}S{{else}}-{{end}}"#,
    "{{len __line__}}",
    "{{with .took}}t={{.}}{{end}}",
    r#"{{$x := .status}}{{range $i, $v := fromJson "[1,2]"}}{{$i}}{{$x}},{{end}}"#,
    "{{.size | bytes}}",
    r#"{{define "h"}}<{{.host}}>{{end}}{{template "h" .}}{{default "none" .trace_id}}"#,
];

pub(crate) const REGEXPS: [&str; 3] =
    [r"(?P<status>\d+)(?:\.(?P<msg>\d))?", r"level=(?P<level>\w+)", r"(?P<app>[a-z]+) (?P<user>.)"];
pub(crate) const PATTERNS: [&str; 3] = [r#"<ip> - <user> [<_>] "<_>" <status>"#, "<_>=<msg> <_>", "level=<level> <_>"];

fn name(random: &mut Random) -> &'static str {
    if random.one_in(12) { random.pick(&["__error__", "app_extracted", "user_extracted"]) } else { random.pick(&NAMES) }
}

fn test(random: &mut Random, depth: usize) -> Test {
    let name = name(random);
    match random.below(if depth > 2 { 7 } else { 10 }) {
        0..=3 => {
            let op = random.pick(&["=", "!=", "=~", "!~"]);
            let regex = op.ends_with('~');
            let value = if regex { random.pick(&["a|b", ".*o.*", "\\d+", "", "10.*"]) } else { random.pick(&VALUES) };
            Test::Text { name, op, value }
        }
        4 | 5 => {
            let (kind, texts): (Kind, &[&'static str]) = match random.below(3) {
                0 => (Kind::Plain, &["5", "7", "12.5", "-4"]),
                1 => (Kind::Duration, &["250ms", "1s", "1h"]),
                _ => (Kind::Bytes, &["1KB", "3MiB", "2kb"]),
            };
            Test::Number {
                name,
                op: random.pick(&["=", "==", "!=", ">", ">=", "<", "<="]),
                text: random.pick(texts),
                kind,
            }
        }
        6 => Test::Ip { name, text: random.pick(&["10.0.0.0/8", "10.0.0.7", "10.0.0.3-10.0.0.8"]) },
        n => {
            let (a, b) = (Box::new(test(random, depth + 1)), Box::new(test(random, depth + 1)));
            if n == 7 { Test::Or(a, b) } else { Test::And(a, b) }
        }
    }
}

fn conditions(random: &mut Random) -> Vec<(&'static str, Option<&'static str>)> {
    (0..1 + random.below(3))
        .map(|_| (name(random), random.one_in(3).then(|| *random.pick(&[&"a", &"info", &"7"]))))
        .collect()
}

fn some<T: Copy>(random: &mut Random, all: &[T]) -> Vec<T> {
    let kept: Vec<T> = all.iter().copied().filter(|_| random.one_in(2)).collect();
    if kept.is_empty() { vec![all[0]] } else { kept }
}

fn stage(random: &mut Random) -> Stage {
    match random.below(24) {
        0..=2 => {
            let op = random.pick(&["|=", "!=", "|~", "!~"]);
            let texts: &[&'static str] = if op.ends_with('~') {
                &["a", "\\d\\d", "^\\{", "level=(info|error)"]
            } else {
                &["a", "level", "10.", "\"", ""]
            };
            Stage::Line { op, texts: (0..1 + random.below(2)).map(|_| random.pick(texts)).collect() }
        }
        3 => {
            let op = random.pick(&["|>", "!>"]);
            let texts = (0..1 + random.below(2)).map(|_| random.pick(&["<_> - <_>", "{<_>}", "<_>level=<_>", "a<_>"]));
            Stage::Line { op, texts: texts.collect() }
        }
        4 => Stage::LineIp(random.pick(&["10.0.0.0/8", "10.0.0.7", "10.0.0.3-10.0.0.8"])),
        5..=8 => Stage::Json,
        9 => Stage::JsonSome(some(
            random,
            &[("x", "status"), ("y", "u.id"), ("z", "[\"x-y\"]"), ("w", "user[1]"), ("app", "app")],
        )),
        10 | 11 => Stage::Logfmt { strict: random.one_in(3), keep_empty: random.one_in(3) },
        12 => Stage::LogfmtSome(some(random, &[("lv", "level"), ("st", "status"), ("app", "app"), ("xy", "x-y")])),
        13 => Stage::Regexp(random.pick(&REGEXPS)),
        14 => Stage::Pattern(random.pick(&PATTERNS)),
        15 => Stage::Unpack,
        16..=18 => Stage::Test(test(random, 0)),
        19 => Stage::LineFormat(random.pick(&TEMPLATES)),
        20 => {
            let template = random.one_in(2);
            let from = if template { random.pick(&TEMPLATES) } else { name(random) };
            Stage::LabelFormat { target: random.pick(&NAMES), from, template }
        }
        21 => Stage::Decolorize,
        22 => Stage::Drop(conditions(random)),
        _ => Stage::Keep(conditions(random)),
    }
}

pub(crate) fn log(random: &mut Random) -> Log {
    let count = random.below(6);
    Log { selector: random.pick(&SELECTORS), stages: (0..count).map(|_| stage(random)).collect() }
}

fn grouping(random: &mut Random) -> Grouping {
    let all = ["app", "level", "host", "user", "trace_id", "status", "app_extracted"];
    Grouping { without: random.one_in(3), names: some(random, &all) }
}

fn range(random: &mut Random) -> Range {
    let mut log = log(random);
    let seconds = [1, 5, 20, 60][random.below(4)];
    let offset = [0, 0, 5, -10][random.below(4)];
    if random.one_in(2) {
        log.stages.push(Stage::Test(Test::Text { name: "__error__", op: "=", value: "" }));
    }
    let ignore = Test::Text { name: "__error__", op: "=", value: "" };
    if random.one_in(2) {
        let op = random.pick(&["count_over_time", "rate", "bytes_over_time", "bytes_rate", "absent_over_time"]);
        return Range { op, log, unwrap: None, seconds, offset, grouping: None };
    }
    let (op, groups) = *random.pick(&[
        &("sum_over_time", false),
        &("avg_over_time", true),
        &("min_over_time", true),
        &("max_over_time", true),
        &("stddev_over_time", true),
        &("stdvar_over_time", true),
        &("first_over_time", true),
        &("last_over_time", true),
        &("quantile_over_time", true),
        &("rate", false),
        &("absent_over_time", false),
    ]);
    let (label, kind) = *random.pick(&[
        &("status", Kind::Plain),
        &("took", Kind::Duration),
        &("size", Kind::Bytes),
        &("took", Kind::Plain),
        &("msg", Kind::Plain),
    ]);
    let test = if random.one_in(6) {
        None
    } else if random.one_in(3) {
        Some(test(random, 2))
    } else {
        Some(ignore)
    };
    let grouping = (groups && random.one_in(2)).then(|| grouping(random));
    Range { op, log, unwrap: Some((label, kind, test)), seconds, offset, grouping }
}

pub(crate) fn sample(random: &mut Random) -> Sample {
    let inner = Sample::Range(range(random));
    let aggregate = |random: &mut Random, inner: Sample| {
        let op = random.pick(&["sum", "sum", "sum", "avg", "min", "max", "count", "stddev", "stdvar"]);
        let grouping = (!random.one_in(4)).then(|| grouping(random));
        Sample::Aggregate(op, grouping, Box::new(inner))
    };
    match random.below(8) {
        0 | 1 => inner,
        2..=5 => aggregate(random, inner),
        6 => {
            let inner = aggregate(random, inner);
            let op = random.pick(&["+", "-", "*", "/", "%", ">", "<=", "== bool", "> bool"]);
            Sample::Number(op, Box::new(inner), [0.0, 1.0, 2.5][random.below(3)])
        }
        _ => {
            let group = Grouping { without: false, names: vec!["app"] };
            let side = |inner| Box::new(Sample::Aggregate("sum", Some(group.clone()), Box::new(inner)));
            let op = random.pick(&["+", "/", ">", "and", "or", "unless"]);
            Sample::Between(op, side(inner), side(Sample::Range(range(random))))
        }
    }
}

fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn test_text(test: &Test) -> String {
    match test {
        Test::Text { name, op, value } => format!("{name}{op}{}", quote(value)),
        Test::Number { name, op, text, .. } => format!("{name} {op} {text}"),
        Test::Ip { name, text } => format!("{name}=ip({})", quote(text)),
        Test::And(a, b) => format!("({} and {})", test_text(a), test_text(b)),
        Test::Or(a, b) => format!("({} or {})", test_text(a), test_text(b)),
    }
}

fn pairs(all: &[(&str, &str)]) -> String {
    all.iter().map(|(n, p)| format!("{n}={}", quote(p))).collect::<Vec<_>>().join(", ")
}

fn conditions_text(all: &[(&str, Option<&str>)]) -> String {
    let one = |(name, value): &(&str, Option<&str>)| match value {
        Some(value) => format!("{name}={}", quote(value)),
        None => (*name).to_owned(),
    };
    all.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn stage_text(stage: &Stage) -> String {
    match stage {
        Stage::Line { op, texts } => {
            format!("{op} {}", texts.iter().map(|t| quote(t)).collect::<Vec<_>>().join(" or "))
        }
        Stage::LineIp(text) => format!("|= ip({})", quote(text)),
        Stage::Json => "| json".to_owned(),
        Stage::JsonSome(paths) => format!("| json {}", pairs(paths)),
        Stage::Logfmt { strict, keep_empty } => format!(
            "| logfmt{}{}",
            if *strict { " --strict" } else { "" },
            if *keep_empty { " --keep-empty" } else { "" }
        ),
        Stage::LogfmtSome(keys) => format!("| logfmt {}", pairs(keys)),
        Stage::Regexp(text) => format!("| regexp {}", quote(text)),
        Stage::Pattern(text) => format!("| pattern {}", quote(text)),
        Stage::Unpack => "| unpack".to_owned(),
        Stage::Test(test) => format!("| {}", test_text(test)),
        Stage::LineFormat(template) => format!("| line_format {}", quote(template)),
        Stage::LabelFormat { target, from, template: false } => format!("| label_format {target}={from}"),
        Stage::LabelFormat { target, from, .. } => format!("| label_format {target}={}", quote(from)),
        Stage::Decolorize => "| decolorize".to_owned(),
        // A filter `!= "a"` behind a bare name would be read as the name's condition; this one, which all lines pass, is not.
        Stage::Drop(names) => format!("| drop {} |= \"\"", conditions_text(names)),
        Stage::Keep(names) => format!("| keep {} |= \"\"", conditions_text(names)),
    }
}

pub(crate) fn log_text(log: &Log) -> String {
    let stages: Vec<String> = log.stages.iter().map(stage_text).collect();
    format!("{} {}", log.selector, stages.join(" "))
}

fn grouping_text(grouping: Option<&Grouping>) -> String {
    grouping
        .map_or(String::new(), |g| format!(" {} ({})", if g.without { "without" } else { "by" }, g.names.join(", ")))
}

pub(crate) fn sample_text(sample: &Sample) -> String {
    match sample {
        Sample::Range(r) => {
            let quantile = if r.op == "quantile_over_time" { "0.7, " } else { "" };
            let unwrap = r.unwrap.as_ref().map_or(String::new(), |(label, kind, test)| {
                let label = match kind {
                    Kind::Plain => (*label).to_owned(),
                    Kind::Duration => format!("duration({label})"),
                    Kind::Bytes => format!("bytes({label})"),
                };
                let test = test.as_ref().map_or(String::new(), |t| format!(" | {}", test_text(t)));
                format!(" | unwrap {label}{test}")
            });
            let offset = if r.offset == 0 { String::new() } else { format!(" offset {}s", r.offset) };
            let grouping = grouping_text(r.grouping.as_ref());
            format!("{}({quantile}{}{unwrap} [{}s]{offset}){grouping}", r.op, log_text(&r.log), r.seconds)
        }
        Sample::Aggregate(op, grouping, inner) => {
            format!("{op}{} ({})", grouping_text(grouping.as_ref()), sample_text(inner))
        }
        Sample::Number(op, inner, number) => format!("{} {op} {number}", sample_text(inner)),
        Sample::Between(op, a, b) => format!("{} {op} {}", sample_text(a), sample_text(b)),
    }
}
