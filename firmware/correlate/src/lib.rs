//! Logs, spans and exemplars of one trace, joined as they arrive.
//!
//! ```text
//! durable batches ─▶ extract ─▶ windows ─▶ Correlation ─▶ row, synthetic span ─▶ the write path, like any other items
//!                    origin, ids            │
//!                                           └▶ whoever listens
//! ```

pub mod correlation;
pub mod correlator;
mod counters;
mod digits;
pub mod extract;
pub mod identity;
mod infer;
pub mod item;
pub mod options;
pub mod origin;
pub mod publish;
pub mod row;
pub mod skew;
pub mod span;
pub mod stored;
pub mod story;
pub mod view;
mod windows;

pub use correlation::{Correlation, CorrelationId, CorrelationQuery, CorrelationSource, Marks};
pub use correlator::Correlator;
pub use extract::{Extracted, Extractor};
pub use identity::{EntityId, EntityKind};
pub use item::{Item, ItemSink, Level, What};
pub use options::CorrelatorOptions;
pub use origin::Origin;
pub use publish::{Publication, Published};
