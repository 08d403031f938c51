//! What is in a row, and the checksums that guard it.

/// A block as the catalog lists it: plain numbers, as `bramble_storage::BlockMeta` has them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BlockRow {
    /// Block number, unique, at most 2⁶³−1.
    pub id: u64,
    /// Code of the signal.
    pub signal: u8,
    /// Code of the retention class.
    pub class: u8,
    /// UTC day since the Unix epoch.
    pub day: i32,
    /// First timestamp, nanoseconds since the Unix epoch.
    pub min_time_ns: i64,
    /// Last timestamp, inclusive.
    pub max_time_ns: i64,
    /// Samples, entries or spans.
    pub items: u64,
    /// Size of the segment.
    pub file_bytes: u64,
    /// First journal sequence in it; 0 for a merge's output.
    pub journal_from: u64,
    /// Last journal sequence in it; 0 for a merge's output.
    pub journal_to: u64,
    /// Blocks that this one replaces.
    pub replaces: Vec<u64>,
}

impl BlockRow {
    /// CRC-32C over all fields in order, little endian.
    pub(crate) fn crc(&self) -> u32 {
        let mut bytes = Vec::with_capacity(64 + self.replaces.len() * 8);
        bytes.extend_from_slice(&self.id.to_le_bytes());
        bytes.extend_from_slice(&[self.signal, self.class]);
        bytes.extend_from_slice(&self.day.to_le_bytes());
        for number in [self.min_time_ns as u64, self.max_time_ns as u64, self.items, self.file_bytes] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&self.journal_from.to_le_bytes());
        bytes.extend_from_slice(&self.journal_to.to_le_bytes());
        bytes.extend_from_slice(&replaces_to_blob(&self.replaces));
        crc32c::crc32c(&bytes)
    }

    /// Reads a row selected with [`BLOCK_COLUMNS`]; the second value is the stored checksum.
    pub(crate) fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<(BlockRow, u32)> {
        let unsigned = |column: usize| row.get::<_, i64>(column).map(|n| n as u64);
        let block = BlockRow {
            id: unsigned(0)?,
            signal: row.get(1)?,
            class: row.get(2)?,
            day: row.get(3)?,
            min_time_ns: row.get(4)?,
            max_time_ns: row.get(5)?,
            items: unsigned(6)?,
            file_bytes: unsigned(7)?,
            journal_from: unsigned(8)?,
            journal_to: unsigned(9)?,
            replaces: replaces_of_blob(row.get_ref(10)?.as_blob()?),
        };
        Ok((block, row.get(11)?))
    }
}

/// The columns that [`BlockRow::read`] expects, in order.
pub(crate) const BLOCK_COLUMNS: &str =
    "id, signal, class, day, min_time_ns, max_time_ns, items, file_bytes, journal_from, journal_to, replaces, crc";

/// 8 bytes per id, little endian.
pub(crate) fn replaces_to_blob(ids: &[u64]) -> Vec<u8> {
    ids.iter().flat_map(|id| id.to_le_bytes()).collect()
}

fn replaces_of_blob(blob: &[u8]) -> Vec<u64> {
    // A blob of another length fails the checksum, so the rest may be ignored here.
    blob.chunks_exact(8).filter_map(|chunk| chunk.try_into().ok()).map(u64::from_le_bytes).collect()
}

/// CRC-32C of a named value: the name, a zero byte, the value.
pub(crate) fn named_crc(name: &str, value: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(name.as_bytes()), &[0]), value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_under_the_checksum() {
        let base = BlockRow { id: 1, replaces: vec![3], ..BlockRow::default() };
        let changed = [
            BlockRow { id: 2, ..base.clone() },
            BlockRow { signal: 1, ..base.clone() },
            BlockRow { class: 1, ..base.clone() },
            BlockRow { day: 1, ..base.clone() },
            BlockRow { min_time_ns: 1, ..base.clone() },
            BlockRow { max_time_ns: 1, ..base.clone() },
            BlockRow { items: 1, ..base.clone() },
            BlockRow { file_bytes: 1, ..base.clone() },
            BlockRow { journal_from: 1, ..base.clone() },
            BlockRow { journal_to: 1, ..base.clone() },
            BlockRow { replaces: vec![3, 0], ..base.clone() },
        ];
        for row in changed {
            assert_ne!(row.crc(), base.crc(), "{row:?}");
        }
        assert_ne!(named_crc("a", b"bc"), named_crc("ab", b"c"));
    }
}
