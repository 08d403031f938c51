//! Random secrets, and what is kept of them.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Bytes of a secret: 256 bits, so that a plain hash of it is as good as a slow one.
const SECRET_BYTES: usize = 32;

/// Random bytes of the system.
///
/// # Errors
/// The system has none.
pub(super) fn random<const N: usize>() -> Result<[u8; N], String> {
    let mut random = [0; N];
    let mut filled = 0;
    while let Some(rest) = random.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        filled += rustix::rand::getrandom(rest, rustix::rand::GetRandomFlags::empty())
            .map_err(|error| format!("no randomness: {error}"))?;
    }
    Ok(random)
}

/// `N` random bytes as hexadecimal digits.
///
/// # Errors
/// As [`random`].
pub(super) fn random_hex<const N: usize>() -> Result<String, String> {
    Ok(hex(&random::<N>()?))
}

/// A new secret of 256 bits: 64 digits.
///
/// # Errors
/// As [`random`].
pub fn new_secret() -> Result<String, String> {
    random_hex::<SECRET_BYTES>()
}

/// A code of six digits, each as likely as another.
///
/// # Errors
/// As [`random`].
pub(super) fn new_code() -> Result<String, String> {
    const CODES: u32 = 1_000_000;
    // Above the last whole multiple some codes would come more often than others.
    const FAIR: u32 = u32::MAX - u32::MAX % CODES;
    loop {
        let number = u32::from_le_bytes(random::<4>()?);
        if number < FAIR {
            return Ok(format!("{:06}", number % CODES));
        }
    }
}

/// Bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Digits as bytes; `None` when they are none.
pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok().filter(|p| p.len() == 2)?, 16).ok()).collect()
}

/// What is kept of a secret: its SHA-256.
pub(super) fn hash(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}

/// Whether two texts are equal, in a time that depends on their lengths only.
pub(super) fn is_equal(one: &str, other: &str) -> bool {
    bool::from(one.as_bytes().ct_eq(other.as_bytes()))
}

/// Whether `secret` is the one whose hash is kept.
pub(super) fn is_secret(secret: &str, kept: &str) -> bool {
    !secret.is_empty() && !kept.is_empty() && is_equal(&hash(secret), kept)
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
        assert_eq!(unhex(&hex(&[0, 255, 16])), Some(vec![0, 255, 16]));
        assert_eq!((unhex("abc"), unhex("zz"), unhex("é")), (None, None, None));
    }

    #[test]
    fn codes_are_six_digits() {
        for _ in 0..50 {
            let code = new_code().unwrap();
            assert!(code.len() == 6 && code.bytes().all(|b| b.is_ascii_digit()), "{code}");
        }
    }
}
