//! Cutting an entry into a skeleton and what varies in it.
//!
//! A word is a run of letters and digits. One with a digit in it varies, and so does one of at least four letters that
//! are all hexadecimal; numbers at the ends of a word of letters vary without it (`19T00`, `45ms`, `node3`). What is
//! left, with a mark for each thing that varies, is the skeleton: lines of one statement of a program share it.
//!
//! Structured metadata is cut like the line and belongs to the skeleton: what repeats a word or an id of the line then
//! costs next to nothing.

use bramble_signal::LabelsRef;

/// Bytes that UTF-8 never contains; where a line has them they belong to what varies.
pub(super) const MARK: u8 = 0xf8;
/// Ends the line in a skeleton.
pub(super) const LINE_END: u8 = 0xf9;
/// Ends the name of a piece of metadata.
pub(super) const NAME_END: u8 = 0xfa;
/// Ends its value.
pub(super) const VALUE_END: u8 = 0xfb;
/// The lowest of these and of the bytes kept with them.
pub(super) const RESERVED_MIN: u8 = 0xf8;

/// Most things that vary in an entry; others go in as they are.
pub(super) const VARIABLES_MAX: usize = 120;
/// Letters that make a word of hexadecimal letters alone look like an id.
const HEX_WORD_BYTES_MIN: usize = 4;

pub(super) const DIGIT: u8 = 1;
pub(super) const HEX_LOWER: u8 = 2;
pub(super) const HEX_UPPER: u8 = 4;
const LETTER: u8 = 8;
const RESERVED: u8 = 16;

/// What each byte is; 0 for what stands between words.
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'0'..=b'9' => DIGIT,
            b'a'..=b'f' => HEX_LOWER,
            b'A'..=b'F' => HEX_UPPER,
            b'g'..=b'z' | b'G'..=b'Z' => LETTER,
            RESERVED_MIN.. => RESERVED,
            0x80.. => LETTER,
            _ => 0,
        };
        byte += 1;
    }
    classes
};

/// Something that varies: where it is in the text, and the classes of its bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Variable {
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) classes: u8,
}

/// An entry, cut. Its memory is kept for the next one.
#[derive(Default)]
pub(super) struct Tokens {
    /// The line, then the values of the metadata.
    pub(super) text: Vec<u8>,
    pub(super) skeleton: Vec<u8>,
    pub(super) variables: Vec<Variable>,
}

impl Tokens {
    /// Cuts an entry. False when it has too much that varies, or metadata that is not in its one proper form.
    pub(super) fn cut(&mut self, line: &[u8], metadata: LabelsRef<'_>) -> bool {
        self.text.clear();
        self.skeleton.clear();
        self.variables.clear();
        self.text.extend_from_slice(line);
        if !self.cut_from(0) {
            return false;
        }
        self.skeleton.push(LINE_END);
        let mut seen_bytes = 0;
        for (name, value) in metadata.iter_bytes() {
            self.skeleton.extend_from_slice(name);
            self.skeleton.push(NAME_END);
            let from = self.text.len();
            self.text.extend_from_slice(value);
            if !self.cut_from(from) {
                return false;
            }
            self.skeleton.push(VALUE_END);
            seen_bytes += varint_bytes(name.len()) + name.len() + varint_bytes(value.len()) + value.len();
        }
        seen_bytes == metadata.as_bytes().len()
    }

    /// The bytes of a variable.
    pub(super) fn bytes(&self, variable: Variable) -> &[u8] {
        self.text.get(variable.start as usize..variable.end as usize).unwrap_or_default()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.text.capacity() + self.skeleton.capacity() + self.variables.capacity() * size_of::<Variable>()
    }

    /// Cuts the text from `from` to its end.
    fn cut_from(&mut self, from: usize) -> bool {
        let Tokens { text, skeleton, variables } = self;
        let (mut at, mut literal) = (from, from);
        let mut vary = |start: usize, end: usize, classes: u8| {
            skeleton.extend_from_slice(&text[literal..start]);
            skeleton.push(MARK);
            variables.push(Variable { start: start as u32, end: end as u32, classes });
            literal = end;
        };
        while let Some(&byte) = text.get(at) {
            let mut classes = CLASSES[usize::from(byte)];
            let start = at;
            at += 1;
            if classes == 0 {
                continue;
            }
            while let Some(&byte) = text.get(at) {
                let class = CLASSES[usize::from(byte)];
                if class == 0 {
                    break;
                }
                classes |= class;
                at += 1;
            }
            match classes {
                DIGIT => vary(start, at, classes),
                HEX_LOWER | HEX_UPPER if at - start >= HEX_WORD_BYTES_MIN => vary(start, at, classes),
                _ if classes & RESERVED != 0 => vary(start, at, classes),
                _ if classes & DIGIT == 0 => {}
                _ if classes == DIGIT | HEX_LOWER || classes == DIGIT | HEX_UPPER => vary(start, at, classes),
                _ => match letters(&text[start..at]) {
                    Some((from, to)) => {
                        if from > 0 {
                            vary(start, start + from, DIGIT);
                        }
                        if start + to < at {
                            vary(start + to, at, DIGIT);
                        }
                    }
                    None if text[start..].starts_with(b"0x") && is_hex(&text[start + 2..at]) => {
                        vary(start + 2, at, DIGIT | HEX_LOWER);
                    }
                    None => vary(start, at, classes),
                },
            }
        }
        skeleton.extend_from_slice(&text[literal..]);
        variables.len() <= VARIABLES_MAX
    }
}

/// Where the letters of a word are that has digits at its ends only.
fn letters(word: &[u8]) -> Option<(usize, usize)> {
    let from = word.iter().position(|byte| !byte.is_ascii_digit())?;
    let to = word.len() - word.iter().rev().position(|byte| !byte.is_ascii_digit())?;
    (!word[from..to].iter().any(u8::is_ascii_digit)).then_some((from, to))
}

fn is_hex(word: &[u8]) -> bool {
    !word.is_empty() && word.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn varint_bytes(value: usize) -> usize {
    (usize::BITS - value.leading_zeros()).div_ceil(7).max(1) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_signal::Labels;

    fn cut(line: &[u8]) -> (Vec<u8>, Vec<String>) {
        let mut tokens = Tokens::default();
        assert!(tokens.cut(line, LabelsRef::EMPTY));
        let words = tokens.variables.iter().map(|v| String::from_utf8_lossy(tokens.bytes(*v)).into_owned());
        (tokens.skeleton.iter().map(|&b| if b == MARK { b'#' } else { b }).collect(), words.collect())
    }

    #[test]
    fn words_with_digits_vary() {
        let (skeleton, words) = cut(b"2026-11-19T00:05 node3 took 45ms id=beef12 face add 0x1f3b q7zz9k");
        assert_eq!(skeleton, b"#-#-#T#:# node# took #ms id=# # add 0x# #\xf9");
        assert_eq!(words, ["2026", "11", "19", "00", "05", "3", "45", "beef12", "face", "1f3b", "q7zz9k"]);
        assert_eq!(cut(b"a \xf9b c").0, b"a # c\xf9");
    }

    #[test]
    fn metadata_is_cut_too_and_damaged_metadata_is_left_alone() {
        let mut tokens = Tokens::default();
        let labels = Labels::from_pairs([("level", "info"), ("trace_id", "4bf92f35")]);
        assert!(tokens.cut(b"x 1", labels.as_ref()));
        assert_eq!(tokens.skeleton, b"x \xf8\xf9level\xfainfo\xfbtrace_id\xfa\xf8\xfb");
        assert!(!tokens.cut(b"x", LabelsRef::from_encoded(&[200])));
        assert!(!tokens.cut(&b"1 ".repeat(VARIABLES_MAX + 1), LabelsRef::EMPTY));
    }
}
