//! Exemplar pages: `(shared length, bytes rest of the series' labels, n exemplars, exemplar*)*`, ascending by labels;
//! exemplar := z time - the one before, 8 bytes value, bytes labels. The page before is not needed to read one.

use crate::bytes::{Take, put_bytes, put_varint, put_zigzag};
use crate::exemplars::Exemplars;
use bramble_signal::{Exemplar, LabelsRef};

const PAGE_BYTES: usize = 64 << 10;

/// Pages of all exemplars, each with the bounds of its times.
pub(crate) fn encode_exemplars(all: &Exemplars<Vec<u8>>) -> Vec<(Vec<u8>, i64, i64)> {
    let mut pages = Vec::new();
    let (mut page, mut range, mut time) = (Vec::new(), (i64::MAX, i64::MIN), 0i64);
    let mut last: &[u8] = &[];
    for (labels, exemplars) in all.iter() {
        let shared = last.iter().zip(labels).take_while(|(a, b)| a == b).count();
        put_varint(&mut page, shared as u64);
        put_bytes(&mut page, labels.get(shared..).unwrap_or_default());
        put_varint(&mut page, exemplars.len() as u64);
        for exemplar in exemplars {
            put_zigzag(&mut page, exemplar.timestamp_ms.wrapping_sub(time));
            time = exemplar.timestamp_ms;
            range = (range.0.min(time), range.1.max(time));
            page.extend_from_slice(&exemplar.value.to_bits().to_le_bytes());
            put_bytes(&mut page, exemplar.labels.as_bytes());
        }
        last = labels;
        if page.len() >= PAGE_BYTES {
            pages.push((std::mem::take(&mut page), range.0, range.1));
            (range, time, last) = ((i64::MAX, i64::MIN), 0, &[]);
        }
    }
    if !page.is_empty() {
        pages.push((page, range.0, range.1));
    }
    pages
}

/// Calls `each` for the series' labels and exemplars of a page; `None` when it is damaged.
pub(crate) fn decode_exemplars(page: &[u8], each: &mut dyn FnMut(LabelsRef<'_>, Exemplar)) -> Option<()> {
    let (mut bytes, mut labels, mut time) = (Take(page), Vec::new(), 0i64);
    while !bytes.is_empty() {
        let shared = bytes.count(labels.len())?;
        labels.truncate(shared);
        labels.extend_from_slice(bytes.bytes()?);
        let series = LabelsRef::parse(&labels)?;
        for _ in 0..bytes.count(bytes.0.len())? {
            time = time.wrapping_add(bytes.zigzag()?);
            let value = f64::from_bits(u64::from_le_bytes(bytes.run(8)?.try_into().ok()?));
            let own = LabelsRef::parse(bytes.bytes()?)?.to_labels();
            each(series, Exemplar { labels: own, value, timestamp_ms: time });
        }
    }
    Some(())
}
