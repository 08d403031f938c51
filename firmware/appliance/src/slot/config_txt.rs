//! The one byte of the firmware's `config.txt` that is ours.
//!
//! The rest of the file is the user's, and is never written: not even read back and written again.

use super::Slot;

/// Largest `config.txt` that is looked at, bytes. The firmware itself reads less.
pub const CONFIG_BYTES_MAX: u64 = 64 << 10;

/// How our line begins.
const PREFIX: &[u8] = b"os_prefix=";

/// Where the byte that names the slot stands, and what it names: of the first line that begins `os_prefix=A/` or
/// `os_prefix=B/`. `None` when there is no such line.
pub fn find(config: &[u8]) -> Option<(usize, Slot)> {
    let mut start = 0;
    for line in config.split(|byte| *byte == b'\n') {
        match line.strip_prefix(PREFIX) {
            Some([b'A', b'/', ..]) => return Some((start + PREFIX.len(), Slot::A)),
            Some([b'B', b'/', ..]) => return Some((start + PREFIX.len(), Slot::B)),
            _ => start += line.len() + 1,
        }
    }
    None
}

/// `config` with that byte changed: what `tryboot.txt` holds. `None` when it has no such line.
pub fn with_slot(config: &[u8], slot: Slot) -> Option<Vec<u8>> {
    let (at, _) = find(config)?;
    let mut changed = config.to_vec();
    *changed.get_mut(at)? = *slot.name().as_bytes().first()?;
    Some(changed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_line_of_ours_counts() {
        assert_eq!(find(b"arm_64bit=1\r\nos_prefix=B/\r\nos_prefix=A/\n"), Some((23, Slot::B)));
        assert_eq!(find(b"os_prefix=A/"), Some((10, Slot::A)));
        for none in [&b""[..], b"#os_prefix=A/\n", b"os_prefix=C/\n", b" os_prefix=A/", b"os_prefix=A"] {
            assert_eq!(find(none), None);
        }
    }

    proptest! {
        #[test]
        fn one_byte_changes_and_no_other(before in "[ -~\n\r]{0,80}", after in "[ -~\n\r]{0,80}") {
            let config = format!("{before}\nos_prefix=A/\n{after}").into_bytes();
            let changed = with_slot(&config, Slot::B).unwrap();
            prop_assert_eq!(find(&changed).unwrap().1, Slot::B);
            prop_assert_eq!(changed.iter().zip(&config).filter(|(a, b)| a != b).count(), usize::from(find(&config).unwrap().1 == Slot::A));
            prop_assert_eq!(changed.len(), config.len());
        }
    }
}
