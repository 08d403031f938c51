//! The footer of a metric block: where its pages are, and what they cover.
//!
//! ```text
//! footer     := rank, base time, series, samples, data pages, series pages, times pages, dictionary pages, metadata,
//!               kind, lowest rank, rich pages
//! data page  := page reference, series, first time - base, last time - first time
//! series page, times page := page reference, count
//! dictionary page := page reference, name, value (of its first pair)
//! metadata   := 0 | 1, page reference
//! ```

use super::rich::RichPages;
use crate::bytes::{Take, put_bytes, put_varint, put_zigzag};
use bramble_disk::segment::PageRef;

/// A page of values.
#[derive(Clone, Copy)]
pub(crate) struct DataPage {
    pub(crate) at: PageRef,
    /// Number of its first series in the block.
    pub(crate) first: u32,
    pub(crate) min_ms: i64,
    pub(crate) max_ms: i64,
}

/// A page of labels or of timestamp columns.
#[derive(Clone, Copy)]
pub(crate) struct CountedPage {
    pub(crate) at: PageRef,
    /// Number of its first series or column in the block.
    pub(crate) first: u32,
}

/// A page of label pairs with their series.
pub(crate) struct DictionaryPage {
    pub(crate) at: PageRef,
    pub(crate) name: Box<[u8]>,
    pub(crate) value: Box<[u8]>,
}

/// What the values of a block are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum BlockKind {
    /// Samples as they came.
    #[default]
    Samples,
    /// Columns of rollups (`crate::rollup`).
    Rollups,
}

/// The footer, read.
#[derive(Default)]
pub(crate) struct Footer {
    /// Orders blocks by age of what they hold: highest journal sequence, kept through merges.
    pub(crate) rank: u64,
    /// The lowest rank of what was merged into it; the rank itself if nothing was. 0 in blocks of before it was kept.
    pub(crate) rank_from: u64,
    pub(crate) kind: BlockKind,
    pub(crate) base_ms: i64,
    pub(crate) series: u32,
    pub(crate) samples: u64,
    pub(crate) data: Vec<DataPage>,
    pub(crate) labels: Vec<CountedPage>,
    pub(crate) times: Vec<CountedPage>,
    pub(crate) dictionary: Vec<DictionaryPage>,
    pub(crate) metadata: Option<PageRef>,
    pub(crate) rich: RichPages,
}

impl Footer {
    pub(crate) fn encode(&self, times_count: u32) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(&mut out, self.rank);
        put_zigzag(&mut out, self.base_ms);
        put_varint(&mut out, u64::from(self.series));
        put_varint(&mut out, self.samples);
        put_varint(&mut out, self.data.len() as u64);
        for (at, page) in self.data.iter().enumerate() {
            page.at.put(&mut out);
            let next = self.data.get(at + 1).map_or(self.series, |next| next.first);
            put_varint(&mut out, u64::from(next - page.first));
            put_zigzag(&mut out, page.min_ms.wrapping_sub(self.base_ms));
            put_varint(&mut out, page.max_ms.wrapping_sub(page.min_ms) as u64);
        }
        for (pages, total) in [(&self.labels, self.series), (&self.times, times_count)] {
            put_varint(&mut out, pages.len() as u64);
            for (at, page) in pages.iter().enumerate() {
                page.at.put(&mut out);
                put_varint(&mut out, u64::from(pages.get(at + 1).map_or(total, |next| next.first) - page.first));
            }
        }
        put_varint(&mut out, self.dictionary.len() as u64);
        for page in &self.dictionary {
            page.at.put(&mut out);
            put_bytes(&mut out, &page.name);
            put_bytes(&mut out, &page.value);
        }
        out.push(u8::from(self.metadata.is_some()));
        if let Some(at) = self.metadata {
            at.put(&mut out);
        }
        put_varint(&mut out, self.kind as u64);
        put_varint(&mut out, self.rank_from);
        self.rich.encode(&mut out);
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut bytes = Take(bytes);
        let (rank, base_ms) = (bytes.varint()?, bytes.zigzag()?);
        let (series, samples) = (u32::try_from(bytes.varint()?).ok()?, bytes.varint()?);
        let mut footer = Footer { rank, base_ms, series, samples, ..Footer::default() };
        let mut first = 0u32;
        for _ in 0..bytes.count(bytes.0.len())? {
            let at = PageRef::take(&mut bytes.0)?;
            let count = u32::try_from(bytes.varint()?).ok()?;
            let min_ms = base_ms.wrapping_add(bytes.zigzag()?);
            let max_ms = min_ms.wrapping_add(bytes.varint()? as i64);
            footer.data.push(DataPage { at, first, min_ms, max_ms });
            first = first.checked_add(count)?;
        }
        if first != series {
            return None;
        }
        footer.labels = counted(&mut bytes)?.0;
        footer.times = counted(&mut bytes)?.0;
        for _ in 0..bytes.count(bytes.0.len())? {
            let at = PageRef::take(&mut bytes.0)?;
            footer.dictionary.push(DictionaryPage { at, name: bytes.bytes()?.into(), value: bytes.bytes()?.into() });
        }
        footer.metadata = if bytes.u8()? == 1 { Some(PageRef::take(&mut bytes.0)?) } else { None };
        if !bytes.is_empty() {
            footer.kind = match bytes.varint()? {
                0 => BlockKind::Samples,
                1 => BlockKind::Rollups,
                _ => return None,
            };
            footer.rank_from = bytes.varint()?;
        }
        if !bytes.is_empty() {
            footer.rich = RichPages::decode(&mut bytes)?;
        }
        Some(footer)
    }

    /// Memory in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        size_of::<Footer>()
            + self.rich.memory_bytes()
            + self.data.capacity() * size_of::<DataPage>()
            + (self.labels.capacity() + self.times.capacity()) * size_of::<CountedPage>()
            + self
                .dictionary
                .iter()
                .map(|p| size_of::<DictionaryPage>() + p.name.len() + p.value.len() + 32)
                .sum::<usize>()
    }
}

fn counted(bytes: &mut Take<'_>) -> Option<(Vec<CountedPage>, u32)> {
    let (mut pages, mut first) = (Vec::new(), 0u32);
    for _ in 0..bytes.count(bytes.0.len())? {
        let at = PageRef::take(&mut bytes.0)?;
        pages.push(CountedPage { at, first });
        first = first.checked_add(u32::try_from(bytes.varint()?).ok()?)?;
    }
    Some((pages, first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn footers_of_before_rich_pages_and_kinds_are_read() {
        let at = PageRef { offset: 4096, stored_bytes: 100, raw_bytes: 300 };
        let mut footer = Footer { rank: 7, base_ms: 86_400_000, series: 3, samples: 9, ..Footer::default() };
        footer.data.push(DataPage { at, first: 0, min_ms: 86_400_005, max_ms: 86_400_009 });
        footer.metadata = Some(at);
        // Kind, lowest rank, and three counts of rich pages take a byte each.
        let bytes = footer.encode(0);
        for cut in [0, 3, 5] {
            let read = Footer::decode(&bytes[..bytes.len() - cut]).unwrap();
            assert_eq!((read.rank, read.samples, read.data[0].max_ms), (7, 9, 86_400_009));
            assert!(read.rich.histograms.is_empty() && read.metadata.is_some() && read.kind == BlockKind::Samples);
        }
        footer.rich.histograms.push(super::super::rich::SeriesPage { at, first: 1, last: 2 });
        footer.rich.exemplars.push(super::super::rich::ExemplarPage { at, min_ms: -5, max_ms: 9 });
        let read = Footer::decode(&footer.encode(0)).unwrap();
        assert_eq!((read.rich.histograms[0].first, read.rich.histograms[0].last), (1, 2));
        assert_eq!((read.rich.exemplars[0].min_ms, read.rich.exemplars[0].max_ms), (-5, 9));
    }
}
