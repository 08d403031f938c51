//! Numbers and ids as digits, without the formatting machinery: tens of them are written for every correlation.

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends a number in decimal digits.
pub(crate) fn put_number(out: &mut Vec<u8>, mut number: u64) {
    if number < 10 {
        out.push(b'0' + number as u8);
        return;
    }
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    for place in digits.iter_mut().rev() {
        *place = b'0' + (number % 10) as u8;
        number /= 10;
        at -= 1;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(at..).unwrap_or_default());
}

/// Appends a number that may be negative.
pub(crate) fn put_signed(out: &mut Vec<u8>, number: i64) {
    if number < 0 {
        out.push(b'-');
    }
    put_number(out, number.unsigned_abs());
}

/// Appends bytes in lower-case hexadecimal digits.
pub(crate) fn put_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        out.extend([HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
    }
}

/// Text that was put together of digits and other ASCII.
pub(crate) fn as_text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn digits_are_those_that_formatting_gives(signed in any::<i64>(), shift in 0u32..64, bytes in any::<[u8; 16]>()) {
            let (mut out, number) = (Vec::new(), signed as u64 >> shift);
            put_number(&mut out, number);
            put_signed(&mut out, signed >> shift);
            put_hex(&mut out, &bytes);
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            prop_assert_eq!(as_text(&out), format!("{number}{}{hex}", signed >> shift));
        }
    }
}
