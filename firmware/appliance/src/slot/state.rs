//! `bootstate`: exactly one sector of text. Layout: docs/formats.md, "Boot state".

use super::Slot;

/// Length of the file: one sector, so that it is overwritten whole or not at all.
pub const BOOTSTATE_BYTES: usize = 512;

/// Boots that a slot under trial gets until it is given up.
pub const TRIES: u8 = 3;

/// What is known of the slots across boots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootState {
    /// Committed last: what is fallen back to.
    pub slot: Slot,
    /// Under trial; never the committed one.
    pub trying: Option<Slot>,
    /// Boots left for the trial, 0 to 9.
    pub tries_left: u8,
    /// Failed last, or half written; never the committed one.
    pub bad: Option<Slot>,
}

impl BootState {
    /// `slot` runs and was committed, and nothing else is known.
    pub fn settled(slot: Slot) -> Self {
        BootState { slot, trying: None, tries_left: 0, bad: None }
    }

    /// The file's bytes.
    pub fn encode(&self) -> [u8; BOOTSTATE_BYTES] {
        let name = |slot: Option<Slot>| slot.map_or("", Slot::name);
        let tries = self.tries_left.min(9);
        let (trying, bad) = (name(self.trying), name(self.bad));
        let text = format!("version=1\nslot={}\ntrying={trying}\ntries_left={tries}\nbad={bad}\n", self.slot);
        let mut bytes = [b'#'; BOOTSTATE_BYTES];
        bytes.iter_mut().zip(text.bytes()).for_each(|(to, from)| *to = from);
        if let Some(last) = bytes.last_mut() {
            *last = b'\n';
        }
        bytes
    }

    /// What the file says; `None` when it is not exactly what [`encode`](Self::encode) writes, or contradicts itself.
    pub fn decode(bytes: &[u8]) -> Option<BootState> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut lines = text.split('\n');
        let mut field = |key: &str| lines.next()?.strip_prefix(key)?.strip_prefix('=');
        let slot_or_none = |name: &str| match name {
            "" => Some(None),
            name => Slot::named(name).map(Some),
        };
        if field("version")? != "1" {
            return None;
        }
        let slot = Slot::named(field("slot")?)?;
        let trying = slot_or_none(field("trying")?)?;
        let tries_left = field("tries_left")?.parse().ok()?;
        let bad = slot_or_none(field("bad")?)?;
        let state = BootState { slot, trying, tries_left, bad };
        let contradicts = trying == Some(slot) || bad == Some(slot);
        (!contradicts && state.encode() == *bytes).then_some(state)
    }
}

/// Every state there can be.
#[cfg(test)]
pub(crate) fn all() -> Vec<BootState> {
    let mut states = Vec::new();
    for slot in Slot::ALL {
        for trying in [None, Some(slot.other())] {
            for bad in [None, Some(slot.other())] {
                states.extend((0..=TRIES).map(|tries_left| BootState { slot, trying, tries_left, bad }));
            }
        }
    }
    states
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_state_is_one_sector_of_text() {
        let state = BootState { slot: Slot::A, trying: Some(Slot::B), tries_left: 3, bad: None };
        let bytes = state.encode();
        assert!(bytes.starts_with(b"version=1\nslot=A\ntrying=B\ntries_left=3\nbad=\n####"));
        assert!(bytes.ends_with(b"##\n"));
        for state in all() {
            assert_eq!(BootState::decode(&state.encode()), Some(state));
        }
    }

    #[test]
    fn what_contradicts_itself_is_no_state() {
        for wrong in [
            BootState { trying: Some(Slot::A), ..BootState::settled(Slot::A) },
            BootState { bad: Some(Slot::B), ..BootState::settled(Slot::B) },
        ] {
            assert_eq!(BootState::decode(&wrong.encode()), None);
        }
        assert_eq!(BootState::decode(b""), None);
    }

    proptest! {
        #[test]
        fn one_changed_byte_is_noticed_or_another_state(at in 0..BOOTSTATE_BYTES, byte: u8) {
            let mut bytes = BootState::settled(Slot::A).encode();
            bytes[at] = byte;
            if let Some(read) = BootState::decode(&bytes) {
                prop_assert_eq!(&read.encode()[..], &bytes[..]);
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            BootState::decode(&bytes);
        }
    }
}
