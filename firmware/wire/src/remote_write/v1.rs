//! `prometheus.WriteRequest`: labels as text in every series, metadata beside the series.

use super::series::{Items, Series, describe, encode, exemplar, push_label};
use super::{Scratch, histogram, metadata, plain};
use crate::error::ItemError;
use crate::label_set::LabelSet;
use crate::limits::Meter;
use crate::protobuf::{Field, Reader};
use crate::{DecodeError, Decoded, Limits, RejectReason};
use bramble_signal::{Exemplar, LabelsRef, MetricBatch};

pub(super) fn decode(body: &[u8], limits: &Limits, scratch: &mut Scratch) -> Result<Decoded<MetricBatch>, DecodeError> {
    scratch.families.clear();
    let mut decoded = Decoded::default();
    let mut meter = Meter::new(limits.batch_bytes_max);
    let mut reader = Reader::new(body);
    while let Some(field) = reader.next()? {
        match field.number {
            1 => series(&field, limits, scratch, &mut decoded, &mut meter)?,
            3 => family(&field, scratch, &mut decoded, &mut meter)?,
            _ => {}
        }
    }
    Ok(decoded)
}

fn series(
    field: &Field<'_>,
    limits: &Limits,
    scratch: &mut Scratch,
    decoded: &mut Decoded<MetricBatch>,
    meter: &mut Meter,
) -> Result<(), DecodeError> {
    let Scratch { encoded, samples, .. } = scratch;
    if !plain::read(field.bytes()?, limits, encoded, samples) {
        return any_series(field, limits, scratch, decoded, meter);
    }
    let mut series = Series::new(decoded, meter, LabelsRef::from_encoded(encoded), field.position);
    samples.iter().try_for_each(|&(timestamp_ms, value)| series.sample(timestamp_ms, value, 0))
}

/// The long way, which takes whatever a sender may send.
pub(super) fn any_series(
    field: &Field<'_>,
    limits: &Limits,
    scratch: &mut Scratch,
    decoded: &mut Decoded<MetricBatch>,
    meter: &mut Meter,
) -> Result<(), DecodeError> {
    let Scratch { labels, exemplar: exemplar_labels, histogram, .. } = scratch;
    let (items, bad) = read_labels(field.message()?, labels, limits)?;
    if let Some(reason) = bad.or_else(|| encode(labels).err()) {
        let detail = || format!("series {} at byte {}", describe(labels), field.position);
        decoded.rejected.add(reason, (items.samples + items.histograms).max(1), detail);
        decoded.exemplars_skipped += items.exemplars;
        return Ok(());
    }
    let mut series = Series::new(decoded, meter, labels.encoded(), field.position);
    let mut reader = field.message()?;
    while let Some(field) = reader.next()? {
        match field.number {
            2 => {
                let (timestamp_ms, value) = sample(field.message()?)?;
                series.sample(timestamp_ms, value, 0)?;
            }
            3 => match read_exemplar(field.message()?, exemplar_labels, limits) {
                Ok(exemplar) => series.exemplar(exemplar)?,
                Err(ItemError::Reject(_)) => series.decoded.exemplars_skipped += 1,
                Err(ItemError::Fatal(error)) => return Err(error),
            },
            4 => {
                let point = histogram::read(field.message()?, histogram)?;
                series.histogram(point.timestamp_ms, point.histogram, 0)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Collects the labels and counts the rest; also says what is wrong with a label.
fn read_labels(
    mut reader: Reader<'_>,
    labels: &mut LabelSet,
    limits: &Limits,
) -> Result<(Items, Option<RejectReason>), DecodeError> {
    labels.clear();
    let (mut items, mut bad) = (Items::default(), None);
    while let Some(field) = reader.next()? {
        match field.number {
            1 if bad.is_none() => match label(field.message()?, labels, limits) {
                Ok(()) => {}
                Err(ItemError::Reject(reason)) => bad = Some(reason),
                Err(ItemError::Fatal(error)) => return Err(error),
            },
            2 => items.samples += 1,
            3 => items.exemplars += 1,
            4 => items.histograms += 1,
            _ => {}
        }
    }
    Ok((items, bad))
}

fn label(reader: Reader<'_>, labels: &mut LabelSet, limits: &Limits) -> Result<(), ItemError> {
    let (name, value) = name_and_value(reader)?;
    Ok(push_label(labels, limits, name, value)?)
}

/// A message whose fields 1 and 2 are a name and a value.
pub(crate) fn name_and_value(mut reader: Reader<'_>) -> Result<(&str, &str), DecodeError> {
    let (mut name, mut value) = ("", "");
    while let Some(field) = reader.next()? {
        match field.number {
            1 => name = field.text()?,
            2 => value = field.text()?,
            _ => {}
        }
    }
    Ok((name, value))
}

fn sample(mut reader: Reader<'_>) -> Result<(i64, f64), DecodeError> {
    let (mut value, mut timestamp_ms) = (0.0, 0);
    while let Some(field) = reader.next()? {
        match field.number {
            1 => value = field.double()?,
            2 => timestamp_ms = field.int64()?,
            _ => {}
        }
    }
    Ok((timestamp_ms, value))
}

fn read_exemplar(mut reader: Reader<'_>, labels: &mut LabelSet, limits: &Limits) -> Result<Exemplar, ItemError> {
    labels.clear();
    let (mut value, mut timestamp_ms) = (0.0, 0);
    while let Some(field) = reader.next()? {
        match field.number {
            1 => label(field.message()?, labels, limits)?,
            2 => value = field.double()?,
            3 => timestamp_ms = field.int64()?,
            _ => {}
        }
    }
    exemplar(labels, value, timestamp_ms)
}

fn family(
    field: &Field<'_>,
    scratch: &mut Scratch,
    decoded: &mut Decoded<MetricBatch>,
    meter: &mut Meter,
) -> Result<(), DecodeError> {
    let (mut kind, mut name, mut help, mut unit) = (0, "", "", "");
    let mut reader = field.message()?;
    while let Some(field) = reader.next()? {
        // Metadata that is not UTF-8 is left out; it is no item that a sender counts.
        match field.number {
            1 => kind = field.varint()?,
            2 => name = field.text().unwrap_or_default(),
            4 => help = field.text().unwrap_or_default(),
            5 => unit = field.text().unwrap_or_default(),
            _ => {}
        }
    }
    match name.is_empty() {
        true => Ok(()),
        false => metadata::push(
            &mut decoded.batch,
            &mut scratch.families,
            meter,
            (name, metadata::kind(kind), help, unit),
            field.position,
        ),
    }
}
