//! Appending fields.

/// Appends fields of a message to a byte vector. Numbers are written even when they are zero; leaving defaults
/// out is the caller's choice.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Writer<'a> {
    /// Appends to `out`.
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        Writer { out }
    }

    /// A varint field: `int64` (cast), `uint64`, `bool`, enum.
    pub fn varint(&mut self, number: u32, value: u64) {
        self.tag(number, 0);
        put_varint(self.out, value);
    }

    /// A `fixed64` or `sfixed64` field.
    pub fn fixed64(&mut self, number: u32, value: u64) {
        self.tag(number, 1);
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    /// A `double` field.
    pub fn double(&mut self, number: u32, value: f64) {
        self.fixed64(number, value.to_bits());
    }

    /// A `fixed32` field.
    pub fn fixed32(&mut self, number: u32, value: u32) {
        self.tag(number, 5);
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    /// A text or bytes field.
    pub fn bytes(&mut self, number: u32, value: impl AsRef<[u8]>) {
        let value = value.as_ref();
        self.tag(number, 2);
        put_varint(self.out, value.len() as u64);
        self.out.extend_from_slice(value);
    }

    /// A message field, whose fields `fill` writes.
    pub fn message<T>(&mut self, number: u32, fill: impl FnOnce(&mut Writer<'_>) -> T) -> T {
        let start = self.begin(number);
        let result = fill(&mut Writer { out: self.out });
        self.end(start);
        result
    }

    /// Opens a message field; fields written until [`end`](Self::end) are inside. Returns what `end` wants.
    pub(crate) fn begin(&mut self, number: u32) -> usize {
        self.tag(number, 2);
        // Most messages are shorter than 128 bytes, whose length is one byte.
        self.out.push(0);
        self.out.len()
    }

    /// Closes the message opened at `start`.
    pub(crate) fn end(&mut self, start: usize) {
        let len = self.out.len() - start;
        if let (0..128, Some(byte)) = (len, self.out.get_mut(start - 1)) {
            *byte = len as u8;
            return;
        }
        let extra = varint_len(len as u64) - 1;
        self.out.resize(start + len + extra, 0);
        self.out.copy_within(start..start + len, start + extra);
        let mut rest = len as u64;
        for byte in self.out.iter_mut().skip(start - 1).take(extra + 1) {
            *byte = rest as u8 | 0x80;
            rest >>= 7;
        }
        if let Some(last) = self.out.get_mut(start - 1 + extra) {
            *last &= 0x7f;
        }
    }

    /// One number of a packed field.
    pub(crate) fn packed_varint(&mut self, value: u64) {
        put_varint(self.out, value);
    }

    /// The vector written to.
    pub(crate) fn out(&mut self) -> &mut Vec<u8> {
        self.out
    }

    fn tag(&mut self, number: u32, wire_type: u32) {
        put_varint(self.out, u64::from(number << 3 | wire_type));
    }
}

/// A `sint64` as it travels: the sign in the lowest bit.
pub fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63).cast_unsigned()
}

fn varint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protobuf::Reader;

    #[test]
    fn messages_of_any_length_read_back() {
        for len in [0, 1, 127, 128, 129, 16_383, 16_384, 2_100_000] {
            let mut out = vec![0x08, 1];
            Writer::new(&mut out).message(7, |w| {
                let end = w.out.len() + len;
                w.out().resize(end, 0x55);
            });
            Writer::new(&mut out).varint(2, u64::MAX);
            let mut reader = Reader::new(&out);
            reader.next().unwrap();
            let field = reader.next().unwrap().unwrap();
            assert_eq!((field.number, field.bytes().unwrap().len()), (7, len));
            assert!(field.bytes().unwrap().iter().all(|&b| b == 0x55));
            assert_eq!(reader.next().unwrap().unwrap().varint().unwrap(), u64::MAX);
        }
    }

    #[test]
    fn the_guides_example_bytes() {
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out);
        writer.varint(1, 150);
        writer.bytes(2, "testing");
        writer.message(3, |w| w.varint(1, 150));
        assert_eq!(out, b"\x08\x96\x01\x12\x07testing\x1a\x03\x08\x96\x01");
    }
}
