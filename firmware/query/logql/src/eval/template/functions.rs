//! Functions of templates: Go's own, and those that Loki adds.

use super::time;
use super::value::Value;
use crate::syntax::{parse_bytes, parse_duration, quote};
use bramble_line::json::Raw;
use std::cmp::Ordering;

const NAMES: [&str; 87] = [
    "__line__",
    "__timestamp__",
    "ToLower",
    "ToUpper",
    "lower",
    "upper",
    "title",
    "Title",
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

fn text(value: &Value) -> String {
    match value {
        Value::Nil => String::new(),
        other => other.text(),
    }
}

/// Calls a function.
pub(crate) fn call(name: &str, a: &[Value]) -> Result<Value, String> {
    if let Some(value) = strings(name, a)?.or(numbers(name, a)?).or(logic(name, a)?).or(times(name, a)?) {
        return Ok(value);
    }
    Err("wrong number of args or not supported here".to_owned())
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

/// Characters `from..to`; negative ends mean the text's own.
fn substr(text: &str, from: i64, to: i64) -> String {
    let count = text.chars().count() as i64;
    let from = from.max(0);
    let to = if to < 0 || to > count { count } else { to };
    text.chars().skip(from as usize).take((to - from).max(0) as usize).collect()
}

fn replace(text: &str, from: &str, to: &str, times: i64) -> String {
    usize::try_from(times).map_or_else(|_| text.replace(from, to), |n| text.replacen(from, to, n))
}

/// `${1}` and `$1` in a replacement, in Go's reading, are the crate's too.
fn regex_replace(pattern: &str, text: &str, with: &str, literal: bool) -> Result<String, String> {
    let regex = regex::RegexBuilder::new(pattern).size_limit(1 << 20).build().map_err(|e| e.to_string())?;
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
        ("title" | "Title", [s]) => title(s),
        ("Replace", [s, from, to, _]) => replace(s, from, to, a.get(3).map_or(-1, Value::int)),
        ("replace", [from, to, s]) => s.replace(from, to),
        ("Trim", [s, set]) | ("trimAll", [set, s]) => s.trim_matches(|c| set.contains(c)).to_owned(),
        ("TrimLeft", [s, set]) => s.trim_start_matches(|c| set.contains(c)).to_owned(),
        ("TrimRight", [s, set]) => s.trim_end_matches(|c| set.contains(c)).to_owned(),
        ("TrimPrefix", [s, cut]) | ("trimPrefix", [cut, s]) => s.strip_prefix(cut).unwrap_or(s).to_owned(),
        ("TrimSuffix", [s, cut]) | ("trimSuffix", [cut, s]) => s.strip_suffix(cut).unwrap_or(s).to_owned(),
        ("TrimSpace" | "trim", [s]) => s.trim().to_owned(),
        ("substr", [_, _, s]) => substr(s, a.first().map_or(0, Value::int), a.get(1).map_or(-1, Value::int)),
        ("trunc", [_, s]) => match a.first().map_or(0, Value::int) {
            n if n < 0 => substr(s, s.chars().count() as i64 + n, -1),
            n => substr(s, 0, n),
        },
        ("regexReplaceAll", [pattern, s, with]) => regex_replace(pattern, s, with, false)?,
        ("regexReplaceAllLiteral", [pattern, s, with]) => regex_replace(pattern, s, with, true)?,
        ("print", parts) => parts.concat(),
        ("println", parts) => parts.join(" ") + "\n",
        ("printf", [format, ..]) => printf(format, a.get(1..).unwrap_or(&[])),
        ("repeat", [_, s]) => {
            let n = a.first().map_or(0, Value::int).max(0) as usize;
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
        ("b64dec", [s]) => base64_decode(s).ok_or_else(|| "illegal base64 data".to_owned())?,
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
    let width = width.clamp(0, 1 << 16);
    let count = text.chars().count() as i64;
    match (count > width, left) {
        (true, true) => substr(text, 0, width),
        (true, false) => substr(text, count - width, -1),
        (false, true) => format!("{text}{}", " ".repeat((width - count) as usize)),
        (false, false) => format!("{}{text}", " ".repeat((width - count) as usize)),
    }
}

fn numbers(name: &str, a: &[Value]) -> Result<Option<Value>, String> {
    let ints = || a.iter().map(Value::int);
    let floats = || a.iter().map(Value::float);
    let (x, y) = (a.first().map_or(0, Value::int), a.get(1).map_or(0, Value::int));
    let (f, g) = (a.first().map_or(0.0, Value::float), a.get(1).map_or(0.0, Value::float));
    Ok(Some(match (name, a.len()) {
        ("int", 1) => Value::Int(x),
        ("float64", 1) => Value::Float(f),
        ("add", _) => Value::Int(ints().fold(0, i64::wrapping_add)),
        ("sub", 2) => Value::Int(x.wrapping_sub(y)),
        ("mul", _) => Value::Int(ints().fold(1, i64::wrapping_mul)),
        ("div", 2) => Value::Int(x.checked_div(y).ok_or("integer divide by zero")?),
        ("mod", 2) => Value::Int(x.checked_rem(y).ok_or("integer divide by zero")?),
        ("addf", _) => Value::Float(floats().sum()),
        ("subf", 2..) => Value::Float(floats().skip(1).fold(f, |a, b| a - b)),
        ("mulf", _) => Value::Float(floats().product()),
        ("divf", 2..) => Value::Float(floats().skip(1).fold(f, |a, b| a / b)),
        ("max", 1..) => Value::Int(ints().fold(x, i64::max)),
        ("min", 1..) => Value::Int(ints().fold(x, i64::min)),
        ("maxf", 1..) => Value::Float(floats().fold(f, f64::max)),
        ("minf", 1..) => Value::Float(floats().fold(f, f64::min)),
        ("ceil", 1) => Value::Float(f.ceil()),
        ("floor", 1) => Value::Float(f.floor()),
        ("round", 2..) => {
            let scale = 10f64.powf(g);
            Value::Float((f * scale).round() / scale)
        }
        ("count", 2) => {
            let regex =
                regex::RegexBuilder::new(&text(&a[0])).size_limit(1 << 20).build().map_err(|e| e.to_string())?;
            Value::Int(regex.find_iter(&text(&a[1])).count() as i64)
        }
        ("duration" | "duration_seconds", 1) => {
            Value::Float(parse_duration(&text(&a[0]), false).map(|ns| ns as f64 / 1e9).unwrap_or(0.0))
        }
        ("bytes", 1) => Value::Float(parse_bytes(&text(&a[0])).map(|n| n as f64).unwrap_or(0.0)),
        _ => return Ok(None),
    }))
}

fn compare(a: &Value, b: &Value) -> Result<Ordering, String> {
    let number = |v: &Value| matches!(v, Value::Int(_) | Value::Float(_));
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Ok(a.cmp(b)),
        (Value::Bool(a), Value::Bool(b)) => Ok(a.cmp(b)),
        (Value::Time(a), Value::Time(b)) => Ok(a.cmp(b)),
        (Value::Str(a), Value::Str(b)) => Ok(a.cmp(b)),
        (a, b) if number(a) && number(b) => a.float().partial_cmp(&b.float()).ok_or_else(|| "not a number".to_owned()),
        (Value::Nil, Value::Nil) => Ok(Ordering::Equal),
        _ => Err("incompatible types for comparison".to_owned()),
    }
}

fn logic(name: &str, a: &[Value]) -> Result<Option<Value>, String> {
    let t = |at: usize| a.get(at).map(text).unwrap_or_default();
    Ok(Some(match (name, a) {
        ("eq", [first, others @ ..]) if !others.is_empty() => {
            let mut equal = false;
            for other in others {
                equal |= compare(first, other)?.is_eq();
            }
            Value::Bool(equal)
        }
        ("ne", [a, b]) => Value::Bool(compare(a, b)?.is_ne()),
        ("lt", [a, b]) => Value::Bool(compare(a, b)?.is_lt()),
        ("le", [a, b]) => Value::Bool(compare(a, b)?.is_le()),
        ("gt", [a, b]) => Value::Bool(compare(a, b)?.is_gt()),
        ("ge", [a, b]) => Value::Bool(compare(a, b)?.is_ge()),
        ("and", [.., last]) => a.iter().find(|v| !v.truth()).unwrap_or(last).clone(),
        ("or", [.., last]) => a.iter().find(|v| v.truth()).unwrap_or(last).clone(),
        ("not", [a]) => Value::Bool(!a.truth()),
        ("contains", [_, _]) => Value::Bool(t(1).contains(&t(0))),
        ("hasPrefix", [_, _]) => Value::Bool(t(1).starts_with(&t(0))),
        ("hasSuffix", [_, _]) => Value::Bool(t(1).ends_with(&t(0))),
        ("len", [value]) => Value::Int(match value {
            Value::List(list) => list.len(),
            Value::Map(map) => map.len(),
            other => text(other).len(),
        } as i64),
        ("index", [value, keys @ ..]) => {
            let mut value = value.clone();
            for key in keys {
                value = index(&value, key)?;
            }
            value
        }
        ("slice", [Value::Str(s), from, rest @ ..]) => {
            let (from, to) = (from.int(), rest.first().map_or(s.len() as i64, Value::int));
            let part = usize::try_from(from).ok().zip(usize::try_from(to).ok()).and_then(|(f, t)| s.get(f..t));
            Value::Str(part.ok_or("index out of range")?.to_owned())
        }
        ("fromJson", [value]) => {
            let json = text(value);
            match json.trim_start().as_bytes().first() {
                Some(b'{') => Value::of_json(Raw::Object(json.trim())),
                Some(b'[') => Value::of_json(Raw::Array(json.trim())),
                _ => Value::Nil,
            }
        }
        _ => return Ok(None),
    }))
}

fn index(value: &Value, key: &Value) -> Result<Value, String> {
    let at = usize::try_from(key.int()).map_err(|_| "index out of range".to_owned())?;
    match value {
        Value::Str(s) => {
            s.as_bytes().get(at).map(|b| Value::Int(i64::from(*b))).ok_or_else(|| format!("index out of range: {at}"))
        }
        Value::List(list) => list.get(at).cloned().ok_or_else(|| format!("index out of range: {at}")),
        Value::Map(map) => {
            let name = text(key);
            Ok(map.iter().find(|(k, _)| *k == name).map_or(Value::Nil, |(_, v)| v.clone()))
        }
        other => Err(format!("can't index item of {}", other.text())),
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

/// Go's `Printf`, with the verbs that make sense for these values.
fn printf(format: &str, arguments: &[Value]) -> String {
    let mut out = String::new();
    let mut arguments = arguments.iter();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut flags = String::new();
        while let Some(flag) = chars.next_if(|c| "-+0# ".contains(*c)) {
            flags.push(flag);
        }
        let number = |chars: &mut std::iter::Peekable<std::str::Chars<'_>>| {
            let mut digits = String::new();
            while let Some(d) = chars.next_if(char::is_ascii_digit) {
                digits.push(d);
            }
            digits.parse::<usize>().ok().map(|n| n.min(1000))
        };
        let width = number(&mut chars);
        let precision = chars.next_if_eq(&'.').map(|_| number(&mut chars).unwrap_or(0));
        let Some(verb) = chars.next() else {
            out.push_str("%!(NOVERB)");
            break;
        };
        if verb == '%' {
            out.push('%');
            continue;
        }
        let Some(value) = arguments.next() else {
            out.push_str(&format!("%!{verb}(MISSING)"));
            continue;
        };
        let body = verb_text(verb, value, precision, flags.contains('+'));
        let missing = width.unwrap_or(0).saturating_sub(body.chars().count());
        if flags.contains('-') {
            out.push_str(&body);
            out.extend(std::iter::repeat_n(' ', missing));
        } else if flags.contains('0') && verb != 's' {
            let (sign, digits) = body.strip_prefix('-').map_or(("", body.as_str()), |d| ("-", d));
            out.push_str(sign);
            out.extend(std::iter::repeat_n('0', missing));
            out.push_str(digits);
        } else {
            out.extend(std::iter::repeat_n(' ', missing));
            out.push_str(&body);
        }
    }
    out
}

fn verb_text(verb: char, value: &Value, precision: Option<usize>, plus: bool) -> String {
    let signed = |text: String, positive: bool| if plus && positive { format!("+{text}") } else { text };
    match (verb, value) {
        ('s' | 'v', value) => match precision {
            Some(n) => value.text().chars().take(n).collect(),
            None => value.text(),
        },
        ('q', value) => quote(&value.text()),
        ('d', Value::Int(n)) => signed(n.to_string(), *n >= 0),
        ('x', Value::Int(n)) => format!("{n:x}"),
        ('X', Value::Int(n)) => format!("{n:X}"),
        ('o', Value::Int(n)) => format!("{n:o}"),
        ('b', Value::Int(n)) => format!("{n:b}"),
        ('c', Value::Int(n)) => u32::try_from(*n).ok().and_then(char::from_u32).unwrap_or('\u{fffd}').to_string(),
        ('x', Value::Str(s)) => s.bytes().map(|b| format!("{b:02x}")).collect(),
        ('f' | 'F', Value::Float(n)) => signed(format!("{n:.*}", precision.unwrap_or(6)), *n >= 0.0),
        ('e', Value::Float(n)) => format!("{n:.*e}", precision.unwrap_or(6)),
        ('g', Value::Float(n)) => crate::syntax::value_text(*n),
        ('t', Value::Bool(b)) => b.to_string(),
        (verb, value) => {
            let kind = match value {
                Value::Str(_) => "string",
                Value::Int(_) => "int",
                Value::Float(_) => "float64",
                Value::Bool(_) => "bool",
                _ => "value",
            };
            format!("%!{verb}({kind}={})", value.text())
        }
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0u32, |w, b| w << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let sextet = (word >> (18 - 6 * i) & 63) as usize;
            out.push(if i <= chunk.len() { ALPHABET[sextet] as char } else { '=' });
        }
    }
    out
}

fn base64_decode(text: &str) -> Option<String> {
    let mut out = Vec::new();
    let body = text.trim_end_matches('=').as_bytes();
    for chunk in body.chunks(4) {
        let mut word = 0u32;
        for b in chunk {
            word = word << 6 | ALPHABET.iter().position(|a| a == b)? as u32;
        }
        let word = word << (6 * (4 - chunk.len()));
        let bytes = word.to_be_bytes();
        out.extend_from_slice(bytes.get(1..chunk.len())?);
    }
    String::from_utf8(out).ok()
}

fn url_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        match b {
            b' ' => out.push('+'),
            b if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) => out.push(b as char),
            b => out.push_str(&format!("%{b:02X}")),
        }
    }
    out
}

fn url_decode(text: &str) -> Result<String, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [b, tail @ ..] = rest {
        rest = tail;
        match b {
            b'+' => out.push(b' '),
            b'%' => {
                let hex = tail.get(..2).and_then(|h| std::str::from_utf8(h).ok());
                let byte = hex.and_then(|h| u8::from_str_radix(h, 16).ok());
                out.push(
                    byte.ok_or_else(|| format!("invalid URL escape {}", quote(&format!("%{}", hex.unwrap_or("")))))?,
                );
                rest = &tail[2..];
            }
            b => out.push(*b),
        }
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}
