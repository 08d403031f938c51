//! Reading and writing the parts of records.

use super::RecordError;

/// Appends a number, seven bits a byte, the lowest first.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Signed numbers small in magnitude become small unsigned ones.
pub(super) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

pub(super) fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// Appends bytes behind their length.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends `bytes` as what differs from `previous`: lengths of the common prefix and suffix, and the middle.
/// Label sets that follow one another differ in a value or two.
pub(super) fn put_difference(out: &mut Vec<u8>, previous: &[u8], bytes: &[u8]) {
    let prefix = previous.iter().zip(bytes).take_while(|(a, b)| a == b).count();
    let (rest_a, rest_b) = (&previous[prefix..], &bytes[prefix..]);
    let suffix = rest_a.iter().rev().zip(rest_b.iter().rev()).take_while(|(a, b)| a == b).count();
    put_varint(out, prefix as u64);
    put_varint(out, suffix as u64);
    put_bytes(out, &rest_b[..rest_b.len() - suffix]);
}

/// A reader over a record's body.
#[derive(Clone, Copy)]
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// A number as [`put_varint`] writes it.
    ///
    /// # Errors
    /// [`RecordError`] when it is cut off.
    pub fn varint(&mut self) -> Result<u64, RecordError> {
        let mut value = 0u64;
        for (i, &byte) in self.0.iter().enumerate().take(10) {
            value |= u64::from(byte & 0x7f).checked_shl(7 * i as u32).unwrap_or(0);
            if byte & 0x80 == 0 {
                self.0 = &self.0[i + 1..];
                return Ok(value);
            }
        }
        Err(RecordError("number cut off"))
    }

    pub(super) fn signed(&mut self) -> Result<i64, RecordError> {
        self.varint().map(unzigzag)
    }

    /// A count of things that take at least one byte each, so that damage cannot ask for absurd memory.
    pub fn count(&mut self) -> Result<usize, RecordError> {
        let count = usize::try_from(self.varint()?).map_err(|_| RecordError("count too large"))?;
        if count > self.0.len() { Err(RecordError("count beyond the record")) } else { Ok(count) }
    }

    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], RecordError> {
        let (head, rest) = self.0.split_at_checked(len).ok_or(RecordError("cut off"))?;
        self.0 = rest;
        Ok(head)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(RecordError("cut off"))?;
        self.0 = rest;
        Ok(*head)
    }

    pub(super) fn byte(&mut self) -> Result<u8, RecordError> {
        self.array::<1>().map(|[b]| b)
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], RecordError> {
        let len = usize::try_from(self.varint()?).map_err(|_| RecordError("length too large"))?;
        self.take(len)
    }

    /// UTF-8 as [`put_bytes`] writes it.
    ///
    /// # Errors
    /// [`RecordError`] when it is cut off or no UTF-8.
    pub fn text(&mut self) -> Result<&'a str, RecordError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| RecordError("text is not UTF-8"))
    }

    /// Undoes [`put_difference`]: turns `previous` into the new bytes.
    pub(super) fn difference(&mut self, previous: &mut Vec<u8>) -> Result<(), RecordError> {
        let number = |n: u64| usize::try_from(n).map_err(|_| RecordError("length too large"));
        let (prefix, suffix) = (number(self.varint()?)?, number(self.varint()?)?);
        let middle = self.bytes()?;
        let kept = prefix.checked_add(suffix).filter(|&n| n <= previous.len());
        if kept.is_none() {
            return Err(RecordError("difference beyond its base"));
        }
        let suffix_start = previous.len() - suffix;
        previous.splice(prefix..suffix_start, middle.iter().copied());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_undo() {
        let texts: [&[u8]; 6] = [b"", b"abcdef", b"abXdef", b"abdef", b"zzz", b"zz"];
        let (mut previous, mut replayed) = (Vec::new(), Vec::new());
        for text in texts {
            let mut out = Vec::new();
            put_difference(&mut out, &previous, text);
            previous = text.to_vec();
            Reader(&out).difference(&mut replayed).unwrap();
            assert_eq!(replayed, text);
        }
        assert!(Reader(&[9, 9, 0]).difference(&mut replayed).is_err());
    }

    #[test]
    fn signs_survive() {
        for value in [0, 1, -1, i64::MAX, i64::MIN] {
            assert_eq!(unzigzag(zigzag(value)), value);
        }
    }
}
