//! Tokens and credentials: made at random, kept as hashes.

use sha2::{Digest, Sha256};

/// Bytes of a secret: 256 bits, so that a plain hash of it is as good as a slow one.
const SECRET_BYTES: usize = 32;

/// Random bytes of the system, in hexadecimal digits.
///
/// # Errors
/// The system has none.
pub(super) fn random_hex(bytes: usize) -> Result<String, String> {
    let mut random = vec![0; bytes];
    let mut filled = 0;
    while let Some(rest) = random.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        filled += rustix::rand::getrandom(rest, rustix::rand::GetRandomFlags::empty())
            .map_err(|error| format!("no randomness: {error}"))?;
    }
    Ok(hex(&random))
}

/// A new secret.
///
/// # Errors
/// As [`random_hex`].
pub(super) fn new_secret() -> Result<String, String> {
    random_hex(SECRET_BYTES)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What is kept of a secret.
pub(super) fn hash(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}

/// Whether `secret` is the one whose hash is kept. Hashes are compared: how long that takes tells nothing of the secret.
pub(super) fn is_secret(secret: &str, kept: &str) -> bool {
    !secret.is_empty() && !kept.is_empty() && hash(secret) == kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_differ_and_are_known_by_their_hash() {
        let (one, two) = (new_secret().unwrap(), new_secret().unwrap());
        assert_eq!((one.len(), one == two), (64, false));
        assert!(is_secret(&one, &hash(&one)) && !is_secret(&two, &hash(&one)) && !is_secret("", &hash("")));
        // FIPS 180-2, appendix B.1.
        assert_eq!(hash("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
