//! What is kept of the owner, sessions and tokens, and by whom.
//!
//! Entries of `state.db`, as JSON:
//!
//! | key | value |
//! | --- | --- |
//! | `auth/owner` | [`OwnerRecord`] |
//! | `auth/session/<id>` | [`SessionRecord`] |
//! | `auth/token/<id>` | [`TokenRecord`] |
//! | `auth/used/<id>` | when a token was used last, milliseconds since the epoch; told at most once an hour |
//!
//! No secret is among them: of random ones the SHA-256 is kept, of the password an Argon2id hash.

use super::password::PasswordRecord;
use super::scope::Scope;
use serde::{Deserialize, Serialize};

/// The owner's entry.
pub(super) const OWNER: &str = "auth/owner";
/// What sessions' entries begin with.
pub(super) const SESSION: &str = "auth/session/";
/// What tokens' entries begin with.
pub(super) const TOKEN: &str = "auth/token/";
/// What the entries of last uses begin with.
pub(super) const USED: &str = "auth/used/";
/// What all entries begin with.
pub(super) const ALL: &str = "auth/";

/// Where entries are kept, implemented by the binary. Every call may block on a file.
pub trait AuthStore: Send + Sync + 'static {
    /// Keys that begin with `prefix`, and their values.
    ///
    /// # Errors
    /// What is wrong with the file.
    fn load(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, String>;
    /// Sets an entry; durable on return.
    ///
    /// # Errors
    /// What is wrong with the file.
    fn put(&self, key: &str, value: &[u8]) -> Result<(), String>;
    /// Removes an entry; durable on return. An absent one is fine.
    ///
    /// # Errors
    /// What is wrong with the file.
    fn delete(&self, key: &str) -> Result<(), String>;
    /// Sets a number that may be lost.
    ///
    /// # Errors
    /// What is wrong with the file.
    fn note(&self, key: &str, number: u64) -> Result<(), String>;
    /// A number as [`note`](Self::note) set it.
    ///
    /// # Errors
    /// What is wrong with the file.
    fn noted(&self, key: &str) -> Result<Option<u64>, String>;
    /// The set-up code that was shown before a restart; `None` when there is none.
    ///
    /// # Errors
    /// What is wrong with the file.
    fn code(&self) -> Result<Option<String>, String>;
    /// Keeps the set-up code where `bramble owner code` finds it, or removes it.
    ///
    /// # Errors
    /// What is wrong with the file.
    fn keep_code(&self, code: Option<&str>) -> Result<(), String>;
}

/// Who may send without a token, besides this machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IngestRule {
    /// Private networks.
    #[default]
    Private,
    /// Nobody.
    Token,
}

/// The owner.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct OwnerRecord {
    pub(super) name: String,
    pub(super) password: PasswordRecord,
    pub(super) ingest: IngestRule,
    pub(super) created_ms: i64,
}

/// A person who is signed in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct SessionRecord {
    pub(super) secret_sha256: String,
    pub(super) created_ms: i64,
    pub(super) expires_ms: i64,
}

/// A program's token.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct TokenRecord {
    pub(super) secret_sha256: String,
    pub(super) name: String,
    pub(super) scopes: Vec<Scope>,
    pub(super) created_ms: i64,
}
