//! Values of fields.

use crate::syntax::ast::Literal;
use bramble_signal::attributes::AttributeValue;
use bramble_signal::{SpanKind, StatusCode};
use std::borrow::Cow;
use std::cmp::Ordering;

/// A value, borrowed from a trace or a query where possible.
#[derive(Clone, PartialEq, Debug)]
pub enum Value<'a> {
    /// Not there.
    Nil,
    /// Truth value.
    Bool(bool),
    /// Whole number.
    Int(i64),
    /// Number.
    Float(f64),
    /// Nanoseconds.
    Duration(i64),
    /// Text.
    Text(Cow<'a, str>),
    /// Outcome.
    Status(StatusCode),
    /// Role.
    Kind(SpanKind),
    /// Elements of an array, or one value for each event or link. Never nested.
    Many(Vec<Value<'a>>),
}

impl<'a> Value<'a> {
    /// The value of an attribute; kinds that no operator reads (bytes, lists) are nil.
    pub fn of_attribute(value: AttributeValue<'a>) -> Self {
        match value {
            AttributeValue::Bool(b) => Value::Bool(b),
            AttributeValue::Int(i) => Value::Int(i),
            AttributeValue::Double(d) => Value::Float(d),
            AttributeValue::Str(text) => Value::Text(Cow::Borrowed(text)),
            AttributeValue::Array(array) => {
                Value::Many(array.iter().map(Value::of_attribute).filter(Value::is_single).collect())
            }
            AttributeValue::Empty | AttributeValue::Bytes(_) | AttributeValue::List(_) => Value::Nil,
        }
    }

    /// The value of a constant.
    pub fn of_literal(literal: &'a Literal) -> Self {
        match literal {
            Literal::Nil => Value::Nil,
            Literal::Bool(b) => Value::Bool(*b),
            Literal::Int(i) => Value::Int(*i),
            Literal::Float(d) => Value::Float(*d),
            Literal::Duration(ns) => Value::Duration(*ns),
            Literal::Text(text) => Value::Text(Cow::Borrowed(text)),
            Literal::Status(status) => Value::Status(*status),
            Literal::Kind(kind) => Value::Kind(*kind),
        }
    }

    fn is_single(&self) -> bool {
        !matches!(self, Value::Nil | Value::Many(_))
    }

    /// The number, durations in nanoseconds.
    pub fn number(&self) -> Option<f64> {
        match self {
            Value::Int(i) | Value::Duration(i) => Some(*i as f64),
            Value::Float(d) => Some(*d),
            _ => None,
        }
    }

    /// Order of two single values of one type; `None` when they do not compare.
    pub fn order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Value::Int(a) | Value::Duration(a), Value::Int(b) | Value::Duration(b)) => Some(a.cmp(b)),
            (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
            (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
            (Value::Status(a), Value::Status(b)) => Some((*a as u8).cmp(&(*b as u8))),
            (Value::Kind(a), Value::Kind(b)) => Some((*a as u8).cmp(&(*b as u8))),
            _ => self.number()?.partial_cmp(&other.number()?),
        }
    }

    /// The same value with its text owned.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Value::Nil => Value::Nil,
            Value::Bool(b) => Value::Bool(b),
            Value::Int(i) => Value::Int(i),
            Value::Float(d) => Value::Float(d),
            Value::Duration(ns) => Value::Duration(ns),
            Value::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
            Value::Status(status) => Value::Status(status),
            Value::Kind(kind) => Value::Kind(kind),
            Value::Many(values) => Value::Many(values.into_iter().map(Value::into_owned).collect()),
        }
    }

    /// The single values: itself, or its elements.
    pub fn singles(&self) -> &[Value<'a>] {
        match self {
            Value::Many(values) => values,
            single => std::slice::from_ref(single),
        }
    }

    /// Bytes that it takes beyond its own size, roughly.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Value::Text(text) => text.len(),
            Value::Many(values) => values.iter().map(|v| size_of::<Value<'_>>() + v.heap_bytes()).sum(),
            _ => 0,
        }
    }

    /// Appends bytes that are the same for equal values only; no value's bytes begin with those of another.
    pub fn write_key(&self, out: &mut Vec<u8>) {
        let mut put = |kind: u8, bytes: &[u8]| {
            out.push(kind);
            out.extend_from_slice(bytes);
        };
        match self {
            Value::Nil => put(0, &[]),
            Value::Bool(b) => put(1, &[u8::from(*b)]),
            Value::Int(i) => put(2, &i.to_le_bytes()),
            Value::Float(d) => put(3, &d.to_bits().to_le_bytes()),
            Value::Duration(ns) => put(4, &ns.to_le_bytes()),
            Value::Text(text) => {
                put(5, &(text.len() as u32).to_le_bytes());
                out.extend_from_slice(text.as_bytes());
            }
            Value::Status(status) => put(6, &[*status as u8]),
            Value::Kind(kind) => put(7, &[*kind as u8]),
            Value::Many(values) => {
                put(8, &(values.len() as u32).to_le_bytes());
                values.iter().for_each(|value| value.write_key(out));
            }
        }
    }
}

/// As results show it; elements between commas.
impl std::fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Value::Nil => f.write_str("nil"),
            Value::Bool(b) => write!(f, "{b}"),
            Value::Int(i) => write!(f, "{i}"),
            Value::Float(d) => write!(f, "{d}"),
            Value::Duration(ns) => f.write_str(&crate::duration_text(*ns)),
            Value::Text(text) => f.write_str(text),
            Value::Status(status) => f.write_str(status.as_str()),
            Value::Kind(kind) => f.write_str(kind.as_str()),
            Value::Many(values) => {
                for (i, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if i == 0 { "" } else { "," })?;
                }
                Ok(())
            }
        }
    }
}
