//! Values inside a template.

use bramble_line::json::{Raw, element, members, unescape};

/// A value.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Value {
    Str(String),
    Int(i64),
    Float(f64),
    Bool(bool),
    /// Nanoseconds since the epoch, UTC.
    Time(i64),
    /// Ascending by key.
    Map(Vec<(String, Value)>),
    List(Vec<Value>),
    Nil,
}

/// A number as Go's `%v` prints it: the shortest that reads back, with an exponent from 1e6 on and below 1e-4.
pub(super) fn float_text(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let size = value.abs();
    if size == 0.0 || (1e-4..1e6).contains(&size) {
        return format!("{value}");
    }
    exponent_text(&format!("{value:e}"))
}

/// A number with an exponent as Go writes it: with a sign and two digits at least.
pub(super) fn exponent_text(text: &str) -> String {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    format!("{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

impl Value {
    /// Whether `if` takes it for true: neither zero nor empty.
    pub(crate) fn truth(&self) -> bool {
        match self {
            Value::Str(s) => !s.is_empty(),
            Value::Int(n) => *n != 0,
            Value::Float(n) => *n != 0.0,
            Value::Bool(b) => *b,
            Value::Time(_) => true,
            Value::Map(m) => !m.is_empty(),
            Value::List(l) => !l.is_empty(),
            Value::Nil => false,
        }
    }

    /// What Go calls its type.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Value::Str(_) => "string",
            Value::Int(_) => "int",
            Value::Float(_) => "float64",
            Value::Bool(_) => "bool",
            Value::Time(_) => "time.Time",
            Value::Map(_) => "map[string]interface {}",
            Value::List(_) => "[]interface {}",
            Value::Nil => "nil",
        }
    }

    /// As it is printed.
    pub(crate) fn text(&self) -> String {
        match self {
            Value::Str(s) => s.clone(),
            Value::Int(n) => n.to_string(),
            Value::Float(n) => float_text(*n),
            Value::Bool(b) => b.to_string(),
            Value::Time(ns) => super::time::format(*ns, "2006-01-02 15:04:05.999999999 -0700 MST"),
            Value::Map(m) => {
                let members: Vec<String> = m.iter().map(|(k, v)| format!("{k}:{}", v.text())).collect();
                format!("map[{}]", members.join(" "))
            }
            Value::List(l) => format!("[{}]", l.iter().map(Value::text).collect::<Vec<_>>().join(" ")),
            Value::Nil => "<no value>".to_owned(),
        }
    }

    /// As a number, 0 for what is none.
    pub(crate) fn float(&self) -> f64 {
        match self {
            Value::Str(s) => s.trim().parse().unwrap_or(0.0),
            Value::Int(n) => *n as f64,
            Value::Float(n) => *n,
            Value::Bool(b) => f64::from(u8::from(*b)),
            _ => 0.0,
        }
    }

    /// As a whole number, 0 for what is none.
    pub(crate) fn int(&self) -> i64 {
        match self {
            Value::Str(s) => s.trim().parse().unwrap_or_else(|_| s.trim().parse::<f64>().map_or(0, |f| f as i64)),
            Value::Int(n) => *n,
            other => other.float() as i64,
        }
    }

    /// A value of JSON text.
    pub(crate) fn of_json(raw: Raw<'_>) -> Value {
        match raw {
            Raw::Null => Value::Nil,
            Raw::Str(s) => Value::Str(unescape(s).into_owned()),
            Raw::Plain("true") => Value::Bool(true),
            Raw::Plain("false") => Value::Bool(false),
            Raw::Plain(n) => Value::Float(n.parse().unwrap_or(0.0)),
            Raw::Object(text) => {
                let member = |m: (&str, Raw<'_>)| (unescape(m.0).into_owned(), Value::of_json(m.1));
                let all: Result<Vec<_>, _> = members(text).map(|m| m.map(member)).collect();
                let Ok(mut all) = all else { return Value::Nil };
                all.sort_by(|a, b| a.0.cmp(&b.0));
                Value::Map(all)
            }
            Raw::Array(text) => {
                let mut list = Vec::new();
                while let Ok(Some(item)) = element(text, list.len()) {
                    list.push(Value::of_json(item));
                }
                Value::List(list)
            }
        }
    }
}
