//! What is written is read, and nothing else.

use super::*;
use std::io::{Cursor, Read};

pub(crate) fn signer() -> Signer {
    Signer::of_pem(&generate_key().unwrap()).unwrap()
}

pub(crate) fn contents() -> Contents {
    Contents {
        version: "0.2.0".to_owned(),
        build_id: "0.2.0-1".to_owned(),
        built_unix_seconds: 1_790_000_000,
        architecture: Architecture("aarch64".to_owned()),
        boards: vec!["pi4".to_owned()],
        data_format: DataFormat { reads_from: 1, writes: 1 },
    }
}

/// A tar of these files.
pub(crate) fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, *content).unwrap();
    }
    tar.into_inner().unwrap()
}

pub(crate) fn bundle_of(contents: &Contents, signer: &Signer, root: &[u8], boot: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write_bundle(contents, signer, (&mut &root[..], &mut &boot[..]), &mut Cursor::new(Vec::new()), &mut out).unwrap();
    out
}

fn keys(signer: &Signer) -> Keys {
    Keys::of_texts([signer.public_text().as_str()]).unwrap()
}

#[test]
fn a_bundle_reads_back() {
    let signer = signer();
    let (root, boot) = (vec![7u8; 100_000], tar_of(&[("kernel8.img", b"kernel")]));
    let bundle = bundle_of(&contents(), &signer, &root, &boot);
    assert!(bundle.starts_with(MAGIC));
    let mut from = &bundle[..];
    let head = read_head(&mut from, &keys(&signer)).unwrap();
    assert_eq!((head.manifest.version.as_str(), head.manifest.key_id), ("0.2.0", signer.id()));
    assert_eq!(
        head.bytes + head.manifest.payloads.iter().map(|p| p.compressed_bytes).sum::<u64>(),
        bundle.len() as u64
    );
    for (payload, expected) in head.manifest.payloads.iter().zip([&root, &boot]) {
        let mut read = Vec::new();
        let mut from: &mut dyn Read = &mut from;
        let mut reader = PayloadReader::new(&mut from, payload).unwrap();
        reader.read_to_end(&mut read).unwrap();
        reader.finish().unwrap();
        assert_eq!(&read, expected);
    }
    assert!(from.is_empty());
    assert_eq!(bundle_of(&contents(), &signer, &root, &boot), bundle, "the same arguments give the same bytes");
}

#[test]
fn who_signed_matters() {
    let (ours, theirs) = (signer(), signer());
    let bundle = bundle_of(&contents(), &theirs, b"root", b"boot");
    let refused = |keys: &Keys, bundle: &[u8]| read_head(&mut &bundle[..], keys).unwrap_err();
    assert!(matches!(refused(&keys(&ours), &bundle), BundleError::UnknownKey(id) if id == theirs.id()));
    assert!(matches!(refused(&Keys::default(), &bundle), BundleError::NoKeys));
    assert!(matches!(refused(&keys(&ours), b"PK\x03\x04 something else"), BundleError::NotABundle));
    let mut changed = bundle_of(&contents(), &ours, b"root", b"boot");
    let at = changed.windows(5).position(|w| w == b"0.2.0").unwrap();
    changed[at] = b'9';
    assert!(matches!(refused(&keys(&ours), &changed), BundleError::BadSignature));
    assert!(matches!(refused(&keys(&ours), &changed[..40]), BundleError::Truncated));
    let mut long = bundle;
    long[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(matches!(refused(&keys(&ours), &long), BundleError::Manifest(_)));
}

/// The key of RFC 8032, section 7.1, test 1, as `openssl` writes keys; good for nothing else.
const OPENSSL: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";

#[test]
fn keys_of_openssl_are_read() {
    let signer = Signer::of_pem(OPENSSL).unwrap();
    assert_eq!(hex(signer.public()), "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    for none in ["", "-----BEGIN PRIVATE KEY-----\n????\n-----END PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----"] {
        assert!(Signer::of_pem(none).is_err());
    }
    assert!(Keys::of_texts(["c2hvcnQ="]).is_err());
}

#[test]
fn keys_come_from_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let signer = signer();
    std::fs::write(directory.path().join("release.pub"), signer.public_text() + "\n").unwrap();
    std::fs::write(directory.path().join("README"), "not a key").unwrap();
    let keys = Keys::of_directory(directory.path()).unwrap();
    assert!(keys.knows(&signer.id()) && !keys.is_empty());
    std::fs::write(directory.path().join("bad.pub"), "x").unwrap();
    assert!(Keys::of_directory(directory.path()).unwrap_err().to_string().contains("bad.pub"));
    assert!(Keys::of_directory(&directory.path().join("none")).unwrap().is_empty());
}
