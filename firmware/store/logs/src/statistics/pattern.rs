//! A template as a pattern of LogQL's `|>`: its literals, and `<_>` where a token varies.
//!
//! `|>` looks for each literal in turn, as far left as it can, without trying again: whoever ends in a literal that also
//! stands earlier in a line refuses that line. So an ending is kept only if nothing that the varying parts may hold can
//! bring it about earlier; else its last letter is left to a capture, which always fits. Two captures in
//! a row are one, and text that looks like a capture (`<nil>`), or is no UTF-8, becomes one.

use crate::template::{Kind, Part, parts};

/// Longest pattern, bytes; what follows is one capture.
const PATTERN_BYTES_MAX: usize = 2048;
/// As much of an ending is looked for in the rest of the pattern.
const ENDING_BYTES: usize = 64;

/// A set of bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Bytes([u64; 4]);

impl Bytes {
    const ALL: Bytes = Bytes([u64::MAX; 4]);

    /// The bytes of these ranges, ends included.
    const fn of(ranges: &[(u8, u8)]) -> Bytes {
        let (mut set, mut at) = ([0u64; 4], 0);
        while at < ranges.len() {
            let (mut byte, last) = (ranges[at].0 as usize, ranges[at].1 as usize);
            while byte <= last {
                set[byte >> 6] |= 1 << (byte & 63);
                byte += 1;
            }
            at += 1;
        }
        Bytes(set)
    }

    fn has(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1
    }

    fn join(self, other: Bytes) -> Bytes {
        Bytes(std::array::from_fn(|at| self.0[at] | other.0[at]))
    }

    /// What a token of this kind may hold, or more.
    fn of_kind(kind: Kind) -> Bytes {
        const DIGITS: Bytes = Bytes::of(&[(b'0', b'9')]);
        const HEX: Bytes = Bytes::of(&[(b'0', b'9'), (b'a', b'f'), (b'A', b'F')]);
        const UUID: Bytes = Bytes::of(&[(b'0', b'9'), (b'a', b'f'), (b'A', b'F'), (b'-', b'-')]);
        const CLOCK: Bytes = Bytes::of(&[(b'0', b':')]);
        const TIME: Bytes = Bytes::of(&[(b'-', b'.'), (b'0', b':'), (b'T', b'T'), (b'Z', b'Z')]);
        const WORD: Bytes = Bytes::of(&[(b'0', b'9'), (b'a', b'z'), (b'A', b'Z')]);
        const VALUE: Bytes = Bytes::of(&[(b' ', b'!'), (b'#', b'['), (b']', 0xff)]);
        match kind {
            Kind::Number => DIGITS,
            Kind::HexLower(_) | Kind::HexUpper(_) => HEX,
            Kind::Uuid => UUID,
            Kind::Clock => CLOCK,
            Kind::Time(_) => TIME,
            Kind::Text => WORD,
            Kind::Value => VALUE,
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Element {
    Literal(String),
    /// One byte or more of the set.
    Slot(Bytes),
}

#[derive(Default)]
struct Builder {
    elements: Vec<Element>,
    bytes: usize,
}

impl Builder {
    fn slot(&mut self, set: Bytes) {
        match self.elements.last_mut() {
            Some(Element::Slot(before)) => *before = before.join(set),
            _ => {
                self.elements.push(Element::Slot(set));
                self.bytes += 3;
            }
        }
    }

    fn text(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        self.bytes += text.len();
        match self.elements.last_mut() {
            Some(Element::Literal(before)) => before.push_str(text),
            _ => self.elements.push(Element::Literal(text.to_owned())),
        }
    }

    /// Adds a literal, without what cannot stand in a pattern.
    fn literal(&mut self, bytes: &[u8]) {
        for chunk in bytes.utf8_chunks() {
            let mut rest = chunk.valid();
            while let Some((start, end)) = capture_like(rest) {
                self.text(&rest[..start]);
                self.slot(Bytes::ALL);
                rest = &rest[end..];
            }
            self.text(rest);
            if !chunk.invalid().is_empty() {
                self.slot(Bytes::ALL);
            }
        }
    }

    /// Cuts what is too long.
    fn shorten(&mut self) {
        let mut room = PATTERN_BYTES_MAX;
        for at in 0..self.elements.len() {
            let bytes = if let Element::Literal(text) = &self.elements[at] { text.len() } else { 3 };
            if bytes <= room {
                room -= bytes;
                continue;
            }
            self.elements.truncate(at + 1);
            if let Some(Element::Literal(text)) = self.elements.last_mut() {
                text.truncate(text.floor_char_boundary(room));
                if text.is_empty() {
                    self.elements.pop();
                }
            }
            self.slot(Bytes::ALL);
            return;
        }
    }

    /// Makes sure that an ending can be found only where it is.
    fn secure_ending(&mut self) {
        let Some((Element::Literal(ending), before)) = self.elements.split_last() else { return };
        if before.is_empty() || !occurs_early(before, ending) {
            return;
        }
        if let Some(Element::Literal(ending)) = self.elements.last_mut() {
            ending.pop();
            if ending.is_empty() {
                self.elements.pop();
            }
        }
        self.slot(Bytes::ALL);
    }

    fn print(&self) -> String {
        let mut out = String::with_capacity(self.bytes);
        for element in &self.elements {
            match element {
                Element::Literal(text) => out.push_str(text),
                Element::Slot(_) => out.push_str("<_>"),
            }
        }
        out
    }
}

/// Where `text` has what a pattern takes for a capture: `<name>`.
fn capture_like(text: &str) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let mut from = 0;
    while let Some(start) = bytes[from..].iter().position(|&b| b == b'<').map(|n| from + n) {
        let name = bytes[start + 1..].iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
        if name > 0 && bytes.get(start + 1 + name) == Some(&b'>') {
            return Some((start, start + name + 2));
        }
        from = start + 1;
    }
    None
}

/// Whether a line of `before` and then `ending` may hold `ending` at another place too, after a literal that begins it.
fn occurs_early(before: &[Element], ending: &str) -> bool {
    enum State {
        Byte(u8),
        Slot(Bytes),
    }
    let mut states = Vec::new();
    let after_first = if let Some(Element::Literal(_)) = before.first() { 1 } else { 0 };
    for element in before.iter().skip(after_first) {
        match element {
            Element::Literal(text) => states.extend(text.bytes().map(State::Byte)),
            Element::Slot(set) => states.push(State::Slot(*set)),
        }
    }
    let ending_from = states.len();
    let ending = ending.as_bytes();
    states.extend(ending.iter().map(|&b| State::Byte(b)));
    // All places in the line at once: which are reached by the ending's bytes so far, wherever it began.
    let mut active: Vec<usize> = (0..states.len()).filter(|&at| at != ending_from).collect();
    let mut next = Vec::new();
    for &byte in ending.iter().take(ENDING_BYTES) {
        next.clear();
        for &at in &active {
            match states.get(at) {
                Some(State::Byte(b)) if *b == byte => next.push(at + 1),
                Some(State::Slot(set)) if set.has(byte) => next.extend([at, at + 1]),
                _ => {}
            }
        }
        next.dedup();
        std::mem::swap(&mut active, &mut next);
        if active.is_empty() {
            return false;
        }
    }
    true
}

/// The pattern of a template; `None` when it is empty or damaged.
pub(super) fn pattern(template: &[u8]) -> Option<String> {
    let mut builder = Builder::default();
    for part in parts(template)? {
        match part {
            Part::Literal(from, to) => builder.literal(template.get(from as usize..to as usize)?),
            Part::Slot(kind) => builder.slot(Bytes::of_kind(kind)),
        }
    }
    if builder.bytes > PATTERN_BYTES_MAX {
        builder.shorten();
    }
    builder.secure_ending();
    let pattern = builder.print();
    (!pattern.is_empty()).then_some(pattern)
}

#[cfg(test)]
mod unit {
    use super::*;
    use crate::template::split;
    use proptest::prelude::*;

    /// What `|>` does, plainly: literals in turn, each as far left as possible.
    fn accepts(pattern: &str, line: &[u8]) -> bool {
        let pieces: Vec<&str> = pattern.split("<_>").collect();
        let mut rest = line;
        for (at, piece) in pieces.iter().enumerate().filter(|(_, piece)| !piece.is_empty()) {
            match memchr::memmem::find(rest, piece.as_bytes()) {
                Some(found) if at > 0 || found == 0 => rest = &rest[found + piece.len()..],
                _ => return false,
            }
        }
        pieces.last().is_some_and(|last| last.is_empty()) != rest.is_empty()
    }

    fn of(line: &str) -> String {
        let (mut template, mut tokens) = (Vec::new(), Vec::new());
        assert!(split(line.as_bytes(), &mut template, &mut tokens));
        pattern(&template).unwrap_or_default()
    }

    #[test]
    fn patterns() {
        assert_eq!(of("took 12ms in worker-3"), "took <_>ms in worker-<_>");
        assert_eq!(of("took 12ms"), "took <_>ms");
        assert_eq!(of("<nil> of <a b> at 00000000-0000-0000-0000-000000001234"), "<_> of <a b> at <_>");
        assert_eq!(of("nothing varies"), "nothing varies");
        assert_eq!(of("from 10.0.0.7:80"), "from <_>.<_>.<_>.<_>:<_>");
        assert_eq!(of("n=1 done (1)"), "n=<_> done (<_>)");
        assert_eq!(of("a1s s"), "<_> s");
        assert_eq!(of("<1> x"), "<<_>> x");
    }

    proptest! {
        #[test]
        fn lines_are_accepted(
            line in prop_oneof![
                "[ab1:. <>_-]{1,30}",
                "(<[a-z_]{0,3}>|[0-9]{1,3}|ms|[ =])*",
                r#"\{"a":"[a-z}, ]{0,6}","b":"[a-c}"]{0,3}[0-9]{0,3}"[}]{1,2}"#,
                "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(-|ab)",
                "20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?Z[ .Z]*",
                "\\PC{0,40}",
            ],
            junk in prop::collection::vec(any::<u8>(), 0..4),
            far in 0usize..2
        ) {
            let mut line = line.into_bytes();
            line.extend(junk.iter().cycle().take(junk.len() * (1 + far * 1000)));
            let (mut template, mut tokens) = (Vec::new(), Vec::new());
            if split(&line, &mut template, &mut tokens) && let Some(pattern) = pattern(&template) {
                prop_assert!(!pattern.contains("<_><_>"), "{pattern}");
                prop_assert!(accepts(&pattern, &line), "{pattern} refuses {}", String::from_utf8_lossy(&line));
                prop_assert!(pattern.len() <= PATTERN_BYTES_MAX + 3);
            }
        }
    }
}
