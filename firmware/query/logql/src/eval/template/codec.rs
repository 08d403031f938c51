//! Base64 and URL escapes.

use crate::syntax::quote;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub(super) fn base64(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0u32, |w, b| w << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let sextet = (word >> (18 - 6 * i) & 63) as usize;
            out.push(if i <= chunk.len() { ALPHABET[sextet] as char } else { '=' });
        }
    }
    out
}

/// What the text stands for, or the complaint, which is what the template gets then.
pub(super) fn base64_decode(text: &str) -> String {
    let body = text.trim_end_matches('=').as_bytes();
    let sextets: Result<Vec<u32>, usize> =
        body.iter().enumerate().map(|(i, b)| ALPHABET.iter().position(|a| a == b).map(|s| s as u32).ok_or(i)).collect();
    let illegal = |at: usize| format!("illegal base64 data at input byte {at}");
    let sextets = match sextets {
        Ok(_) if !text.len().is_multiple_of(4) => return illegal(text.len() / 4 * 4),
        Ok(sextets) => sextets,
        Err(at) => return illegal(at),
    };
    let mut out = Vec::with_capacity(sextets.len() * 3 / 4);
    for chunk in sextets.chunks(4) {
        let word = chunk.iter().fold(0, |w, s| w << 6 | s) << (6 * (4 - chunk.len()));
        out.extend(word.to_be_bytes().iter().skip(1).take(chunk.len().saturating_sub(1)));
    }
    String::from_utf8_lossy(&out).into_owned()
}

pub(super) fn url_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        match b {
            b' ' => out.push('+'),
            b if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) => out.push(b as char),
            b => out.push_str(&format!("%{b:02X}")),
        }
    }
    out
}

pub(super) fn url_decode(text: &str) -> Result<String, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [b, tail @ ..] = rest {
        rest = tail;
        match b {
            b'+' => out.push(b' '),
            b'%' => {
                let hex = tail.get(..2).and_then(|h| std::str::from_utf8(h).ok());
                let byte = hex.and_then(|h| u8::from_str_radix(h, 16).ok());
                out.push(
                    byte.ok_or_else(|| format!("invalid URL escape {}", quote(&format!("%{}", hex.unwrap_or("")))))?,
                );
                rest = &tail[2..];
            }
            b => out.push(*b),
        }
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}
