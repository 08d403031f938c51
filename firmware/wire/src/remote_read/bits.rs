//! A stream of bits, most significant first, with the variable-length numbers of Prometheus' chunks.

/// Appends bits to a byte vector.
#[derive(Clone, Default, Debug)]
pub struct BitWriter {
    bytes: Vec<u8>,
    /// Unused bits of the last byte.
    free: u32,
}

/// Lengths of the payloads of signed and unsigned variable numbers, and their prefixes: one more 1 each, then a 0.
const WIDTHS: [u32; 7] = [3, 6, 9, 12, 18, 25, 56];

/// Whether a signed number fits `bits`: the ranges are lopsided, one more on the positive side.
pub(super) fn fits(value: i64, bits: u32) -> bool {
    let half = 1i64 << (bits - 1);
    (-(half - 1)..=half).contains(&value)
}

impl BitWriter {
    /// The bytes so far; the last is filled with zero bits.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Empties it and keeps its memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.free = 0;
    }

    /// Overwrites bytes written before, from `at` on; bytes beyond the end are left out.
    pub fn patch(&mut self, at: usize, bytes: &[u8]) {
        for (byte, new) in self.bytes.iter_mut().skip(at).zip(bytes) {
            *byte = *new;
        }
    }

    /// The low `count` bits of `value`, 0 to 64.
    pub fn bits(&mut self, value: u64, count: u32) {
        let mut left = count;
        while left > 0 {
            if self.free == 0 {
                self.bytes.push(0);
                self.free = 8;
            }
            let take = left.min(self.free);
            let piece = (value >> (left - take)) & ((1 << take) - 1);
            if let Some(last) = self.bytes.last_mut() {
                *last |= (piece << (self.free - take)) as u8;
            }
            self.free -= take;
            left -= take;
        }
    }

    /// Whole bytes.
    pub fn all(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.bits(u64::from(*byte), 8);
        }
    }

    /// LEB128 in whole bytes, as Go's `binary.PutUvarint`.
    pub fn uvarint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bits(value & 0x7f | 0x80, 8);
            value >>= 7;
        }
        self.bits(value, 8);
    }

    /// LEB128 of the zigzag form, as Go's `binary.PutVarint`.
    pub fn varint(&mut self, value: i64) {
        self.uvarint(((value << 1) ^ (value >> 63)).cast_unsigned());
    }

    /// A signed number in 1 to 72 bits.
    pub fn varbit_int(&mut self, value: i64) {
        if value == 0 {
            return self.bits(0, 1);
        }
        match WIDTHS.iter().position(|width| fits(value, *width)) {
            Some(at) => self.prefixed(at as u32, value.cast_unsigned()),
            None => {
                self.bits(0xff, 8);
                self.bits(value.cast_unsigned(), 64);
            }
        }
    }

    /// An unsigned number in 1 to 72 bits.
    pub fn varbit_uint(&mut self, value: u64) {
        if value == 0 {
            return self.bits(0, 1);
        }
        let length = 64 - value.leading_zeros();
        match WIDTHS.iter().position(|width| length <= *width) {
            Some(at) => self.prefixed(at as u32, value),
            None => {
                self.bits(0xff, 8);
                self.bits(value, 64);
            }
        }
    }

    /// `at + 1` ones and a zero, then the payload.
    fn prefixed(&mut self, at: u32, value: u64) {
        self.bits((1 << (at + 2)) - 2, at + 2);
        self.bits(value, WIDTHS.get(at as usize).copied().unwrap_or(64));
    }
}

/// The last number of a column that is stored by its difference in bits.
#[derive(Clone, Copy, Debug)]
pub(super) struct XorColumn {
    last: u64,
    leading: u32,
    trailing: u32,
}

/// No window of significant bits yet.
const NO_WINDOW: u32 = 0xff;

impl XorColumn {
    /// Writes the first number whole.
    pub(super) fn first(value: f64, out: &mut BitWriter) -> Self {
        out.bits(value.to_bits(), 64);
        XorColumn { last: value.to_bits(), leading: NO_WINDOW, trailing: 0 }
    }

    /// Writes the next number.
    pub(super) fn push(&mut self, value: f64, out: &mut BitWriter) {
        let delta = value.to_bits() ^ self.last;
        self.last = value.to_bits();
        if delta == 0 {
            return out.bits(0, 1);
        }
        // Five bits hold the number of leading zeros.
        let (leading, trailing) = (delta.leading_zeros().min(31), delta.trailing_zeros());
        if self.leading != NO_WINDOW && leading >= self.leading && trailing >= self.trailing {
            out.bits(0b10, 2);
            return out.bits(delta >> self.trailing, 64 - self.leading - self.trailing);
        }
        (self.leading, self.trailing) = (leading, trailing);
        let significant = 64 - leading - trailing;
        out.bits(0b11, 2);
        out.bits(u64::from(leading), 5);
        // 64 does not fit six bits and is written as 0, which does not occur.
        out.bits(u64::from(significant & 63), 6);
        out.bits(delta >> trailing, significant);
    }
}
