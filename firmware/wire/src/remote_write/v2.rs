//! `io.prometheus.write.v2.Request`: texts in one table of symbols, labels as references to it; metadata, exemplars
//! and beginnings with every series.

use super::series::{Items, Series, describe, encode, exemplar, push_label};
use super::{Scratch, histogram, metadata};
use crate::error::ItemError;
use crate::label_set::LabelSet;
use crate::limits::Meter;
use crate::protobuf::{Field, Reader};
use crate::{DecodeError, DecodeErrorKind, Decoded, Limits, RejectReason};
use bramble_signal::{Exemplar, METRIC_NAME, MetricBatch};

/// The table of symbols; `None` is text that is not UTF-8.
type Symbols<'a> = [Option<&'a str>];

const SYMBOL_BYTES: usize = size_of::<Option<&str>>();

pub(super) fn decode(body: &[u8], limits: &Limits, scratch: &mut Scratch) -> Result<Decoded<MetricBatch>, DecodeError> {
    scratch.families.clear();
    let mut decoded = Decoded::default();
    let mut meter = Meter::new(limits.batch_bytes_max);
    let symbols = read_symbols(body, &mut meter)?;
    let mut reader = Reader::new(body);
    while let Some(field) = reader.next()? {
        if field.number == 5 {
            series(&field, &symbols, limits, scratch, &mut decoded, &mut meter)?;
        }
    }
    Ok(decoded)
}

/// The table, wherever in the message it is. Its first symbol must be empty: references of 0 mean "not given".
fn read_symbols<'a>(body: &'a [u8], meter: &mut Meter) -> Result<Vec<Option<&'a str>>, DecodeError> {
    let mut symbols = Vec::new();
    let mut reader = Reader::new(body);
    while let Some(field) = reader.next()? {
        if field.number != 4 {
            continue;
        }
        let bytes = field.bytes()?;
        if symbols.is_empty() && !bytes.is_empty() {
            let message = "the table of symbols does not start with an empty one";
            return Err(DecodeError::new(DecodeErrorKind::Malformed, message, field.position));
        }
        meter.add(SYMBOL_BYTES, field.position)?;
        symbols.push(std::str::from_utf8(bytes).ok());
    }
    Ok(symbols)
}

/// A series' fields that come once.
#[derive(Default)]
struct Head<'a> {
    items: Items,
    /// What is wrong with its labels.
    bad: Option<RejectReason>,
    metadata: Option<Field<'a>>,
    created_ms: i64,
}

fn series(
    field: &Field<'_>,
    symbols: &Symbols<'_>,
    limits: &Limits,
    scratch: &mut Scratch,
    decoded: &mut Decoded<MetricBatch>,
    meter: &mut Meter,
) -> Result<(), DecodeError> {
    let head = read_head(field.message()?, symbols, &mut scratch.labels, limits)?;
    let Items { samples, histograms, exemplars } = head.items;
    let empty = samples + histograms + exemplars == 0;
    let bad = head.bad.or_else(|| encode(&mut scratch.labels).err()).or(empty.then_some(RejectReason::NoValue));
    if let Some(reason) = bad {
        let detail = || format!("series {} at byte {}", describe(&scratch.labels), field.position);
        decoded.rejected.add(reason, (samples + histograms + exemplars).max(1), detail);
        return Ok(());
    }
    if let Some(metadata) = head.metadata {
        read_metadata(&metadata, symbols, scratch, decoded, meter)?;
    }
    let Scratch { labels, exemplar, histogram, .. } = scratch;
    let mut series = Series::new(decoded, meter, labels.encoded(), field.position);
    let mut reader = field.message()?;
    while let Some(field) = reader.next()? {
        match field.number {
            2 => {
                let (timestamp_ms, value, start_ms) = sample(field.message()?)?;
                series.sample(timestamp_ms, value, known(start_ms, head.created_ms))?;
            }
            3 => {
                let point = histogram::read(field.message()?, histogram)?;
                series.histogram(point.timestamp_ms, point.histogram, known(point.start_ms, head.created_ms))?;
            }
            4 => match read_exemplar(field.message()?, symbols, exemplar, limits) {
                Ok(exemplar) => series.exemplar(exemplar)?,
                Err(ItemError::Reject(reason)) => {
                    let detail = || format!("exemplar at byte {} of series {}", field.position, series.labels);
                    series.decoded.rejected.add(reason, 1, detail);
                }
                Err(ItemError::Fatal(error)) => return Err(error),
            },
            _ => {}
        }
    }
    Ok(())
}

fn known(start_ms: i64, created_ms: i64) -> i64 {
    if start_ms == 0 { created_ms } else { start_ms }
}

fn read_head<'a>(
    mut reader: Reader<'a>,
    symbols: &Symbols<'_>,
    labels: &mut LabelSet,
    limits: &Limits,
) -> Result<Head<'a>, DecodeError> {
    labels.clear();
    let mut head = Head::default();
    let mut references = References::default();
    while let Some(field) = reader.next()? {
        match field.number {
            1 => references.read(&field, symbols, labels, limits)?,
            2 => head.items.samples += 1,
            3 => head.items.histograms += 1,
            4 => head.items.exemplars += 1,
            5 => head.metadata = Some(field),
            6 => head.created_ms = field.int64()?,
            _ => {}
        }
    }
    head.bad = references.end().err();
    Ok(head)
}

/// Pairs of references, which may be spread over several fields.
#[derive(Default)]
struct References {
    /// A name whose value has not come yet.
    name: Option<u64>,
    bad: Option<RejectReason>,
}

impl References {
    fn read(
        &mut self,
        field: &Field<'_>,
        symbols: &Symbols<'_>,
        labels: &mut LabelSet,
        limits: &Limits,
    ) -> Result<(), DecodeError> {
        field.each_varint(|reference| match self.name.take() {
            None => self.name = Some(reference),
            Some(name) if self.bad.is_none() => {
                let pair = symbol(symbols, name).and_then(|name| Ok((name, symbol(symbols, reference)?)));
                let pushed = pair.and_then(|(name, value)| push_label(labels, limits, name, value));
                self.bad = pushed.err();
            }
            Some(_) => {}
        })
    }

    fn end(self) -> Result<(), RejectReason> {
        match (self.bad, self.name) {
            (Some(reason), _) => Err(reason),
            (None, Some(_)) => Err(RejectReason::InvalidSymbol),
            (None, None) => Ok(()),
        }
    }
}

fn symbol<'a>(symbols: &Symbols<'a>, reference: u64) -> Result<&'a str, RejectReason> {
    let symbol = usize::try_from(reference).ok().and_then(|place| symbols.get(place));
    symbol.ok_or(RejectReason::InvalidSymbol)?.ok_or(RejectReason::InvalidUtf8)
}

fn sample(mut reader: Reader<'_>) -> Result<(i64, f64, i64), DecodeError> {
    let (mut value, mut timestamp_ms, mut start_ms) = (0.0, 0, 0);
    while let Some(field) = reader.next()? {
        match field.number {
            1 => value = field.double()?,
            2 => timestamp_ms = field.int64()?,
            3 => start_ms = field.int64()?,
            _ => {}
        }
    }
    Ok((timestamp_ms, value, start_ms))
}

fn read_exemplar(
    mut reader: Reader<'_>,
    symbols: &Symbols<'_>,
    labels: &mut LabelSet,
    limits: &Limits,
) -> Result<Exemplar, ItemError> {
    labels.clear();
    let (mut value, mut timestamp_ms, mut references) = (0.0, 0, References::default());
    while let Some(field) = reader.next()? {
        match field.number {
            1 => references.read(&field, symbols, labels, limits)?,
            2 => value = field.double()?,
            3 => timestamp_ms = field.int64()?,
            _ => {}
        }
    }
    references.end()?;
    exemplar(labels, value, timestamp_ms)
}

/// Metadata is no item that a sender counts: what its references miss is left empty.
fn read_metadata(
    field: &Field<'_>,
    symbols: &Symbols<'_>,
    scratch: &mut Scratch,
    decoded: &mut Decoded<MetricBatch>,
    meter: &mut Meter,
) -> Result<(), DecodeError> {
    let (mut kind, mut help, mut unit) = (0, "", "");
    let mut reader = field.message()?;
    while let Some(field) = reader.next()? {
        match field.number {
            1 => kind = field.varint()?,
            3 => help = symbol(symbols, field.varint()?).unwrap_or_default(),
            4 => unit = symbol(symbols, field.varint()?).unwrap_or_default(),
            _ => {}
        }
    }
    let kind = metadata::kind(kind);
    if kind == bramble_signal::MetricKind::Unknown && help.is_empty() && unit.is_empty() {
        return Ok(());
    }
    let Scratch { labels, families, .. } = scratch;
    let family = metadata::family(labels.encoded().get(METRIC_NAME).unwrap_or_default(), kind);
    metadata::push(&mut decoded.batch, families, meter, (family, kind, help, unit), field.position)
}
