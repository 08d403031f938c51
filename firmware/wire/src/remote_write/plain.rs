//! The short way for series as nearly every sender writes them.
//!
//! Labels first, sorted, of ASCII, none longer than 127 bytes; then samples and nothing else. Of such a series the
//! encoded labels are the bytes that came, less their tags, and nothing needs to be sorted, checked as UTF-8 or counted in
//! advance: a third of the CPU time of a whole write request. Anything else, damage too, is left to the long way,
//! which finds the same for a plain series.

use crate::Limits;
use bramble_signal::METRIC_NAME;

const LABEL: u8 = 1 << 3 | 2;
const SAMPLE: u8 = 2 << 3 | 2;
const NAME: u8 = 1 << 3 | 2;
const VALUE: u8 = 2 << 3 | 2;
const SAMPLE_VALUE: u8 = 1 << 3 | 1;
const SAMPLE_TIME: u8 = 2 << 3;
/// More are left to the long way, which pays for each as it comes.
const SAMPLES_MAX: usize = 1024;

/// Reads a series into `labels` (encoded) and `samples` (milliseconds, value), both cleared first; whether it was plain.
/// If not, what they hold means nothing.
pub(super) fn read(series: &[u8], limits: &Limits, labels: &mut Vec<u8>, samples: &mut Vec<(i64, f64)>) -> bool {
    labels.clear();
    samples.clear();
    read_labels(series, limits, labels).and_then(|rest| read_samples(rest, samples)).is_some()
}

fn read_labels<'a>(series: &'a [u8], limits: &Limits, out: &mut Vec<u8>) -> Option<&'a [u8]> {
    let (mut rest, mut before, mut count, mut named) = (series, &[][..], 0, false);
    while let Some((&LABEL, after)) = rest.split_first() {
        let (message, after) = short(after)?;
        let (name, message) = short(message.strip_prefix(&[NAME])?)?;
        let (value, message) = short(message.strip_prefix(&[VALUE])?)?;
        let lengths_fit = name.len() <= limits.label_name_bytes_max && value.len() <= limits.label_value_bytes_max;
        // The first name is above the empty one, too.
        if !message.is_empty() || value.is_empty() || name <= before || !lengths_fit {
            return None;
        }
        named |= name == METRIC_NAME.as_bytes();
        out.push(name.len() as u8);
        out.extend_from_slice(name);
        out.push(value.len() as u8);
        out.extend_from_slice(value);
        (rest, before, count) = (after, name, count + 1);
    }
    (named && count <= limits.series_labels_max && out.is_ascii()).then_some(rest)
}

fn read_samples(mut rest: &[u8], samples: &mut Vec<(i64, f64)>) -> Option<()> {
    while !rest.is_empty() && samples.len() < SAMPLES_MAX {
        let (mut message, after) = short(rest.strip_prefix(&[SAMPLE])?)?;
        let mut value = 0.0;
        // Zero is not always written.
        if let Some((&SAMPLE_VALUE, bytes)) = message.split_first() {
            let (bits, behind) = bytes.split_first_chunk()?;
            (value, message) = (f64::from_bits(u64::from_le_bytes(*bits)), behind);
        }
        let time = varint(message.strip_prefix(&[SAMPLE_TIME])?)?;
        samples.push((time.cast_signed(), value));
        rest = after;
    }
    (rest.is_empty() && !samples.is_empty()).then_some(())
}

/// What a length of one byte says, and what follows it.
#[inline]
fn short(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&length, rest) = bytes.split_first()?;
    if length < 0x80 { rest.split_at_checked(usize::from(length)) } else { None }
}

/// A number of up to nine bytes that is all there is.
#[inline]
fn varint(bytes: &[u8]) -> Option<u64> {
    let (&last, more) = bytes.split_last()?;
    if last >= 0x80 || more.len() > 8 || more.iter().any(|&byte| byte < 0x80) {
        return None;
    }
    Some(bytes.iter().rev().fold(0, |value, &byte| value << 7 | u64::from(byte & 0x7f)))
}
