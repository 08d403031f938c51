//! Any bytes as a manifest, as a boot state, as `config.txt`, as a payload, and as the tar of a bundle that is signed rightly:
//! the first byte chooses. What comes in by a bundle stays in the slot that does not run.
#![no_main]

use bramble_appliance::bundle::{
    Architecture, Contents, DataFormat, Keys, Kind, Manifest, Payload, PayloadReader, Signer, write_bundle,
};
use bramble_appliance::install::{Policy, install};
use bramble_appliance::medium::Medium;
use bramble_appliance::slot::{BootState, Slot, config_txt};
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};
use std::sync::LazyLock;

/// The key of RFC 8032, section 7.1, test 1: good for nothing else.
const PEM: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";

static SIGNER: LazyLock<Signer> = LazyLock::new(|| Signer::of_pem(PEM).expect("the key is ours"));

/// Files and the other slot's root, in memory.
#[derive(Default)]
struct Card {
    files: BTreeMap<String, Vec<u8>>,
    root: Vec<u8>,
}

impl Medium for Card {
    fn open(&mut self, name: &str) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(self.files.get(name).ok_or(io::ErrorKind::NotFound)?.as_slice()))
    }
    fn overwrite(&mut self, name: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
        let file = self.files.get_mut(name).ok_or(io::ErrorKind::NotFound)?;
        let at = at as usize;
        let part = file.get_mut(at..at + bytes.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        part.copy_from_slice(bytes);
        Ok(())
    }
    fn write(&mut self, name: &str, content: &mut dyn Read) -> io::Result<u64> {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes)?;
        let count = bytes.len() as u64;
        self.files.insert(name.to_owned(), bytes);
        Ok(count)
    }
    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.files.remove(name);
        Ok(())
    }
    fn clear(&mut self, slot: Slot) -> io::Result<()> {
        self.files.retain(|name, _| !name.starts_with(&format!("{slot}/")));
        Ok(())
    }
    fn sync_files(&mut self) -> io::Result<()> {
        Ok(())
    }
    fn free_bytes(&mut self) -> io::Result<u64> {
        Ok(2 << 20)
    }
    fn slot_bytes(&mut self, _: Slot) -> io::Result<u64> {
        Ok(0)
    }
    fn root_bytes(&mut self, _: Slot) -> io::Result<u64> {
        Ok(1 << 20)
    }
    fn write_root(&mut self, slot: Slot, at: u64, bytes: &[u8]) -> io::Result<()> {
        assert_eq!((slot, at as usize), (Slot::B, self.root.len()));
        self.root.extend_from_slice(bytes);
        Ok(())
    }
    fn sync_root(&mut self, _: Slot) -> io::Result<()> {
        Ok(())
    }
    fn read_root(&mut self, _: Slot, at: u64, into: &mut [u8]) -> io::Result<()> {
        into.copy_from_slice(&self.root[at as usize..at as usize + into.len()]);
        Ok(())
    }
}

fn install_tar(tar: &[u8]) {
    let architecture = Architecture("aarch64".to_owned());
    let contents = Contents {
        version: "1".to_owned(),
        build_id: "1-1".to_owned(),
        built_unix_seconds: 0,
        architecture: architecture.clone(),
        boards: Vec::new(),
        data_format: DataFormat { reads_from: 1, writes: 1 },
    };
    let mut bundle = Vec::new();
    let payloads: (&mut dyn Read, &mut dyn Read) = (&mut &b"root"[..], &mut &tar[..]);
    write_bundle(&contents, &SIGNER, payloads, &mut Cursor::new(Vec::new()), &mut bundle).expect("memory does not fail");
    let keys = Keys::of_texts([SIGNER.public_text().as_str()]).expect("the key is ours");
    let policy = Policy { keys, architecture, own: Slot::A, running_build: None, stored_format: Some(1) };
    let mut card = Card::default();
    let own = [("config.txt", b"os_prefix=A/".to_vec()), ("A/kernel8.img", b"ours".to_vec())];
    card.files.extend(own.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.clone())));
    let outcome = install(&mut card, &mut &bundle[..], &policy, &mut |_| {});
    assert_eq!(card.files["config.txt"], b"os_prefix=A/");
    assert_eq!(card.files.keys().filter(|name| name.starts_with("A/")).count(), 1);
    for name in card.files.keys() {
        let known = ["config.txt", "bootstate", "A/kernel8.img"].contains(&name.as_str());
        assert!(known || (name.starts_with("B/") && !name.contains("..")), "{name}");
    }
    assert_eq!(outcome.is_ok(), card.files.contains_key("B/ready"));
}

fuzz_target!(|data: &[u8]| {
    let Some((&first, body)) = data.split_first() else { return };
    match first {
        b'm' => {
            if let Ok(manifest) = Manifest::decode(body) {
                assert!(manifest.payload(Kind::Root).is_some() && manifest.payload(Kind::Boot).is_some());
                let again = serde_json::to_vec(&manifest).expect("it was read");
                assert_eq!(Manifest::decode(&again).as_ref(), Ok(&manifest));
            }
        }
        b's' => {
            if let Some(state) = BootState::decode(body) {
                assert_eq!(state.encode(), body);
            }
        }
        b'c' => {
            if let Some(changed) = config_txt::with_slot(body, Slot::B) {
                assert_eq!(config_txt::find(&changed).map(|(_, slot)| slot), Some(Slot::B));
            }
        }
        b'p' => {
            let sha256 = "0".repeat(64);
            let payload = Payload { kind: Kind::Root, compressed_bytes: body.len() as u64, bytes: 1 << 16, sha256 };
            let mut from: &mut dyn Read = &mut &body[..];
            let mut read = Vec::new();
            if let Ok(mut reader) = PayloadReader::new(&mut from, &payload) {
                _ = reader.read_to_end(&mut read);
                assert!(read.len() <= 1 << 16, "more than the manifest says");
                assert!(reader.finish().is_err(), "nothing has that digest");
            }
        }
        _ => install_tar(body),
    }
});
