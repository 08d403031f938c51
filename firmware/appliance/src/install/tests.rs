//! Good bundles are installed; any other leaves what runs as it is.

use super::*;
use crate::bundle::tests::{bundle_of, contents, signer, tar_of};
use crate::bundle::{Contents, Signer};
use crate::medium::simulated::Simulated;
use crate::slot::{BootState, is_ready, load};
use proptest::prelude::*;
use std::sync::LazyLock;

const CONFIG: &[u8] = b"arm_64bit=1\nos_prefix=A/\n";

pub(crate) fn card() -> Simulated {
    let state = BootState::settled(Slot::A).encode();
    let files: &[(&str, &[u8])] =
        &[("config.txt", CONFIG), ("bootstate", &state), ("A/kernel8.img", b"old kernel"), ("B/stale.dtb", b"x")];
    let mut card = Simulated::new(files, b"old root", 8192);
    card.free_bytes = 2 << 20;
    card
}

pub(crate) fn policy(signer: &Signer) -> Policy {
    Policy {
        keys: Keys::of_texts([signer.public_text().as_str()]).unwrap(),
        architecture: Architecture("aarch64".to_owned()),
        own: Slot::A,
        running_build: Some("0.1.0-1".to_owned()),
        stored_format: Some(1),
    }
}

fn run(card: &mut Simulated, bundle: &[u8], policy: &Policy) -> Result<Manifest, UpdateError> {
    install(card, &mut &bundle[..], policy, &mut |_| {})
}

fn root() -> Vec<u8> {
    (0..5000u32).map(|i| (i * 7 % 251) as u8).collect()
}

#[test]
fn a_good_bundle_fills_the_other_slot() {
    let signer = signer();
    let boot = tar_of(&[
        ("kernel8.img", &[5; 1500]),
        ("overlays/x.dtbo", b"overlay"),
        ("ready", b"forged"),
        ("cmdline.txt", b"bramble.slot=A"),
    ]);
    let bundle = bundle_of(&contents(), &signer, &root(), &boot);
    let mut card = card();
    let before = card.slot_content(Slot::A);
    let mut phases = Vec::new();
    install(&mut card, &mut &bundle[..], &policy(&signer), &mut |p| phases.push(p.phase)).unwrap();
    phases.dedup();
    assert_eq!(phases, [Phase::Receiving, Phase::Verifying, Phase::Ready]);
    assert_eq!(&card.root(Slot::B)[..5000], &root()[..]);
    assert_eq!(card.file("B/kernel8.img"), Some(&[5; 1500][..]));
    assert_eq!(card.file("B/overlays/x.dtbo"), Some(&b"overlay"[..]));
    assert_eq!(card.file("B/cmdline.txt"), Some(&b"bramble.slot=B"[..]));
    assert_eq!(card.file("B/stale.dtb"), None);
    assert_eq!(Release::read(&mut card, Slot::B).unwrap().build_id, "0.2.0-1");
    assert_eq!(card.slot_content(Slot::A), before);
    assert!(is_ready(&mut card, Slot::A).unwrap());
}

#[test]
fn what_must_not_be_installed_is_refused_with_its_reason() {
    let signer = signer();
    let boot = tar_of(&[("kernel8.img", b"kernel")]);
    let with = |change: &dyn Fn(&mut Contents, &mut Policy), root: &[u8], boot: &[u8]| {
        let (mut contents, mut policy) = (contents(), policy(&signer));
        change(&mut contents, &mut policy);
        let bundle = bundle_of(&contents, &signer, root, boot);
        let mut card = card();
        let before = card.slot_content(Slot::A);
        let error = run(&mut card, &bundle, &policy).unwrap_err();
        assert_eq!(card.slot_content(Slot::A), before);
        assert!(!is_ready(&mut card, Slot::A).unwrap());
        assert_eq!(load(&mut card, Slot::A).unwrap().slot, Slot::A);
        error.to_string()
    };
    let x86 = with(&|c, _| c.architecture.0 = "x86_64".to_owned(), b"root", &boot);
    assert_eq!(x86, "the bundle is for x86_64, and this machine is aarch64");
    let same = with(&|_, p| p.running_build = Some("0.2.0-1".to_owned()), b"root", &boot);
    assert_eq!(same, "this build runs already: 0.2.0-1");
    let newer = with(&|_, p| p.stored_format = Some(2), b"root", &boot);
    assert!(newer.contains("reads data of format 1 to 1") && newer.contains("is of format 2"), "{newer}");
    let older = with(&|c, _| c.data_format = DataFormat { reads_from: 2, writes: 3 }, b"root", &boot);
    assert!(older.contains("format 2 to 3"), "{older}");
    let large = with(&|_, _| {}, &[1; 9000], &boot);
    assert_eq!(large, "the bundle's root needs 9000 bytes, and there is room for 8192");
    let large = with(&|_, _| {}, b"root", &tar_of(&[("k", &vec![0; 1 << 20])]));
    assert!(large.starts_with("the bundle's boot files need") || large.contains("boot files needs"), "{large}");
    assert!(with(&|_, _| {}, b"root", b"").contains("no files"));
}

#[test]
fn during_a_trial_nothing_is_installed() {
    let signer = signer();
    let bundle = bundle_of(&contents(), &signer, b"root", &tar_of(&[("k", b"k")]));
    let mut card = card();
    let trial = BootState { trying: Some(Slot::B), tries_left: 2, ..BootState::settled(Slot::A) };
    card.overwrite("bootstate", 0, &trial.encode()).unwrap();
    let before = card.slot_content(Slot::A);
    let policy = Policy { own: Slot::B, ..policy(&signer) };
    assert!(run(&mut card, &bundle, &policy).unwrap_err().to_string().contains("on trial"));
    assert_eq!(card.slot_content(Slot::A), before);
}

/// A medium that gives back other bytes than it was given.
#[test]
fn a_card_that_lies_is_noticed() {
    struct Lying(Simulated);
    impl Medium for Lying {
        fn open(&mut self, name: &str) -> io::Result<Box<dyn Read + '_>> {
            self.0.open(name)
        }
        fn overwrite(&mut self, name: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
            self.0.overwrite(name, at, bytes)
        }
        fn write(&mut self, name: &str, content: &mut dyn Read) -> io::Result<u64> {
            self.0.write(name, content)
        }
        fn remove(&mut self, name: &str) -> io::Result<()> {
            self.0.remove(name)
        }
        fn clear(&mut self, slot: Slot) -> io::Result<()> {
            self.0.clear(slot)
        }
        fn sync_files(&mut self) -> io::Result<()> {
            self.0.sync_files()
        }
        fn free_bytes(&mut self) -> io::Result<u64> {
            self.0.free_bytes()
        }
        fn slot_bytes(&mut self, slot: Slot) -> io::Result<u64> {
            self.0.slot_bytes(slot)
        }
        fn root_bytes(&mut self, slot: Slot) -> io::Result<u64> {
            self.0.root_bytes(slot)
        }
        fn write_root(&mut self, slot: Slot, at: u64, bytes: &[u8]) -> io::Result<()> {
            self.0.write_root(slot, at, bytes)
        }
        fn sync_root(&mut self, slot: Slot) -> io::Result<()> {
            self.0.sync_root(slot)
        }
        fn read_root(&mut self, slot: Slot, at: u64, into: &mut [u8]) -> io::Result<()> {
            self.0.read_root(slot, at, into)?;
            into[0] ^= 1;
            Ok(())
        }
    }
    let signer = signer();
    let bundle = bundle_of(&contents(), &signer, &root(), &tar_of(&[("k", b"k")]));
    let mut card = Lying(card());
    let error = install(&mut card, &mut &bundle[..], &policy(&signer), &mut |_| {}).unwrap_err();
    assert!(matches!(error, UpdateError::ReadBack(_)), "{error}");
    assert!(!is_ready(&mut card, Slot::A).unwrap());
}

static GOOD: LazyLock<(Signer, Vec<u8>)> = LazyLock::new(|| {
    let signer = signer();
    let bundle = bundle_of(&contents(), &signer, &root(), &tar_of(&[("kernel8.img", &[5; 1500]), ("x", b"y")]));
    (signer, bundle)
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    /// However a bundle is damaged: it is refused, or (a bit that zstd does not look at) it installs what was signed.
    #[test]
    fn damage_never_gets_in(cut in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), mask: u8, what in 0..4u8) {
        let (signer, good) = &*GOOD;
        let mut bundle = good.clone();
        match what {
            0 => bundle.truncate(cut.index(good.len())),
            1 => bundle[at.index(good.len())] ^= mask,
            2 => bundle.insert(at.index(good.len()), mask),
            _ => drop(bundle.remove(at.index(good.len()))),
        }
        let mut card = card();
        let before = card.slot_content(Slot::A);
        let outcome = run(&mut card, &bundle, &policy(signer));
        prop_assert_eq!(card.slot_content(Slot::A), before);
        prop_assert_eq!(card.file("config.txt"), Some(CONFIG));
        if outcome.is_ok() {
            prop_assert_eq!(&card.root(Slot::B)[..5000], &root()[..]);
            prop_assert_eq!(card.file("B/kernel8.img"), Some(&[5; 1500][..]));
        } else {
            prop_assert!(!is_ready(&mut card, Slot::A).unwrap());
        }
    }
}
