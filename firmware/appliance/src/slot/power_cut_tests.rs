//! The power is cut after every change of an update, and what boots is a complete slot.
//!
//! The firmware and the initramfs are modelled by their rules; the card by [`Simulated`], whose unsynced changes survive
//! in any part. Broken new releases are tried too: one whose kernel does not start, one whose root does not mount, one
//! that never becomes healthy.

use super::rules::{self, Then};
use super::*;
use crate::bundle::Signer;
use crate::bundle::tests::{bundle_of, contents, signer, tar_of};
use crate::install::install;
use crate::install::tests::{card, policy};
use crate::medium::Medium;
use crate::medium::simulated::Simulated;

const KERNEL: &[u8] = b"new kernel";
const ROOT: &[u8] = &[7; 1300];

#[derive(Clone, Copy, Debug, PartialEq)]
enum New {
    Good,
    /// Only tryboot can come back from this.
    KernelHangs,
    RootDoesNotMount,
    NeverHealthy,
}

/// The machine: a card, what the next boot was told, and which mechanism its firmware has.
#[derive(Clone)]
struct Machine {
    card: Simulated,
    tryboot: bool,
    mechanism: Mechanism,
    new: New,
}

/// Whether the slot is whole, and whether it is the new release.
fn release(card: &Simulated, slot: Slot) -> Option<bool> {
    let kernel = card.file(&format!("{slot}/kernel8.img"))?;
    let root = card.root(slot);
    match (kernel == b"old kernel" && root.starts_with(b"old root"), kernel == KERNEL && root.starts_with(ROOT)) {
        (true, _) => Some(false),
        (_, true) => Some(true),
        _ => None,
    }
}

fn apply(card: &mut Simulated, decision: rules::Decision) -> std::io::Result<()> {
    if let Some(slot) = decision.prefix {
        let config = card.read("config.txt", 4096)?;
        let (at, now) = config_txt::find(&config).unwrap();
        if now != slot {
            card.overwrite("config.txt", at as u64, slot.name().as_bytes())?;
        }
    }
    decision.state.map_or(Ok(()), |state| card.overwrite("bootstate", 0, &state.encode()))
}

fn state(card: &mut Simulated) -> Option<BootState> {
    BootState::decode(&card.read("bootstate", 512).unwrap())
}

impl Machine {
    fn new(mechanism: Mechanism, new: New) -> Machine {
        Machine { card: card(), tryboot: false, mechanism, new }
    }

    /// One boot, from power-on to what the running system does about its slot; the slot that runs then, or `None` when the
    /// machine reboots. An error is a power cut.
    fn boot(&mut self) -> std::io::Result<Option<Slot>> {
        let config = if std::mem::take(&mut self.tryboot) { "tryboot.txt" } else { "config.txt" };
        let (_, own) = config_txt::find(&self.card.read(config, 4096)?).expect("the firmware's file is whole");
        let is_new = release(&self.card, own).unwrap_or_else(|| panic!("slot {own} was started and is not whole"));
        if is_new && self.new == New::KernelHangs {
            assert_eq!(self.mechanism, Mechanism::Tryboot, "nothing comes back from this");
            return Ok(None);
        }
        let decision = match is_new && self.new == New::RootDoesNotMount {
            true => rules::root_failed(state(&mut self.card), own),
            false => rules::at_boot(state(&mut self.card), own),
        };
        apply(&mut self.card, decision)?;
        match decision.then {
            Then::Reboot => return Ok(None),
            Then::Stay => panic!("neither slot boots"),
            Then::Boot => {}
        }
        if is_new && self.new == New::NeverHealthy {
            return Ok(None);
        }
        commit(&mut self.card, own)?;
        Ok(Some(own))
    }

    /// Until it runs and stays.
    fn settle(&mut self) -> std::io::Result<Slot> {
        for _ in 0..12 {
            if let Some(slot) = self.boot()? {
                return Ok(slot);
            }
        }
        panic!("it reboots for ever: {:?}", state(&mut self.card));
    }

    fn update(&mut self, bundle: &[u8], signer: &Signer) -> std::io::Result<()> {
        install(&mut self.card, &mut &bundle[..], &policy(signer), &mut |_| {}).map_err(std::io::Error::other)?;
        let argument = prepare_restart(&mut self.card, Slot::A, self.mechanism)?;
        self.tryboot = argument.is_some();
        Ok(())
    }

    /// Everything from the update to a system that stays.
    fn whole_way(&mut self, bundle: &[u8], signer: &Signer) -> std::io::Result<Slot> {
        self.update(bundle, signer)?;
        self.settle()
    }

    fn power_returns(&mut self, keeps: impl Fn(usize) -> bool) {
        self.tryboot = false;
        self.card.restart(keeps);
    }

    /// Whatever it was: a whole slot runs, and it is not one that was found wanting.
    fn check(&mut self) {
        let slot = self.settle().unwrap();
        let is_new = release(&self.card, slot).unwrap();
        assert!(!is_new || self.new == New::Good, "a broken release stays");
        assert_eq!(self.settle().unwrap(), slot, "and it stays");
        let bad = state(&mut self.card).and_then(|state| state.bad);
        assert_ne!(bad, Some(slot));
    }
}

fn bundle() -> (Signer, Vec<u8>) {
    let signer = signer();
    let bundle =
        bundle_of(&contents(), &signer, ROOT, &tar_of(&[("kernel8.img", KERNEL), ("cmdline.txt", &[b'x'; 700])]));
    (signer, bundle)
}

const WAYS: [(Mechanism, New); 7] = [
    (Mechanism::Tryboot, New::Good),
    (Mechanism::Tryboot, New::KernelHangs),
    (Mechanism::Tryboot, New::RootDoesNotMount),
    (Mechanism::Tryboot, New::NeverHealthy),
    (Mechanism::Flip, New::Good),
    (Mechanism::Flip, New::RootDoesNotMount),
    (Mechanism::Flip, New::NeverHealthy),
];

#[test]
fn a_good_release_stays_and_a_broken_one_does_not() {
    let (signer, bundle) = bundle();
    for (mechanism, new) in WAYS {
        let mut machine = Machine::new(mechanism, new);
        let slot = machine.whole_way(&bundle, &signer).unwrap();
        let expected = if new == New::Good { Slot::B } else { Slot::A };
        assert_eq!(slot, expected, "{mechanism:?} {new:?}");
        let told = state(&mut machine.card).unwrap();
        let bad = (new != New::Good).then_some(Slot::B);
        assert_eq!(told, BootState { bad, ..BootState::settled(expected) }, "{mechanism:?} {new:?}");
        machine.check();
    }
}

/// Which of what was not synced survives a cut: everything, nothing, all but one, one alone, and thirty mixtures.
fn survivals(unsynced: usize) -> Vec<Box<dyn Fn(usize) -> bool>> {
    let mut all: Vec<Box<dyn Fn(usize) -> bool>> = vec![Box::new(|_| false), Box::new(|_| true)];
    for one in 0..unsynced.min(12) {
        all.push(Box::new(move |index| index == one));
        all.push(Box::new(move |index| index != one));
    }
    if unsynced > 1 {
        for seed in 1..30u64 {
            let mixed = move |index: usize| {
                seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left((index % 64) as u32 * 7) & 1 == 1
            };
            all.push(Box::new(mixed));
        }
    }
    all
}

#[test]
fn whenever_the_power_goes_a_complete_slot_boots() {
    let (signer, bundle) = bundle();
    let mut cuts = 0;
    for (mechanism, new) in WAYS {
        let mut whole = Machine::new(mechanism, new);
        whole.whole_way(&bundle, &signer).unwrap();
        for at in 0..whole.card.done {
            let mut machine = Machine::new(mechanism, new);
            machine.card.left = Some(at);
            assert!(machine.whole_way(&bundle, &signer).is_err(), "cut {at} did not happen");
            for keeps in survivals(machine.card.unsynced()) {
                let mut again = machine.clone();
                again.power_returns(keeps);
                again.check();
                cuts += 1;
            }
        }
    }
    assert!(cuts > 1000, "only {cuts}");
}

/// After a cut, the update is taken again, and cut again: on what the first left behind.
#[test]
fn a_second_cut_is_no_worse_than_the_first() {
    let (signer, bundle) = bundle();
    for mechanism in [Mechanism::Tryboot, Mechanism::Flip] {
        let mut whole = Machine::new(mechanism, New::Good);
        whole.whole_way(&bundle, &signer).unwrap();
        for first in (0..whole.card.done).step_by(5) {
            let mut machine = Machine::new(mechanism, New::Good);
            machine.card.left = Some(first);
            _ = machine.whole_way(&bundle, &signer);
            machine.power_returns(|index| index % 2 == 0);
            if machine.settle().unwrap() == Slot::B {
                continue;
            }
            for second in 0..whole.card.done {
                let mut again = machine.clone();
                again.card.left = Some(second);
                _ = again.whole_way(&bundle, &signer);
                again.power_returns(|index| index % 3 != 0);
                again.check();
            }
        }
    }
}
