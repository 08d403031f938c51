//! Walking a message's fields.

use crate::error::{DecodeError, DecodeErrorKind};

/// A message, read field by field in the order of its bytes.
#[derive(Clone, Copy, Default, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    /// Position of `rest` in the body.
    position: usize,
}

/// One field: its number and value.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    /// The number given in the `.proto` file, 1 to 2^29 - 1.
    pub number: u32,
    /// What was sent.
    pub value: Value<'a>,
    /// Where its value starts, in bytes from the start of the body.
    pub position: usize,
}

/// A field's value by wire type.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 1.
    Fixed64(u64),
    /// Wire type 2: text, bytes, a message, or packed numbers.
    Bytes(&'a [u8]),
    /// Wire type 5.
    Fixed32(u32),
}

impl<'a> Reader<'a> {
    /// Reads a whole body.
    pub fn new(body: &'a [u8]) -> Self {
        Reader { rest: body, position: 0 }
    }

    /// Reads a message inside a body, at byte `position` of it.
    pub fn at(bytes: &'a [u8], position: usize) -> Self {
        Reader { rest: bytes, position }
    }

    /// Position of the next field, in bytes from the start of the body.
    pub fn position(&self) -> usize {
        self.position
    }

    /// The next field, or `None` at the end of the message.
    ///
    /// # Errors
    /// A field that is cut off, has a number out of range, or is a group.
    #[expect(clippy::should_implement_trait, reason = "an iterator of results would hide the position on errors")]
    #[inline]
    pub fn next(&mut self) -> Result<Option<Field<'a>>, DecodeError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let start = self.position;
        let tag = self.varint()?;
        let number = match u32::try_from(tag >> 3) {
            Ok(number @ 1..=0x1fff_ffff) => number,
            _ => return Err(malformed("field number out of range", start)),
        };
        let mut position = self.position;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(self.array("a 64-bit field")?)),
            2 => {
                let len = self.varint()?;
                position = self.position;
                Value::Bytes(self.take(len)?)
            }
            5 => Value::Fixed32(u32::from_le_bytes(self.array("a 32-bit field")?)),
            3 | 4 => return Err(malformed("groups are not supported", start)),
            _ => return Err(malformed("unknown wire type", start)),
        };
        Ok(Some(Field { number, value, position }))
    }

    fn advance(&mut self, rest: &'a [u8]) {
        self.position += self.rest.len() - rest.len();
        self.rest = rest;
    }

    /// A LEB128 number. Longer than needed is fine, as everywhere; more than 64 bits is not.
    #[inline]
    fn varint(&mut self) -> Result<u64, DecodeError> {
        // Tags and most lengths are one byte.
        match self.rest.split_first() {
            Some((&byte, rest)) if byte < 0x80 => {
                (self.rest, self.position) = (rest, self.position + 1);
                Ok(u64::from(byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0u64;
        for (i, &byte) in self.rest.iter().enumerate().take(10) {
            if i == 9 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte & 0x80 == 0 {
                self.advance(self.rest.get(i + 1..).unwrap_or_default());
                return Ok(value);
            }
        }
        match self.rest.len() {
            0..10 => Err(truncated("a varint", self.position)),
            _ => Err(malformed("varint is longer than 64 bits", self.position)),
        }
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], DecodeError> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or_else(|| truncated(what, self.position))?;
        self.advance(rest);
        Ok(*head)
    }

    fn take(&mut self, len: u64) -> Result<&'a [u8], DecodeError> {
        let split = usize::try_from(len).ok().and_then(|len| self.rest.split_at_checked(len));
        let Some((head, rest)) = split else {
            let message = format!("field of {len} bytes, but only {} are left", self.rest.len());
            return Err(DecodeError::new(DecodeErrorKind::Truncated, message, self.position));
        };
        self.advance(rest);
        Ok(head)
    }
}

fn malformed(message: &'static str, position: usize) -> DecodeError {
    DecodeError::new(DecodeErrorKind::Malformed, message, position)
}

fn truncated(what: &'static str, position: usize) -> DecodeError {
    DecodeError::new(DecodeErrorKind::Truncated, format!("body ends inside {what}"), position)
}

/// Readings of a value. Each fails with [`DecodeErrorKind::Malformed`] when the field has another wire type.
impl<'a> Field<'a> {
    fn mismatch(&self, wanted: &'static str) -> DecodeError {
        DecodeError::new(DecodeErrorKind::Malformed, format!("field {} is not {wanted}", self.number), self.position)
    }

    /// An integer, enum or truth value.
    pub fn varint(&self) -> Result<u64, DecodeError> {
        match self.value {
            Value::Varint(value) => Ok(value),
            _ => Err(self.mismatch("a varint")),
        }
    }

    /// A `uint32` or enum; longer numbers lose their upper half, as in protobuf's own readers.
    pub fn uint32(&self) -> Result<u32, DecodeError> {
        self.varint().map(|value| value as u32)
    }

    /// An `int64`.
    pub fn int64(&self) -> Result<i64, DecodeError> {
        self.varint().map(u64::cast_signed)
    }

    /// A `bool`.
    pub fn bool(&self) -> Result<bool, DecodeError> {
        self.varint().map(|value| value != 0)
    }

    /// A `fixed64`.
    pub fn fixed64(&self) -> Result<u64, DecodeError> {
        match self.value {
            Value::Fixed64(value) => Ok(value),
            _ => Err(self.mismatch("a 64-bit number")),
        }
    }

    /// A `fixed32`.
    pub fn fixed32(&self) -> Result<u32, DecodeError> {
        match self.value {
            Value::Fixed32(value) => Ok(value),
            _ => Err(self.mismatch("a 32-bit number")),
        }
    }

    /// A `double`.
    pub fn double(&self) -> Result<f64, DecodeError> {
        self.fixed64().map(f64::from_bits)
    }

    /// Bytes.
    pub fn bytes(&self) -> Result<&'a [u8], DecodeError> {
        match self.value {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(self.mismatch("length-delimited")),
        }
    }

    /// Text.
    ///
    /// # Errors
    /// Also [`DecodeErrorKind::Utf8`], at the first bad byte.
    pub fn text(&self) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.bytes()?).map_err(|e| {
            let position = self.position + e.valid_up_to();
            DecodeError::new(DecodeErrorKind::Utf8, format!("field {} is not UTF-8", self.number), position)
        })
    }

    /// A message.
    pub fn message(&self) -> Result<Reader<'a>, DecodeError> {
        Ok(Reader::at(self.bytes()?, self.position))
    }

    /// Numbers of a repeated `fixed64` or `double` field, packed or one a field, appended as bits.
    ///
    /// # Errors
    /// Also when packed bytes are not whole numbers.
    pub fn push_fixed64(&self, out: &mut Vec<u64>) -> Result<(), DecodeError> {
        self.each_fixed64(|bits| out.push(bits))
    }

    /// Calls `each` for every number of a repeated varint field, packed or one a field.
    ///
    /// # Errors
    /// Also when packed bytes end inside a number.
    pub fn each_varint(&self, mut each: impl FnMut(u64)) -> Result<(), DecodeError> {
        let bytes = match self.value {
            Value::Varint(value) => {
                each(value);
                return Ok(());
            }
            Value::Bytes(bytes) => bytes,
            _ => return Err(self.mismatch("varints")),
        };
        let mut reader = Reader::at(bytes, self.position);
        while !reader.rest.is_empty() {
            each(reader.varint()?);
        }
        Ok(())
    }

    /// Calls `each` for the bits of every number of a repeated `fixed64` or `double` field, packed or one a field.
    ///
    /// # Errors
    /// Also when packed bytes are not whole numbers.
    pub fn each_fixed64(&self, mut each: impl FnMut(u64)) -> Result<(), DecodeError> {
        let bytes = match self.value {
            Value::Fixed64(value) => {
                each(value);
                return Ok(());
            }
            Value::Bytes(bytes) => bytes,
            _ => return Err(self.mismatch("64-bit numbers")),
        };
        let (numbers, rest) = bytes.as_chunks::<8>();
        if !rest.is_empty() {
            return Err(self.mismatch("whole 64-bit numbers"));
        }
        numbers.iter().for_each(|&n| each(u64::from_le_bytes(n)));
        Ok(())
    }

    /// A `sint32`; longer numbers lose their upper half, as in protobuf's own readers.
    pub fn sint32(&self) -> Result<i32, DecodeError> {
        self.varint().map(|value| unzigzag(value) as i32)
    }
}

/// A `sint64` as it travels: the sign in the lowest bit.
pub fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(bytes: &[u8]) -> Result<Option<Field<'_>>, DecodeError> {
        Reader::new(bytes).next()
    }

    #[test]
    fn each_wire_type_is_read() {
        let bytes = [0x08, 0x96, 0x01, 0x12, 2, b'h', b'i', 0x1d, 1, 0, 0, 0, 0x21, 2, 0, 0, 0, 0, 0, 0, 0];
        let mut reader = Reader::new(&bytes);
        let mut next = || reader.next().unwrap().unwrap();
        assert_eq!(next().varint().unwrap(), 150);
        let text = next();
        assert_eq!((text.number, text.text().unwrap(), text.position), (2, "hi", 5));
        assert_eq!(next().fixed32().unwrap(), 1);
        assert_eq!(next().fixed64().unwrap(), 2);
        assert!(reader.next().unwrap().is_none());
    }

    #[test]
    fn damage_is_named_with_its_position() {
        let kind = |bytes: &[u8]| first(bytes).map(|_| ()).map_err(|e| (e.kind(), e.position()));
        assert_eq!(kind(&[0x08]), Err((DecodeErrorKind::Truncated, Some(1))));
        assert_eq!(kind(&[0x12, 5, 1]), Err((DecodeErrorKind::Truncated, Some(2))));
        assert_eq!(kind(&[0x0b]), Err((DecodeErrorKind::Malformed, Some(0))), "a group");
        assert_eq!(kind(&[0x00, 0]), Err((DecodeErrorKind::Malformed, Some(0))), "number 0");
        assert_eq!(kind(&[0xff; 12]), Err((DecodeErrorKind::Malformed, Some(0))), "70 bits");
        let field = first(&[0x12, 2, b'a', 0xff]).unwrap().unwrap();
        assert_eq!(field.text().unwrap_err().position(), Some(3));
        assert_eq!(field.varint().unwrap_err().to_string(), "byte 2: field 2 is not a varint");
        assert_eq!(first(&[0x12, 5, 1]).unwrap_err().to_string(), "byte 2: field of 5 bytes, but only 1 are left");
    }
}
