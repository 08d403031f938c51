//! Numbers and ids, and the digits they are written with.

/// Digits of any number of these fit 64 bits.
pub(super) const DIGITS_MAX: usize = 19;
/// Hexadecimal digits that fit an [`Id`].
pub(super) const NIBBLES_MAX: usize = 64;

/// Hexadecimal digits, two a byte, the first one high.
pub(super) type Id = [u8; NIBBLES_MAX / 2];

/// The number that up to [`DIGITS_MAX`] digits say.
pub(super) fn number(digits: &[u8]) -> u64 {
    digits.iter().fold(0u64, |n, digit| n.wrapping_mul(10).wrapping_add(u64::from(digit.wrapping_sub(b'0'))))
}

/// Appends a number's digits, at least `width` of them.
pub(super) fn put_number(value: u64, width: usize, out: &mut Vec<u8>) {
    let mut digits = [b'0'; 20];
    let (mut at, mut rest) = (digits.len(), value);
    while rest > 0 || at == digits.len() {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&digits[at.min(digits.len().saturating_sub(width))..]);
}

/// What a hexadecimal digit stands for, in either case.
fn nibble(digit: u8) -> u8 {
    // Letters have bit 6, and their low half counts from 1.
    (digit & 15) + 9 * (digit >> 6 & 1)
}

/// The number that up to 16 hexadecimal digits say.
pub(super) fn hex_number(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |n, &digit| n << 4 | u64::from(nibble(digit)))
}

/// Appends the lowest `width` hexadecimal digits of a number, up to 16.
pub(super) fn put_hex_number(value: u64, width: usize, is_upper: bool, out: &mut Vec<u8>) {
    out.extend((0..width.min(16)).rev().map(|shift| hex_digit((value >> (4 * shift)) as u8, is_upper)));
}

/// The id of up to [`NIBBLES_MAX`] digits.
pub(super) fn id_of(digits: &[u8]) -> Id {
    let mut id = Id::default();
    let (pairs, odd) = digits.as_chunks::<2>();
    id.iter_mut().zip(pairs).for_each(|(byte, [high, low])| *byte = nibble(*high) << 4 | nibble(*low));
    if let (Some(byte), [high]) = (id.get_mut(pairs.len()), odd) {
        *byte = nibble(*high) << 4;
    }
    id
}

/// Appends the first `width` digits of an id.
pub(super) fn put_id(id: &Id, width: usize, is_upper: bool, out: &mut Vec<u8>) {
    let digits = id.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    out.extend(digits.take(width).map(|nibble| hex_digit(nibble, is_upper)));
}

fn hex_digit(nibble: u8, is_upper: bool) -> u8 {
    let digits = if is_upper { b"0123456789ABCDEF" } else { b"0123456789abcdef" };
    digits[usize::from(nibble & 15)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn digits_come_back(decimal in "[0-9]{1,19}", hex in "[0-9a-f]{1,16}", id in "[0-9A-F]{1,64}") {
            let mut out = Vec::new();
            put_number(number(decimal.as_bytes()), decimal.len(), &mut out);
            put_hex_number(hex_number(hex.as_bytes()), hex.len(), false, &mut out);
            put_id(&id_of(id.as_bytes()), id.len(), true, &mut out);
            prop_assert_eq!(out, [decimal, hex, id].concat().into_bytes());
        }
    }
}
