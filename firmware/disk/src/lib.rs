//! Files, as a flash card likes them.
//!
//! * [`Disk`]: the one door to files; [`UringDisk`], [`ThreadsDisk`] and [`SimulatedDisk`] keep its contract.
//! * [`open_disk`]: locks and checks a data directory, chooses the implementation and says why.
//! * [`journal`]: the synced log, truth until a block exists.
//! * [`segment`]: the immutable, checksummed container of a block.
//! * [`DataUsage`]: what lies in a data directory, by kind.
//! * [`PageCache`]: pages of segments, within a memory budget.
//!
//! Everything here is synchronous: callers are threads, or a seeded scheduler in tests. This crate knows the
//! container (frames, pages, checksums); what a page means belongs to the store that writes it.

mod aligned;
#[cfg(test)]
mod contract_tests;
mod disk;
mod error;
pub mod journal;
mod metrics;
mod open;
mod page_cache;
#[cfg(feature = "sabotage")]
pub mod sabotage;
mod sectors;
pub mod segment;
pub mod simulated;
mod threads;
pub mod uring;
mod usage;

pub use aligned::{ALIGNMENT, AlignedBuffer};
pub use disk::{DirEntry, Disk, DiskKind, FileId, ReadRequest, Space, read_range};
pub use error::DiskError;
pub use metrics::{Cause, DiskMetrics};
pub use open::{
    DATA_READS_FROM, DATA_VERSION, DiskChoice, data_version, open_disk, remove_temporary, stamp_data_version,
};
pub use page_cache::{Page, PageCache};
pub use simulated::{SimulatedDisk, SimulatedOptions};
pub use threads::ThreadsDisk;
pub use uring::UringDisk;
pub use usage::{DataUsage, Usage, UsageGauges};
