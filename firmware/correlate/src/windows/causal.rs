//! Who took part, callers before those they call: as spans and their parents tell, and not the clocks of different machines.

/// Participants that a correlation tells.
pub(super) const PARTICIPANTS_MAX: usize = 64;

/// A participant, by what decides about its place.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Rank {
    /// Least depth of anything it did.
    pub(super) depth: u32,
    /// When it did the first of these, on the first one's clock.
    pub(super) start_ns: i64,
    /// Its number: these do not depend on arrival.
    pub(super) number: u32,
}

/// The order of participants, by number; at most [`PARTICIPANTS_MAX`]. `calls`: who calls whom, by number.
///
/// Whoever is called by none of the rest is next, the one least deep first; in a circle of calls the least deep begins.
pub(super) fn order(mut ranks: Vec<Rank>, calls: impl Iterator<Item = (u32, u32)>) -> Vec<u32> {
    ranks.sort_unstable();
    ranks.truncate(PARTICIPANTS_MAX);
    let place = |number: u32| ranks.iter().position(|rank| rank.number == number);
    let mut callers = [0u64; PARTICIPANTS_MAX];
    for (caller, called) in calls {
        if let (Some(caller), Some(called)) = (place(caller), place(called))
            && caller != called
        {
            callers[called] |= 1 << caller;
        }
    }
    let mut left: u64 = if ranks.len() == 64 { u64::MAX } else { (1 << ranks.len()) - 1 };
    let mut order = Vec::with_capacity(ranks.len());
    while left != 0 {
        let is_left = |at: &usize| left >> at & 1 == 1;
        let free = (0..ranks.len()).filter(is_left).find(|&at| callers[at] & left == 0);
        let next = free.unwrap_or(left.trailing_zeros() as usize);
        left &= !(1 << next);
        order.push(ranks[next].number);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rank(number: u32, depth: u32, start_ns: i64) -> Rank {
        Rank { depth, start_ns, number }
    }

    #[test]
    fn callers_come_first_whatever_their_depth_and_circles_begin_at_the_root() {
        // 0 calls 1 and 2, at the same depth; 2 calls 1 as well.
        let ranks = vec![rank(1, 1, 5), rank(0, 0, 50), rank(2, 1, 9)];
        assert_eq!(order(ranks.clone(), [(0, 1), (0, 2), (2, 1)].into_iter()), [0, 2, 1]);
        assert_eq!(order(ranks.clone(), [(0, 1), (1, 2), (2, 0)].into_iter()), [0, 1, 2]);
        assert_eq!(order(ranks, std::iter::empty()), [0, 1, 2]);
        let many = (0..100).map(|n| rank(n, 1, i64::from(n))).collect();
        assert_eq!(order(many, std::iter::empty()).len(), PARTICIPANTS_MAX);
    }
}
