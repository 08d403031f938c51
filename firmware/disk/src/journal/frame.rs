//! One commit on disk.

use crate::aligned::ALIGNMENT;

/// magic 4, version 2, unit 2, ring 8, epoch 8, first sequence 8, records 4, frame number 4, payload bytes 4,
/// raw bytes 4, extent 4, offset 4, reserved 4, CRC 4.
pub(crate) const HEAD_BYTES: usize = 4 + 2 + 2 + 8 + 8 + 8 + 4 + 4 + 4 + 4 + 4 + 4 + 4 + 4;
const _: () = assert!(HEAD_BYTES == 64);

const MAGIC: [u8; 4] = *b"BJFR";
/// The newest frame version this build reads, and the one it writes. Magic, version, payload length and the CRC keep
/// their places in every version, so that a newer frame is told from a damaged one.
pub(crate) const VERSION: u16 = 2;
/// Frames of version 1 say no unit: theirs is 4 KiB.
const FIRST_WITH_UNIT: u16 = 2;
/// The smallest unit: frames start at multiples of it.
pub(crate) const UNIT_MIN: usize = 512;

/// The head's fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) ring: u64,
    pub(crate) epoch: u64,
    pub(crate) first_sequence: u64,
    pub(crate) records: u32,
    /// 0 for the first of its epoch.
    pub(crate) number: u32,
    pub(crate) payload_bytes: u32,
    pub(crate) raw_bytes: u32,
    /// The extent and offset it was meant for: a misdirected write shows.
    pub(crate) extent: u32,
    pub(crate) offset: u32,
    /// What the frame's length is a multiple of: the medium's write unit when its epoch began.
    pub(crate) unit: u16,
}

/// What stands at some multiple of [`UNIT_MIN`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    /// A valid frame and its payload.
    Frame(Head, &'a [u8]),
    /// A valid frame of a newer version.
    Newer(u16),
    /// No valid frame, but something; if it started with a head, then one of this ring and epoch.
    Broken { ring: u64, epoch: u64 },
    /// Zeros, or a valid frame that belongs elsewhere.
    Nothing,
}

impl Head {
    /// Bytes the frame takes in the extent.
    pub(crate) fn frame_bytes(&self) -> usize {
        frame_bytes(self.payload_bytes as usize, usize::from(self.unit))
    }

    /// The sequence after its last record.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.first_sequence.saturating_add(u64::from(self.records))
    }

    /// Writes the head in front of `frame[HEAD_BYTES..][..payload_bytes]`, which must be in place.
    pub(crate) fn seal(&self, frame: &mut [u8]) {
        let mut head = Vec::with_capacity(HEAD_BYTES);
        head.extend_from_slice(&MAGIC);
        head.extend_from_slice(&VERSION.to_le_bytes());
        head.extend_from_slice(&self.unit.to_le_bytes());
        for field in [self.ring, self.epoch, self.first_sequence] {
            head.extend_from_slice(&field.to_le_bytes());
        }
        let fields = [
            self.records,
            self.number,
            self.payload_bytes,
            self.raw_bytes,
            self.extent,
            self.offset,
            0, /* reserved */
        ];
        for field in fields {
            head.extend_from_slice(&field.to_le_bytes());
        }
        let payload = frame.get(HEAD_BYTES..HEAD_BYTES + self.payload_bytes as usize).unwrap_or_default();
        let crc = crc32c::crc32c_append(crc32c::crc32c(&head), payload);
        head.extend_from_slice(&crc.to_le_bytes());
        frame[..HEAD_BYTES].copy_from_slice(&head);
    }
}

/// Bytes a frame with that payload takes, in units of `unit` bytes.
pub(crate) fn frame_bytes(payload_bytes: usize, unit: usize) -> usize {
    (HEAD_BYTES + payload_bytes).next_multiple_of(unit.max(1))
}

fn u32_at(head: &[u8; HEAD_BYTES], at: usize) -> u32 {
    head.get(at..).and_then(|rest| rest.first_chunk()).copied().map_or(0, u32::from_le_bytes)
}

fn u64_at(head: &[u8; HEAD_BYTES], at: usize) -> u64 {
    head.get(at..).and_then(|rest| rest.first_chunk()).copied().map_or(0, u64::from_le_bytes)
}

/// Looks for a frame at `offset` of `extent`, whose content from there on is `bytes`.
pub(crate) fn find(extent: u32, offset: usize, bytes: &[u8]) -> Found<'_> {
    let Some((head, rest)) = bytes.split_first_chunk::<HEAD_BYTES>() else { return Found::Nothing };
    if head.iter().all(|&byte| byte == 0) {
        return Found::Nothing;
    }
    let (ring, epoch) = (u64_at(head, 8), u64_at(head, 16));
    if head[..4] != MAGIC {
        return Found::Broken { ring, epoch };
    }
    let payload = rest.get(..u32_at(head, 40) as usize);
    let valid = payload.filter(|payload| {
        let crc = crc32c::crc32c_append(crc32c::crc32c(&head[..HEAD_BYTES - 4]), payload);
        let matches = crc == u32_at(head, HEAD_BYTES - 4);
        #[cfg(feature = "sabotage")]
        let matches = matches || crate::sabotage::ignores(crate::sabotage::Ignored::JournalFrames);
        matches
    });
    let Some(payload) = valid else { return Found::Broken { ring, epoch } };
    let version = u16::from_le_bytes([head[4], head[5]]);
    if version > VERSION {
        return Found::Newer(version);
    }
    let unit = if version < FIRST_WITH_UNIT { ALIGNMENT as u16 } else { u16::from_le_bytes([head[6], head[7]]) };
    if !unit.is_power_of_two() || !(UNIT_MIN..=ALIGNMENT).contains(&usize::from(unit)) {
        return Found::Broken { ring, epoch };
    }
    let found = Head {
        ring,
        epoch,
        first_sequence: u64_at(head, 24),
        records: u32_at(head, 32),
        number: u32_at(head, 36),
        payload_bytes: u32_at(head, 40),
        raw_bytes: u32_at(head, 44),
        extent: u32_at(head, 48),
        offset: u32_at(head, 52),
        unit,
    };
    // A whole frame in the wrong place is as good as none.
    if (found.extent, found.offset as usize) != (extent, offset) {
        return Found::Nothing;
    }
    Found::Frame(found, payload)
}

/// What the first [`HEAD_BYTES`] of a frame say of its payload's length; not checked.
pub(crate) fn payload_bytes(head: &[u8]) -> u64 {
    head.split_first_chunk::<HEAD_BYTES>().map_or(0, |(head, _)| u64::from(u32_at(head, 40)))
}

/// Splits the decompressed payload into its records; `None` unless it is exactly `count` of them.
pub(crate) fn split_records(mut raw: &[u8], count: u32, mut on_record: impl FnMut(&[u8])) -> Option<()> {
    // Twice, so that nothing is handed over from a payload that turns out to be wrong.
    let mut rest = raw;
    for _ in 0..count {
        take_record(&mut rest)?;
    }
    if !rest.is_empty() {
        return None;
    }
    for _ in 0..count {
        on_record(take_record(&mut raw)?);
    }
    Some(())
}

fn take_record<'a>(raw: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut length = 0usize;
    for shift in (0..35).step_by(7) {
        let (&byte, rest) = raw.split_first()?;
        *raw = rest;
        length |= usize::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            let (record, rest) = raw.split_at_checked(length)?;
            *raw = rest;
            return Some(record);
        }
    }
    None
}

/// LEB128 of a record's length, and how many of the five bytes it takes.
pub(crate) fn record_prefix(mut length: u32) -> ([u8; 5], usize) {
    let mut prefix = [0; 5];
    let mut used = 0;
    for byte in &mut prefix {
        used += 1;
        if length < 0x80 {
            *byte = length as u8;
            break;
        }
        *byte = length as u8 | 0x80;
        length >>= 7;
    }
    (prefix, used)
}
