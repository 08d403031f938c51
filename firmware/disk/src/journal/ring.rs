//! Committing: the journal's write side.

use std::sync::Arc;

use zstd::zstd_safe::{
    CCtx, CParameter, InBuffer, OutBuffer, ResetDirective, compress_bound, zstd_sys::ZSTD_EndDirective,
};

use super::extent::{Extent, Growth, NewExtent};
use super::frame::{HEAD_BYTES, Head, UNIT_MIN, frame_bytes, record_prefix};
use super::{COMMIT_RAW_BYTES_MAX, JournalError, JournalOptions, RecoveryReport, Replayed, Sequence, recovery};
use crate::aligned::{ALIGNMENT, AlignedBuffer};
use crate::disk::Disk;
use crate::error::DiskError;

/// Level 1 with a window of 512 KiB: the compression context stays below 1.3 MB.
const COMPRESSION_LEVEL: i32 = 1;
pub(crate) const WINDOW_LOG: u32 = 19;
/// Room that [`Journal::prepare_commit`] adds for the length prefixes of records.
const PREFIX_ROOM_BYTES: usize = 4096;
/// The frame buffer kept between commits; a larger one is freed after its commit.
const BUFFER_KEPT_BYTES: usize = 64 << 10;
const EXTENT_BYTES_MIN: u64 = 64 << 10;

/// The journal, open for appending. One owner; readers exist only at recovery.
pub struct Journal {
    disk: Arc<dyn Disk>,
    options: JournalOptions,
    ring: u64,
    extents: Vec<Extent>,
    /// Highest number that an extent had, or that was given to one in the making: two may be in the making at a time.
    last_number: u32,
    current: Option<Current>,
    last_epoch: u64,
    next_sequence: Sequence,
    released: Sequence,
    compressor: CCtx<'static>,
    buffer: AlignedBuffer,
    bytes_written: u64,
}

/// Where the next frame goes.
struct Current {
    /// Index into the extents.
    extent: usize,
    epoch: u64,
    offset: u64,
    frames: u32,
    /// What its frames are multiples of.
    unit: usize,
}

impl Journal {
    /// Opens the ring (made when there is none) and replays, in order, every record with a sequence above `after`.
    ///
    /// Because encodings restart per extent, each extent is handed over from its start: `on_record` also sees earlier
    /// records of the first one, and compares sequences itself. Reads at most `extents_max` extents; holds one in
    /// memory at a time.
    ///
    /// # Errors
    /// [`NewerVersion`](DiskError::NewerVersion), or when the disk cannot be read. Damaged content is no error: it is in
    /// the report, and the rest is applied.
    pub fn open(
        disk: Arc<dyn Disk>,
        options: JournalOptions,
        after: Sequence,
        on_record: &mut dyn FnMut(Replayed<'_>),
    ) -> Result<(Journal, RecoveryReport), JournalError> {
        let recovered = recovery::recover(&disk, after, on_record)?;
        let mut compressor = CCtx::create();
        let failed = |_| JournalError::TooLarge { bytes: 0, max: COMMIT_RAW_BYTES_MAX };
        compressor.set_parameter(CParameter::CompressionLevel(COMPRESSION_LEVEL)).map_err(failed)?;
        compressor.set_parameter(CParameter::WindowLog(WINDOW_LOG)).map_err(failed)?;
        let last_number = recovered.extents.iter().map(|extent| extent.number).max().unwrap_or(0);
        let mut journal = Journal {
            last_number,
            disk,
            options,
            ring: recovered.ring,
            extents: recovered.extents,
            current: None,
            last_epoch: recovered.last_epoch,
            next_sequence: recovered.report.last_sequence + 1,
            released: after,
            compressor,
            buffer: AlignedBuffer::with_capacity(BUFFER_KEPT_BYTES),
            bytes_written: 0,
        };
        // One is enough to start with; the rest is made ahead of need, not ahead of the first answer.
        if journal.extents.is_empty() {
            journal.grow_ahead()?;
        }
        Ok((journal, recovered.report))
    }

    /// Hands over once more what [`open`](Self::open) did, from the extent with the first record above `after` on. To be
    /// called before the first commit, if at all.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn read_again(&self, after: Sequence, on_record: &mut dyn FnMut(Replayed<'_>)) -> Result<(), JournalError> {
        let recovered = recovery::recover(&self.disk, after.max(self.released), on_record)?;
        recovered.extents.iter().for_each(|extent| self.disk.close(extent.file));
        Ok(())
    }

    /// Makes sure that a commit of `raw_bytes` (the sum of its records) fits into the current extent, or moves on to the
    /// next one. Returns the epoch the commit will be in; when it differs from the last commit's, callers restart their
    /// encoding state, and the commit may then be as large as any. Writes nothing, unless the ring has to grow right now.
    ///
    /// # Errors
    /// [`Full`](JournalError::Full), [`TooLarge`](JournalError::TooLarge), or the disk's when the ring cannot grow.
    pub fn prepare_commit(&mut self, raw_bytes: usize) -> Result<u64, JournalError> {
        let max = COMMIT_RAW_BYTES_MAX.min(self.extent_bytes() as usize / 2);
        if raw_bytes > max {
            return Err(JournalError::TooLarge { bytes: raw_bytes, max });
        }
        let needed = frame_bound(raw_bytes + PREFIX_ROOM_BYTES);
        if let Some(current) = &self.current
            && self.room(current) >= needed
        {
            return Ok(current.epoch);
        }
        self.current = None;
        self.free_released();
        // Who moves on encodes anew, and may then need more than was asked for.
        let needed = frame_bound(max + PREFIX_ROOM_BYTES);
        let extent = match self.next_free(needed) {
            Some(extent) => extent,
            None if self.grow_ahead()? => self.next_free(needed).ok_or_else(|| self.full())?,
            None => return Err(self.full()),
        };
        self.last_epoch += 1;
        // Ends the old stream; the parameters stay. Cannot fail between streams.
        _ = self.compressor.reset(ResetDirective::SessionOnly);
        let chosen = &mut self.extents[extent];
        (chosen.epoch, chosen.first_sequence, chosen.last_sequence) = (self.last_epoch, 0, 0);
        let unit = self.disk.write_unit(chosen.file).clamp(UNIT_MIN, ALIGNMENT);
        self.current = Some(Current { extent, epoch: self.last_epoch, offset: 0, frames: 0, unit });
        Ok(self.last_epoch)
    }

    /// Commits `records`, each of any length, together in one durable write, and returns the sequence of the last.
    /// Nothing given: returns the last sequence without writing.
    ///
    /// # Errors
    /// [`NotPrepared`](JournalError::NotPrepared): nothing was written. [`Disk`](JournalError::Disk): the commit is refused
    /// and its extent abandoned; the sequences will be given to the next commit, which must be prepared and encoded
    /// anew.
    pub fn append(&mut self, records: &[&[u8]]) -> Result<Sequence, JournalError> {
        if records.is_empty() {
            return Ok(self.next_sequence - 1);
        }
        let raw_bytes: usize = records.iter().map(|record| record_prefix(record.len() as u32).1 + record.len()).sum();
        let room = self.current.as_ref().map_or(0, |current| self.room(current));
        if raw_bytes > COMMIT_RAW_BYTES_MAX + PREFIX_ROOM_BYTES || frame_bound(raw_bytes) > room {
            return Err(JournalError::NotPrepared { bytes: raw_bytes });
        }
        // Taken: unless everything below succeeds, there is no current extent any more.
        let Some(current) = self.current.take() else {
            return Err(JournalError::NotPrepared { bytes: raw_bytes });
        };
        let frame = self.encode(&current, records, raw_bytes)?;
        let (file, frame_bytes) = (self.extents[current.extent].file, frame.len() as u64);
        let (result, buffer) = self.disk.write_synced(file, current.offset, frame);
        if buffer.capacity() <= BUFFER_KEPT_BYTES {
            self.buffer = buffer;
        }
        result?;
        let first = self.next_sequence;
        self.next_sequence += records.len() as u64;
        self.bytes_written += frame_bytes;
        let extent = &mut self.extents[current.extent];
        if current.frames == 0 {
            extent.first_sequence = first;
        }
        extent.last_sequence = self.next_sequence - 1;
        self.current = Some(Current { offset: current.offset + frame_bytes, frames: current.frames + 1, ..current });
        Ok(self.next_sequence - 1)
    }

    /// Compresses and seals one frame.
    fn encode(&mut self, at: &Current, records: &[&[u8]], raw_bytes: usize) -> Result<AlignedBuffer, JournalError> {
        let bound = frame_bound(raw_bytes);
        let mut frame = std::mem::replace(&mut self.buffer, AlignedBuffer::with_capacity(1));
        if frame.capacity() < bound {
            frame = AlignedBuffer::with_capacity(bound);
        }
        frame.resize(bound);
        let payload_bytes = {
            let (_, payload) = frame.split_at_mut(HEAD_BYTES);
            let mut out = OutBuffer::around(payload);
            self.compress(records, &mut out).map_err(|code| {
                let why = zstd::zstd_safe::get_error_name(code).to_string();
                let name = super::extent::name(self.extents[at.extent].number);
                DiskError::Io { name, doing: "compress a commit", why, code: None }
            })?;
            out.pos()
        };
        frame.resize(HEAD_BYTES + payload_bytes);
        frame.pad_to(at.unit);
        let head = Head {
            ring: self.ring,
            epoch: at.epoch,
            first_sequence: self.next_sequence,
            records: records.len() as u32,
            number: at.frames,
            payload_bytes: payload_bytes as u32,
            raw_bytes: raw_bytes as u32,
            extent: self.extents[at.extent].number,
            offset: at.offset as u32,
            unit: at.unit as u16,
        };
        head.seal(&mut frame);
        Ok(frame)
    }

    fn compress(&mut self, records: &[&[u8]], out: &mut OutBuffer<'_, [u8]>) -> Result<(), usize> {
        for record in records {
            let (prefix, used) = record_prefix(record.len() as u32);
            for part in [&prefix[..used], record] {
                let mut input = InBuffer::around(part);
                while input.pos() < part.len() {
                    self.compressor.compress_stream2(out, &mut input, ZSTD_EndDirective::ZSTD_e_continue)?;
                }
            }
        }
        let mut nothing = InBuffer::around(&[]);
        while self.compressor.compress_stream2(out, &mut nothing, ZSTD_EndDirective::ZSTD_e_flush)? > 0 {
            // Out of room although the bound says otherwise: better refused than looping.
            if out.pos() == out.capacity() {
                return Err(usize::MAX);
            }
        }
        Ok(())
    }

    /// Everything up to `through`, inclusive, is durable elsewhere: its extents may be overwritten.
    pub fn release(&mut self, through: Sequence) {
        self.released = self.released.max(through);
        self.free_released();
    }

    /// The sequence the next record gets.
    pub fn next_sequence(&self) -> Sequence {
        self.next_sequence
    }

    /// The first sequence that keeps an extent from being reused; [`next_sequence`](Journal::next_sequence) when none does.
    /// Who holds this one should flush first.
    pub fn oldest_sequence(&self) -> Sequence {
        let held = self.extents.iter().filter(|extent| extent.last_sequence > self.released);
        held.map(|extent| extent.first_sequence.max(self.released + 1)).min().unwrap_or(self.next_sequence)
    }

    /// The first sequence of the extent that holds the first record above `after`, or will hold it; at most the one after
    /// `after`. Who keeps state in an encoding reads from there on.
    pub fn extent_begin(&self, after: Sequence) -> Sequence {
        let current = self.current.as_ref().filter(|current| current.frames > 0).map(|current| current.extent);
        let wanted = self
            .extents
            .iter()
            .enumerate()
            .filter(|(index, extent)| extent.last_sequence > after || Some(*index) == current);
        wanted.map(|(_, extent)| extent.first_sequence).min().unwrap_or(after + 1).min(after + 1)
    }

    /// How much of the ring at its largest is needed, 0 to 1. At 1 commits are refused.
    pub fn used_fraction(&self) -> f64 {
        let used = |(index, extent): (usize, &Extent)| match &self.current {
            Some(current) if current.extent == index => current.offset,
            _ if extent.last_sequence > 0 => extent.bytes,
            _ => 0,
        };
        let used: u64 = self.extents.iter().enumerate().map(used).sum();
        let held: u64 = self.extents.iter().map(|extent| extent.bytes).sum();
        let still = u64::from(self.options.extents_max).saturating_sub(self.extents.len() as u64) * self.extent_bytes();
        used as f64 / (held + still).max(1) as f64
    }

    /// Bytes of frames that are still needed, as far as sequences tell within an extent: what a replay would read. Unlike
    /// [`used_fraction`](Journal::used_fraction) it falls with each release, and not only when an extent comes free.
    pub fn needed_bytes(&self) -> u64 {
        let needed = |(extent, written): (&Extent, u64)| {
            let records = (extent.last_sequence + 1).saturating_sub(extent.first_sequence);
            let left = extent.last_sequence.saturating_sub(self.released).min(records);
            (written as f64 * left as f64 / records.max(1) as f64) as u64
        };
        self.extents.iter().enumerate().filter_map(|extent| self.written(extent)).map(needed).sum()
    }

    /// The first sequence of the newest `bytes` of frames, as far as sequences tell within an extent; 1 when there are
    /// fewer.
    pub fn sequence_within(&self, bytes: u64) -> Sequence {
        let mut written: Vec<(&Extent, u64)> =
            self.extents.iter().enumerate().filter_map(|e| self.written(e)).collect();
        written.sort_unstable_by_key(|(extent, _)| std::cmp::Reverse(extent.first_sequence));
        let mut left = bytes;
        for (extent, written) in written {
            if written > left {
                let records = (extent.last_sequence + 1).saturating_sub(extent.first_sequence);
                let within = (records as f64 * left as f64 / written as f64) as u64;
                return extent.last_sequence + 1 - within.min(records);
            }
            left -= written;
        }
        1
    }

    /// An extent that has records, and the bytes of its frames.
    fn written<'e>(&self, (index, extent): (usize, &'e Extent)) -> Option<(&'e Extent, u64)> {
        let written = match &self.current {
            Some(current) if current.extent == index => current.offset,
            _ => extent.bytes,
        };
        (extent.last_sequence > 0).then_some((extent, written))
    }

    /// The first and last sequence of the oldest extent that is still needed and is not being written: who must make room
    /// without having used its records releases the last one.
    pub fn oldest_extent(&self) -> Option<(Sequence, Sequence)> {
        let current = self.current.as_ref().map(|current| current.extent);
        let held = self
            .extents
            .iter()
            .enumerate()
            .filter(|(index, extent)| Some(*index) != current && extent.last_sequence > self.released);
        held.map(|(_, extent)| (extent.first_sequence, extent.last_sequence)).min()
    }

    /// Extents with records.
    pub(super) fn holding(&self) -> impl Iterator<Item = &Extent> {
        self.extents.iter().filter(|extent| extent.last_sequence > 0)
    }

    pub(super) fn disk(&self) -> &dyn Disk {
        self.disk.as_ref()
    }

    /// Bytes of frames written since it was opened, padding included, growth not.
    pub fn bytes_written(&self) -> u64 {
        self.bytes_written
    }

    /// Number of extents on disk.
    pub fn extents(&self) -> u32 {
        self.extents.len() as u32
    }

    /// The work of making one more extent, when the ring should have one: none is free, and the current one is half
    /// full. Zeroing an extent costs as many bytes as filling it, so one that may never be needed is not made.
    /// Run it on any thread and [`adopt`](Journal::adopt) the result before asking again.
    pub fn growth(&mut self) -> Option<Growth> {
        let half_full = self.current.as_ref().is_some_and(|current| self.room(current) as u64 <= current.offset);
        self.growth_when(self.extents.is_empty() || half_full)
    }

    fn growth_when(&mut self, wanted: bool) -> Option<Growth> {
        let count = self.extents() as u64;
        if !wanted || self.free().next().is_some() || count >= u64::from(self.options.extents_max.max(2)) {
            return None;
        }
        // A commit may need an extent while another thread makes one: they must not share a file.
        self.last_number += 1;
        Some(Growth { disk: self.disk.clone(), number: self.last_number, bytes: self.extent_bytes() })
    }

    /// Takes a new extent into the ring.
    pub fn adopt(&mut self, extent: NewExtent) {
        self.extents.push(extent.0);
    }

    /// Makes an extent at once, half full or not. False when one is free or the ring may not grow.
    ///
    /// # Errors
    /// When the disk fails or is full; the ring is as before.
    pub fn grow_ahead(&mut self) -> Result<bool, DiskError> {
        let Some(growth) = self.growth_when(true) else { return Ok(false) };
        let extent = growth.run()?;
        self.adopt(extent);
        Ok(true)
    }

    /// Takes free extents out of the ring and removes their files, until `keep` extents (at least one) are left or none is
    /// free. Returns how many went. A removed file may come back after a power cut; its frames are old and
    /// are told apart by their sequences.
    ///
    /// # Errors
    /// When a file cannot be removed; it is out of the ring all the same.
    pub fn shrink(&mut self, keep: u32) -> Result<u32, DiskError> {
        let keep = keep.max(1) as usize;
        let mut gone = 0;
        while self.extents.len() > keep {
            let last = self.free().max_by_key(|(_, extent)| extent.number).map(|(index, _)| index);
            let Some(index) = last else { break };
            self.remove_extent(index)?;
            gone += 1;
        }
        Ok(gone)
    }

    /// Makes extents larger (or smaller) from now on, within the same bytes in all: for callers whose encoding has much
    /// to repeat at each extent's start. Free extents of another size leave the ring; others when they are free at a
    /// later call. Does nothing when the size is as it was.
    ///
    /// # Errors
    /// When a file cannot be removed; it is out of the ring all the same.
    pub fn set_extent_bytes(&mut self, extent_bytes: u32) -> Result<(), DiskError> {
        let ring_bytes = u64::from(self.options.extent_bytes) * u64::from(self.options.extents_max);
        let count = (ring_bytes / u64::from(extent_bytes.max(1))).clamp(2, u64::from(u32::MAX));
        (self.options.extent_bytes, self.options.extents_max) = (extent_bytes, count as u32);
        let bytes = self.extent_bytes();
        loop {
            let other = self.free().find(|(_, extent)| extent.bytes != bytes).map(|(index, _)| index);
            let Some(index) = other else { return Ok(()) };
            self.remove_extent(index)?;
        }
    }

    fn remove_extent(&mut self, index: usize) -> Result<(), DiskError> {
        let extent = self.extents.remove(index);
        if let Some(current) = self.current.as_mut().filter(|current| current.extent > index) {
            current.extent -= 1;
        }
        self.disk.close(extent.file);
        self.disk.remove(&super::extent::name(extent.number))
    }

    fn extent_bytes(&self) -> u64 {
        u64::from(self.options.extent_bytes).next_multiple_of(ALIGNMENT as u64).max(EXTENT_BYTES_MIN)
    }

    fn room(&self, current: &Current) -> usize {
        self.extents.get(current.extent).map_or(0, |extent| extent.bytes.saturating_sub(current.offset) as usize)
    }

    fn free(&self) -> impl Iterator<Item = (usize, &Extent)> {
        let current = self.current.as_ref().map(|current| current.extent);
        self.extents
            .iter()
            .enumerate()
            .filter(move |(index, extent)| extent.last_sequence == 0 && Some(*index) != current)
    }

    /// The free extent used longest ago: wear is even, and the newest frames stay readable longest.
    fn next_free(&self, needed: usize) -> Option<usize> {
        let fitting = self.free().filter(|(_, extent)| extent.bytes >= needed as u64);
        fitting.min_by_key(|(_, extent)| (extent.epoch, extent.number)).map(|(index, _)| index)
    }

    fn free_released(&mut self) {
        let current = self.current.as_ref().map(|current| current.extent);
        for (index, extent) in self.extents.iter_mut().enumerate() {
            if Some(index) != current && extent.last_sequence <= self.released {
                extent.last_sequence = 0;
            }
        }
    }

    fn full(&self) -> JournalError {
        JournalError::Full { extents: self.extents(), oldest: self.oldest_sequence() }
    }
}

/// Most bytes a frame with `raw_bytes` of prefixed records can take: zstd's bound for one call, the frame head of a new
/// stream, and a block header per flush.
fn frame_bound(raw_bytes: usize) -> usize {
    frame_bytes(compress_bound(raw_bytes) + 64, ALIGNMENT)
}

impl Drop for Journal {
    fn drop(&mut self) {
        for extent in &self.extents {
            self.disk.close(extent.file);
        }
    }
}
