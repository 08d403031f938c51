//! Keys: Ed25519, the public ones as base64 of 32 bytes, the private one as PKCS#8 in PEM, as `openssl genpkey -algorithm
//! ed25519` writes it too.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::io;
use std::path::Path;

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";
const PUBLIC_BYTES: usize = 32;

/// Lower-case hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        _ = write!(text, "{byte:02x}");
        text
    })
}

/// Name of a public key: the first 16 hex digits of its SHA-256.
pub fn key_id(public: &[u8]) -> String {
    let mut id = hex(&Sha256::digest(public));
    id.truncate(16);
    id
}

/// The public keys that are believed.
#[derive(Clone, Debug, Default)]
pub struct Keys(Vec<[u8; PUBLIC_BYTES]>);

impl Keys {
    /// These, as base64 texts.
    ///
    /// # Errors
    /// That one is no key.
    pub fn of_texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Keys, String> {
        let read = |text: &str| {
            let bytes = STANDARD.decode(text.trim()).ok()?;
            <[u8; PUBLIC_BYTES]>::try_from(bytes).ok()
        };
        let keys = texts.into_iter().map(|text| read(text).ok_or("a public key must be base64 of 32 bytes".to_owned()));
        Ok(Keys(keys.collect::<Result<_, _>>()?))
    }

    /// Those of a directory's files `*.pub`; none when there is no such directory.
    ///
    /// # Errors
    /// That a file cannot be read or is no key, naming it.
    pub fn of_directory(directory: &Path) -> io::Result<Keys> {
        let entries = match std::fs::read_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Keys::default()),
            other => other?,
        };
        let mut keys = Keys::default();
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "pub") {
                let about = |why: String| io::Error::other(format!("{}: {why}", path.display()));
                let text = std::fs::read_to_string(&path).map_err(|error| about(error.to_string()))?;
                keys.0.extend(Keys::of_texts([text.as_str()]).map_err(about)?.0);
            }
        }
        Ok(keys)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the key of this name is among them.
    pub fn knows(&self, id: &str) -> bool {
        self.0.iter().any(|key| key_id(key) == id)
    }

    /// Whether one of them signed `message`.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.0.iter().any(|key| UnparsedPublicKey::new(&ED25519, key).verify(message, signature).is_ok())
    }
}

/// A private key.
pub struct Signer(Ed25519KeyPair);

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({})", self.id())
    }
}

impl Signer {
    /// Reads a private key's PEM text.
    ///
    /// # Errors
    /// That it is none.
    pub fn of_pem(pem: &str) -> Result<Signer, String> {
        let body = pem.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END)).map(|(body, _)| body);
        let body: String =
            body.ok_or("no BEGIN PRIVATE KEY: an unencrypted PKCS#8 key is needed")?.split_whitespace().collect();
        let der = STANDARD.decode(body).map_err(|error| error.to_string())?;
        // OpenSSL leaves the public key out.
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map(Signer).map_err(|why| format!("no Ed25519 key: {why}"))
    }

    /// The public key.
    pub fn public(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    /// The public key as its file has it, without newline.
    pub fn public_text(&self) -> String {
        STANDARD.encode(self.public())
    }

    /// Name of the key.
    pub fn id(&self) -> String {
        key_id(self.public())
    }

    /// The signature, [`SIGNATURE_BYTES`](super::SIGNATURE_BYTES) long. The same message gives the same signature.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).as_ref().to_vec()
    }
}

/// A new private key as PEM.
///
/// # Errors
/// That the system has no randomness.
pub fn generate_key() -> Result<String, String> {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| "no randomness".to_owned())?;
    let text = STANDARD.encode(pkcs8.as_ref());
    let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    Ok(format!("{BEGIN}\n{}\n{END}\n", lines.join("\n")))
}
