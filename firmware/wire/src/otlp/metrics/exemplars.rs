//! Exemplars of data points.

use super::Metrics;
use crate::error::ItemError;
use crate::exemplar::{EXEMPLAR_BYTES, EXEMPLAR_CHARACTERS_MAX};
use crate::label_set::LabelSet;
use crate::otlp::any_value::{push_text, put_key_value};
use crate::protobuf::Reader;
use crate::{DecodeError, DecodeErrorKind, RejectReason};
use bramble_signal::attributes::AttributesRef;
use bramble_signal::{Exemplar, Labels};

const TRACE_ID: &str = "trace_id";
const SPAN_ID: &str = "span_id";

impl Metrics<'_> {
    /// Reads the exemplars of a point, fields `number` of `message`, into the scratch memory, ascending by value. Those
    /// that break a rule are skipped; those without a time have the point's.
    pub(super) fn read_exemplars(
        &mut self,
        mut message: Reader<'_>,
        number: u32,
        time_ms: i64,
    ) -> Result<(), DecodeError> {
        self.scratch.exemplars.clear();
        while let Some(field) = message.next()? {
            if field.number != number {
                continue;
            }
            let position = field.position;
            match read(field.message()?, time_ms, &mut self.scratch.exemplar, &mut self.scratch.inner) {
                Ok(exemplar) => {
                    self.meter.add(EXEMPLAR_BYTES + exemplar.labels.as_bytes().len(), position)?;
                    self.scratch.exemplars.push(exemplar);
                }
                Err(ItemError::Reject(_)) => self.decoded.exemplars_skipped += 1,
                Err(ItemError::Fatal(error)) => return Err(error),
            }
        }
        // The next of them is taken from the end.
        self.scratch.exemplars.sort_by(|a, b| b.value.total_cmp(&a.value));
        Ok(())
    }

    /// Gives the series started last the exemplars of at most `bound` that no series has yet.
    pub(super) fn take_exemplars(&mut self, bound: f64) {
        let all = &mut self.scratch.exemplars;
        // NaN is in no bucket, and so in the last.
        while let Some(exemplar) = all.pop_if(|e| e.value <= bound || (bound == f64::INFINITY && e.value.is_nan())) {
            self.decoded.batch.push_exemplar(exemplar);
        }
    }
}

fn read(
    mut reader: Reader<'_>,
    point_ms: i64,
    labels: &mut LabelSet,
    attributes: &mut Vec<u8>,
) -> Result<Exemplar, ItemError> {
    labels.clear();
    attributes.clear();
    let (mut value, mut time_ns) = (None, 0);
    while let Some(field) = reader.next()? {
        match field.number {
            2 => time_ns = field.fixed64()?,
            3 => value = Some(field.double()?),
            4 => push_id(labels, SPAN_ID, field.bytes()?),
            5 => push_id(labels, TRACE_ID, field.bytes()?),
            6 => value = Some(field.fixed64()?.cast_signed() as f64),
            7 => match put_key_value(attributes, &field) {
                Err(error) if error.kind() == DecodeErrorKind::TooDeep => {
                    return Err(RejectReason::InvalidExemplar.into());
                }
                other => other?,
            },
            _ => {}
        }
    }
    let value = value.ok_or(RejectReason::NoValue)?;
    let timestamp_ms = if time_ns == 0 { point_ms } else { (time_ns / 1_000_000).cast_signed() };
    Ok(Exemplar { labels: with_attributes(labels, AttributesRef::from_encoded(attributes)), value, timestamp_ms })
}

fn push_id(labels: &mut LabelSet, name: &str, id: &[u8]) {
    // An id of another length leads nowhere, and could be of any size.
    if matches!(id.len(), 8 | 16) && id.iter().any(|&byte| byte != 0) {
        labels.push_with(|text| text.push_str(name), |text| crate::hex::put_hex(text, id));
    }
}

/// The ids with the attributes, or without where they would be too long or name something twice (as Prometheus has
/// it).
fn with_attributes(labels: &mut LabelSet, attributes: AttributesRef<'_>) -> Labels {
    let ids = labels.mark();
    for (key, value) in attributes.iter() {
        labels.push_with(|text| text.push_str(key), |text| push_text(text, value));
    }
    let characters: usize = labels.iter().map(|(name, value)| name.chars().count() + value.chars().count()).sum();
    if characters <= EXEMPLAR_CHARACTERS_MAX
        && let Ok(all) = labels.encode_unique()
    {
        return all.to_labels();
    }
    labels.rewind(ids);
    labels.encode_last_wins().to_labels()
}
