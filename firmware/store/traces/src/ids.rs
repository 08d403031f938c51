//! A group's trace ids, in two pages: their *fronts* and the rest.
//!
//! Sorted ids differ from one to the next by little in front and by all in the rest. The front of an id is how far it
//! is above the group's first, in steps so fine that few ids share one: as a column of differences it takes hardly
//! more than a filter of false positives as rare, and it is a part of the ids, not something beside them. So a
//! search for an id reads the fronts, and the rest only where an id is likely to be.

use crate::bytes::{put_varint, take_array, take_count};
use crate::numbers::{COUNT_MAX, put_u64s, take_u64s};
use bramble_signal::TraceId;

/// Ids per front step are at most one in this many: false positives of a search.
const STEPS_PER_ID: u128 = 256;
/// Fewer ids are stored whole: their page is as small as fronts would be.
const FRONTS_MIN: usize = 48;

fn number(id: TraceId) -> u128 {
    u128::from_be_bytes(id.0)
}

/// Bytes of an id that are not in its front: low bytes of its distance to the first id.
fn rest_bytes(first: u128, last: u128, count: usize) -> usize {
    let range = last.saturating_sub(first);
    if count < FRONTS_MIN {
        return 16;
    }
    let bits = |n: u128| 128 - n.leading_zeros();
    // Whole bytes, so that the rest needs no bit reader: fronts are up to 8 bits finer than they must be.
    (bits(range).saturating_sub(bits(STEPS_PER_ID * count as u128)) / 8) as usize
}

/// Appends the two pages of ascending ids.
pub(crate) fn put_ids(fronts: &mut Vec<u8>, rests: &mut Vec<u8>, ids: &[TraceId]) {
    let first = ids.first().map_or(0, |id| number(*id));
    let last = ids.last().map_or(0, |id| number(*id));
    let mut bytes = rest_bytes(first, last, ids.len());
    // A front must fit 64 bits: it does, since few ids leave few bits to it.
    while bytes < 16 && (last.saturating_sub(first) >> (8 * bytes)) > u128::from(u64::MAX) {
        bytes += 1;
    }
    fronts.push(bytes as u8);
    fronts.extend_from_slice(&first.to_be_bytes());
    put_varint(fronts, ids.len() as u64);
    let mut previous = 0;
    let mut steps = Vec::new();
    for id in ids {
        let distance = number(*id).wrapping_sub(first);
        if bytes < 16 {
            let front = (distance >> (8 * bytes)) as u64;
            steps.push(front.wrapping_sub(previous));
            previous = front;
        }
        rests.extend_from_slice(distance.to_le_bytes().get(..bytes).unwrap_or(&[]));
    }
    if bytes < 16 {
        put_u64s(fronts, &steps);
    }
}

/// The fronts of a group's ids.
#[derive(Debug)]
pub(crate) struct Fronts {
    first: u128,
    rest_bytes: usize,
    count: usize,
    /// Ascending; empty when ids have no front.
    fronts: Vec<u64>,
}

impl Fronts {
    /// Reads the page of fronts; `None` when damaged.
    pub(crate) fn take(bytes: &mut &[u8]) -> Option<Self> {
        let [rest_bytes] = take_array(bytes)?;
        let first = u128::from_be_bytes(take_array(bytes)?);
        let count = take_count(bytes, COUNT_MAX)?;
        let rest_bytes = usize::from(rest_bytes).min(16);
        let mut fronts = if rest_bytes < 16 { take_u64s(bytes)? } else { Vec::new() };
        let mut front = 0u64;
        for step in &mut fronts {
            front = front.checked_add(*step)?;
            *step = front;
        }
        (rest_bytes == 16 || fronts.len() == count).then_some(Fronts { first, rest_bytes, count, fronts })
    }

    /// `false`: the id is not in the group.
    pub(crate) fn may_contain(&self, id: TraceId) -> bool {
        let Some(distance) = number(id).checked_sub(self.first) else { return false };
        let Ok(front) = u64::try_from(distance.checked_shr(8 * self.rest_bytes as u32).unwrap_or(0)) else {
            return false;
        };
        self.rest_bytes == 16 || self.fronts.binary_search(&front).is_ok()
    }

    /// All ids, with the page of the rest; `None` when damaged.
    pub(crate) fn ids(&self, rests: &[u8]) -> Option<Vec<TraceId>> {
        if rests.len() != self.count.checked_mul(self.rest_bytes)? {
            return None;
        }
        let mut ids = Vec::with_capacity(self.count);
        for at in 0..self.count {
            let rest = rests.get(at * self.rest_bytes..(at + 1) * self.rest_bytes)?;
            let mut distance = [0; 16];
            distance.get_mut(..self.rest_bytes)?.copy_from_slice(rest);
            let front = self.fronts.get(at).copied().unwrap_or(0);
            let front = u128::from(front).checked_shl(8 * self.rest_bytes as u32).unwrap_or(0);
            let id = self.first.wrapping_add(front | u128::from_le_bytes(distance));
            ids.push(TraceId(id.to_be_bytes()));
        }
        Some(ids)
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.fronts.capacity() * 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round_trip(ids: &[TraceId]) -> (Fronts, usize) {
        let (mut fronts, mut rests) = (Vec::new(), Vec::new());
        put_ids(&mut fronts, &mut rests, ids);
        let mut bytes = fronts.as_slice();
        let back = Fronts::take(&mut bytes).unwrap();
        assert!(bytes.is_empty());
        assert_eq!(back.ids(&rests).as_deref(), Some(ids));
        assert!(ids.iter().all(|id| back.may_contain(*id)));
        (back, fronts.len() + rests.len())
    }

    fn random(n: u64) -> TraceId {
        let mut rng = bramble_runtime::Rng::new(n);
        let (high, low) = (rng.next_u64(), rng.next_u64());
        TraceId((u128::from(high) << 64 | u128::from(low)).to_be_bytes())
    }

    #[test]
    fn random_ids_take_less_than_themselves_and_few_others_pass() {
        let mut ids: Vec<TraceId> = (0..2000).map(random).collect();
        ids.sort_unstable();
        let (fronts, bytes) = round_trip(&ids);
        assert!(bytes < 2000 * 15, "{bytes}");
        let wrong = (10_000..20_000).filter(|n| fronts.may_contain(random(*n))).count();
        assert!(wrong < 100, "{wrong}");
    }

    proptest! {
        #[test]
        fn any_ids_round_trip(ids in prop::collection::btree_set(prop_oneof![
            any::<u128>(), any::<u64>().prop_map(u128::from), 0u128..500, Just(u128::MAX),
        ], 0..120)) {
            round_trip(&ids.into_iter().map(|id| TraceId(id.to_be_bytes())).collect::<Vec<_>>());
        }
    }
}
