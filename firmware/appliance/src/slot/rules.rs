//! What the initramfs decides: the rules that `initramfs/slot.sh` follows, here to be tested, and compared with it.

use super::{BootState, Slot};

/// What to do, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// First, this in `config.txt`.
    pub prefix: Option<Slot>,
    /// Then this in `bootstate`.
    pub state: Option<BootState>,
    /// Then this.
    pub then: Then,
}

/// How the boot goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// With this slot.
    Boot,
    /// The firmware chooses anew.
    Reboot,
    /// Neither slot can be mounted: someone has to come.
    Stay,
}

const GO_ON: Decision = Decision { prefix: None, state: None, then: Then::Boot };

/// At each boot of `own`; `state` is `None` when it cannot be read.
///
/// A trial of `own` costs one of its tries; without one left, the committed slot boots again. A trial of the other slot is
/// over: the firmware came back from it by itself, or it was cut off before it began.
pub fn at_boot(state: Option<BootState>, own: Slot) -> Decision {
    let Some(state) = state else { return GO_ON };
    let Some(trying) = state.trying else { return GO_ON };
    if trying == own && state.tries_left > 0 {
        let state = BootState { tries_left: state.tries_left - 1, ..state };
        return Decision { state: Some(state), ..GO_ON };
    }
    let over = BootState { trying: None, tries_left: 0, bad: Some(trying), ..state };
    let then = if trying == own { Then::Reboot } else { Then::Boot };
    Decision { prefix: Some(state.slot), state: Some(over), then }
}

/// `own`'s root cannot be mounted. The other one is tried, but for one that is known to be bad.
pub fn root_failed(state: Option<BootState>, own: Slot) -> Decision {
    let other = own.other();
    if state.and_then(|state| state.bad) == Some(other) {
        return Decision { then: Then::Stay, ..GO_ON };
    }
    let state = BootState { bad: Some(own), ..BootState::settled(other) };
    Decision { prefix: Some(other), state: Some(state), then: Then::Reboot }
}
