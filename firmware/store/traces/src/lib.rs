//! The trace store: spans in memory first, then in blocks of columns.
//!
//! ```text
//! prepare → (journal) → apply ─▶ active generation ─freeze▶ frozen generation ─write_frozen▶ blocks ─merge▶ blocks
//! ```
//!
//! * **Head** (`head`, `head_body`): append-only generations, compact (about 90 B per span): interned strings, shapes,
//!   templates.
//! * **Block** (`block`): one segment per (UTC day, retention class); spans sorted by trace id in *groups* of up to 16 k
//!   spans, each a set of column pages with its own dictionaries (`group_write`, `group_read`, `rows`): attributes
//!   (`columns`), events and links (`tables`, `events_read`), times as shares of the parent's (`times`), traces as
//!   patterns (`layout`), ids whose fronts are the filter (`ids`). The footer (`index`) lists groups and operations.
//!   Layout: docs/formats.md, "Trace blocks". Rows go from head to block and from block to block without being put
//!   together (`AttributeSource`).
//! * **Reading** (`read`): one snapshot of both generations and the blocks; equal spans (trace id, span id, kind) are one,
//!   the one that arrived first. A scan judges its tree of predicates first on shapes (`judge`), then on dictionaries and
//!   columns (`group_match`, `values`, `event_match`; `head_read` for the head), several groups at once (`ahead`), with a
//!   group opened page by page (`open_group`). It gives single spans (`span_scan`, `earlier`) or whole traces (`scan`,
//!   `fetch`), put together column by column with no more than is wanted of them (`pick`). Names and values of attributes
//!   come from dictionaries and columns (`complete`).
//! * **Merging** (`merge`): sorted streams, one group of each input in memory.
//!
//! A trace with an error or a slow root, as far as its generation knows, is filed as *warm*, others as *hot*.
//!
//! Everything that a span has comes back exactly: order of attributes, repeated keys, NaN bits, an end before the
//! start. Damage to a page costs the spans that need it and a warning, never an answer.

mod ahead;
mod block;
mod bytes;
mod columns;
mod complete;
mod earlier;
mod event_match;
mod events_read;
mod fetch;
mod flush;
mod group_match;
mod group_read;
mod group_write;
mod head;
mod head_body;
mod head_read;
mod ids;
mod index;
mod interner;
mod judge;
mod kept;
mod layout;
mod lists;
mod merge;
mod metrics;
mod numbers;
mod open_group;
mod pick;
mod ranged;
mod read;
mod row_set;
mod rows;
mod scan;
mod shape;
mod sink;
mod span_scan;
mod store;
mod tables;
mod text_find;
mod texts;
mod times;
mod values;
mod view;

pub use store::{TraceBudgets, TraceLimits, TraceStore};
