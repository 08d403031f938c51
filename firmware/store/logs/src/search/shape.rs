//! What a token of each kind can look like.

use crate::template::{Kind, Part, parts};
use std::cell::OnceCell;

/// The tokens of a kind.
pub(crate) enum Shape {
    /// Up to so many bytes of a class, at least one; with a digit among them or not.
    Run { may: fn(u8) -> bool, bytes_max: usize, digit: bool },
    /// Byte by byte.
    Fixed(Vec<fn(u8) -> bool>),
}

/// The tokens of `kind`: what is not of this shape is never one. The inverse need not hold.
pub(crate) fn shape(kind: Kind) -> Shape {
    match kind {
        Kind::Number => Shape::Run { may: digit, bytes_max: 19, digit: true },
        Kind::Text => Shape::Run { may: alphanumeric, bytes_max: u16::MAX as usize, digit: true },
        Kind::Value => Shape::Run { may: value, bytes_max: 64, digit: false },
        Kind::HexLower(width) => Shape::Fixed(vec![hex_lower; usize::from(width)]),
        Kind::HexUpper(width) => Shape::Fixed(vec![hex_upper; usize::from(width)]),
        Kind::Uuid => pattern("xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"),
        Kind::Clock => pattern("00:00:00"),
        Kind::Time(0) => pattern("0000-00-00T00:00:00Z"),
        Kind::Time(digits) => {
            let fraction = &"000000000"[..usize::from(digits.min(9))];
            pattern(&format!("0000-00-00T00:00:00.{fraction}Z"))
        }
    }
}

fn pattern(example: &str) -> Shape {
    let class = |byte: u8| -> fn(u8) -> bool {
        match byte {
            b'0' => digit,
            b'x' => hex_lower,
            b'-' => |b| b == b'-',
            b':' => |b| b == b':',
            b'.' => |b| b == b'.',
            b'T' => |b| b == b'T',
            _ => |b| b == b'Z',
        }
    };
    Shape::Fixed(example.bytes().map(class).collect())
}

fn digit(byte: u8) -> bool {
    byte.is_ascii_digit()
}

fn alphanumeric(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

fn hex_lower(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

fn hex_upper(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'A'..=b'F')
}

fn value(byte: u8) -> bool {
    byte >= 0x20 && byte != b'"' && byte != b'\\' && !byte.is_ascii_digit()
}

/// A template, cut into its parts when somebody needs them.
pub(crate) struct Shapes<'t> {
    text: &'t [u8],
    families: u16,
    parts: OnceCell<Vec<Part>>,
}

impl<'t> Shapes<'t> {
    /// The template with this text.
    pub(crate) fn new(text: &'t [u8]) -> Self {
        Shapes { text, families: families(text), parts: OnceCell::new() }
    }

    /// Its text with marks.
    pub(crate) fn text(&self) -> &'t [u8] {
        self.text
    }

    /// Which [families](family) of kinds it has slots of.
    pub(crate) fn families(&self) -> u16 {
        self.families
    }

    /// Its parts.
    pub(crate) fn parts(&self) -> &[Part] {
        self.parts.get_or_init(|| parts(self.text).unwrap_or_default())
    }

    /// Its literals.
    pub(crate) fn literals(&self) -> impl Iterator<Item = &'t [u8]> {
        let text = self.text;
        self.parts().iter().filter_map(move |part| match *part {
            Part::Literal(from, to) => text.get(from as usize..to as usize),
            Part::Slot(_) => None,
        })
    }
}

/// A bit per kind, widths left out.
pub(crate) fn family(kind: Kind) -> u16 {
    match kind {
        Kind::Number => 1 << 1,
        Kind::HexLower(_) => 1 << 2,
        Kind::HexUpper(_) => 1 << 3,
        Kind::Text => 1 << 4,
        Kind::Uuid => 1 << 5,
        Kind::Time(_) => 1 << 6,
        Kind::Clock => 1 << 7,
        Kind::Value => 1 << 8,
    }
}

/// The families of a template's slots, without cutting it: a mark is its family's bit, and some have a width behind.
fn families(template: &[u8]) -> u16 {
    let (mut found, mut bytes) = (0, template.iter());
    while let Some(&byte) = bytes.next() {
        if (1..=LAST_MARK).contains(&byte) {
            found |= 1 << byte;
            if HAS_WIDTH & (1 << byte) != 0 {
                bytes.next();
            }
        }
    }
    found
}

/// Last byte that is a mark, and the marks with a width behind.
const LAST_MARK: u8 = 8;
const HAS_WIDTH: u16 = 1 << 2 | 1 << 3 | 1 << 6;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::split;

    #[test]
    fn families_are_those_of_the_parts() {
        let line = br#"{"a":"b","t":"2026-11-19T00:00:00.123Z","n":12,"h":"deadbeef1 DEADBEEF1 x1y2","c":"12:34:56",
            "u":"f81d4fae-7dec-11d0-a765-00a0c91e6bf6"}"#;
        let (mut template, mut tokens) = (Vec::new(), Vec::new());
        for from in 0..line.len() {
            assert!(split(&line[from..], &mut template, &mut tokens));
            let of = Shapes::new(&template);
            let kinds = of.parts().iter().filter_map(|p| if let Part::Slot(kind) = p { Some(*kind) } else { None });
            assert_eq!(of.families(), kinds.fold(0, |all, kind| all | family(kind)));
        }
        assert_eq!(Shapes::new(&template).families(), 0);
    }
}
