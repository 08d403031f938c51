//! A group's filter on trace ids: a binary fuse filter with 8-bit fingerprints, 0.4 % false positives at about
//! 9 bits per trace. `seed 8, segment length 4, segments' length 4, fingerprints to the end`; empty when it could not
//! be built, which means "maybe" for every id.

use crate::bytes::take_array;
use bramble_signal::TraceId;
use xorf::{BinaryFuse8, Descriptor, Filter};

fn key(id: TraceId) -> u64 {
    // Ids are random, except when they are not: old 64-bit ids have a zero half.
    let [high, low] = [id.0.first_chunk::<8>(), id.0.last_chunk::<8>()];
    let half = |h: Option<&[u8; 8]>| h.map_or(0, |b| u64::from_le_bytes(*b));
    half(high).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32) ^ half(low)
}

/// Appends the filter over `traces`.
pub(crate) fn put_filter(out: &mut Vec<u8>, traces: &[TraceId]) {
    let mut keys: Vec<u64> = traces.iter().map(|id| key(*id)).collect();
    keys.sort_unstable();
    keys.dedup();
    // For a handful of traces the trace id page itself is as small.
    if keys.len() < 32 {
        return;
    }
    let Ok(filter) = BinaryFuse8::try_from(&keys) else { return };
    let Descriptor { seed, segment_length, segment_count_length, .. } = filter.descriptor;
    out.extend_from_slice(&seed.to_le_bytes());
    out.extend_from_slice(&segment_length.to_le_bytes());
    out.extend_from_slice(&segment_count_length.to_le_bytes());
    out.extend_from_slice(&filter.fingerprints);
}

/// A filter as stored, checked to be one.
pub(crate) struct TraceFilter(Option<BinaryFuse8>);

impl TraceFilter {
    /// Reads a filter; anything that is none lets every id pass.
    pub(crate) fn read(bytes: &[u8]) -> Self {
        TraceFilter(Self::parse(bytes))
    }

    fn parse(mut bytes: &[u8]) -> Option<BinaryFuse8> {
        let seed = u64::from_le_bytes(take_array(&mut bytes)?);
        let segment_length = u32::from_le_bytes(take_array(&mut bytes)?);
        let segment_count_length = u32::from_le_bytes(take_array(&mut bytes)?);
        // The three probes lie below the sum: anything else would index past the end.
        let total = u64::from(segment_count_length) + 2 * u64::from(segment_length);
        let sound = segment_length.is_power_of_two()
            && segment_count_length.is_multiple_of(segment_length)
            && total == bytes.len() as u64;
        let segment_length_mask = segment_length.wrapping_sub(1);
        let descriptor = Descriptor { seed, segment_length, segment_length_mask, segment_count_length };
        sound.then(|| BinaryFuse8 { descriptor, fingerprints: bytes.into() })
    }

    /// `false`: the trace is not in the group.
    pub(crate) fn may_contain(&self, id: TraceId) -> bool {
        self.0.as_ref().is_none_or(|filter| filter.contains(&key(id)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_pass_and_few_others() {
        let id = |n: u64| {
            let mut bytes = [0; 16];
            bytes[8..].copy_from_slice(&n.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
            TraceId(bytes)
        };
        let ids: Vec<TraceId> = (1..2000).map(id).collect();
        let mut bytes = Vec::new();
        put_filter(&mut bytes, &ids);
        assert!(bytes.len() < 2000 * 10 / 8 + 600, "{}", bytes.len());
        let filter = TraceFilter::read(&bytes);
        assert!(ids.iter().all(|id| filter.may_contain(*id)));
        let wrong = (10_000..20_000).filter(|n| filter.may_contain(id(*n))).count();
        assert!(wrong < 100, "{wrong}");
        for cut in 0..bytes.len() {
            assert!(TraceFilter::read(&bytes[..cut]).may_contain(id(5)), "a damaged filter refuses nothing it had");
        }
    }
}
