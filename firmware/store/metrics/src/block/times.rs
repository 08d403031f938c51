//! Timestamp columns, each distinct one kept once per block.
//!
//! All series of a scrape target share their timestamps, so a block has about one column per target. A column is
//! `count, first - base, (change of interval, repetitions)*`: regular scrapes of any length take about ten bytes.
//! Columns are numbered in order of first use and stored in pages of about 32 KiB.

use crate::bytes::{Take, put_varint, put_zigzag};
use std::collections::HashMap;

/// Raw bytes after which a page of columns is closed.
pub(crate) const TIMES_PAGE_BYTES: usize = 32 << 10;
/// Columns remembered for being found again, in bytes of their encoding.
const REMEMBERED_BYTES: usize = 512 << 10;
/// Most samples of one series in one block: a day of one sample per millisecond.
const SAMPLES_MAX: usize = 86_400_000;

/// Appends one column; `timestamps` ascend.
pub(crate) fn encode_times(timestamps: &[i64], base_ms: i64, out: &mut Vec<u8>) {
    put_varint(out, timestamps.len() as u64);
    let Some(&first) = timestamps.first() else { return };
    put_zigzag(out, first.wrapping_sub(base_ms));
    let (mut interval, mut pending) = (0i64, None::<(i64, u64)>);
    for pair in timestamps.windows(2) {
        let now = pair[1].wrapping_sub(pair[0]);
        let change = now.wrapping_sub(interval);
        interval = now;
        match &mut pending {
            Some((same, times)) if *same == change => *times += 1,
            _ => {
                if let Some((change, times)) = pending {
                    put_zigzag(out, change);
                    put_varint(out, times);
                }
                pending = Some((change, 1));
            }
        }
    }
    if let Some((change, times)) = pending {
        put_zigzag(out, change);
        put_varint(out, times);
    }
}

/// Reads one column into `out` (cleared first); `None` when it is damaged.
pub(crate) fn decode_times(bytes: &[u8], base_ms: i64, out: &mut Vec<i64>) -> Option<()> {
    out.clear();
    let mut bytes = Take(bytes);
    let count = bytes.count(SAMPLES_MAX)?;
    if count == 0 {
        return Some(());
    }
    let mut time = base_ms.wrapping_add(bytes.zigzag()?);
    let mut interval = 0i64;
    out.push(time);
    while out.len() < count {
        let change = bytes.zigzag()?;
        let times = bytes.count(count - out.len())?;
        if times == 0 {
            return None;
        }
        if change == 0 && times > 1 {
            // A regular run: what most columns are made of.
            let last = interval.checked_mul(times as i64).and_then(|span| time.checked_add(span))?;
            if interval <= 0 {
                return None;
            }
            out.extend((1..=times as i64).map(|i| time + interval * i));
            time = last;
            continue;
        }
        for _ in 0..times {
            interval = interval.wrapping_add(change);
            let next = time.wrapping_add(interval);
            if next <= time {
                return None;
            }
            time = next;
            out.push(time);
        }
    }
    Some(())
}

/// Numbers columns and gathers pages of them.
pub(crate) struct TimesWriter {
    base_ms: i64,
    known: HashMap<Box<[u8]>, u32, foldhash::fast::FixedState>,
    known_bytes: usize,
    next: u32,
    last: (Vec<i64>, u32),
    ends: Vec<u32>,
    columns: Vec<u8>,
    scratch: Vec<u8>,
}

impl TimesWriter {
    pub(crate) fn new(base_ms: i64) -> Self {
        TimesWriter {
            base_ms,
            known: HashMap::default(),
            known_bytes: 0,
            next: 0,
            last: (Vec::new(), 0),
            ends: Vec::new(),
            columns: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// The number of this column.
    pub(crate) fn intern(&mut self, timestamps: &[i64]) -> u32 {
        if self.last.0 == timestamps {
            return self.last.1;
        }
        self.scratch.clear();
        encode_times(timestamps, self.base_ms, &mut self.scratch);
        let number = match self.known.get(self.scratch.as_slice()) {
            Some(&number) => number,
            None => self.add(),
        };
        self.last.0.clear();
        self.last.0.extend_from_slice(timestamps);
        self.last.1 = number;
        number
    }

    fn add(&mut self) -> u32 {
        let number = self.next;
        self.next += 1;
        self.columns.extend_from_slice(&self.scratch);
        self.ends.push(self.columns.len() as u32);
        self.known_bytes += self.scratch.len() + 48;
        if self.known_bytes > REMEMBERED_BYTES {
            self.known.clear();
            self.known_bytes = self.scratch.len() + 48;
        }
        self.known.insert(self.scratch.as_slice().into(), number);
        number
    }

    /// Whether a page should be written.
    pub(crate) fn is_full(&self) -> bool {
        self.columns.len() >= TIMES_PAGE_BYTES
    }

    /// The columns gathered since the last page as a page, and how many they are; `None` when there are none.
    pub(crate) fn page(&mut self) -> Option<(Vec<u8>, u32)> {
        let count = self.ends.len() as u32;
        let mut page = Vec::with_capacity(self.columns.len() + self.ends.len() * 3 + 8);
        put_varint(&mut page, u64::from(count));
        let mut before = 0;
        for &end in &self.ends {
            put_varint(&mut page, u64::from(end - before));
            before = end;
        }
        page.extend_from_slice(&self.columns);
        self.ends.clear();
        self.columns.clear();
        (count > 0).then_some((page, count))
    }
}

/// Where the columns of a page are.
pub(crate) struct TimesPage {
    ends: Vec<u32>,
    from: usize,
}

impl TimesPage {
    /// Reads the directory of a page.
    pub(crate) fn open(page: &[u8]) -> Option<Self> {
        let mut bytes = Take(page);
        let count = bytes.count(page.len())?;
        let (mut ends, mut end) = (Vec::with_capacity(count), 0u32);
        for _ in 0..count {
            end = end.checked_add(u32::try_from(bytes.varint()?).ok()?)?;
            ends.push(end);
        }
        let from = page.len() - bytes.0.len();
        (bytes.0.len() == end as usize).then_some(TimesPage { ends, from })
    }

    /// Reads column `index` of the page into `out`.
    pub(crate) fn column(&self, page: &[u8], index: usize, base_ms: i64, out: &mut Vec<i64>) -> Option<()> {
        let end = *self.ends.get(index)? as usize;
        let start = if index == 0 { 0 } else { *self.ends.get(index - 1)? as usize };
        decode_times(page.get(self.from + start..self.from + end)?, base_ms, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn columns_round_trip(base in -1000i64..1000, times in proptest::collection::btree_set(prop_oneof![any::<i64>(), 0i64..50], 0..60), cut in 0usize..40) {
            let times: Vec<i64> = times.into_iter().collect();
            let (mut bytes, mut read) = (Vec::new(), Vec::new());
            encode_times(&times, base, &mut bytes);
            prop_assert_eq!(decode_times(&bytes, base, &mut read), Some(()));
            prop_assert_eq!(&read, &times);
            if cut < bytes.len() {
                prop_assert_eq!(decode_times(&bytes[..cut], base, &mut read), None);
            }
        }
    }

    #[test]
    fn equal_columns_are_one() {
        let mut writer = TimesWriter::new(0);
        let (a, b): (Vec<i64>, Vec<i64>) =
            ((0..100).map(|i| i * 15_000).collect(), (0..100).map(|i| i * 15_000 + 7).collect());
        assert_eq!((writer.intern(&a), writer.intern(&b), writer.intern(&a), writer.intern(&a)), (0, 1, 0, 0));
        let (page, count) = writer.page().unwrap();
        assert!(count == 2 && page.len() < 30, "{}", page.len());
        let (open, mut read) = (TimesPage::open(&page).unwrap(), Vec::new());
        open.column(&page, 1, 0, &mut read).unwrap();
        assert_eq!(read, b);
        assert!(open.column(&page, 2, 0, &mut read).is_none() && writer.page().is_none());
    }
}
