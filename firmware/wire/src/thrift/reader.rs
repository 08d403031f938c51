//! Walking structs, lists and values.

use super::{DEPTH_MAX, Kind, Protocol};
use crate::error::{DecodeError, DecodeErrorKind};
use crate::protobuf::unzigzag;

/// Bytes of a message that are not read yet. A copy is a place to come back to.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    /// Position of `rest` in the body.
    position: usize,
    protocol: Protocol,
    /// The compact protocol has a field's truth value in its header.
    truth: Option<bool>,
}

/// The head of a struct's field; its value follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field {
    /// The number given in the `.thrift` file.
    pub id: i16,
    /// What follows.
    pub kind: Kind,
}

impl<'a> Reader<'a> {
    /// Reads `body` from its start.
    pub fn new(protocol: Protocol, body: &'a [u8]) -> Self {
        Reader::at(protocol, body, 0)
    }

    /// Reads bytes that are at `position` of a body.
    pub(crate) fn at(protocol: Protocol, rest: &'a [u8], position: usize) -> Self {
        Reader { rest, position, protocol, truth: None }
    }

    /// Position of the next byte, from the start of the body.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Bytes that are left.
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    /// The next field of a struct, or `None` at its end. `last` is zero before the first field, and kept between calls.
    ///
    /// # Errors
    /// A struct that is cut off, a kind or a field number that there is not.
    #[inline]
    pub fn field(&mut self, last: &mut i16) -> Result<Option<Field>, DecodeError> {
        let start = self.position;
        let header = self.byte()?;
        if header == 0 {
            return Ok(None);
        }
        let (id, kind) = match self.protocol {
            Protocol::Binary => (i16::from_be_bytes(self.array()?), Kind::of_binary(header)),
            Protocol::Compact => {
                let id = match header >> 4 {
                    0 => self.i16()?,
                    delta => last.checked_add(i16::from(delta)).ok_or_else(|| malformed("field number", start))?,
                };
                self.truth = match header & 15 {
                    1 => Some(true),
                    2 => Some(false),
                    _ => None,
                };
                (id, Kind::of_compact(header & 15))
            }
        };
        *last = id;
        let kind = kind.ok_or_else(|| malformed("unknown type of a field", start))?;
        Ok(Some(Field { id, kind }))
    }

    /// A list's or set's kind of elements, and how many there are: never more than bytes are left.
    ///
    /// # Errors
    /// As [`field`](Self::field); a count beyond the body.
    pub fn list(&mut self) -> Result<(Kind, usize), DecodeError> {
        let start = self.position;
        let header = self.byte()?;
        let (kind, count) = match self.protocol {
            Protocol::Binary => (Kind::of_binary(header), self.length()?),
            Protocol::Compact => {
                let count = match header >> 4 {
                    15 => self.length()?,
                    short => usize::from(short),
                };
                (Kind::of_compact(header & 15), count)
            }
        };
        // The binary protocol's writers have all sorts of types in empty lists.
        let kind = kind.or((count == 0).then_some(Kind::Struct));
        let kind = kind.ok_or_else(|| malformed("unknown type of a list's elements", start))?;
        self.check_count(count, start)?;
        Ok((kind, count))
    }

    /// Every element takes a byte at least.
    fn check_count(&self, count: usize, start: usize) -> Result<(), DecodeError> {
        if count <= self.rest.len() {
            return Ok(());
        }
        let message = format!("list of {count} elements, but only {} bytes are left", self.rest.len());
        Err(DecodeError::new(DecodeErrorKind::Truncated, message, start))
    }

    /// A truth value.
    ///
    /// # Errors
    /// At the end of the body; so do all readings of values.
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        match self.truth.take() {
            Some(truth) => Ok(truth),
            None => {
                let byte = self.byte()?;
                // Compact lists have 1 for true and 2 for false.
                Ok(byte == 1 || (byte != 0 && self.protocol == Protocol::Binary))
            }
        }
    }

    /// A byte.
    pub fn i8(&mut self) -> Result<i8, DecodeError> {
        self.byte().map(u8::cast_signed)
    }

    /// 16 bits; longer numbers lose their upper part, as in Thrift's own readers.
    pub fn i16(&mut self) -> Result<i16, DecodeError> {
        match self.protocol {
            Protocol::Binary => self.array().map(i16::from_be_bytes),
            Protocol::Compact => self.varint().map(|n| unzigzag(n) as i16),
        }
    }

    /// 32 bits; longer numbers lose their upper part.
    pub fn i32(&mut self) -> Result<i32, DecodeError> {
        match self.protocol {
            Protocol::Binary => self.array().map(i32::from_be_bytes),
            Protocol::Compact => self.varint().map(|n| unzigzag(n) as i32),
        }
    }

    /// 64 bits.
    #[inline]
    pub fn i64(&mut self) -> Result<i64, DecodeError> {
        match self.protocol {
            Protocol::Binary => self.array().map(i64::from_be_bytes),
            Protocol::Compact => self.varint().map(unzigzag),
        }
    }

    /// A double.
    pub fn double(&mut self) -> Result<f64, DecodeError> {
        let bytes = self.array()?;
        Ok(match self.protocol {
            Protocol::Binary => f64::from_be_bytes(bytes),
            Protocol::Compact => f64::from_le_bytes(bytes),
        })
    }

    /// Text or bytes.
    #[inline]
    pub fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let start = self.position;
        let length = self.length()?;
        let Some((head, rest)) = self.rest.split_at_checked(length) else {
            let message = format!("text of {length} bytes, but only {} are left", self.rest.len());
            return Err(DecodeError::new(DecodeErrorKind::Truncated, message, start));
        };
        (self.rest, self.position) = (rest, self.position + length);
        Ok(head)
    }

    /// Passes over a value.
    ///
    /// # Errors
    /// Damage in it, or nesting of more than [`DEPTH_MAX`] levels.
    pub fn skip(&mut self, kind: Kind) -> Result<(), DecodeError> {
        self.skip_within(kind, DEPTH_MAX)
    }

    fn skip_within(&mut self, kind: Kind, levels: usize) -> Result<(), DecodeError> {
        let inner = levels.checked_sub(1).ok_or_else(|| {
            let message = format!("values are nested more than {DEPTH_MAX} levels deep");
            DecodeError::new(DecodeErrorKind::TooDeep, message, self.position)
        });
        match kind {
            Kind::Bool => self.bool().map(drop),
            Kind::I8 => self.i8().map(drop),
            Kind::I16 => self.i16().map(drop),
            Kind::I32 => self.i32().map(drop),
            Kind::I64 => self.i64().map(drop),
            Kind::Double => self.double().map(drop),
            Kind::Bytes => self.bytes().map(drop),
            Kind::Uuid => self.array::<16>().map(drop),
            Kind::Struct => {
                let (inner, mut last) = (inner?, 0);
                while let Some(field) = self.field(&mut last)? {
                    self.skip_within(field.kind, inner)?;
                }
                Ok(())
            }
            Kind::List | Kind::Set => {
                let inner = inner?;
                let (kind, count) = self.list()?;
                (0..count).try_for_each(|_| self.skip_within(kind, inner))
            }
            Kind::Map => {
                let inner = inner?;
                let Some((keys, values, count)) = self.map()? else { return Ok(()) };
                (0..count).try_for_each(|_| {
                    self.skip_within(keys, inner)?;
                    self.skip_within(values, inner)
                })
            }
        }
    }

    /// A map's kinds of keys and values and its number of entries; `None` when it is empty.
    fn map(&mut self) -> Result<Option<(Kind, Kind, usize)>, DecodeError> {
        let start = self.position;
        let (keys, values, count) = match self.protocol {
            Protocol::Binary => {
                let [keys, values] = self.array()?;
                (Kind::of_binary(keys), Kind::of_binary(values), self.length()?)
            }
            Protocol::Compact => match self.length()? {
                0 => return Ok(None),
                count => {
                    let kinds = self.byte()?;
                    (Kind::of_compact(kinds >> 4), Kind::of_compact(kinds & 15), count)
                }
            },
        };
        if count == 0 {
            return Ok(None);
        }
        self.check_count(count, start)?;
        let kinds = keys.zip(values).ok_or_else(|| malformed("unknown type of a map", start))?;
        Ok(Some((kinds.0, kinds.1, count)))
    }

    /// Length of a text or count of a list.
    fn length(&mut self) -> Result<usize, DecodeError> {
        let start = self.position;
        let length = match self.protocol {
            Protocol::Binary => i64::from(i32::from_be_bytes(self.array()?)),
            Protocol::Compact => i64::try_from(self.varint()?).unwrap_or(-1),
        };
        // Lengths are signed 32-bit numbers in both.
        i32::try_from(length)
            .ok()
            .and_then(|length| usize::try_from(length).ok())
            .ok_or_else(|| malformed("length out of range", start))
    }

    #[inline]
    fn byte(&mut self) -> Result<u8, DecodeError> {
        let (&byte, rest) = self.rest.split_first().ok_or_else(|| truncated(self.position))?;
        (self.rest, self.position) = (rest, self.position + 1);
        Ok(byte)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or_else(|| truncated(self.position))?;
        (self.rest, self.position) = (rest, self.position + N);
        Ok(*head)
    }

    /// A LEB128 number of at most 64 bits.
    #[inline]
    pub(super) fn varint(&mut self) -> Result<u64, DecodeError> {
        let start = self.position;
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let byte = self.byte()?;
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(malformed("number is longer than 64 bits", start))
    }
}

pub(super) fn malformed(message: &'static str, position: usize) -> DecodeError {
    DecodeError::new(DecodeErrorKind::Malformed, message, position)
}

fn truncated(position: usize) -> DecodeError {
    DecodeError::new(DecodeErrorKind::Truncated, "message ends too early", position)
}
