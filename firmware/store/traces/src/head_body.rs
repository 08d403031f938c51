//! A span's attribute values in a generation's arena: numbers of interned strings, or the value itself.

use crate::bytes::{take_array, take_u32, take_varint, unzigzag};
use crate::columns::{AttributeSource, DURATION_UNITS, Value};
use crate::head::Generation;
use crate::view::{ValueType, put_bytes_attribute, template_items};
use bramble_signal::SpanEntry;
use bramble_signal::attributes::{AttributeValue, put_attribute};

/// The double that follows is no duration in some unit.
const PLAIN_DOUBLE: u8 = DURATION_UNITS.len() as u8;

/// The span's duration in one of the units.
fn duration_in(unit: f64, start_ns: u64, end_ns: u64) -> f64 {
    end_ns.wrapping_sub(start_ns) as i64 as f64 / unit
}

/// Appends a double: the unit in which it is the span's duration, as many are, or all of it.
pub(crate) fn put_double(body: &mut Vec<u8>, value: f64, span: &SpanEntry) {
    let is = |unit: &f64| duration_in(*unit, span.start_ns, span.end_ns).to_bits() == value.to_bits();
    match DURATION_UNITS.iter().position(is) {
        Some(unit) => body.push(unit as u8),
        None => {
            body.push(PLAIN_DOUBLE);
            body.extend_from_slice(&value.to_bits().to_le_bytes());
        }
    }
}

/// The attribute values of one span, in order.
pub(crate) struct HeadValues<'a> {
    generation: &'a Generation,
    template: u32,
    body: &'a [u8],
    /// Start and end.
    times: (u64, u64),
}

impl<'a> HeadValues<'a> {
    /// The values in the rest of a body; `times` are the span's start and end.
    pub(crate) fn new(generation: &'a Generation, template: u32, body: &'a [u8], times: (u64, u64)) -> Self {
        HeadValues { generation, template, body, times }
    }

    fn take(&mut self, value_type: ValueType) -> Option<Value<'a>> {
        let body = &mut self.body;
        Some(match value_type {
            ValueType::Empty => Value::Empty,
            ValueType::Bool => Value::Bool(take_array::<1>(body)? != [0]),
            ValueType::Int => Value::Int(unzigzag(take_varint(body)?)),
            ValueType::Double => Value::Double({
                let [unit] = take_array(body)?;
                match DURATION_UNITS.get(usize::from(unit)) {
                    Some(unit) => duration_in(*unit, self.times.0, self.times.1),
                    None => f64::from_bits(u64::from_le_bytes(take_array(body)?)),
                }
            }),
            _ => Value::Bytes(self.generation.strings.get(take_u32(body)?)),
        })
    }
}

impl AttributeSource for HeadValues<'_> {
    fn next(&mut self, value_type: ValueType) -> Option<Value<'_>> {
        self.take(value_type)
    }

    fn encoded(&mut self, out: &mut Vec<u8>) -> Option<()> {
        for (value_type, key) in template_items(self.generation.templates.get(self.template)) {
            match self.take(value_type)? {
                Value::Empty => put_attribute(out, key, AttributeValue::Empty),
                Value::Bool(b) => put_attribute(out, key, AttributeValue::Bool(b)),
                Value::Int(i) => put_attribute(out, key, AttributeValue::Int(i)),
                Value::Double(d) => put_attribute(out, key, AttributeValue::Double(d)),
                Value::Bytes(bytes) => put_bytes_attribute(out, key, value_type, bytes),
            }
        }
        Some(())
    }
}
