//! The scanner's steps.

use super::{JsonError, Raw};

pub(super) struct Scanner<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
}

const LOW_BITS: u64 = u64::from_ne_bytes([1; 8]);
const HIGH_BITS: u64 = u64::from_ne_bytes([0x80; 8]);

/// The high bit of the lowest byte of `word` that is `byte`; bits above it mean nothing.
fn find(word: u64, byte: u8) -> u64 {
    let zeroed = word ^ (LOW_BITS * u64::from(byte));
    zeroed.wrapping_sub(LOW_BITS) & !zeroed & HIGH_BITS
}

/// Where the string that `from` stands in ends: its closing quote. Eight bytes at a time: most strings of log lines are
/// too short for a call to a vectorised search to pay.
fn closing_quote(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
            let word = u64::from_le_bytes(*chunk);
            let hits = find(word, b'"') | find(word, b'\\');
            if hits != 0 {
                at += (hits.trailing_zeros() / 8) as usize;
                break;
            }
            at += 8;
        }
        match bytes.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

impl<'a> Scanner<'a> {
    /// The next byte that is no blank, which stays the next.
    pub(super) fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        loop {
            match bytes.get(self.at) {
                Some(b) if b.is_ascii_whitespace() => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    pub(super) fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// A string from its opening quote; without the quotes.
    pub(super) fn string(&mut self) -> Option<&'a str> {
        let start = self.at + 1;
        let end = closing_quote(self.text.as_bytes(), start)?;
        self.at = end + 1;
        self.text.get(start..end)
    }

    /// From an opening bracket to its closing one.
    fn block(&mut self) -> Option<&'a str> {
        let (start, bytes) = (self.at, self.text.as_bytes());
        let mut depth = 0usize;
        while let Some(&b) = bytes.get(self.at) {
            match b {
                b'"' => {
                    self.at = closing_quote(bytes, self.at + 1)? + 1;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        self.at += 1;
                        return self.text.get(start..self.at);
                    }
                }
                _ => {}
            }
            self.at += 1;
        }
        None
    }

    pub(super) fn value(&mut self) -> Result<Raw<'a>, JsonError> {
        match self.peek() {
            Some(b'"') => self.string().map(Raw::Str).ok_or(JsonError::String),
            Some(b'{') => self.block().map(Raw::Object).ok_or(JsonError::Object),
            Some(b'[') => self.block().map(Raw::Array).ok_or(JsonError::Array),
            Some(_) => self.word(),
            None => Err(JsonError::Array),
        }
    }

    fn word(&mut self) -> Result<Raw<'a>, JsonError> {
        let start = self.at;
        let ends = |b: &u8| b.is_ascii_whitespace() || matches!(b, b',' | b'}' | b']');
        let bytes = self.text.as_bytes();
        while bytes.get(self.at).is_some_and(|b| !ends(b)) {
            self.at += 1;
        }
        // A blank, a comma and a bracket are ASCII, so the word ends between characters.
        let word = self.text.get(start..self.at).unwrap_or("");
        match word.as_bytes().first() {
            Some(b'-' | b'0'..=b'9') => Ok(Raw::Plain(word)),
            _ if word == "true" || word == "false" => Ok(Raw::Plain(word)),
            _ if word == "null" => Ok(Raw::Null),
            _ => Err(JsonError::Unknown),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_found_wherever_they_stand() {
        for len in 0..40 {
            let text = format!("{}\"rest of the line \\\"", "x".repeat(len));
            assert_eq!(closing_quote(text.as_bytes(), 0), Some(len));
            let escaped = format!("{}\\\"{}\"", "x".repeat(len), "é".repeat(len));
            assert_eq!(closing_quote(escaped.as_bytes(), 0), Some(escaped.len() - 1));
        }
        assert_eq!(closing_quote(b"no end \\\"", 0), None);
        assert_eq!(closing_quote(b"end in escape \\", 0), None);
    }
}
