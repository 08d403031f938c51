//! Reading the ring after a start, whatever state the last one left it in.
//!
//! First every extent says which epoch it holds (its first frame; where that is damaged, any frame in it). Then, in the
//! order of epochs, those with sequences that are still needed are read. Within an extent frames follow one another by
//! number; where that ends, a valid later frame of the same epoch means damage in the middle, none means the end, torn
//! or clean. Frames behind damage cannot be applied, because the stream they continue is broken.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, ResetDirective};

use super::extent::{self, Extent};
use super::frame::{self, Found, Head, UNIT_MIN};
use super::ring::WINDOW_LOG;
use super::{COMMIT_RAW_BYTES_MAX, Damage, JournalError, RecoveryReport, Replayed, Sequence};
use crate::aligned::ALIGNMENT;
use crate::disk::{Disk, ReadRequest, read_range};
use crate::error::DiskError;

/// First look at an extent: most first frames are shorter.
const PEEK_BYTES: usize = 64 << 10;
/// Larger extents were never made; a file of that name and size is not ours.
const EXTENT_BYTES_MAX: u64 = 256 << 20;
/// More than any commit, prefixes included.
const RAW_BYTES_MAX: usize = COMMIT_RAW_BYTES_MAX + (64 << 10);

pub(crate) struct Recovered {
    pub(crate) ring: u64,
    pub(crate) extents: Vec<Extent>,
    pub(crate) last_epoch: u64,
    pub(crate) report: RecoveryReport,
}

/// Frames of one epoch in one extent.
#[derive(Default)]
struct Walk {
    /// Offsets and heads of the frames that follow one another from the start.
    frames: Vec<(usize, Head)>,
    torn: bool,
    damage: Option<(usize, String)>,
    /// The sequence after the last one seen, behind damage too; 0 when there is none.
    next_sequence: u64,
}

struct Reader<'a> {
    disk: &'a dyn Disk,
    buffer: Vec<u8>,
    /// Units of 4 KiB in the buffer that the disk could not read.
    unreadable: Vec<usize>,
}

impl Reader<'_> {
    /// The first `length` bytes of the extent. A bad spot on the card must not keep the rest from being applied: what
    /// cannot be read is zeros, and noted.
    fn read(&mut self, extent: &Extent, length: usize) -> Result<&[u8], DiskError> {
        self.unreadable.clear();
        let mut whole = [ReadRequest { offset: 0, length, buffer: std::mem::take(&mut self.buffer) }];
        let result = self.disk.read_at(extent.file, &mut whole);
        let [request] = whole;
        self.buffer = request.buffer;
        match result {
            Ok(()) => {}
            Err(DiskError::Io { .. }) => self.read_by_units(extent, length)?,
            Err(error) => return Err(error),
        }
        Ok(&self.buffer)
    }

    fn read_by_units(&mut self, extent: &Extent, length: usize) -> Result<(), DiskError> {
        self.buffer.clear();
        self.buffer.resize(length, 0);
        for (index, unit) in self.buffer.chunks_mut(ALIGNMENT).enumerate() {
            let offset = index * ALIGNMENT;
            match read_range(self.disk, extent.file, offset as u64, unit.len()) {
                Ok(read) => unit.copy_from_slice(&read),
                Err(DiskError::Io { .. }) => self.unreadable.push(offset),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The frame that says which ring and epoch the extent holds: the first one, else that of the highest epoch.
    fn identify(&mut self, extent: &Extent) -> Result<Option<Head>, DiskError> {
        let (number, bytes) = (extent.number, extent.bytes as usize);
        let peeked = self.read(extent, PEEK_BYTES.min(bytes))?;
        if let Some(head) = valid(number, 0, peeked)? {
            return Ok(Some(head));
        }
        let all = self.read(extent, bytes)?;
        let mut best: Option<Head> = None;
        for offset in (0..bytes).step_by(UNIT_MIN) {
            let found = valid(number, offset, all.get(offset..).unwrap_or_default())?;
            if let Some(head) = found.filter(|head| best.is_none_or(|best| head.epoch > best.epoch)) {
                best = Some(head);
            }
            if offset == 0 && best.is_some() {
                break;
            }
        }
        Ok(best)
    }
}

/// The valid frame at `offset`, if there is one.
fn valid(extent: u32, offset: usize, bytes: &[u8]) -> Result<Option<Head>, DiskError> {
    match frame::find(extent, offset, bytes) {
        Found::Frame(head, _) => Ok(Some(head)),
        Found::Newer(found) => Err(DiskError::NewerVersion {
            name: extent::name(extent),
            found: u32::from(found),
            supported: u32::from(frame::VERSION),
        }),
        Found::Broken { .. } | Found::Nothing => Ok(None),
    }
}

pub(crate) fn recover(
    disk: &Arc<dyn Disk>,
    after: Sequence,
    on_record: &mut dyn FnMut(Replayed<'_>),
) -> Result<Recovered, JournalError> {
    extent::remove_unfinished(disk.as_ref())?;
    let mut reader = Reader { disk: disk.as_ref(), buffer: Vec::new(), unreadable: Vec::new() };
    let mut report = RecoveryReport::default();
    let mut extents = Vec::new();
    let mut identities = Vec::new();
    let mut broken = Vec::new();
    for entry in disk.list("journal")? {
        let Some(number) = extent::number(&entry.name) else { continue };
        let bytes = entry.bytes - entry.bytes % ALIGNMENT as u64;
        if bytes == 0 || bytes > EXTENT_BYTES_MAX {
            let what = format!("no extent is {} bytes long; left alone", entry.bytes);
            report.damaged.push(Damage { extent: number, offset: 0, what });
            continue;
        }
        let file = disk.open(&entry.name)?;
        let extent = Extent { number, file, bytes, epoch: 0, first_sequence: 0, last_sequence: 0 };
        let identity = reader.identify(&extent)?;
        if let (None, Found::Broken { ring, epoch }) = (&identity, frame::find(number, 0, &reader.buffer)) {
            broken.push((ring, epoch));
        }
        if identity.is_none() && !reader.unreadable.is_empty() {
            let what = "cannot be read; what it held is unknown".to_string();
            report.damaged.push(Damage { extent: number, offset: 0, what });
        }
        identities.push(identity);
        extents.push(extent);
    }
    let ring = choose_ring(&identities);
    let order = in_order(ring, &identities, &mut extents, &mut report);
    report.last_sequence = after;
    let last_epoch = order.iter().map(|(_, head)| head.epoch).max().unwrap_or(0);
    replay(&mut reader, &order, &mut extents, after, &mut report, on_record)?;
    // The first commit of an extent, cut off. One of the two may be what is broken.
    report.torn_tail |= broken.iter().any(|&(of, epoch)| of == ring || epoch == last_epoch + 1);
    Ok(Recovered { ring, extents, last_epoch, report })
}

/// The ring most extents belong to; a random new one when there is none.
fn choose_ring(identities: &[Option<Head>]) -> u64 {
    let mut rings: BTreeMap<u64, (usize, u64)> = BTreeMap::new();
    for head in identities.iter().flatten() {
        let (count, epoch) = rings.entry(head.ring).or_default();
        *count += 1;
        *epoch = head.epoch.max(*epoch);
    }
    let most = rings.into_iter().max_by_key(|&(_, weight)| weight);
    most.map_or_else(|| RandomState::new().hash_one("ring"), |(ring, _)| ring)
}

/// Indexes and identities of the ring's own extents, by epoch. Those of another ring are free, and reported.
fn in_order(
    ring: u64,
    identities: &[Option<Head>],
    extents: &mut [Extent],
    report: &mut RecoveryReport,
) -> Vec<(usize, Head)> {
    let mut order = Vec::new();
    for (index, (identity, extent)) in identities.iter().zip(extents).enumerate() {
        match identity {
            Some(head) if head.ring == ring => {
                extent.epoch = head.epoch;
                order.push((index, *head));
            }
            Some(_) => {
                let what = "holds frames of another ring; ignored and reused".to_string();
                report.damaged.push(Damage { extent: extent.number, offset: 0, what });
            }
            None => {}
        }
    }
    order.sort_by_key(|(_, head)| head.epoch);
    order
}

fn replay(
    reader: &mut Reader<'_>,
    order: &[(usize, Head)],
    extents: &mut [Extent],
    after: Sequence,
    report: &mut RecoveryReport,
    on_record: &mut dyn FnMut(Replayed<'_>),
) -> Result<(), JournalError> {
    let mut decoder = DCtx::create();
    let mut raw = Vec::new();
    let mut expected = after.saturating_add(1);
    let mut gap_known = false;
    for (position, (index, identity)) in order.iter().enumerate() {
        let next_first = order.get(position + 1).map(|(_, next)| next.first_sequence);
        // Everything in it is below the next one's first sequence.
        if next_first.is_some_and(|next| next <= after.saturating_add(1)) {
            continue;
        }
        let extent = &mut extents[*index];
        reader.read(extent, extent.bytes as usize)?;
        let bytes = &reader.buffer[..];
        report.extents += 1;
        if let Some(&first) = reader.unreadable.first() {
            let what = format!("{} units of 4 KiB cannot be read", reader.unreadable.len());
            report.damaged.push(Damage { extent: extent.number, offset: first as u64, what });
        }
        let mut walk = walk(bytes, extent.number, identity);
        // A commit that the next epoch repeats was refused.
        let limit = next_first.unwrap_or(u64::MAX);
        walk.frames.retain(|(_, head)| head.first_sequence < limit);
        report.last_sequence = report.last_sequence.max(walk.next_sequence.min(limit).saturating_sub(1));
        // Only at the very end is a torn commit news; earlier ones were followed by a new epoch.
        report.torn_tail = walk.torn && next_first.is_none();
        let first = walk.frames.first().map_or(identity.first_sequence, |(_, head)| head.first_sequence);
        if first > expected && !gap_known {
            let what = format!("sequences {expected} to {} are missing", first - 1);
            report.damaged.push(Damage { extent: extent.number, offset: 0, what });
        }
        let next = walk.frames.last().map_or(0, |(_, head)| head.next_sequence());
        if next > expected {
            let frames = std::mem::take(&mut walk.frames);
            let applied = hand_over(bytes, &frames, &mut decoder, &mut raw, report, on_record);
            (extent.first_sequence, extent.last_sequence) = (first, next - 1);
            if let Err((offset, what)) = applied {
                walk.damage.get_or_insert((offset, what.to_string()));
            }
        }
        // Damage among what blocks already hold costs nothing.
        gap_known = false;
        if let Some((offset, what)) = walk.damage.filter(|_| walk.next_sequence > expected) {
            report.damaged.push(Damage { extent: extent.number, offset: offset as u64, what });
            gap_known = true;
        }
        expected = expected.max(next).max(if gap_known { walk.next_sequence.min(limit) } else { 0 });
    }
    Ok(())
}

/// Follows the frames of `identity`'s epoch through the extent.
fn walk(bytes: &[u8], extent: u32, identity: &Head) -> Walk {
    let mut walk = Walk::default();
    let mut offset = 0;
    while let Some(rest) = bytes.get(offset..) {
        let number = walk.frames.len() as u32;
        let expected_first = walk.frames.last().map_or(0, |(_, head)| head.next_sequence());
        match frame::find(extent, offset, rest) {
            Found::Frame(head, _)
                if same_epoch(&head, identity)
                    && head.number == number
                    && (number == 0 || head.first_sequence == expected_first) =>
            {
                walk.next_sequence = head.next_sequence();
                walk.frames.push((offset, head));
                offset += head.frame_bytes();
            }
            Found::Broken { ring, epoch } => {
                // One of the two may be what is broken.
                walk.torn = ring == identity.ring || epoch == identity.epoch;
                break;
            }
            _ => break,
        }
    }
    // A later frame of the same epoch was written after whatever should be here.
    for later in (offset..bytes.len()).step_by(UNIT_MIN) {
        let Found::Frame(head, _) = frame::find(extent, later, bytes.get(later..).unwrap_or_default()) else {
            continue;
        };
        if !same_epoch(&head, identity) {
            continue;
        }
        if walk.damage.is_none() {
            let lost_from = walk.frames.last().map_or(0, |(_, head)| head.next_sequence());
            let from = if walk.frames.is_empty() { "the extent's first".into() } else { lost_from.to_string() };
            walk.damage = Some((offset, format!("damaged frame in the middle; lost from sequence {from} on")));
            walk.torn = false;
        }
        walk.next_sequence = walk.next_sequence.max(head.next_sequence());
    }
    if let Some((_, what)) = &mut walk.damage {
        what.push_str(&format!(" to {}", walk.next_sequence.saturating_sub(1)));
    }
    walk
}

fn same_epoch(head: &Head, identity: &Head) -> bool {
    (head.ring, head.epoch) == (identity.ring, identity.epoch)
}

/// Decompresses and hands over the records of `frames`. The error: where, and what is wrong.
fn hand_over(
    bytes: &[u8],
    frames: &[(usize, Head)],
    decoder: &mut DCtx<'static>,
    raw: &mut Vec<u8>,
    report: &mut RecoveryReport,
    on_record: &mut dyn FnMut(Replayed<'_>),
) -> Result<(), (usize, &'static str)> {
    // A context that failed is of no use for the next extent.
    *decoder = DCtx::create();
    _ = decoder.reset(ResetDirective::SessionOnly);
    _ = decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG));
    for (offset, head) in frames {
        let from = offset + frame::HEAD_BYTES;
        let payload = bytes.get(from..from + head.payload_bytes as usize).unwrap_or_default();
        decompress(decoder, payload, head.raw_bytes as usize, raw).map_err(|what| (*offset, what))?;
        let mut sequence = head.first_sequence;
        let split = frame::split_records(raw, head.records, |record| {
            on_record(Replayed { sequence, epoch: head.epoch, record });
            sequence += 1;
            report.records += 1;
            report.bytes += record.len() as u64;
        });
        split.ok_or((*offset, "the commit's records do not add up"))?;
    }
    Ok(())
}

pub(crate) fn decompress(
    decoder: &mut DCtx<'static>,
    payload: &[u8],
    raw_bytes: usize,
    raw: &mut Vec<u8>,
) -> Result<(), &'static str> {
    if raw_bytes > RAW_BYTES_MAX {
        return Err("a commit larger than any");
    }
    raw.clear();
    raw.resize(raw_bytes, 0);
    let mut input = InBuffer::around(payload);
    let mut output = OutBuffer::around(&mut raw[..]);
    while input.pos() < payload.len() || output.pos() < raw_bytes {
        let before = (input.pos(), output.pos());
        decoder.decompress_stream(&mut output, &mut input).map_err(|_| "the commit does not decompress")?;
        if (input.pos(), output.pos()) == before {
            return Err("the commit decompresses to another length");
        }
    }
    Ok(())
}
