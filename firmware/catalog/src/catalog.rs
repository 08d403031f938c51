//! `catalog.db`: which blocks exist.

use crate::database::{Database, OpenReport, Place, Schema, as_damage, set_aside};
use crate::error::CatalogError;
use crate::files::{FileStats, VfsFiles};
use crate::rows::{BLOCK_COLUMNS, BlockRow, named_crc, replaces_to_blob};
use parking_lot::Mutex;
use rusqlite::{OptionalExtension, Transaction, params};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const SCHEMA: Schema = Schema {
    file: "catalog.db",
    version: 1,
    // `numbers` holds `flushed.<signal>`, `next_block_id` and `digest`: one small page beside the blocks' page, so
    // that a commit usually touches two.
    create: "CREATE TABLE blocks (
            id INTEGER PRIMARY KEY, signal INTEGER NOT NULL, class INTEGER NOT NULL, day INTEGER NOT NULL,
            min_time_ns INTEGER NOT NULL, max_time_ns INTEGER NOT NULL, items INTEGER NOT NULL,
            file_bytes INTEGER NOT NULL, journal_from INTEGER NOT NULL, journal_to INTEGER NOT NULL,
            replaces BLOB NOT NULL, crc INTEGER NOT NULL) STRICT;
        CREATE TABLE numbers (
            name TEXT PRIMARY KEY, value INTEGER NOT NULL, crc INTEGER NOT NULL) STRICT, WITHOUT ROWID;",
};

/// Block numbers that a commit sets aside for handing out before the next commit. A number handed out but never
/// committed is thus not handed out again after a restart, unless a single flush makes more blocks than this;
/// [`Catalog::skip_block_ids`] covers that.
const ID_RESERVE: u64 = 64;

const NEXT_BLOCK_ID: &str = "next_block_id";
const DIGEST: &str = "digest";
const FLUSHED: &str = "flushed.";

/// One transaction's worth: what a flush or a merge changes.
#[derive(Clone, Copy, Default, Debug)]
pub struct Change<'a> {
    /// Blocks that exist from now on; one with a known id takes the place of the old row.
    pub add: &'a [BlockRow],
    /// Blocks that are gone; unknown ids are ignored.
    pub remove: &'a [u64],
    /// Signal codes, each with the journal sequence through which it is in blocks. Never goes back: a lower one is
    /// ignored.
    pub flushed: &'a [(u8, u64)],
}

/// The list of blocks, durable. Callable from any thread; one transaction at a time.
pub struct Catalog {
    database: Mutex<Database>,
    next_block_id: AtomicU64,
    files: Arc<dyn VfsFiles>,
}

impl Catalog {
    /// Opens `catalog.db`, checks all of it, and creates it if it is absent.
    ///
    /// A damaged file is set aside and an empty one created; the report says so, and the caller rebuilds the rows
    /// from the segments' trailers.
    ///
    /// # Errors
    /// * [`Newer`](CatalogError::Newer): nothing was changed.
    /// * [`InUse`](CatalogError::InUse), [`Full`](CatalogError::Full), [`Disk`](CatalogError::Disk).
    pub fn open(place: &Place) -> Result<(Catalog, OpenReport), CatalogError> {
        let files = place.files();
        match Self::try_open(&files).map_err(as_damage) {
            Ok((catalog, true)) => Ok((catalog, OpenReport::Fresh)),
            Ok((catalog, false)) => Ok((catalog, OpenReport::Opened)),
            Err(CatalogError::Damaged(what)) => {
                tracing::warn!(what, "catalog.db is damaged: setting it aside");
                let set_aside = set_aside(files.as_ref(), SCHEMA.file)?;
                let (catalog, _) = Self::try_open(&files)?;
                Ok((catalog, OpenReport::Damaged { what, set_aside }))
            }
            Err(other) => Err(other),
        }
    }

    fn try_open(files: &Arc<dyn VfsFiles>) -> Result<(Catalog, bool), CatalogError> {
        let (mut database, mut created) = Database::open(files, SCHEMA.file, &SCHEMA)?;
        if created {
            database.transact(|t| {
                put_number(t, NEXT_BLOCK_ID, 1)?;
                put_number(t, DIGEST, 0)
            })?;
        } else if is_unborn(&database)? {
            // Power went between the schema's transaction and the first rows'.
            database.transact(|t| {
                put_number(t, NEXT_BLOCK_ID, 1)?;
                put_number(t, DIGEST, 0)
            })?;
            created = true;
        }
        database.check()?;
        let next_block_id = verify(&database)?;
        let catalog = Catalog {
            database: Mutex::new(database),
            next_block_id: AtomicU64::new(next_block_id),
            files: Arc::clone(files),
        };
        Ok((catalog, created))
    }

    /// All blocks, ascending by id.
    ///
    /// # Errors
    /// [`Damaged`](CatalogError::Damaged) when a row fails its checksum; [`Disk`](CatalogError::Disk).
    pub fn blocks(&self) -> Result<Vec<BlockRow>, CatalogError> {
        read_blocks(&self.database.lock())
    }

    /// Signal codes with the journal sequence through which they are in blocks, ascending by code. A signal that
    /// was never flushed is absent.
    ///
    /// # Errors
    /// [`Damaged`](CatalogError::Damaged), [`Disk`](CatalogError::Disk).
    pub fn flushed(&self) -> Result<Vec<(u8, u64)>, CatalogError> {
        let numbers = read_numbers(&self.database.lock())?;
        let mut flushed: Vec<(u8, u64)> = numbers
            .iter()
            .filter_map(|(name, value, _)| Some((name.strip_prefix(FLUSHED)?.parse().ok()?, *value)))
            .collect();
        flushed.sort_unstable();
        Ok(flushed)
    }

    /// Makes `change` in one transaction; durable on return.
    ///
    /// # Errors
    /// [`Full`](CatalogError::Full), [`Disk`](CatalogError::Disk): readers of this catalog see the state before, and
    /// later commits work once the disk does. But the change may be there after a restart, since its bytes may
    /// have reached the disk although the sync failed: keep the files of `add` and of `remove` until a later
    /// commit succeeded.
    pub fn commit(&self, change: &Change<'_>) -> Result<(), CatalogError> {
        let mut database = self.database.lock();
        let added_max = change.add.iter().map(|row| row.id).max().unwrap_or(0);
        self.skip_block_ids(added_max);
        let next_block_id = self.next_block_id.load(Ordering::Acquire);
        database.transact(|t| apply(t, change, next_block_id))
    }

    /// A fresh block number, ascending. Handing out costs no disk access; see [`commit`](Self::commit), which
    /// records that it and the next 64 numbers are taken.
    pub fn next_block_id(&self) -> u64 {
        self.next_block_id.fetch_add(1, Ordering::AcqRel)
    }

    /// Never hands out `through` or a lower number again: called at start with the highest number among the
    /// segments on disk, listed or not.
    pub fn skip_block_ids(&self, through: u64) {
        self.next_block_id.fetch_max(through.saturating_add(1), Ordering::AcqRel);
    }

    /// What SQLite wrote through this catalog's files, where they count.
    pub fn file_stats(&self) -> FileStats {
        self.files.stats()
    }
}

fn apply(t: &Transaction<'_>, change: &Change<'_>, next_block_id: u64) -> rusqlite::Result<()> {
    let mut digest = number(t, DIGEST)?.unwrap_or(0);
    for id in change.remove.iter().copied().chain(change.add.iter().map(|row| row.id)) {
        let crc: Option<u32> = t
            .prepare_cached("DELETE FROM blocks WHERE id = ? RETURNING crc")?
            .query_row([id as i64], |row| row.get(0))
            .optional()?;
        digest = digest.wrapping_sub(u64::from(crc.unwrap_or(0)));
    }
    for row in change.add {
        let replaced = insert(t, row)?;
        digest = digest.wrapping_add(u64::from(row.crc())).wrapping_sub(replaced);
    }
    for &(signal, sequence) in change.flushed {
        let name = format!("{FLUSHED}{signal}");
        let old = number(t, &name)?;
        if old.is_none_or(|old| old < sequence) {
            digest = digest.wrapping_sub(old.map_or(0, |old| u64::from(number_crc(&name, old))));
            digest = digest.wrapping_add(u64::from(number_crc(&name, sequence)));
            put_number(t, &name, sequence)?;
        }
    }
    if number(t, NEXT_BLOCK_ID)?.unwrap_or(0) < next_block_id + ID_RESERVE / 2 {
        put_number(t, NEXT_BLOCK_ID, next_block_id + ID_RESERVE)?;
    }
    put_number(t, DIGEST, digest)
}

/// Inserts `row`; returns the checksum of a row of the same id that this very change added before, else 0.
fn insert(t: &Transaction<'_>, row: &BlockRow) -> rusqlite::Result<u64> {
    let twin: Option<u32> = t
        .prepare_cached("SELECT crc FROM blocks WHERE id = ?")?
        .query_row([row.id as i64], |found| found.get(0))
        .optional()?;
    t.prepare_cached(&format!("INSERT OR REPLACE INTO blocks ({BLOCK_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)"))?
        .execute(params![
            row.id as i64,
            row.signal,
            row.class,
            row.day,
            row.min_time_ns,
            row.max_time_ns,
            row.items as i64,
            row.file_bytes as i64,
            row.journal_from as i64,
            row.journal_to as i64,
            replaces_to_blob(&row.replaces),
            row.crc(),
        ])?;
    Ok(twin.map_or(0, u64::from))
}

fn number(t: &Transaction<'_>, name: &str) -> rusqlite::Result<Option<u64>> {
    t.prepare_cached("SELECT value FROM numbers WHERE name = ?")?
        .query_row([name], |row| row.get::<_, i64>(0))
        .optional()
        .map(|value| value.map(|value| value as u64))
}

fn put_number(t: &Transaction<'_>, name: &str, value: u64) -> rusqlite::Result<()> {
    t.prepare_cached("INSERT OR REPLACE INTO numbers (name, value, crc) VALUES (?,?,?)")?
        .execute(params![name, value as i64, number_crc(name, value)])
        .map(|_| ())
}

fn number_crc(name: &str, value: u64) -> u32 {
    named_crc(name, &value.to_le_bytes())
}

/// Whether the schema is there but the first rows are not.
fn is_unborn(database: &Database) -> Result<bool, CatalogError> {
    let rows = "SELECT (SELECT count(*) FROM numbers) + (SELECT count(*) FROM blocks)";
    database.ask(|c| c.query_row(rows, [], |row| row.get::<_, i64>(0))).map(|count| count == 0)
}

fn read_blocks(database: &Database) -> Result<Vec<BlockRow>, CatalogError> {
    let rows = database.ask(|c| {
        let mut select = c.prepare_cached(&format!("SELECT {BLOCK_COLUMNS} FROM blocks ORDER BY id"))?;
        select.query_map([], BlockRow::read)?.collect::<rusqlite::Result<Vec<_>>>()
    })?;
    let mut blocks = Vec::with_capacity(rows.len());
    for (row, crc) in rows {
        if row.crc() != crc {
            return Err(CatalogError::Damaged(format!("{}: row of block {} fails its checksum", SCHEMA.file, row.id)));
        }
        blocks.push(row);
    }
    Ok(blocks)
}

fn read_numbers(database: &Database) -> Result<Vec<(String, u64, u32)>, CatalogError> {
    let numbers = database.ask(|c| {
        let mut select = c.prepare_cached("SELECT name, value, crc FROM numbers")?;
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get::<_, i64>(1)? as u64, row.get(2)?));
        select.query_map([], read)?.collect::<rusqlite::Result<Vec<(String, u64, u32)>>>()
    })?;
    match numbers.iter().find(|(name, value, crc)| number_crc(name, *value) != *crc) {
        Some((name, ..)) => Err(CatalogError::Damaged(format!("{}: {name} fails its checksum", SCHEMA.file))),
        None => Ok(numbers),
    }
}

/// Checks every row and the digest over all rows; returns the first block number that is free for sure.
fn verify(database: &Database) -> Result<u64, CatalogError> {
    let blocks = read_blocks(database)?;
    let numbers = read_numbers(database)?;
    let named = |wanted: &str| numbers.iter().find(|(name, ..)| name == wanted).map(|(_, value, _)| *value);
    let (Some(next), Some(digest)) = (named(NEXT_BLOCK_ID), named(DIGEST)) else {
        return Err(CatalogError::Damaged(format!("{}: {NEXT_BLOCK_ID} or {DIGEST} is missing", SCHEMA.file)));
    };
    let of_blocks = blocks.iter().map(|row| u64::from(row.crc()));
    let of_flushed = numbers.iter().filter(|(name, ..)| name.starts_with(FLUSHED)).map(|(.., crc)| u64::from(*crc));
    if of_blocks.chain(of_flushed).fold(0, u64::wrapping_add) != digest {
        return Err(CatalogError::Damaged(format!("{}: rows are missing", SCHEMA.file)));
    }
    let after_last = blocks.last().map_or(1, |row| row.id.saturating_add(1));
    Ok(next.max(after_last))
}

#[cfg(test)]
#[path = "catalog_tests.rs"]
mod tests;
