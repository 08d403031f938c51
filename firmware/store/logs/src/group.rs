//! A page group: up to some hundred KiB of one stream's entries, sorted by time, column by column.
//!
//! ```text
//! group      := varint entries, varint length of timestamps, varint length of lines, timestamps, lines, metadata
//! timestamps := zigzag varint first, differences as integers
//! ```

mod read;

pub(crate) use read::Group;

use crate::columns::ColumnWriter;
use crate::dictionary::DictionaryWriter;
use crate::filter::FilterBuilder;
use crate::lines::{LineBytes, LineEncoder};
use crate::metadata;
use crate::rows::Rows;
use crate::varint::{put, zigzag};
use std::sync::Arc;

/// A group is closed at this many raw bytes (lines and metadata). Larger ones compress a little better (256 KiB: 0.4 bytes
/// per line more, 1 MiB: 0.13 less) and cost every reader of their stream that much memory.
pub(crate) const GROUP_RAW_BYTES: usize = 512 << 10;
/// A group is closed at this many entries.
pub(crate) const GROUP_ENTRIES: usize = 16 << 10;

/// Encodes groups; keeps its working memory.
pub(crate) struct GroupEncoder {
    /// The column writer.
    pub(crate) columns: ColumnWriter,
    lines: LineEncoder,
    took: ColumnBytes,
    written: u64,
    /// Groups that did not read as they were written.
    pub(crate) failures: u64,
    /// Damages what is written, so that the check can be seen to work.
    #[cfg(test)]
    pub(crate) spoil: bool,
}

/// One in so many groups of a block, beginning with its first, is read back after it was encoded.
const VERIFY_EVERY: u64 = 16;

/// What columns take, in bytes.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct ColumnBytes {
    /// Timestamps.
    pub(crate) timestamps: usize,
    /// Lines, by parts.
    pub(crate) lines: LineBytes,
    /// Structured metadata.
    pub(crate) metadata: usize,
}

impl GroupEncoder {
    /// An encoder whose columns are compressed by zstd-3 where no typed form fits.
    pub(crate) fn new() -> Self {
        GroupEncoder {
            columns: ColumnWriter::new(3),
            lines: LineEncoder::default(),
            took: ColumnBytes::default(),
            written: 0,
            failures: 0,
            #[cfg(test)]
            spoil: false,
        }
    }

    /// Appends the group of `rows`, which are sorted by time and not empty.
    pub(crate) fn write(&mut self, rows: &Rows, dictionary: &mut DictionaryWriter, out: &mut Vec<u8>) {
        let start = out.len();
        self.encode(rows, Some(dictionary), out);
        self.written += 1;
        if self.written % VERIFY_EVERY == 1 && !self.comes_back(rows, dictionary, &out[start..]) {
            tracing::error!(
                entries = rows.len(),
                "a log page group does not read as it was written; it is kept as text"
            );
            self.failures += 1;
            out.truncate(start);
            self.encode(rows, None, out);
        }
        self.lines.count(rows, dictionary);
    }

    /// Appends the group; without a dictionary as text.
    fn encode(&mut self, rows: &Rows, dictionary: Option<&mut DictionaryWriter>, out: &mut Vec<u8>) {
        let (mut timestamps, mut lines) = (Vec::new(), Vec::new());
        let all = rows.timestamps_ns();
        put(&mut timestamps, zigzag(all.first().copied().unwrap_or(0)));
        let steps: Vec<u64> = all.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]) as u64).collect();
        self.columns.timestamps(&steps, &mut timestamps);
        let as_text = dictionary.is_none();
        match dictionary {
            Some(dictionary) => self.lines.write(rows, dictionary, &mut self.columns, &mut lines),
            None => self.lines.write_text(rows, &mut self.columns, &mut lines),
        }
        put(out, rows.len() as u64);
        put(out, timestamps.len() as u64);
        put(out, lines.len() as u64);
        out.extend_from_slice(&timestamps);
        out.extend_from_slice(&lines);
        let before = out.len();
        if as_text {
            metadata::write_whole(rows, &mut self.columns, out);
        } else {
            metadata::write(rows, &self.lines, &mut self.columns, out);
        }
        #[cfg(test)]
        if self.spoil && !as_text {
            let at = before - lines.len() / 2;
            out[at] ^= 1;
        }
        self.took.timestamps += timestamps.len();
        self.took.metadata += out.len() - before;
    }

    /// Adds the ids of the group written last, in lines and metadata, to a filter.
    pub(crate) fn add_ids(&self, rows: &Rows, filter: &mut FilterBuilder) {
        self.lines.add_ids(rows, filter);
    }

    /// Reads what was written and compares all of it.
    fn comes_back(&self, rows: &Rows, dictionary: &DictionaryWriter, written: &[u8]) -> bool {
        let Some(group) = Group::read(written, &Arc::new(dictionary.snapshot())) else { return false };
        let (mut line, mut metadata) = (Vec::new(), Vec::new());
        group.timestamps_ns() == rows.timestamps_ns()
            && (0..rows.len()).all(|at| {
                line.clear();
                metadata.clear();
                group.put_line(at, &mut line);
                group.put_metadata(at, &mut metadata);
                line == rows.line(at) && metadata == rows.metadata(at)
            })
    }

    /// What everything written so far took.
    pub(crate) fn took(&self) -> ColumnBytes {
        ColumnBytes { lines: self.lines.took, ..self.took }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dictionary::Dictionary;
    use proptest::prelude::*;

    fn round_trip(rows: &Rows, squeeze: bool) {
        let mut encoder = GroupEncoder::new();
        encoder.columns.squeeze = squeeze;
        let (mut dictionary, mut out, mut stored) = (DictionaryWriter::default(), Vec::new(), Vec::new());
        encoder.write(rows, &mut dictionary, &mut out);
        dictionary.write(&mut encoder.columns, &mut stored);
        let group = Group::read(&*out, &Arc::new(Dictionary::read(&stored).unwrap())).unwrap();
        assert_eq!(group.timestamps_ns(), rows.timestamps_ns());
        let mut bytes = Vec::new();
        for at in 0..rows.len() {
            bytes.clear();
            group.put_line(at, &mut bytes);
            assert_eq!(bytes, rows.line(at), "line {at}: {}", String::from_utf8_lossy(rows.line(at)));
            bytes.clear();
            group.put_metadata(at, &mut bytes);
            assert_eq!(bytes, rows.metadata(at), "metadata {at}");
        }
    }

    fn adversarial() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            "[0-9a-fA-F:.TZ -]{0,40}".prop_map(String::into_bytes),
            "(0{0,3}[0-9]{1,20}[ ,a-z:])*".prop_map(String::into_bytes),
            r#"\{"a":"[a-z\\"]{0,6}","id":"[0-9a-f]{16}","t":"20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](\.[0-9]{0,10})?Z"\}"#
                .prop_map(String::into_bytes),
            "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}[a-z]?".prop_map(String::into_bytes),
            "(tick|tock) [0-2][0-9]:[0-5][0-9]:[0-5][0-9] 0?[0-9]{1,3}ms".prop_map(String::into_bytes),
        ]
    }

    fn metadata() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::btree_map("[ab]", "[0-9a-f]{8}|x?", 0..3).prop_map(|pairs| {
            let mut out = Vec::new();
            encode_pairs(&pairs, &mut out);
            out
        })
    }

    fn encode_pairs(pairs: &std::collections::BTreeMap<String, String>, out: &mut Vec<u8>) {
        bramble_signal::labels::encode_sorted(pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())), out);
    }

    proptest! {
        #[test]
        fn any_rows_come_back(
            entries in prop::collection::vec((any::<i64>(), adversarial(), metadata()), 1..80),
            repeat in 1usize..40, squeeze: bool
        ) {
            let mut rows = Rows::default();
            for (timestamp_ns, line, metadata) in entries.iter().cycle().take(entries.len() * repeat) {
                rows.push(*timestamp_ns, line, metadata);
            }
            round_trip(&rows.sorted(), squeeze);
        }

        #[test]
        fn damage_is_no_panic(at in 0usize..2000, with: u8) {
            let mut rows = Rows::default();
            for n in 0..60 {
                rows.push(n, format!("job {n} took {}ms in {:08x}", n * 7, n * 12345).as_bytes(), b"\x01a\x011");
            }
            let mut encoder = GroupEncoder::new();
            let (mut dictionary, mut out, mut stored) = (DictionaryWriter::default(), Vec::new(), Vec::new());
            encoder.write(&rows, &mut dictionary, &mut out);
            dictionary.write(&mut encoder.columns, &mut stored);
            let dictionary = Arc::new(Dictionary::read(&stored).unwrap());
            let at = at % out.len();
            out[at] = with;
            let mut bytes = Vec::new();
            if let Some(group) = Group::read(&*out, &dictionary) {
                for at in 0..group.timestamps_ns().len() {
                    group.put_line(at, &mut bytes);
                    group.put_metadata(at, &mut bytes);
                }
            }
            let at = at % stored.len();
            stored[at] = with;
            let _ = Dictionary::read(&stored);
        }
    }

    #[test]
    fn what_does_not_come_back_is_kept_as_text() {
        let mut rows = Rows::default();
        for n in 0..100 {
            rows.push(
                n,
                format!("job {n} took {}ms on {}", n * 7, ["a1b", "c2d"][n as usize % 2]).as_bytes(),
                b"\x01a\x011",
            );
        }
        let mut encoder = GroupEncoder::new();
        encoder.spoil = true;
        let (mut dictionary, mut out, mut stored) = (DictionaryWriter::default(), Vec::new(), Vec::new());
        encoder.write(&rows, &mut dictionary, &mut out);
        assert_eq!(encoder.failures, 1);
        dictionary.write(&mut encoder.columns, &mut stored);
        let dictionary = Arc::new(Dictionary::read(&stored).unwrap());
        assert_eq!(dictionary.text_statistics().lines, 100);
        let group = Group::read(&*out, &dictionary).unwrap();
        let mut line = Vec::new();
        group.put_line(99, &mut line);
        assert_eq!(line, b"job 99 took 693ms on c2d");
    }

    #[test]
    fn long_and_odd_lines_come_back() {
        let mut rows = Rows::default();
        rows.push(i64::MIN, &vec![b'x'; 256 << 10], b"");
        rows.push(0, b"", b"");
        rows.push(1, &(0..=255).collect::<Vec<u8>>(), b"");
        rows.push(i64::MAX, &[0; 300], b"");
        round_trip(&rows, true);
    }
}
