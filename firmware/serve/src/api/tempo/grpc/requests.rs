//! Requests, read field by field. Zero and empty stand for what was not said; fields that are not known are skipped.
//!
//! The layouts are facts of the interface, written down here once:
//!
//! | message | fields |
//! | --- | --- |
//! | `SearchRequest` | `Tags` map 1, `MinDurationMs` 2, `MaxDurationMs` 3, `Limit` 4, `start` 5, `end` 6 (s), `Query` 8, `SpansPerSpanSet` 9 |
//! | `SearchTagsRequest` | `scope` 1, `start` 3, `end` 4 (s), `query` 5, `maxTagsPerScope` 6, `staleValuesThreshold` 7 |
//! | `SearchTagValuesRequest` | `tagName` 1, `query` 2, `start` 4, `end` 5 (s), `maxTagValues` 6, `staleValueThreshold` 7 |
//! | `QueryRangeRequest` | `query` 1, `start` 2, `end` 3, `step` 4 (ns), `exemplars` 16, `maxSeries` 17 |
//! | `QueryInstantRequest` | `query` 1, `start` 2, `end` 3 (ns) |

use super::super::answer::ApiError;
use super::super::metrics::{self, Step};
use super::super::search::{self, ByTags};
use super::super::tags;
use super::super::times::{message_range, range, readable_step_ns};
use bramble_wire::DecodeError;
use bramble_wire::protobuf::{Field, Reader};

fn bad(error: DecodeError) -> ApiError {
    ApiError::bad(format!("request cannot be read: {error}"))
}

/// Shows `each` the fields of a message.
fn fields<'a>(
    mut reader: Reader<'a>,
    mut each: impl FnMut(&Field<'a>) -> Result<(), DecodeError>,
) -> Result<(), ApiError> {
    while let Some(field) = reader.next().map_err(bad)? {
        each(&field).map_err(bad)?;
    }
    Ok(())
}

fn some(number: u64) -> Option<u64> {
    Some(number).filter(|n| *n != 0)
}

fn text(field: &Field<'_>) -> Result<Option<String>, DecodeError> {
    Ok(Some(field.text()?).filter(|t| !t.is_empty()).map(str::to_owned))
}

/// An entry of a map from text to text.
fn entry(field: &Field<'_>) -> Result<(String, String), DecodeError> {
    let (mut reader, mut key, mut value) = (field.message()?, String::new(), String::new());
    while let Some(field) = reader.next()? {
        match field.number {
            1 => field.text()?.clone_into(&mut key),
            2 => field.text()?.clone_into(&mut value),
            _ => {}
        }
    }
    Ok((key, value))
}

const MILLISECOND_NS: u64 = 1_000_000;

pub(super) fn search(request: Reader<'_>, now_s: u64) -> Result<search::Asked, ApiError> {
    let mut asked = search::Asked::default();
    let mut by_tags = ByTags::default();
    let (mut start, mut end) = (0, 0);
    fields(request, |field| {
        match field.number {
            1 => by_tags.tags.push(entry(field)?),
            2 => by_tags.min_ns = some(field.varint()?).map(|ms| ms.saturating_mul(MILLISECOND_NS)),
            3 => by_tags.max_ns = some(field.varint()?).map(|ms| ms.saturating_mul(MILLISECOND_NS)),
            4 => asked.limit = some(field.varint()?),
            5 => start = field.varint()?,
            6 => end = field.varint()?,
            8 => asked.query = text(field)?,
            9 => asked.spans_per_set = some(field.varint()?),
            _ => {}
        }
        Ok(())
    })?;
    Ok(search::Asked { by_tags, range_ns: range(some(start), some(end), now_s)?, ..asked })
}

pub(super) fn names(request: Reader<'_>, now_s: u64) -> Result<tags::NamesAsked, ApiError> {
    let mut asked = tags::NamesAsked::default();
    let (mut start, mut end) = (0, 0);
    fields(request, |field| {
        match field.number {
            1 => asked.scope = text(field)?,
            3 => start = field.varint()?,
            4 => end = field.varint()?,
            5 => asked.query = text(field)?,
            6 => asked.limit = some(field.varint()?),
            _ => {}
        }
        Ok(())
    })?;
    Ok(tags::NamesAsked { range_ns: range(some(start), some(end), now_s)?, ..asked })
}

pub(super) fn values(request: Reader<'_>, now_s: u64) -> Result<tags::ValuesAsked, ApiError> {
    let mut asked = tags::ValuesAsked::default();
    let (mut start, mut end) = (0, 0);
    fields(request, |field| {
        match field.number {
            1 => asked.tag = field.text()?.to_owned(),
            2 => asked.query = text(field)?,
            4 => start = field.varint()?,
            5 => end = field.varint()?,
            6 => asked.limit = some(field.varint()?),
            _ => {}
        }
        Ok(())
    })?;
    Ok(tags::ValuesAsked { range_ns: range(some(start), some(end), now_s)?, ..asked })
}

/// Query, start, end, step, exemplars and series of either request that measures.
fn measured(request: Reader<'_>) -> Result<(String, [u64; 5]), ApiError> {
    let (mut query, mut numbers) = (String::new(), [0; 5]);
    fields(request, |field| {
        let place = match field.number {
            1 => {
                field.text()?.clone_into(&mut query);
                return Ok(());
            }
            2..=4 => field.number as usize - 2,
            16 => 3,
            17 => 4,
            _ => return Ok(()),
        };
        if let Some(number) = numbers.get_mut(place) {
            *number = field.varint()?;
        }
        Ok(())
    })?;
    Ok((query, numbers))
}

pub(super) fn range_of_measure(request: Reader<'_>, now_ns: u64) -> Result<metrics::Asked, ApiError> {
    let (query, [start, end, step, exemplars, max_series]) = measured(request)?;
    let range_ns = message_range(start, end, now_ns)?;
    let step_ns = some(step).unwrap_or_else(|| readable_step_ns(range_ns.1 - range_ns.0));
    Ok(metrics::Asked {
        query,
        range_ns,
        step: Step::Of(step_ns),
        exemplars: some(exemplars),
        max_series: some(max_series),
    })
}

pub(super) fn instant(request: Reader<'_>, now_ns: u64) -> Result<metrics::Asked, ApiError> {
    let (query, [start, end, ..]) = measured(request)?;
    let range_ns = message_range(start, end, now_ns)?;
    Ok(metrics::Asked { query, range_ns, step: Step::Whole, exemplars: None, max_series: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_wire::protobuf::Writer;

    #[test]
    fn what_was_not_said_has_its_default() {
        let asked = search(Reader::new(&[]), 7200).unwrap();
        assert_eq!((asked.limit, asked.spans_per_set, asked.query), (None, None, None));
        assert_eq!(asked.range_ns, (3600 * 1_000_000_000, 10_800 * 1_000_000_000));
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes);
        writer.message(1, |entry| {
            entry.bytes(1, "name");
            entry.bytes(2, "GET");
        });
        writer.varint(2, 5);
        writer.varint(4, 7);
        writer.varint(5, 1_700_000_000);
        writer.varint(6, 1_700_000_001);
        writer.bytes(8, "{}");
        writer.varint(99, 1);
        let asked = search(Reader::new(&bytes), 0).unwrap();
        assert_eq!(asked.by_tags.tags, [("name".to_owned(), "GET".to_owned())]);
        assert_eq!((asked.by_tags.min_ns, asked.limit, asked.query.as_deref()), (Some(5_000_000), Some(7), Some("{}")));
        assert_eq!(asked.range_ns.1 - asked.range_ns.0, 1_000_000_000);
        assert!(search(Reader::new(&[0x22, 5]), 0).unwrap_err().message.contains("byte 2"));
        assert!(search(Reader::new(&[0x42, 1, 0xff]), 0).is_err(), "not text");
    }
}
