//! Encoded values that both sides remember: the newest 256 KiB of them.

/// Bytes that are remembered, with two more of each value's length.
const CAPACITY: usize = 256 << 10;
/// Longer values are not remembered.
pub(super) const KEPT_BYTES_MAX: usize = 4 << 10;

/// Where a remembered value is; 0 for none.
pub(super) type Place = u32;

/// A ring of values. A value that does not fit before the ring's end begins at its start.
pub(super) struct Kept {
    ring: Box<[u8]>,
    /// Bytes ever written, with those left out at the ring's end.
    written: u64,
}

impl Default for Kept {
    fn default() -> Self {
        Kept { ring: vec![0; CAPACITY].into_boxed_slice(), written: 0 }
    }
}

impl Kept {
    pub(super) fn memory_bytes(&self) -> usize {
        self.ring.len()
    }

    /// Remembers a value; 0 when it is too long, or so much was remembered in this epoch that places run out.
    pub(super) fn push(&mut self, value: &[u8]) -> Place {
        let taken = value.len() + 2;
        if value.len() > KEPT_BYTES_MAX {
            return 0;
        }
        let at = (self.written % CAPACITY as u64) as usize;
        let start = if at + taken > CAPACITY { self.written + (CAPACITY - at) as u64 } else { self.written };
        let Ok(place) = Place::try_from(start + 1) else { return 0 };
        let at = (start % CAPACITY as u64) as usize;
        if let Some((length, bytes)) = self.ring.get_mut(at..at + taken).and_then(|room| room.split_at_mut_checked(2)) {
            length.copy_from_slice(&(value.len() as u16).to_le_bytes());
            bytes.copy_from_slice(value);
        }
        self.written = start + taken as u64;
        place
    }

    /// The value at a place, if it is still there.
    #[inline]
    pub(super) fn get(&self, place: Place) -> Option<&[u8]> {
        let start = u64::from(place.checked_sub(1)?);
        if self.written > start + CAPACITY as u64 {
            return None;
        }
        let rest = self.ring.get((start % CAPACITY as u64) as usize..)?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        rest.get(..usize::from(u16::from_le_bytes(*length)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_values_are_there() {
        let mut kept = Kept::default();
        let value = |n: usize| vec![n as u8; 1 + n * 37 % KEPT_BYTES_MAX];
        let places: Vec<Place> = (0..1000).map(|n| kept.push(&value(n))).collect();
        let there = places.iter().enumerate().filter(|(n, place)| kept.get(**place) == Some(&value(*n)[..])).count();
        assert!((100..200).contains(&there), "{there}");
        assert!(places[..500].iter().all(|place| kept.get(*place).is_none()));
        assert_eq!(kept.get(*places.last().unwrap()), Some(&value(999)[..]));
        assert_eq!(kept.push(&[0; KEPT_BYTES_MAX + 1]), 0);
        assert_eq!(kept.get(0), None);
    }
}
