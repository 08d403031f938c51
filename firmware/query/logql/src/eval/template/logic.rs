//! Comparisons, lengths and elements.

use super::functions::text;
use super::value::Value;
use bramble_line::json::{Raw, members};
use std::cmp::Ordering;

/// Order of two values of one kind.
fn compare(a: &Value, b: &Value) -> Result<Ordering, String> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Ok(a.cmp(b)),
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b).ok_or_else(|| "not a number".to_owned()),
        (Value::Time(a), Value::Time(b)) => Ok(a.cmp(b)),
        (Value::Str(a), Value::Str(b)) => Ok(a.cmp(b)),
        (Value::Bool(_) | Value::Nil | Value::Map(_) | Value::List(_), _) => {
            Err("invalid type for comparison".to_owned())
        }
        _ => Err("incompatible types for comparison".to_owned()),
    }
}

fn equal(a: &Value, b: &Value) -> Result<bool, String> {
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => Ok(a == b),
        (Value::Nil, Value::Nil) => Ok(true),
        (Value::Nil, _) | (_, Value::Nil) => Ok(false),
        (a, b) => compare(a, b).map(Ordering::is_eq),
    }
}

/// A number that a key must be.
fn position(key: &Value) -> Result<usize, String> {
    match key {
        Value::Int(n) => usize::try_from(*n).map_err(|_| format!("index out of range: {n}")),
        other => Err(format!("cannot index slice/array with type {}", other.type_name())),
    }
}

/// JSON text of any kind; nothing where it is none.
fn from_json(text: &str) -> Value {
    // As the only member of an object, any text is a value or an error.
    let wrapped = format!("{{\"v\":{text}}}");
    let mut all = members(&wrapped);
    match (all.next(), all.next()) {
        (Some(Ok((_, Raw::Plain(n)))), None) if !matches!(n, "true" | "false") && n.parse::<f64>().is_err() => {
            Value::Nil
        }
        (Some(Ok((_, raw))), None) => Value::of_json(raw),
        _ => Value::Nil,
    }
}

pub(super) fn logic(name: &str, a: &[Value]) -> Result<Option<Value>, String> {
    let t = |at: usize| a.get(at).map(text).unwrap_or_default();
    Ok(Some(match (name, a) {
        ("eq", [first, others @ ..]) if !others.is_empty() => {
            let mut equal = false;
            for other in others {
                equal |= self::equal(first, other)?;
            }
            Value::Bool(equal)
        }
        ("ne", [a, b]) => Value::Bool(!equal(a, b)?),
        ("lt", [a, b]) => Value::Bool(compare(a, b)?.is_lt()),
        ("le", [a, b]) => Value::Bool(compare(a, b)?.is_le()),
        ("gt", [a, b]) => Value::Bool(compare(a, b)?.is_gt()),
        ("ge", [a, b]) => Value::Bool(compare(a, b)?.is_ge()),
        ("not", [a]) => Value::Bool(!a.truth()),
        ("contains", [_, _]) => Value::Bool(t(1).contains(&t(0))),
        ("hasPrefix", [_, _]) => Value::Bool(t(1).starts_with(&t(0))),
        ("hasSuffix", [_, _]) => Value::Bool(t(1).ends_with(&t(0))),
        ("len", [value]) => Value::Int(match value {
            Value::List(list) => list.len(),
            Value::Map(map) => map.len(),
            Value::Str(s) => s.len(),
            other => return Err(format!("len of type {}", other.type_name())),
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
        ("slice", [Value::List(list), from, rest @ ..]) => {
            let to = rest.first().map_or(Ok(list.len()), position)?;
            let part = list.get(position(from)?..to);
            Value::List(part.ok_or_else(|| format!("index out of range: {to}"))?.to_vec())
        }
        ("fromJson", [value]) => from_json(&text(value)),
        _ => return Ok(None),
    }))
}

fn index(value: &Value, key: &Value) -> Result<Value, String> {
    match value {
        Value::Str(s) => {
            let at = position(key)?;
            let byte = s.as_bytes().get(at).map(|b| Value::Int(i64::from(*b)));
            byte.ok_or_else(|| format!("index out of range: {at}"))
        }
        Value::List(list) => {
            let at = position(key)?;
            list.get(at).cloned().ok_or_else(|| format!("index out of range: {at}"))
        }
        Value::Map(map) => {
            let name = text(key);
            Ok(map.iter().find(|(k, _)| *k == name).map_or(Value::Nil, |(_, v)| v.clone()))
        }
        Value::Nil => Err("index of untyped nil".to_owned()),
        other => Err(format!("can't index item of type {}", other.type_name())),
    }
}
