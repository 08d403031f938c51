//! Items out of spans.

use super::ids::Ids;
use super::{Extracted, OWN_SERVICE};
use crate::item::{Item, ItemSink, What};
use crate::origin::Origin;
use bramble_line::ids::IdKind;
use bramble_signal::attributes::{AttributeValue, AttributesRef};
use bramble_signal::{SpanBatch, SpanEntry, StatusCode};

/// What is true of all spans of a resource.
#[derive(Clone, Copy)]
struct Resource<'a> {
    origin: Origin<'a>,
    ids: Found<'a>,
    left_out: bool,
}

impl<'a> Resource<'a> {
    fn of(attributes: AttributesRef<'a>) -> Resource<'a> {
        let left_out = attributes.is_synthetic();
        let mut ids = Found::default();
        ids.add(attributes);
        let origin = Origin::of_resource(attributes);
        Resource { origin, ids, left_out: left_out || origin.service == OWN_SERVICE }
    }
}

pub(super) fn extract(batch: &SpanBatch, sink: &mut impl ItemSink) -> Extracted {
    let mut extracted = Extracted::default();
    // Per batch, not per item: spans of a resource need not stand together.
    let mut resources: Vec<Option<Resource<'_>>> = vec![None; batch.resources.len()];
    let mut told = None;
    for span in &batch.spans {
        let Some(place) = resources.get_mut(span.resource as usize) else { continue };
        let resource = place.get_or_insert_with(|| Resource::of(batch.resource_attributes(span)));
        if resource.left_out {
            extracted.spans_left_out += 1;
            continue;
        }
        extracted.spans += 1;
        if told != Some(span.resource) {
            sink.origin(&resource.origin);
            told = Some(span.resource);
        }
        of_span(batch, span, &resource.ids, sink);
    }
    extracted
}

fn of_span(batch: &SpanBatch, span: &SpanEntry, of_resource: &Found<'_>, sink: &mut impl ItemSink) {
    let mut found = Found::default();
    found.add(batch.attributes(span.attributes));
    let mut numbers = [[0u8; NUMBER_BYTES_MAX]; IdKind::BUSINESS.len()];
    let what = What::Span {
        parent_span_id: span.parent_span_id,
        duration_ns: span.duration_ns(),
        kind: span.kind,
        failed: span.status == StatusCode::Error,
        name: batch.text(span.name),
        message: batch.text(span.status_message),
    };
    let ids = found.or(of_resource).texts(&mut numbers);
    let time_ns = i64::try_from(span.start_ns).unwrap_or(i64::MAX);
    sink.item(&Item { time_ns, trace_id: span.trace_id, span_id: span.span_id, ids, what });
}

/// Longest 64-bit number, with its sign.
const NUMBER_BYTES_MAX: usize = 20;

/// An id as an attribute says it.
#[derive(Clone, Copy, Default)]
enum Said<'a> {
    #[default]
    Nothing,
    Text(&'a str),
    Number(i64),
}

/// Ids of attributes, in the order of [`IdKind::BUSINESS`].
#[derive(Clone, Copy, Default)]
struct Found<'a>([Said<'a>; IdKind::BUSINESS.len()]);

impl<'a> Found<'a> {
    fn add(&mut self, attributes: AttributesRef<'a>) {
        for (name, value) in attributes.encoded() {
            // Names are judged by their end, which costs less than decoding a value.
            if name.ends_with(b"d") || name.ends_with(b"D") {
                let Some(kind) = IdKind::of_name(name) else { continue };
                if let Some(value) = value.decode() {
                    self.add_value(kind, name, value);
                }
            }
        }
    }

    fn add_value(&mut self, kind: IdKind, name: &[u8], value: AttributeValue<'a>) {
        let Some(place) = (kind as usize).checked_sub(IdKind::Request as usize).and_then(|at| self.0.get_mut(at))
        else {
            return;
        };
        if !matches!(place, Said::Nothing) {
            return;
        }
        match value {
            AttributeValue::Int(number) => *place = Said::Number(number),
            AttributeValue::Str(text) => {
                let mut ids = Ids::default();
                ids.add_field(name, text.as_bytes());
                if let Some(id) = ids.business.into_iter().find(|id| !id.is_empty()) {
                    *place = Said::Text(id);
                }
            }
            // Headers are recorded as arrays.
            AttributeValue::Array(values) => {
                if let Some(first) = values.iter().next().filter(|v| !matches!(v, AttributeValue::Array(_))) {
                    self.add_value(kind, name, first);
                }
            }
            _ => {}
        }
    }

    fn or(mut self, others: &Found<'a>) -> Found<'a> {
        for (said, other) in self.0.iter_mut().zip(others.0) {
            if matches!(said, Said::Nothing) {
                *said = other;
            }
        }
        self
    }

    /// As texts; those of numbers are written to `numbers`.
    fn texts<'b>(
        &self,
        numbers: &'b mut [[u8; NUMBER_BYTES_MAX]; IdKind::BUSINESS.len()],
    ) -> [&'b str; IdKind::BUSINESS.len()]
    where
        'a: 'b,
    {
        let mut texts = [""; IdKind::BUSINESS.len()];
        for ((text, said), digits) in texts.iter_mut().zip(self.0).zip(numbers) {
            *text = match said {
                Said::Nothing => "",
                Said::Text(text) => text,
                Said::Number(number) => print(number, digits),
            };
        }
        texts
    }
}

fn print(number: i64, digits: &mut [u8; NUMBER_BYTES_MAX]) -> &str {
    let (mut rest, mut start) = (number.unsigned_abs(), NUMBER_BYTES_MAX);
    loop {
        start -= 1;
        if let Some(digit) = digits.get_mut(start) {
            *digit = b'0' + (rest % 10) as u8;
        }
        rest /= 10;
        if rest == 0 || start == 0 {
            break;
        }
    }
    if number < 0 && start > 0 {
        start -= 1;
        if let Some(sign) = digits.get_mut(start) {
            *sign = b'-';
        }
    }
    std::str::from_utf8(digits.get(start..).unwrap_or_default()).unwrap_or("")
}
