//! `state.db`: what cannot be rebuilt.
//!
//! For now a table of named values: positions of consumers (checkpoints), later alerts, silences, dashboards,
//! users and tokens. A last good copy, `state.db.bak`, is written with SQLite's backup interface, in one transaction
//! of the copy, after the original passed its checks: so that at any moment at least one of the two is whole.

use crate::database::{Database, OpenReport, Place, Schema, as_damage, set_aside};
use crate::error::CatalogError;
use crate::files::{FileStats, VfsFiles};
use crate::rows::named_crc;
use parking_lot::Mutex;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{OptionalExtension, params};
use std::sync::Arc;

const SCHEMA: Schema = Schema {
    file: "state.db",
    version: 1,
    create: "CREATE TABLE entries (
        key TEXT PRIMARY KEY, value BLOB NOT NULL, crc INTEGER NOT NULL) STRICT, WITHOUT ROWID;",
};
const COPY: &str = "state.db.bak";

/// After so many checkpoints the copy is renewed. A checkpoint restored from an older copy makes its consumer
/// repeat work, never lose any, so the copy (the whole database: tens of kilobytes) need not follow each.
const CHECKPOINTS_PER_COPY: u32 = 256;

/// Named values that outlive everything but both of their files. Callable from any thread.
pub struct State {
    inner: Mutex<Inner>,
    files: Arc<dyn VfsFiles>,
}

struct Inner {
    database: Database,
    checkpoints_since_copy: u32,
}

impl State {
    /// Opens `state.db`, checks all of it, restores it from the last good copy if it is damaged or missing, and
    /// creates it if there is neither.
    ///
    /// [`OpenReport::Damaged`] means that both were damaged and that it starts empty: to be told to a person.
    ///
    /// # Errors
    /// * [`Newer`](CatalogError::Newer): nothing was changed.
    /// * [`InUse`](CatalogError::InUse), [`Full`](CatalogError::Full), [`Disk`](CatalogError::Disk).
    pub fn open(place: &Place) -> Result<(State, OpenReport), CatalogError> {
        let files = place.files();
        let exists = |name| files.exists(name).map_err(|e| CatalogError::Disk(format!("{name}: {e}")));
        let missing = !exists(SCHEMA.file)? && exists(COPY)?;
        let what = match if missing { Err(missing_file()) } else { open_checked(&files, SCHEMA.file) } {
            // An empty file beside a copy is a restoration that was cut short, or a truncated file.
            Ok((database, true)) if exists(COPY)? => {
                drop(database);
                "the file was empty".to_owned()
            }
            Ok((database, created)) => {
                let report = if created { OpenReport::Fresh } else { OpenReport::Opened };
                return Self::start(database, files, report);
            }
            Err(CatalogError::Damaged(what)) => what,
            Err(other) => return Err(other),
        };
        tracing::warn!(what, "state.db is damaged: looking for its last good copy");
        let set_aside = set_aside(files.as_ref(), SCHEMA.file)?;
        Self::recover(files, what, set_aside)
    }

    fn recover(files: Arc<dyn VfsFiles>, what: String, aside: String) -> Result<(State, OpenReport), CatalogError> {
        let copy = match open_checked(&files, COPY) {
            Ok((copy, false)) => Some(copy),
            Ok((_, true)) => None,
            Err(CatalogError::Damaged(_)) => {
                set_aside(files.as_ref(), COPY)?;
                None
            }
            Err(other) => return Err(other),
        };
        let (mut database, _) = Database::open(&files, SCHEMA.file, &SCHEMA)?;
        let report = match copy {
            Some(copy) => {
                copy_database(&copy, &mut database)?;
                OpenReport::Restored { what, set_aside: aside }
            }
            None => OpenReport::Damaged { what, set_aside: aside },
        };
        Self::start(database, files, report)
    }

    fn start(
        database: Database,
        files: Arc<dyn VfsFiles>,
        report: OpenReport,
    ) -> Result<(State, OpenReport), CatalogError> {
        let inner = Mutex::new(Inner { database, checkpoints_since_copy: 0 });
        Ok((State { inner, files }, report))
    }

    /// The value of `key`.
    ///
    /// # Errors
    /// [`Damaged`](CatalogError::Damaged), [`Disk`](CatalogError::Disk).
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, CatalogError> {
        let inner = self.inner.lock();
        let found: Option<(Vec<u8>, u32)> = inner.database.ask(|c| {
            c.prepare_cached("SELECT value, crc FROM entries WHERE key = ?")?
                .query_row([key], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()
        })?;
        match found {
            Some((value, crc)) if named_crc(key, &value) == crc => Ok(Some(value)),
            Some(_) => Err(CatalogError::Damaged(format!("{}: entry {key} fails its checksum", SCHEMA.file))),
            None => Ok(None),
        }
    }

    /// Keys that begin with `prefix`, ascending.
    ///
    /// # Errors
    /// [`Damaged`](CatalogError::Damaged), [`Disk`](CatalogError::Disk).
    pub fn keys(&self, prefix: &str) -> Result<Vec<String>, CatalogError> {
        self.inner.lock().database.ask(|c| {
            let mut select =
                c.prepare_cached("SELECT key FROM entries WHERE substr(key, 1, length(?1)) = ?1 ORDER BY key")?;
            select.query_map([prefix], |row| row.get(0))?.collect()
        })
    }

    /// Sets `key`, and renews the copy: for what people did. Both are durable on return.
    ///
    /// # Errors
    /// [`Full`](CatalogError::Full), [`Disk`](CatalogError::Disk): the value may or may not be there after a restart.
    /// [`Damaged`](CatalogError::Damaged): the original failed its checks, so the copy was left alone.
    pub fn put(&self, key: &str, value: &[u8]) -> Result<(), CatalogError> {
        let mut inner = self.inner.lock();
        inner.set(key, Some(value))?;
        self.renew_copy(&mut inner)
    }

    /// Removes `key`, and renews the copy. Durable on return; an absent key is fine.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn delete(&self, key: &str) -> Result<(), CatalogError> {
        let mut inner = self.inner.lock();
        inner.set(key, None)?;
        self.renew_copy(&mut inner)
    }

    /// Sets `key` to a consumer's position: durable on return, while the copy may trail by up to 256 checkpoints.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn checkpoint(&self, key: &str, position: u64) -> Result<(), CatalogError> {
        let mut inner = self.inner.lock();
        inner.set(key, Some(&position.to_le_bytes()))?;
        inner.checkpoints_since_copy += 1;
        if inner.checkpoints_since_copy >= CHECKPOINTS_PER_COPY { self.renew_copy(&mut inner) } else { Ok(()) }
    }

    /// A consumer's position as [`checkpoint`](Self::checkpoint) set it.
    ///
    /// # Errors
    /// As [`get`](Self::get); a value of another length is [`Damaged`](CatalogError::Damaged).
    pub fn position(&self, key: &str) -> Result<Option<u64>, CatalogError> {
        let Some(value) = self.get(key)? else { return Ok(None) };
        let bytes = <[u8; 8]>::try_from(value.as_slice());
        let bytes = bytes.map_err(|_| CatalogError::Damaged(format!("{}: {key} is no position", SCHEMA.file)))?;
        Ok(Some(u64::from_le_bytes(bytes)))
    }

    /// What SQLite wrote through this database's files, where they count.
    pub fn file_stats(&self) -> FileStats {
        self.files.stats()
    }

    fn renew_copy(&self, inner: &mut Inner) -> Result<(), CatalogError> {
        verify(&inner.database)?;
        let mut copy = match Database::open(&self.files, COPY, &SCHEMA).map_err(as_damage) {
            Ok((copy, _)) => copy,
            Err(CatalogError::Damaged(_) | CatalogError::Newer { .. }) => {
                set_aside(self.files.as_ref(), COPY)?;
                Database::open(&self.files, COPY, &SCHEMA)?.0
            }
            Err(other) => return Err(other),
        };
        copy_database(&inner.database, &mut copy)?;
        inner.checkpoints_since_copy = 0;
        Ok(())
    }
}

impl Inner {
    fn set(&mut self, key: &str, value: Option<&[u8]>) -> Result<(), CatalogError> {
        self.database.transact(|t| {
            match value {
                Some(value) => t
                    .prepare_cached("INSERT OR REPLACE INTO entries (key, value, crc) VALUES (?,?,?)")?
                    .execute(params![key, value, named_crc(key, value)])?,
                None => t.prepare_cached("DELETE FROM entries WHERE key = ?")?.execute([key])?,
            };
            Ok(())
        })
    }
}

fn missing_file() -> CatalogError {
    CatalogError::Damaged("the file was missing, its copy was not".to_owned())
}

fn open_checked(files: &Arc<dyn VfsFiles>, file: &str) -> Result<(Database, bool), CatalogError> {
    let (database, created) = Database::open(files, file, &SCHEMA).map_err(as_damage)?;
    verify(&database).map_err(as_damage)?;
    Ok((database, created))
}

/// SQLite's own check, then every entry's checksum.
fn verify(database: &Database) -> Result<(), CatalogError> {
    database.check()?;
    let bad = database.ask(|c| {
        let mut select = c.prepare_cached("SELECT key, value, crc FROM entries")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let (key, crc): (String, u32) = (row.get(0)?, row.get(2)?);
            if named_crc(&key, row.get_ref(1)?.as_blob()?) != crc {
                return Ok(Some(key));
            }
        }
        Ok(None)
    })?;
    match bad {
        Some(key) => Err(CatalogError::Damaged(format!("{}: entry {key} fails its checksum", database.file))),
        None => Ok(()),
    }
}

/// Replaces all of `to` by `from`, in one transaction of `to`.
fn copy_database(from: &Database, to: &mut Database) -> Result<(), CatalogError> {
    let file = to.file.clone();
    let step = Backup::new(&from.connection, &mut to.connection).and_then(|backup| backup.step(-1));
    match step.map_err(|e| CatalogError::of(&file, &e))? {
        StepResult::Done => Ok(()),
        // Neither database has a second user, so this would be a bug of ours.
        other => Err(CatalogError::Sqlite(format!("{file}: copying stopped with {other:?}"))),
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
