//! Hexadecimal and base64 text, as ids and bytes travel in JSON.

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends `bytes` in lower-case hexadecimal.
pub(crate) fn put_hex(out: &mut String, bytes: &[u8]) {
    for &byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            out.push(char::from(HEX[usize::from(nibble)]));
        }
    }
}

/// Appends the bytes that `text` spells in hexadecimal of any case; `false` when it does not.
pub(crate) fn parse_hex(text: &str, out: &mut Vec<u8>) -> bool {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    rest.is_empty()
        && pairs.iter().all(|&[high, low]| match (digit(high), digit(low)) {
            (Some(high), Some(low)) => {
                out.push((high << 4 | low) as u8);
                true
            }
            _ => false,
        })
}

/// Appends `bytes` in standard base64 with padding.
pub(crate) fn put_base64(out: &mut String, bytes: &[u8]) {
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0u32, |group, &byte| group << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let index = (group >> (18 - 6 * i)) & 63;
            out.push(if i <= chunk.len() { char::from(BASE64[index as usize]) } else { '=' });
        }
    }
}

/// Appends the bytes that `text` spells in standard or URL-safe base64, padded or not (protobuf's JSON mapping
/// accepts all four); `false` when it does not.
pub(crate) fn parse_base64(text: &str, out: &mut Vec<u8>) -> bool {
    let digits = text.trim_end_matches('=').as_bytes();
    let (mut group, mut bits) = (0u32, 0);
    for &byte in digits {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return false,
        };
        group = group << 6 | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((group >> bits) as u8);
        }
    }
    digits.len() % 4 != 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn both_round_trip(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let (mut text, mut back) = (String::new(), Vec::new());
            put_hex(&mut text, &bytes);
            prop_assert!(parse_hex(&text.to_uppercase(), &mut back));
            prop_assert_eq!(&back, &bytes);
            (text, back) = (String::new(), Vec::new());
            put_base64(&mut text, &bytes);
            prop_assert!(parse_base64(&text, &mut back));
            prop_assert_eq!(&back, &bytes);
        }
    }

    #[test]
    fn known_texts() {
        let mut text = String::new();
        put_base64(&mut text, &[0, 1, 255]);
        put_base64(&mut text, b"a");
        assert_eq!(text, "AAH/YQ==");
        let mut out = Vec::new();
        assert!(!parse_hex("abc", &mut out) && !parse_hex("zz", &mut out));
        assert!(!parse_base64("A", &mut out) && !parse_base64("A*==", &mut out));
        out.clear();
        assert!(parse_base64("AAH_", &mut out) && out == [0, 1, 255]);
    }
}
