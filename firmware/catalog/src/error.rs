//! What can go wrong, for the caller to branch on and a person to read.

use rusqlite::ErrorCode;

/// A database could not be opened, read or written.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CatalogError {
    /// The file was written by a newer Bramble. Nothing was touched.
    #[error(
        "{file} has schema version {found}, this Bramble knows up to {supported}; \
         hint: run the newer version again, or use another data directory"
    )]
    Newer {
        /// Which file.
        file: String,
        /// Its version.
        found: i64,
        /// The newest version that this build reads.
        supported: i64,
    },
    /// Another process holds the file.
    #[error("{0} is in use by another process")]
    InUse(String),
    /// No space left. The transaction was not committed.
    #[error("disk full: {0}")]
    Full(String),
    /// Reading, writing or syncing failed. The transaction was not acknowledged, but may still turn out to be
    /// there after a restart.
    #[error("disk: {0}")]
    Disk(String),
    /// The contents contradict themselves: reopen, which sets the file aside.
    #[error("{0} is damaged")]
    Damaged(String),
    /// Anything else that SQLite says; a bug of ours.
    #[error("sqlite: {0}")]
    Sqlite(String),
}

impl CatalogError {
    /// Translates SQLite's error about `file`.
    pub(crate) fn of(file: &str, error: &rusqlite::Error) -> Self {
        let text = format!("{file}: {error}");
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => CatalogError::InUse(file.to_owned()),
            Some(ErrorCode::DiskFull) => CatalogError::Full(text),
            Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::ReadOnly) => CatalogError::Disk(text),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => CatalogError::Damaged(text),
            _ => match error {
                rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::QueryReturnedNoRows => CatalogError::Damaged(text),
                // A statement that does not compile against a file that passed for ours: its schema is not ours.
                rusqlite::Error::SqliteFailure(_, Some(message))
                    if message.contains("no such table") || message.contains("no such column") =>
                {
                    CatalogError::Damaged(text)
                }
                _ => CatalogError::Sqlite(text),
            },
        }
    }
}
