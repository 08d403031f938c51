//! Appending spans to a batch, for protocols that say with each packet, or with each span, who emitted it; and what their
//! ids, texts and times are in a batch.

use crate::RejectReason;
use bramble_signal::attributes::AttributeValue;
use bramble_signal::{ResourceEntry, ScopeEntry, SpanBatch};

/// So many of the newest resources and scopes are compared with the one at hand: senders are few and take turns.
const COMPARED_MAX: usize = 16;

/// The index of the resource with these encoded attributes, which is added unless one of the newest is the same.
pub(crate) fn resource_index(batch: &mut SpanBatch, attributes: &[u8]) -> u32 {
    let oldest = batch.resources.len().saturating_sub(COMPARED_MAX);
    let newest = batch.resources.iter().enumerate().skip(oldest);
    let same = newest.rev().find(|(_, entry)| batch.bytes(entry.attributes) == attributes).map(|(index, _)| index);
    let index = same.unwrap_or_else(|| {
        let attributes = batch.put(attributes);
        batch.resources.push(ResourceEntry { attributes, ..ResourceEntry::default() });
        batch.resources.len() - 1
    });
    index as u32
}

/// The index of a scope, found or added as [`resource_index`] does.
pub(crate) fn scope_index(batch: &mut SpanBatch, name: &str, version: &str) -> u32 {
    let oldest = batch.scopes.len().saturating_sub(COMPARED_MAX);
    let newest = batch.scopes.iter().enumerate().skip(oldest);
    let is_same = |entry: &ScopeEntry| {
        batch.bytes(entry.name) == name.as_bytes() && batch.bytes(entry.version) == version.as_bytes()
    };
    let same = newest.rev().find(|(_, entry)| is_same(entry)).map(|(index, _)| index);
    let index = same.unwrap_or_else(|| {
        let (name, version) = (batch.put(name.as_bytes()), batch.put(version.as_bytes()));
        batch.scopes.push(ScopeEntry { name, version, ..ScopeEntry::default() });
        batch.scopes.len() - 1
    });
    index as u32
}

/// How much a batch had, to take back what was appended since.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    arena: usize,
    resources: usize,
    scopes: usize,
    spans: usize,
}

impl Mark {
    pub(crate) fn of(batch: &SpanBatch) -> Self {
        Mark {
            arena: batch.arena.len(),
            resources: batch.resources.len(),
            scopes: batch.scopes.len(),
            spans: batch.spans.len(),
        }
    }

    pub(crate) fn restore(self, batch: &mut SpanBatch) {
        batch.arena.truncate(self.arena);
        batch.resources.truncate(self.resources);
        batch.scopes.truncate(self.scopes);
        batch.spans.truncate(self.spans);
    }
}

/// An id of up to `N` bytes, padded with zeros on the left; `None` when it is longer.
pub(crate) fn padded_id<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    let mut id = [0; N];
    id.get_mut(N.checked_sub(bytes.len())?..)?.copy_from_slice(bytes);
    Some(id)
}

/// Nanoseconds of signed microseconds since the epoch: what is before it is at it, what is beyond the end of time there.
pub(crate) fn nanos(micros: i64) -> u64 {
    u64::try_from(micros).unwrap_or(0).saturating_mul(1000)
}

/// What an exporter's tag says that the SDK dropped.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Dropped {
    pub(crate) attributes: u32,
    pub(crate) events: u32,
    pub(crate) links: u32,
}

impl Dropped {
    /// Takes note of a tag; `false` when it is none of these.
    pub(crate) fn take(&mut self, key: &str, count: impl FnOnce() -> Option<u32>) -> bool {
        let slot = match key {
            "otel.dropped_attributes_count" => &mut self.attributes,
            "otel.dropped_events_count" => &mut self.events,
            "otel.dropped_links_count" => &mut self.links,
            _ => return false,
        };
        count().map(|count| *slot = count).is_some()
    }
}

/// Text that must be text. Senders that cut at a number of bytes leave part of a character behind, which is left out.
pub(crate) fn text(bytes: &[u8]) -> Result<&str, RejectReason> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(error) if error.error_len().is_none() => {
            let whole = bytes.get(..error.valid_up_to()).unwrap_or_default();
            std::str::from_utf8(whole).map_err(|_| RejectReason::InvalidUtf8)
        }
        Err(_) => Err(RejectReason::InvalidUtf8),
    }
}

/// Text as an attribute's value; what is no text stays bytes.
pub(crate) fn text_or_bytes(bytes: &[u8]) -> AttributeValue<'_> {
    text(bytes).map_or(AttributeValue::Bytes(bytes), AttributeValue::Str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_and_scopes_are_shared() {
        let mut batch = SpanBatch::new();
        let resources: Vec<u32> = [&b"a"[..], b"b", b"a", b""].map(|a| resource_index(&mut batch, a)).into();
        assert_eq!(resources, [0, 1, 0, 2]);
        let mark = Mark::of(&batch);
        let scopes = [("x", "1"), ("x", "2"), ("x1", ""), ("x", "1")].map(|(n, v)| scope_index(&mut batch, n, v));
        assert_eq!(scopes, [0, 1, 2, 0]);
        mark.restore(&mut batch);
        assert_eq!((batch.scopes.len(), batch.resources.len(), batch.arena.len()), (0, 3, 2));
    }

    #[test]
    fn ids_times_and_texts() {
        assert_eq!(padded_id::<4>(&[1, 2]), Some([0, 0, 1, 2]));
        assert_eq!(padded_id::<4>(&[]), Some([0; 4]));
        assert_eq!(padded_id::<4>(&[1; 5]), None);
        assert_eq!((nanos(-1), nanos(2), nanos(i64::MAX)), (0, 2000, u64::MAX));
        assert_eq!(text("aé".as_bytes()), Ok("aé"));
        assert_eq!(text(&"aé".as_bytes()[..2]), Ok("a"), "cut inside a character");
        assert_eq!(text(b"a\xffb"), Err(RejectReason::InvalidUtf8));
        assert_eq!(text_or_bytes(b"\xff\xfe"), AttributeValue::Bytes(b"\xff\xfe"));
    }
}
