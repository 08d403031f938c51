//! An item as windows keep it: 64 bytes, and shares of texts.

use super::slab::{Linked, NIL};
use super::texts::{Text, Texts};
use crate::item::Level;
use bramble_signal::{SpanId, SpanKind};
use std::cmp::Ordering;

/// Which signal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
#[repr(u8)]
pub(crate) enum Tag {
    #[default]
    Span,
    Log,
    Exemplar,
}

/// An item as windows keep it.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Kept {
    pub(crate) time_ns: i64,
    pub(crate) span_id: u64,
    /// A span's parent, an entry's identity, the bits of an exemplar's value.
    pub(crate) other: u64,
    pub(crate) duration_ns: u64,
    /// See [`put_origin`].
    pub(crate) origin: Text,
    /// A span's operation, the line of an entry that is an error, an exemplar's series.
    pub(crate) name: Text,
    /// Why a span failed.
    pub(crate) message: Text,
    /// See [`put_ids`](super::ids::put_ids).
    pub(crate) ids: Text,
    /// The next of its trace; when it is looked at in a list of its own, its number.
    pub(crate) next: u32,
    /// Low bits of the journal sequence with which it came.
    pub(crate) sequence: u32,
    pub(crate) tag: Tag,
    /// [`Level`] of an entry, [`SpanKind`] of a span; of an exemplar, whether it is of a series derived from spans.
    pub(crate) detail: u8,
    pub(crate) failed: bool,
}

const _: () = assert!(size_of::<Kept>() == 64);

impl Linked for Kept {
    fn next(&self) -> u32 {
        self.next
    }

    fn set_next(&mut self, next: u32) {
        self.next = next;
    }
}

impl Kept {
    pub(crate) fn new(time_ns: i64) -> Self {
        Kept { time_ns, next: NIL, ..Kept::default() }
    }

    pub(crate) fn is_span(&self) -> bool {
        self.tag == Tag::Span
    }

    pub(crate) fn end_ns(&self) -> i64 {
        self.time_ns.saturating_add_unsigned(self.duration_ns)
    }

    pub(crate) fn id(&self) -> SpanId {
        SpanId(self.span_id.to_be_bytes())
    }

    pub(crate) fn parent(&self) -> u64 {
        if self.is_span() { self.other } else { 0 }
    }

    pub(crate) fn kind(&self) -> SpanKind {
        if self.is_span() { SpanKind::from_code(u64::from(self.detail)) } else { SpanKind::Unspecified }
    }

    pub(crate) fn level(&self) -> Level {
        Level::ALL.get(usize::from(self.detail)).copied().unwrap_or_default()
    }

    fn key(&self) -> (i64, Tag, u64, u64, u64, u8, bool) {
        (self.time_ns, self.tag, self.span_id, self.other, self.duration_ns, self.detail, self.failed)
    }

    fn texts(&self) -> [Text; 4] {
        [self.origin, self.name, self.message, self.ids]
    }

    /// The order of items, the same for all arrivals: by time first. Items that are equal in it are one.
    pub(crate) fn order(&self, other: &Kept, texts: &Texts) -> Ordering {
        // An entry's identity says it all, so that lines that were let go do not matter.
        let by_text = || {
            if self.tag == Tag::Log {
                return Ordering::Equal;
            }
            let hashes = |kept: &Kept| kept.texts().map(|text| texts.hash(text));
            if self.texts() == other.texts() { Ordering::Equal } else { hashes(self).cmp(&hashes(other)) }
        };
        self.key().cmp(&other.key()).then_with(by_text)
    }

    /// Ends the use of its texts.
    pub(crate) fn release(&self, texts: &mut Texts) {
        self.texts().into_iter().for_each(|text| texts.release(text));
    }
}

/// An origin as a text: what tells participants apart.
pub(crate) fn put_origin(service: &str, node: &str, env: &str, out: &mut Vec<u8>) {
    out.clear();
    for (at, part) in [service, node, env].into_iter().enumerate() {
        if at > 0 {
            out.push(0);
        }
        // No name of a service is that long.
        out.extend_from_slice(super::texts::cut(part.as_bytes(), 256));
    }
}

/// Service, node and environment of an origin's text.
pub(crate) fn origin_parts(origin: &[u8]) -> [&[u8]; 3] {
    let mut parts = origin.splitn(3, |&byte| byte == 0);
    std::array::from_fn(|_| parts.next().unwrap_or_default())
}
