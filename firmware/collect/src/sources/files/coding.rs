//! Characters: where lines end in a file's encoding, and lines as UTF-8.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// The encoding of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Coding {
    encoding: &'static Encoding,
    /// Bytes of the byte order mark at the start of the file.
    pub(super) mark_bytes: usize,
}

impl Coding {
    /// From the file's first bytes, else as configured.
    pub(super) fn of(configured: &'static Encoding, head: &[u8]) -> Coding {
        match Encoding::for_bom(head) {
            Some((encoding, mark_bytes)) => Coding { encoding, mark_bytes },
            None => Coding { encoding: configured, mark_bytes: 0 },
        }
    }

    /// Where the first line of `text`, which begins at a character, ends: the place of its line break, and of what follows.
    /// The search may begin at `from`, before which there is none.
    pub(super) fn line_end(self, text: &[u8], from: usize) -> Option<(usize, usize)> {
        if self.encoding != UTF_16LE && self.encoding != UTF_16BE {
            // In no other encoding that is taken is a line feed part of another character.
            return memchr::memchr(b'\n', text.get(from..)?).map(|at| (from + at, from + at + 1));
        }
        let unit = if self.encoding == UTF_16LE { [b'\n', 0] } else { [0, b'\n'] };
        let from = from & !1;
        let found = text.get(from..)?.chunks_exact(2).position(|two| two == unit)?;
        Some((from + found * 2, from + found * 2 + 2))
    }

    /// How much of a text may be taken when it is cut after `bytes`: whole units.
    pub(super) fn whole_units(self, bytes: usize) -> usize {
        if self.encoding == UTF_16LE || self.encoding == UTF_16BE { bytes & !1 } else { bytes }
    }

    /// The line as UTF-8, in `scratch` where it is something else; UTF-8 is left as it is, broken or not.
    pub(super) fn decode<'a>(self, line: &'a [u8], scratch: &'a mut String) -> &'a [u8] {
        if self.encoding == UTF_8 {
            return line;
        }
        scratch.clear();
        let mut decoder = self.encoding.new_decoder_without_bom_handling();
        scratch.reserve(decoder.max_utf8_buffer_length(line.len()).unwrap_or(line.len()));
        _ = decoder.decode_to_string(line, scratch, true);
        scratch.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(coding: Coding, text: &[u8]) -> Vec<String> {
        let (mut at, mut out, mut scratch) = (coding.mark_bytes, Vec::new(), String::new());
        while let Some((end, next)) = coding.line_end(&text[at..], 0) {
            out.push(String::from_utf8_lossy(coding.decode(&text[at..at + end], &mut scratch)).into_owned());
            at += next;
        }
        out
    }

    #[test]
    fn lines_of_all_encodings() {
        let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        // U+0A00 and U+010A hold a line feed's byte and are none.
        let text = utf16("ein \u{a00}\u{10a}\u{1f600}\nzwei\n");
        assert_eq!(lines(Coding::of(UTF_16LE, b""), &text), ["ein \u{a00}\u{10a}\u{1f600}", "zwei"]);
        let marked = [&b"\xff\xfe"[..], &text].concat();
        assert_eq!(lines(Coding::of(UTF_8, &marked), &marked), ["ein \u{a00}\u{10a}\u{1f600}", "zwei"]);
        let big: Vec<u8> = "a\u{a00}\nb\n".encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(lines(Coding::of(UTF_16BE, b""), &big), ["a\u{a00}", "b"]);
        let latin = Encoding::for_label(b"latin1").unwrap();
        assert_eq!(lines(Coding::of(latin, b""), b"gr\xfc\xdf\nx\n"), ["grüß", "x"]);
        assert_eq!(lines(Coding::of(UTF_8, b"\xef\xbb\xbfa"), b"\xef\xbb\xbfa\nb\n"), ["a", "b"]);
        assert_eq!(Coding::of(UTF_16LE, b"").whole_units(7), 6);
    }
}
