//! SQLite: which blocks exist, and what people did.
//!
//! Two files with two promises:
//!
//! * `catalog.db` ([`Catalog`]): one row per block, the flushed journal sequence of each signal, and the block
//!   number high-water mark. Everything in it can be rebuilt from the trailers of the segments, so a damaged one
//!   is set aside and replaced by an empty one, and [`OpenReport`] says so.
//! * `state.db` ([`State`]): what cannot be rebuilt. It keeps a last good copy beside it (`state.db.bak`) and is
//!   restored from it.
//!
//! Both are durable when a call returns (how, and what it costs: the head of `database.rs`). Every row carries a
//! CRC-32C and the table a digest of them, because SQLite's pages have no checksums and a card's bits do rot.
//! Both refuse a file from a newer version ([`CatalogError::Newer`]).
//!
//! SQLite reaches the disk only through [`VfsFiles`], in production ([`DirectoryFiles`]) as in the simulation, so
//! that the power cuts of the tests hit the very code that runs, and so that `/metrics` can say what it writes.
//!
//! This crate knows no segment, no store and no signal: rows are plain numbers, and what they mean is `ingest`'s.

mod catalog;
mod database;
mod directory;
mod error;
mod files;
mod rows;
mod state;
#[cfg(test)]
mod testing;
mod vfs;

pub use catalog::{Catalog, Change};
pub use database::{OpenReport, Place};
pub use directory::DirectoryFiles;
pub use error::CatalogError;
pub use files::{FileStats, VfsFiles};
pub use rows::BlockRow;
pub use state::State;
