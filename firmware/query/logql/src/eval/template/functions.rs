//! Functions of templates: Go's own, and those that Loki adds.

use super::codec::{base64, base64_decode, url_decode, url_encode};
use super::hash;
use super::logic::logic;
use super::math::numbers;
use super::printf::{print, printf};
use super::time;
use super::value::Value;
use bramble_line::regexp::complaint;

const NAMES: [&str; 88] = [
    "Hash",
    "Sha2Hash",
    "__line__",
    "__timestamp__",
    "ToLower",
    "ToUpper",
    "lower",
    "upper",
    "title",
    "Replace",
    "replace",
    "Trim",
    "TrimLeft",
    "TrimRight",
    "TrimPrefix",
    "TrimSuffix",
    "TrimSpace",
    "trim",
    "trimAll",
    "trimPrefix",
    "trimSuffix",
    "substr",
    "trunc",
    "regexReplaceAll",
    "regexReplaceAllLiteral",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "and",
    "or",
    "not",
    "len",
    "index",
    "print",
    "println",
    "printf",
    "int",
    "float64",
    "add",
    "sub",
    "mul",
    "div",
    "mod",
    "addf",
    "subf",
    "mulf",
    "divf",
    "max",
    "min",
    "maxf",
    "minf",
    "ceil",
    "floor",
    "round",
    "default",
    "contains",
    "hasPrefix",
    "hasSuffix",
    "count",
    "repeat",
    "indent",
    "nindent",
    "b64enc",
    "b64dec",
    "urlencode",
    "urldecode",
    "duration",
    "duration_seconds",
    "bytes",
    "alignLeft",
    "alignRight",
    "unixEpoch",
    "unixEpochMillis",
    "unixEpochNanos",
    "unixToTime",
    "date",
    "toDate",
    "toDateInZone",
    "now",
    "fromJson",
    "html",
    "js",
    "urlquery",
    "slice",
    "call",
];

/// The function of this name.
pub(crate) fn known(name: &str) -> Option<&'static str> {
    NAMES.iter().find(|n| **n == name).copied()
}

/// A value as an argument that wants text.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Nil => String::new(),
        other => other.text(),
    }
}

/// An expression that comes as an argument.
pub(super) fn regex(pattern: &str) -> Result<regex::Regex, String> {
    regex::RegexBuilder::new(pattern).size_limit(1 << 20).build().map_err(|e| complaint(pattern, &e))
}

/// Calls a function.
pub(crate) fn call(name: &str, a: &[Value]) -> Result<Value, String> {
    // Options are tried in turn, so that a function is evaluated once.
    if let Some(value) = strings(name, a)? {
        return Ok(value);
    }
    if let Some(value) = numbers(name, a)? {
        return Ok(value);
    }
    if let Some(value) = logic(name, a)? {
        return Ok(value);
    }
    match times(name, a)? {
        Some(value) => Ok(value),
        None => Err(format!("wrong number of args for {name}: got {}", a.len())),
    }
}

fn title(text: &str) -> String {
    let mut start = true;
    text.chars()
        .flat_map(|c| {
            let upper = start && c.is_alphabetic();
            start = !(c.is_alphanumeric() || c == '_' || c == '\'');
            if upper { c.to_uppercase().collect::<Vec<_>>() } else { vec![c] }
        })
        .collect()
}

/// Bytes `from..to`, as Go slices; a character that is cut is replaced.
fn bytes(text: &str, from: usize, to: usize) -> String {
    let cut = text.as_bytes().get(from.min(text.len())..to.min(text.len())).unwrap_or(b"");
    String::from_utf8_lossy(cut).into_owned()
}

/// Negative ends mean the text's own.
fn substr(text: &str, from: i64, to: i64) -> Result<String, String> {
    let (from, to) = (from.max(0) as usize, usize::try_from(to).map_or(text.len(), |to| to.min(text.len())));
    if from > to {
        return Err(format!("runtime error: slice bounds out of range [{from}:{to}]"));
    }
    Ok(bytes(text, from, to))
}

/// The first characters, or for a negative number the last.
fn trunc(text: &str, n: i64) -> String {
    let count = n.unsigned_abs() as usize;
    if n < 0 { bytes(text, text.len().saturating_sub(count), text.len()) } else { bytes(text, 0, count) }
}

fn replace(text: &str, from: &str, to: &str, times: i64) -> String {
    usize::try_from(times).map_or_else(|_| text.replace(from, to), |n| text.replacen(from, to, n))
}

/// `${1}` and `$1` in a replacement, in Go's reading, are the crate's too.
fn regex_replace(pattern: &str, text: &str, with: &str, literal: bool) -> Result<String, String> {
    let regex = regex(pattern)?;
    Ok(if literal {
        regex.replace_all(text, regex::NoExpand(with)).into_owned()
    } else {
        regex.replace_all(text, with).into_owned()
    })
}

fn strings(name: &str, a: &[Value]) -> Result<Option<Value>, String> {
    let t: Vec<String> = a.iter().map(text).collect();
    let t: Vec<&str> = t.iter().map(String::as_str).collect();
    let made = match (name, t.as_slice()) {
        ("ToLower" | "lower", [s]) => s.to_lowercase(),
        ("ToUpper" | "upper", [s]) => s.to_uppercase(),
        ("title", [s]) => title(s),
        ("Replace", [s, from, to, _]) => replace(s, from, to, a.get(3).map_or(-1, Value::int)),
        ("replace", [from, to, s]) => s.replace(from, to),
        ("Trim", [s, set]) | ("trimAll", [set, s]) => s.trim_matches(|c| set.contains(c)).to_owned(),
        ("TrimLeft", [s, set]) => s.trim_start_matches(|c| set.contains(c)).to_owned(),
        ("TrimRight", [s, set]) => s.trim_end_matches(|c| set.contains(c)).to_owned(),
        ("TrimPrefix", [s, cut]) | ("trimPrefix", [cut, s]) => s.strip_prefix(cut).unwrap_or(s).to_owned(),
        ("TrimSuffix", [s, cut]) | ("trimSuffix", [cut, s]) => s.strip_suffix(cut).unwrap_or(s).to_owned(),
        ("TrimSpace" | "trim", [s]) => s.trim().to_owned(),
        ("substr", [_, _, s]) => substr(s, a.first().map_or(0, Value::int), a.get(1).map_or(-1, Value::int))?,
        ("trunc", [_, s]) => trunc(s, a.first().map_or(0, Value::int)),
        ("regexReplaceAll", [pattern, s, with]) => regex_replace(pattern, s, with, false)?,
        ("regexReplaceAllLiteral", [pattern, s, with]) => regex_replace(pattern, s, with, true)?,
        ("Hash", [salt, s]) => hash::hex(&hash::sha3_256(&[salt.as_bytes(), s.as_bytes()])),
        ("Sha2Hash", [salt, s]) => hash::hex(&hash::sha2_256(&[salt.as_bytes(), s.as_bytes()])),
        ("print", _) => print(a),
        ("println", _) => a.iter().map(Value::text).collect::<Vec<_>>().join(" ") + "\n",
        ("printf", [format, ..]) => printf(format, a.get(1..).unwrap_or(&[])),
        ("repeat", [_, s]) => {
            let n = usize::try_from(a.first().map_or(0, Value::int));
            let n = n.map_err(|_| "runtime error: strings: negative Repeat count".to_owned())?;
            if s.len().saturating_mul(n) > 1 << 20 {
                return Err("result is too long".to_owned());
            }
            s.repeat(n)
        }
        ("indent" | "nindent", [_, s]) => {
            let pad = " ".repeat(a.first().map_or(0, Value::int).clamp(0, 1000) as usize);
            let body = pad.clone() + &s.replace('\n', &format!("\n{pad}"));
            if name == "indent" { body } else { format!("\n{body}") }
        }
        ("alignLeft", [_, s]) => align(s, a.first().map_or(0, Value::int), true),
        ("alignRight", [_, s]) => align(s, a.first().map_or(0, Value::int), false),
        ("default", [other, s]) => (if a.get(1).is_some_and(Value::truth) { s } else { other }).to_string(),
        ("default", [other]) => (*other).to_owned(),
        ("b64enc", [s]) => base64(s.as_bytes()),
        ("b64dec", [s]) => base64_decode(s),
        ("urlencode" | "urlquery", [s]) => url_encode(s),
        ("urldecode", [s]) => url_decode(s)?,
        ("html", [s]) => s
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&#34;")
            .replace('\'', "&#39;"),
        ("js", [s]) => s
            .replace('\\', "\\\\")
            .replace('\'', "\\'")
            .replace('"', "\\\"")
            .replace('<', "\\u003C")
            .replace('\n', "\\u000A"),
        _ => return Ok(None),
    };
    Ok(Some(Value::Str(made)))
}

fn align(text: &str, width: i64, left: bool) -> String {
    let count = text.chars().count();
    let Ok(width) = usize::try_from(width) else { return text.to_owned() };
    let width = width.min(1 << 16);
    let blanks = " ".repeat(width.saturating_sub(count));
    match (count > width, left) {
        (true, true) => text.chars().take(width).collect(),
        (true, false) => text.chars().skip(count - width).collect(),
        (false, true) => format!("{text}{blanks}"),
        (false, false) => format!("{blanks}{text}"),
    }
}

fn times(name: &str, a: &[Value]) -> Result<Option<Value>, String> {
    Ok(Some(match (name, a) {
        ("unixEpoch", [Value::Time(ns)]) => Value::Str(ns.div_euclid(1_000_000_000).to_string()),
        ("unixEpochMillis", [Value::Time(ns)]) => Value::Str(ns.div_euclid(1_000_000).to_string()),
        ("unixEpochNanos", [Value::Time(ns)]) => Value::Str(ns.to_string()),
        ("unixToTime", [value]) => {
            let digits = text(value);
            let number: i64 = digits.parse().map_err(|_| format!("unable to parse time '{digits}'"))?;
            // The number of digits tells the unit: days, seconds, milliseconds, microseconds, nanoseconds.
            Value::Time(match digits.len() {
                5 => number.saturating_mul(86_400_000_000_000),
                10 => number.saturating_mul(1_000_000_000),
                13 => number.saturating_mul(1_000_000),
                16 => number.saturating_mul(1000),
                19 => number,
                _ => return Err(format!("unable to parse time '{digits}'")),
            })
        }
        ("date", [layout, Value::Int(seconds)]) => {
            Value::Str(time::format(seconds.saturating_mul(1_000_000_000), &text(layout)))
        }
        ("date", [layout, Value::Time(ns)]) => Value::Str(time::format(*ns, &text(layout))),
        ("toDate", [layout, value]) => Value::Time(time::parse(&text(layout), &text(value)).unwrap_or(0)),
        ("toDateInZone", [layout, _, value]) => Value::Time(time::parse(&text(layout), &text(value)).unwrap_or(0)),
        ("now", []) => {
            let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            Value::Time(since.ok().and_then(|d| i64::try_from(d.as_nanos()).ok()).unwrap_or(0))
        }
        _ => return Ok(None),
    }))
}
