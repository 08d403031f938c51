//! Pairs of a label set as bytes: of the few fields of an entry that matter, only these are looked at as text.

use bramble_signal::{FLOATING_MARK, LabelsRef};

/// Name and value of each label, or field of metadata, the mark of floating labels cut off.
pub(super) fn pairs(labels: LabelsRef<'_>) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = labels.as_bytes();
    std::iter::from_fn(move || {
        let (name, value) = (take(&mut rest)?, take(&mut rest)?);
        Some((name.strip_prefix(&[FLOATING_MARK as u8]).unwrap_or(name), value))
    })
}

/// A length of seven bits a byte, lowest first, and so many bytes.
#[inline]
fn take<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (&first, mut rest) = bytes.split_first()?;
    let mut length = usize::from(first & 0x7f);
    let (mut more, mut shift) = (first & 0x80 != 0, 7);
    while more {
        let (&next, after) = rest.split_first()?;
        length |= usize::from(next & 0x7f).checked_shl(shift)?;
        (rest, more, shift) = (after, next & 0x80 != 0, shift + 7);
    }
    let (text, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_signal::Labels;

    #[test]
    fn pairs_are_those_of_the_set() {
        let (long, longer) = ("x".repeat(200), "y".repeat(20_000));
        let set = Labels::from_pairs([("a", "b"), ("long", &long), (&longer, "z"), ("\u{1}trace_id", &longer)]);
        let read: Vec<(&[u8], &[u8])> = pairs(set.as_ref()).collect();
        let expected: Vec<(&str, &str)> =
            set.iter().map(|(name, value)| (name.trim_start_matches('\u{1}'), value)).collect();
        assert_eq!(read, expected.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect::<Vec<_>>());
        for cut in 0..set.as_bytes().len() {
            assert!(pairs(LabelsRef::from_encoded(&set.as_bytes()[..cut])).count() < 4);
        }
        assert_eq!(pairs(LabelsRef::from_encoded(&[0xff; 40])).count(), 0);
    }
}
