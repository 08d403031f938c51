//! Opening an SQLite file the way both databases need it.
//!
//! **Durability.** `journal_mode=WAL`, `synchronous=EXTRA` (in WAL mode the same as `FULL`), `locking_mode=EXCLUSIVE`. A flush's commit must be
//! durable when it returns, because the journal's tail is released after it, and `synchronous=NORMAL` in WAL mode
//! does not sync at commit at all. A rollback journal would sync three times and write each page twice. In WAL mode
//! a commit is one append and one sync: the two or three pages that a block changes, 8.2 to 12.4 KB, plus the
//! share of the checkpoint every [`CHECKPOINT_PAGES`] pages. Measured through the VFS: 8.7 KB and 1.09 syncs per
//! flush commit, which a test pins; the survey had 9.9 KB for `NORMAL` and 28.7 KB for `FULL` with a rollback journal
//! (reference/limits.md).
//!
//! **Memory.** One connection, [`CACHE_KIB`] of page cache, nothing mapped, temporary tables on the heap, and one
//! heap limit for SQLite as a whole ([`HEAP_BYTES_MAX`]).

use crate::directory::DirectoryFiles;
use crate::error::CatalogError;
use crate::files::VfsFiles;
use crate::vfs::{Mount, VFS_NAME, mount};
use rusqlite::{Connection, OpenFlags};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Page cache of a connection. The catalog of 10,000 blocks is 1.2 MB and is read once, at start.
const CACHE_KIB: u32 = 256;

/// After so many pages in the log they are copied into the database: 64 × 4 KiB bounds the log at about 270 KB,
/// and lets some 30 commits share one copy of the pages that all of them change.
const CHECKPOINT_PAGES: u32 = 64;

/// SQLite refuses allocations beyond this, over all connections of the process.
const HEAP_BYTES_MAX: u32 = 16 << 20;

/// Where the files are.
#[derive(Clone)]
pub enum Place {
    /// A directory of the operating system, which must exist.
    Directory(PathBuf),
    /// Any other files, such as the simulated disk's; also a shared [`DirectoryFiles`], whose
    /// [`stats`](VfsFiles::stats) then count both databases.
    Files(Arc<dyn VfsFiles>),
}

impl Place {
    pub(crate) fn files(&self) -> Arc<dyn VfsFiles> {
        match self {
            Place::Directory(path) => Arc::new(DirectoryFiles::new(path.clone())),
            Place::Files(files) => Arc::clone(files),
        }
    }
}

/// What was found at open.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OpenReport {
    /// There was no file (or an empty one). For the catalog: if segments exist, rebuild from their trailers.
    Fresh,
    /// The file was there and is sound.
    Opened,
    /// The file was damaged; it was moved aside and an empty one took its place. Rebuild from trailers.
    Damaged {
        /// What was wrong.
        what: String,
        /// The name that the damaged file has now.
        set_aside: String,
    },
    /// `state.db` only: the file was damaged or missing and the last good copy took its place.
    Restored {
        /// What was wrong.
        what: String,
        /// The name that the damaged file has now.
        set_aside: String,
    },
}

/// What makes a database ours.
pub(crate) struct Schema {
    /// File name.
    pub(crate) file: &'static str,
    /// `PRAGMA user_version`, from 1.
    pub(crate) version: i64,
    /// Statements that create version `version`, run in one transaction.
    pub(crate) create: &'static str,
}

/// A connection and what keeps its files reachable. Fields drop in order: connection first.
pub(crate) struct Database {
    pub(crate) connection: Connection,
    pub(crate) file: String,
    _mount: Mount,
}

impl Database {
    /// Opens or creates `file` with the schema. Returns whether it was created.
    pub(crate) fn open(
        files: &Arc<dyn VfsFiles>,
        file: &str,
        schema: &Schema,
    ) -> Result<(Database, bool), CatalogError> {
        let mount = mount(Arc::clone(files));
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_EXRESCODE;
        let opened = Connection::open_with_flags_and_vfs(mount.path(file), flags, VFS_NAME)
            .and_then(|connection| configure(&connection).map(|()| connection));
        let connection = opened.map_err(|e| CatalogError::of(file, &e))?;
        let mut database = Database { connection, file: file.to_owned(), _mount: mount };
        let created = database.match_schema(schema)?;
        Ok((database, created))
    }

    fn match_schema(&mut self, schema: &Schema) -> Result<bool, CatalogError> {
        let found: i64 = self.ask(|c| c.query_row("PRAGMA user_version", [], |row| row.get(0)))?;
        if found > schema.version {
            return Err(CatalogError::Newer { file: self.file.clone(), found, supported: schema.version });
        }
        if found == schema.version {
            return Ok(false);
        }
        let tables: i64 = self.ask(|c| c.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)))?;
        if found != 0 || tables != 0 {
            return Err(CatalogError::Damaged(format!("{}: schema version {found}, {tables} tables", self.file)));
        }
        let create = format!("BEGIN IMMEDIATE; {} PRAGMA user_version={}; COMMIT;", schema.create, schema.version);
        self.ask(|c| c.execute_batch(&create))?;
        Ok(true)
    }

    /// Runs `question`, naming this file in its error.
    pub(crate) fn ask<T>(&self, question: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, CatalogError> {
        question(&self.connection).map_err(|e| CatalogError::of(&self.file, &e))
    }

    /// Runs `change` in a transaction that is durable on return, or not there at all as far as this connection can
    /// tell.
    pub(crate) fn transact<T>(
        &mut self,
        change: impl FnOnce(&rusqlite::Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, CatalogError> {
        let run = |connection: &mut Connection| {
            let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            let value = change(&transaction)?;
            transaction.commit()?;
            Ok(value)
        };
        run(&mut self.connection).map_err(|e| CatalogError::of(&self.file, &e))
    }

    /// Reads every page.
    ///
    /// # Errors
    /// [`CatalogError::Damaged`] with SQLite's first finding.
    pub(crate) fn check(&self) -> Result<(), CatalogError> {
        let finding: String = self.ask(|c| c.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)))?;
        if finding == "ok" { Ok(()) } else { Err(CatalogError::Damaged(format!("{}: {finding}", self.file))) }
    }
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    // There is no second connection to wait for.
    connection.busy_timeout(Duration::ZERO)?;
    connection.execute_batch(&format!(
        "PRAGMA locking_mode=EXCLUSIVE;
         PRAGMA mmap_size=0;
         PRAGMA temp_store=MEMORY;
         PRAGMA cache_size=-{CACHE_KIB};
         PRAGMA hard_heap_limit={HEAP_BYTES_MAX};
         PRAGMA cell_size_check=ON;
         PRAGMA trusted_schema=OFF;
         PRAGMA synchronous=EXTRA;"
    ))?;
    // EXTRA, because the switch to WAL is itself a transaction with a rollback journal: unless its removal is synced,
    // the journal may come back after a power cut and undo everything since (found by the power-cut test).
    connection.query_row("PRAGMA journal_mode=WAL", [], |row| row.get::<_, String>(0))?;
    connection.execute_batch(&format!(
        "PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES};
         PRAGMA journal_size_limit={};",
        u64::from(CHECKPOINT_PAGES) * 8192
    ))
}

/// An error while opening and checking means damage, unless it says something about the disk or the version: the
/// statements themselves are known to be good.
pub(crate) fn as_damage(error: CatalogError) -> CatalogError {
    match error {
        CatalogError::Sqlite(text) => CatalogError::Damaged(text),
        other => other,
    }
}

/// Moves `file` and its log to `<file>.damaged` (replacing an older one) by copying, and returns that name.
///
/// The database goes before its log: a log without its database is ignored, while a database without its log
/// would be an older state that looks sound.
pub(crate) fn set_aside(files: &dyn VfsFiles, file: &str) -> Result<String, CatalogError> {
    let io = |e: std::io::Error| CatalogError::Disk(format!("{file}: set aside: {e}"));
    for suffix in ["", "-wal"] {
        let from = format!("{file}{suffix}");
        let to = format!("{file}.damaged{suffix}");
        if files.exists(&to).map_err(io)? {
            files.delete(&to, false).map_err(io)?;
        }
        if files.exists(&from).map_err(io)? {
            copy(files, &from, &to);
            files.delete(&from, true).map_err(io)?;
            files.close(&to);
        }
    }
    let journal = format!("{file}-journal");
    if files.exists(&journal).map_err(io)? {
        files.delete(&journal, true).map_err(io)?;
    }
    Ok(format!("{file}.damaged"))
}

/// Copies as far as it can be read and written: the copy is for a curious person, not for us, so a full disk or an
/// unreadable sector must not keep Bramble from starting.
fn copy(files: &dyn VfsFiles, from: &str, to: &str) {
    let mut piece = [0u8; 4096];
    let mut offset = 0;
    while let Ok(n) = files.read(from, offset, &mut piece) {
        let Some(data) = piece.get(..n).filter(|data| !data.is_empty()) else { return };
        if files.write(to, offset, data).is_err() {
            return;
        }
        offset += n as u64;
    }
}
