//! Write, sync, open anew, compare; then damage it and see that it shows.

use super::{Fault, Open};
use bramble_disk::journal::{Journal, JournalOptions, RecoveryReport, Sequence};
use bramble_disk::segment::{PageCodec, PageRef, SegmentHeader, SegmentReader, SegmentSummary, SegmentWriter};
use bramble_disk::{AlignedBuffer, Disk, DiskError, Page, PageCache, read_range};
use bramble_runtime::{Budget, BudgetName, Rng};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

/// What a file is made of: eight pieces of half a MiB.
const PIECE_BYTES: usize = 512 << 10;
const PIECES: u64 = 8;
/// Commits of the journal's cycle.
const COMMITS: u64 = 48;
/// Small extents, so that the ring goes round.
const RING: JournalOptions = JournalOptions { extent_bytes: 256 << 10, extents_min: 2, extents_max: 4 };
const SEGMENT: &str = "metrics/self-test";

fn random(seed: u64, bytes: usize) -> Vec<u8> {
    let mut data = vec![0; bytes];
    Rng::new(seed).fill(&mut data);
    data
}

fn different(what: impl Into<String>) -> Fault {
    Fault::Different(what.into())
}

/// Files: written in pieces, one piece rewritten durably, cut, renamed, listed, removed; each step seen after a restart.
pub(super) fn files(open: &Open<'_>) -> Result<(), Fault> {
    let disk = open()?;
    let file = disk.create("tmp-file", PIECES * PIECE_BYTES as u64)?;
    for index in 0..PIECES {
        let piece = AlignedBuffer::padded_copy(&random(index, PIECE_BYTES));
        disk.write_at(file, index * PIECE_BYTES as u64, piece).0?;
    }
    disk.sync(file)?;
    let unit = disk.write_unit(file);
    let mut rewritten = AlignedBuffer::with_capacity(unit);
    rewritten.append(&random(99, unit));
    disk.write_synced(file, 0, rewritten).0?;
    disk.publish("tmp-file", "kept")?;
    disk.close(file);
    drop(disk);

    let disk = open()?;
    let file = disk.open("kept")?;
    if disk.size(file)? != PIECES * PIECE_BYTES as u64 {
        return Err(different("a file has another length than was written"));
    }
    for index in 0..PIECES {
        let mut wanted = random(index, PIECE_BYTES);
        if index == 0 {
            wanted.iter_mut().zip(random(99, unit)).for_each(|(byte, new)| *byte = new);
        }
        if read_range(&*disk, file, index * PIECE_BYTES as u64, PIECE_BYTES)? != wanted {
            return Err(different(format!("piece {index} of a file is not what was written")));
        }
    }
    disk.truncate(file, PIECE_BYTES as u64)?;
    disk.close(file);
    drop(disk);

    let disk = open()?;
    let listed = disk.list("")?;
    if !listed.iter().any(|entry| entry.name == "kept" && entry.bytes == PIECE_BYTES as u64) {
        return Err(different("a file that was cut has not the length it was cut to"));
    }
    disk.remove("kept")?;
    match disk.open("kept") {
        Err(DiskError::NotFound { .. }) => Ok(()),
        _ => Err(different("a file that was removed is still there")),
    }
}

/// The record with this number: of any length up to 4 KiB, and compressible like real ones.
fn record(sequence: Sequence) -> Vec<u8> {
    let mut record = random(sequence, 1 + (sequence as usize * 97) % 2048);
    record.extend_from_slice("self-test ".repeat((sequence % 200) as usize).as_bytes());
    record
}

/// Opens the journal as after a restart and compares what it hands over with what was committed.
fn recovered(disk: &Arc<dyn Disk>, after: Sequence) -> Result<(Journal, RecoveryReport), Fault> {
    let mut wrong = None;
    let (journal, report) = Journal::open(disk.clone(), RING, after, &mut |replayed| {
        if replayed.record != record(replayed.sequence) {
            wrong.get_or_insert(replayed.sequence);
        }
    })?;
    match wrong {
        Some(sequence) => Err(different(format!("record {sequence} of the journal is not what was committed"))),
        None => Ok((journal, report)),
    }
}

/// The journal: commits over several laps of the ring, a restart, commits after it, and a last commit that is damaged in
/// the file, which recovery must leave out while it keeps every one before.
pub(super) fn journal(open: &Open<'_>, directory: &Path) -> Result<(), Fault> {
    let last = commits(open)?;
    damage_last_frame(&directory.join("journal"))?;
    let (_, report) = recovered(&open()?, last - 4)?;
    if report.last_sequence >= last {
        return Err(Fault::Unnoticed("the journal's last commit".to_owned()));
    }
    if report.last_sequence != last - 2 {
        let found = report.last_sequence;
        return Err(different(format!("recovery found records up to {found}, not {}, before a damaged one", last - 2)));
    }
    Ok(())
}

/// Writes, restarts in the middle, and returns the last sequence. Every commit has two records.
pub(super) fn commits(open: &Open<'_>) -> Result<Sequence, Fault> {
    let disk = open()?;
    let (mut journal, _) = recovered(&disk, 0)?;
    let mut last: Sequence = 0;
    for turn in 0..COMMITS {
        if turn == COMMITS / 2 {
            drop(journal);
            let (reopened, report) = recovered(&disk, last.saturating_sub(8))?;
            if report.last_sequence != last || !report.damaged.is_empty() {
                let found = report.last_sequence;
                return Err(different(format!("after a restart the journal ends at {found}, not at {last}")));
            }
            journal = reopened;
        }
        let records = [record(last + 1), record(last + 2)];
        journal.prepare_commit(records.iter().map(Vec::len).sum())?;
        last = journal.append(&[&records[0], &records[1]])?;
        journal.release(last.saturating_sub(8));
    }
    Ok(last)
}

/// Changes the last byte that is not padding in the extent written last.
fn damage_last_frame(directory: &Path) -> Result<(), Fault> {
    let io = |error: std::io::Error| different(format!("{}: {error}", directory.display()));
    let mut extents: Vec<_> = std::fs::read_dir(directory).map_err(io)?.flatten().collect();
    extents.sort_by_key(|entry| entry.metadata().and_then(|m| m.modified()).ok());
    let newest = extents.last().ok_or_else(|| different("the journal has no files"))?;
    let bytes = std::fs::read(newest.path()).map_err(io)?;
    let at =
        bytes.iter().rposition(|byte| *byte != 0).ok_or_else(|| different("the journal's newest file is empty"))?;
    flip(&newest.path(), at as u64)
}

fn flip(path: &Path, offset: u64) -> Result<(), Fault> {
    let change = || -> std::io::Result<()> {
        let mut file = std::fs::OpenOptions::new().read(true).write(true).open(path)?;
        let mut byte = [0];
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(&mut byte)?;
        file.seek(SeekFrom::Start(offset))?;
        file.write_all(&[byte[0] ^ 0x55])?;
        file.sync_all()
    };
    change().map_err(|error| different(format!("{}: {error}", path.display())))
}

/// Pages of all kinds: text, random, empty, longer than one write.
fn pages() -> Vec<Vec<u8>> {
    vec![b"the quick brown fox ".repeat(20_000), random(1, 700_000), Vec::new(), random(2, 1), vec![0; 4096]]
}

/// A segment: nothing of it under its name before it is whole, all of it after a restart, and a changed byte is noticed.
pub(super) fn segment(open: &Open<'_>, directory: &Path) -> Result<(), Fault> {
    let at = published(open)?;
    let changed = at.get(1).map_or(0, |page| page.offset + u64::from(page.stored_bytes) / 2);
    flip(&directory.join(SEGMENT), changed)?;
    match read_pages(&open()?) {
        Err(Fault::Disk(DiskError::Corrupt { .. })) => Ok(()),
        Err(other) => Err(other),
        Ok(_) => Err(Fault::Unnoticed("a segment".to_owned())),
    }
}

/// Writes and reads back; returns where the pages are.
pub(super) fn published(open: &Open<'_>) -> Result<Vec<PageRef>, Fault> {
    let disk = open()?;
    let header = SegmentHeader { signal: 1, block: 1, ..SegmentHeader::default() };
    let mut writer = SegmentWriter::create(disk.clone(), SEGMENT, header)?;
    let (mut footer, mut at) = (Vec::new(), Vec::new());
    for (index, page) in pages().iter().enumerate() {
        let codec = if index % 2 == 0 { PageCodec::Zstd(3) } else { PageCodec::Raw };
        let written = writer.write_page(page, codec)?;
        written.put(&mut footer);
        at.push(written);
    }
    if disk.open(SEGMENT).is_ok() {
        return Err(different("an unfinished segment can be seen"));
    }
    writer.finish(&footer, SegmentSummary { min_time_ns: 0, max_time_ns: 1, items: 1 })?;
    drop(disk);
    let read = read_pages(&open()?)?;
    match read.iter().map(|page| &page[..]).eq(pages().iter().map(Vec::as_slice)) {
        true => Ok(at),
        false => Err(different("pages of a segment are not what was written")),
    }
}

fn read_pages(disk: &Arc<dyn Disk>) -> Result<Vec<Page>, Fault> {
    let cache = Arc::new(PageCache::new(Budget::standalone(BudgetName::PageCache, 4 << 20)));
    let reader = SegmentReader::open(disk.clone(), SEGMENT, cache)?;
    let footer = reader.footer()?;
    let mut rest = &footer[..];
    let mut at = Vec::new();
    while !rest.is_empty() {
        at.push(PageRef::take(&mut rest).ok_or_else(|| different("the footer of a segment is short"))?);
    }
    Ok(reader.pages(&at)?)
}
