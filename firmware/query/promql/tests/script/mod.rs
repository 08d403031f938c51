//! The grammar of promqltest scripts, read into commands.

use bramble_signal::{Labels, METRIC_NAME, stale_marker};

pub(crate) mod histogram;
mod load;
mod starts;

pub(crate) use load::LoadedSeries;

/// A value in an expected result.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Point {
    /// A number.
    Value(f64),
    /// `_`
    Missing,
    /// A native histogram.
    Histogram(histogram::Literal),
}

/// A series of an expected result.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    pub labels: Labels,
    pub points: Vec<Point>,
}

/// A text or a pattern; `Any` when neither is given.
#[derive(Clone, Debug)]
pub(crate) enum Text {
    Any,
    Message(String),
    Pattern(regex::Regex),
}

impl Text {
    pub(crate) fn matches(&self, text: &str) -> bool {
        match self {
            Text::Any => true,
            // An expected message may leave out the position.
            Text::Message(m) => {
                text == m || text.rsplit_once(" (").is_some_and(|(t, _)| t == m) || text.ends_with(m.as_str())
            }
            Text::Pattern(p) => p.is_match(text),
        }
    }
}

/// An `expect` line.
#[derive(Clone, Debug)]
pub(crate) enum Expect {
    Ordered,
    Fail(Text),
    Warn(Text),
    Info(Text),
    NoWarn,
    NoInfo,
    Text(String),
    Matrix,
}

/// An evaluation.
#[derive(Clone, Debug)]
pub(crate) struct Eval {
    pub line: usize,
    pub query: String,
    pub start_ms: i64,
    pub end_ms: i64,
    pub step_ms: Option<i64>,
    pub matrix_start_ms: Option<i64>,
    pub matrix_step_ms: Option<i64>,
    pub expects: Vec<Expect>,
    pub expected: Vec<Expected>,
}

impl Eval {
    /// Warnings (or infos) that must be there; `None` when nothing is said about them.
    pub(crate) fn wanted(&self, warnings: bool) -> Option<Vec<Text>> {
        let none = self.expects.iter().any(|e| match e {
            Expect::NoWarn => warnings,
            Expect::NoInfo => !warnings,
            _ => false,
        });
        let texts: Vec<Text> = self
            .expects
            .iter()
            .filter_map(|e| match e {
                Expect::Warn(t) if warnings => Some(t.clone()),
                Expect::Info(t) if !warnings => Some(t.clone()),
                _ => None,
            })
            .collect();
        (none || !texts.is_empty()).then_some(texts)
    }
}

pub(crate) enum Command {
    Clear,
    Load(Vec<LoadedSeries>),
    Eval(Eval),
    Unknown(usize, String),
}

/// All commands of a script.
pub(crate) fn parse(text: &str) -> Vec<Command> {
    let mut commands = Vec::new();
    let mut lines = text.lines().enumerate().peekable();
    while let Some((number, line)) = lines.next() {
        let line = line.trim_end();
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        let mut items = Vec::new();
        while let Some((_, next)) = lines.peek() {
            let blank = next.trim().is_empty();
            let comment = next.trim_start().starts_with('#');
            // Some files do not indent items.
            let command = ["clear", "load", "eval"].iter().any(|w| next.starts_with(w));
            if blank || command {
                break;
            }
            if !comment {
                items.push(next.trim().to_owned());
            }
            lines.next();
        }
        let line = line.trim();
        let word = line.split_whitespace().next().unwrap_or_default();
        commands.push(match word {
            "clear" => Command::Clear,
            "load" | "load_with_nhcb" => Command::Load(load::parse(line, &items)),
            w if w.starts_with("eval") => eval(number + 1, line, &items),
            _ => Command::Unknown(number + 1, line.to_owned()),
        });
    }
    commands
}

/// Milliseconds of `5m`, `1h30m`, `100`, `-1s`.
pub(crate) fn duration(text: &str) -> i64 {
    if let Ok(seconds) = text.parse::<f64>() {
        return (seconds * 1000.0).round() as i64;
    }
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut total = 0.0;
    while !rest.is_empty() {
        let split = rest.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let (number, tail) = rest.split_at(split);
        let unit_end = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let ms = match unit {
            "ms" => 1.0,
            "s" => 1000.0,
            "m" => 60_000.0,
            "h" => 3_600_000.0,
            "d" => 86_400_000.0,
            "w" => 604_800_000.0,
            "y" => 31_536_000_000.0,
            other => panic!("unit {other:?} in {text:?}"),
        };
        total += number.parse::<f64>().unwrap() * ms;
        rest = tail;
    }
    if negative { -(total as i64) } else { total as i64 }
}

/// `name{labels}` and what comes after.
fn labels_and_rest(item: &str) -> (Labels, &str) {
    if let Some(brace) = item.find('{').filter(|b| !item[..*b].contains([' ', '\t'])) {
        let name = &item[..brace];
        let mut quoted = false;
        let mut escaped = false;
        let close = item[brace..]
            .char_indices()
            .find(|(_, c)| {
                let end = *c == '}' && !quoted;
                if *c == '"' && !escaped {
                    quoted = !quoted;
                }
                escaped = *c == '\\' && !escaped;
                end
            })
            .map(|(at, _)| brace + at)
            .unwrap();
        let mut pairs = pairs(&item[brace + 1..close]);
        if !name.is_empty() {
            pairs.push((METRIC_NAME.to_owned(), name.to_owned()));
        }
        return (Labels::from_pairs(pairs), item[close + 1..].trim());
    }
    let (name, rest) = item.split_once([' ', '\t']).unwrap_or((item, ""));
    (Labels::from_pairs([(METRIC_NAME, name)]), rest.trim())
}

/// The pairs between braces, read by our own parser: `a="b"` as a matcher.
fn pairs(inside: &str) -> Vec<(String, String)> {
    let matchers =
        bramble_query_promql::parse_selector(&format!("{{{inside}}}")).unwrap_or_else(|e| panic!("{{{inside}}}: {e}"));
    matchers.into_iter().map(|m| (m.name, m.value)).collect()
}

/// Splits at blanks outside histogram literals.
fn words(text: &str) -> Vec<&str> {
    let (mut out, mut start, mut depth) = (Vec::new(), None, 0);
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if c.is_whitespace() && depth == 0 {
            if let Some(from) = start.take() {
                out.push(&text[from..at]);
            }
        } else if start.is_none() {
            start = Some(at);
        }
    }
    if let Some(from) = start {
        out.push(&text[from..]);
    }
    out
}

fn number(text: &str) -> Option<f64> {
    match text.to_ascii_lowercase().as_str() {
        "nan" => Some(f64::NAN),
        "inf" | "+inf" => Some(f64::INFINITY),
        "-inf" => Some(f64::NEG_INFINITY),
        "stale" => Some(stale_marker()),
        hex if hex.starts_with("0x") => i64::from_str_radix(&hex[2..], 16).ok().map(|v| v as f64),
        other => other.parse().ok(),
    }
}

/// `1 2+3x4 _x2 stale` as points.
pub(crate) fn points(text: &str) -> Vec<Point> {
    let mut out = Vec::new();
    for word in words(text) {
        if word.contains("{{") {
            out.extend(histograms(word).into_iter().map(Point::Histogram));
            continue;
        }
        let (body, times) = match word.rsplit_once('x') {
            Some((body, times)) if times.parse::<usize>().is_ok() && body != "0" => (body, times.parse().ok()),
            Some((body, times)) if times.parse::<usize>().is_ok() => (body, times.parse().ok()),
            _ => (word, None::<usize>),
        };
        if body == "_" {
            out.extend(vec![Point::Missing; times.unwrap_or(1)]);
            continue;
        }
        if let Some(value) = number(body) {
            out.extend(vec![Point::Value(value); times.map_or(1, |n| n + 1)]);
            continue;
        }
        let signs: Vec<usize> = body.char_indices().filter(|(_, c)| "+-".contains(*c)).map(|(at, _)| at).collect();
        let parts = signs.into_iter().rev().find_map(|at| Some((number(&body[..at])?, number(&body[at..])?)));
        let (first, step) = parts.unwrap_or_else(|| panic!("point {word:?}"));
        out.extend((0..=times.unwrap_or(0)).map(|i| Point::Value(first + step * i as f64)));
    }
    out
}

/// `{{…}}`, `{{…}}xn`, `{{…}}+{{…}}xn`.
fn histograms(word: &str) -> Vec<histogram::Literal> {
    let (body, times) = match word.rsplit_once('x').filter(|(head, _)| head.ends_with("}}")) {
        Some((body, times)) => (body, times.parse().unwrap()),
        None => (word, 0usize),
    };
    let sign = ["}}+{{", "}}-{{"].into_iter().find_map(|s| Some((body.find(s)? + 2, s.contains('+'))));
    let Some((at, adds)) = sign else { return vec![histogram::parse(body); times + 1] };
    let (mut next, step) = (histogram::parse(&body[..at]), histogram::parse(&body[at + 1..]));
    let mut out = vec![next.clone()];
    for _ in 0..times {
        let hint = next.histogram.reset_hint;
        match adds {
            true => next.histogram.add(&step.histogram).unwrap(),
            false => next.histogram.sub(&step.histogram).unwrap(),
        };
        next.histogram.reset_hint = hint;
        out.push(next.clone());
    }
    out
}

pub(crate) fn almost_equal(a: f64, b: f64) -> bool {
    if a.is_nan() && b.is_nan() || a == b {
        return true;
    }
    (a - b).abs() / (a.abs() + b.abs()).min(f64::MAX) < 1e-6 || (a == 0.0 || b == 0.0) && (a - b).abs() < 1e-30
}

fn eval(line_number: usize, line: &str, items: &[String]) -> Command {
    let mut words = line.split_whitespace();
    let first = words.next().unwrap();
    let mut eval = Eval {
        line: line_number,
        query: String::new(),
        start_ms: 0,
        end_ms: 0,
        step_ms: None,
        matrix_start_ms: None,
        matrix_step_ms: None,
        expects: Vec::new(),
        expected: Vec::new(),
    };
    match first {
        "eval_fail" => eval.expects.push(Expect::Fail(Text::Any)),
        "eval_warn" => eval.expects.push(Expect::Warn(Text::Any)),
        "eval_info" => eval.expects.push(Expect::Info(Text::Any)),
        "eval_ordered" => eval.expects.push(Expect::Ordered),
        _ => {}
    }
    let words: Vec<&str> = words.collect();
    let after = |n: usize| {
        let mut rest = line;
        for _ in 0..n {
            rest = rest.trim_start();
            rest = &rest[rest.find(char::is_whitespace).unwrap_or(rest.len())..];
        }
        rest.trim().to_owned()
    };
    match words.as_slice() {
        ["instant", "at", time, ..] => {
            eval.start_ms = duration(time);
            eval.end_ms = eval.start_ms;
            eval.query = after(4);
        }
        ["range", "from", from, "to", to, "step", step, ..] => {
            (eval.start_ms, eval.end_ms, eval.step_ms) = (duration(from), duration(to), Some(duration(step)));
            eval.query = after(8);
        }
        _ => return Command::Unknown(line_number, line.to_owned()),
    }
    for item in items {
        self::item(&mut eval, item);
    }
    Command::Eval(eval)
}

fn text_of(rest: &str) -> Text {
    let rest = rest.trim();
    if let Some(message) = rest.strip_prefix("msg:") {
        Text::Message(message.trim().to_owned())
    } else if let Some(pattern) = rest.strip_prefix("regex:") {
        Text::Pattern(regex::Regex::new(pattern.trim()).unwrap())
    } else {
        Text::Any
    }
}

fn replace_fail(eval: &mut Eval, text: Text) {
    eval.expects.retain(|e| !matches!(e, Expect::Fail(_)));
    eval.expects.push(Expect::Fail(text));
}

fn item(eval: &mut Eval, item: &str) {
    if let Some(text) = item.strip_prefix("expected_fail_message ") {
        return replace_fail(eval, Text::Message(text.trim().to_owned()));
    }
    if let Some(text) = item.strip_prefix("expected_fail_regexp ") {
        return replace_fail(eval, Text::Pattern(regex::Regex::new(text.trim()).unwrap()));
    }
    let Some(rest) = item.strip_prefix("expect ") else {
        return expected(eval, item);
    };
    let (word, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    eval.expects.push(match word {
        "ordered" => Expect::Ordered,
        "fail" => Expect::Fail(text_of(rest)),
        "warn" => Expect::Warn(text_of(rest)),
        "info" => Expect::Info(text_of(rest)),
        "no_warn" => Expect::NoWarn,
        "no_info" => Expect::NoInfo,
        "string" => Expect::Text(unquoted(rest)),
        "range" => {
            let words: Vec<&str> = rest.split_whitespace().collect();
            eval.matrix_start_ms = Some(duration(words[2]));
            eval.matrix_step_ms = Some(duration(words[6]));
            Expect::Matrix
        }
        other => panic!("expect {other}"),
    });
}

fn unquoted(text: &str) -> String {
    let matchers = bramble_query_promql::parse_selector(&format!("{{a={text}}}")).unwrap();
    matchers[0].value.clone()
}

fn expected(eval: &mut Eval, item: &str) {
    if let Some(value) = number(item) {
        eval.expected.push(Expected { labels: Labels::empty(), points: vec![Point::Value(value)] });
        return;
    }
    let (labels, rest) = labels_and_rest(item);
    eval.expected.push(Expected { labels, points: points(rest) });
}
