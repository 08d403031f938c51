//! A writer of both protocols, for tests.

use super::{Kind, Protocol};
use crate::protobuf::zigzag;

/// Writes values and the heads that precede them.
pub(crate) struct Writer {
    pub(crate) out: Vec<u8>,
    protocol: Protocol,
    last: Vec<i16>,
}

impl Writer {
    pub(crate) fn new(protocol: Protocol) -> Self {
        Writer { out: Vec::new(), protocol, last: vec![0] }
    }

    /// A oneway call of `name`; arguments follow.
    pub(crate) fn call(protocol: Protocol, name: &str) -> Self {
        let mut writer = Writer::new(protocol);
        match protocol {
            Protocol::Binary => {
                writer.out.extend([0x80, 1, 0, 4]);
                writer.bytes(name.as_bytes());
                writer.out.extend([0, 0, 0, 7]);
            }
            Protocol::Compact => {
                writer.out.extend([0x82, 4 << 5 | 1, 7]);
                writer.bytes(name.as_bytes());
            }
        }
        writer
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.out.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.out.push(value as u8);
    }

    fn number(&self, kind: Kind) -> u8 {
        let of = |number: &u8| match self.protocol {
            Protocol::Binary => Kind::of_binary(*number),
            Protocol::Compact => Kind::of_compact(*number),
        };
        (1..20).find(|number| of(number) == Some(kind)).unwrap()
    }

    pub(crate) fn field(&mut self, id: i16, kind: Kind) -> &mut Self {
        let number = self.number(kind);
        match self.protocol {
            Protocol::Binary => {
                self.out.push(number);
                self.out.extend(id.to_be_bytes());
            }
            Protocol::Compact => {
                let delta = id - self.last.last().unwrap();
                if (1..=15).contains(&delta) {
                    self.out.push((delta as u8) << 4 | number);
                } else {
                    self.out.push(number);
                    self.varint(zigzag(id.into()));
                }
            }
        }
        *self.last.last_mut().unwrap() = id;
        self
    }

    pub(crate) fn i64(&mut self, value: i64) {
        match self.protocol {
            Protocol::Binary => self.out.extend(value.to_be_bytes()),
            Protocol::Compact => self.varint(zigzag(value)),
        }
    }

    pub(crate) fn i32(&mut self, value: i32) {
        match self.protocol {
            Protocol::Binary => self.out.extend(value.to_be_bytes()),
            Protocol::Compact => self.varint(zigzag(value.into())),
        }
    }

    pub(crate) fn i16(&mut self, value: i16) {
        match self.protocol {
            Protocol::Binary => self.out.extend(value.to_be_bytes()),
            Protocol::Compact => self.varint(zigzag(value.into())),
        }
    }

    pub(crate) fn double(&mut self, value: f64) {
        match self.protocol {
            Protocol::Binary => self.out.extend(value.to_be_bytes()),
            Protocol::Compact => self.out.extend(value.to_le_bytes()),
        }
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) {
        match self.protocol {
            Protocol::Binary => self.out.extend((value.len() as i32).to_be_bytes()),
            Protocol::Compact => self.varint(value.len() as u64),
        }
        self.out.extend(value);
    }

    /// A field with a truth value, which the compact protocol has in the head.
    pub(crate) fn bool_field(&mut self, id: i16, value: bool) {
        self.field(id, Kind::Bool);
        match self.protocol {
            Protocol::Binary => self.out.push(value.into()),
            Protocol::Compact if value => {}
            Protocol::Compact => {
                // The head of "true" is written; a long form has its type in the byte before the number.
                let at = self.out.iter().rposition(|byte| byte & 15 == 1).unwrap();
                self.out[at] += 1;
            }
        }
    }

    pub(crate) fn list(&mut self, kind: Kind, count: usize) {
        let number = self.number(kind);
        match self.protocol {
            Protocol::Binary => {
                self.out.push(number);
                self.out.extend((count as i32).to_be_bytes());
            }
            Protocol::Compact if count < 15 => self.out.push((count as u8) << 4 | number),
            Protocol::Compact => {
                self.out.push(0xf0 | number);
                self.varint(count as u64);
            }
        }
    }

    /// A struct, whose fields `fill` writes.
    pub(crate) fn structure(&mut self, fill: impl FnOnce(&mut Writer)) {
        self.last.push(0);
        fill(self);
        self.out.push(0);
        self.last.pop();
    }
}
