//! Where messages begin and end in a stream of bytes (RFC 6587, and what is sent in its name).
//!
//! Each frame decides for itself: decimal digits, a space and `<` are octet counting (§3.4.1); all else ends at a line feed
//! or NUL (§3.4.2). A line of prose that begins with a number is a line.

/// Digits of a length.
const DIGITS_MAX: usize = 9;
/// Digits, the space and `<`.
const COUNT_BYTES_MAX: usize = DIGITS_MAX + 2;

/// What a sender has beyond a message that was cut off.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Rest {
    #[default]
    None,
    ToLineEnd,
    Octets(usize),
}

/// What is at the start of the bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// Nothing whole.
    More,
    /// So many bytes of no message.
    Skip(usize),
    /// A message; `used` bytes belong to it.
    Frame { start: usize, end: usize, used: usize, cut: bool },
}

/// The state between two steps.
#[derive(Debug, Default)]
pub(super) struct Framing {
    rest: Rest,
}

impl Framing {
    /// Looks at what was not used yet. Messages are cut off at `bytes_max`; whoever offers [`room`] bytes gets on always.
    pub(super) fn next(&mut self, bytes: &[u8], bytes_max: usize) -> Step {
        match self.rest {
            Rest::None => self.frame(bytes, bytes_max),
            _ if bytes.is_empty() => Step::More,
            Rest::Octets(left) => {
                let used = left.min(bytes.len());
                self.rest = if used < left { Rest::Octets(left - used) } else { Rest::None };
                Step::Skip(used)
            }
            Rest::ToLineEnd => match line_end(bytes) {
                Some(end) => {
                    self.rest = Rest::None;
                    Step::Skip(end + 1)
                }
                None => Step::Skip(bytes.len()),
            },
        }
    }

    fn frame(&mut self, bytes: &[u8], bytes_max: usize) -> Step {
        let blank = bytes.iter().take_while(|b| matches!(b, b'\n' | b'\r' | 0)).count();
        if blank > 0 {
            return Step::Skip(blank);
        }
        match octet_count(bytes) {
            Count::Unsure => Step::More,
            Count::Octets { start, length } => {
                let end = start + length.min(bytes_max);
                if bytes.len() < end {
                    return Step::More;
                }
                let cut = length > bytes_max;
                if cut {
                    self.rest = Rest::Octets(length - bytes_max);
                }
                Step::Frame { start, end, used: end, cut }
            }
            Count::None => match line_end(bytes.get(..=bytes_max).unwrap_or(bytes)) {
                Some(end) => Step::Frame { start: 0, end, used: end + 1, cut: false },
                None if bytes.len() <= bytes_max => Step::More,
                None => {
                    self.rest = Rest::ToLineEnd;
                    Step::Frame { start: 0, end: bytes_max, used: bytes_max, cut: true }
                }
            },
        }
    }

    /// What is left when no more comes: a message, and whether there was to be more of it.
    pub(super) fn last<'a>(&self, bytes: &'a [u8], bytes_max: usize) -> Option<(&'a [u8], bool)> {
        let (message, announced_more) = match octet_count(bytes) {
            Count::Octets { start, .. } => (bytes.get(start..).unwrap_or_default(), true),
            _ => (bytes, false),
        };
        let fitting = message.get(..bytes_max).unwrap_or(message);
        let is_part = announced_more || fitting.len() < message.len();
        (self.rest == Rest::None && !message.is_empty()).then_some((fitting, is_part))
    }
}

/// Room for a message of so many bytes with what surrounds it.
pub(super) fn room(bytes_max: usize) -> usize {
    bytes_max + COUNT_BYTES_MAX
}

enum Count {
    Octets {
        start: usize,
        length: usize,
    },
    None,
    /// It may become a count.
    Unsure,
}

fn octet_count(bytes: &[u8]) -> Count {
    let digits = bytes.iter().take(DIGITS_MAX + 1).take_while(|b| b.is_ascii_digit()).count();
    let starts_as_number = bytes.first().is_none_or(|b| matches!(b, b'1'..=b'9'));
    if !starts_as_number || digits > DIGITS_MAX {
        return Count::None;
    }
    match (bytes.get(digits), bytes.get(digits + 1)) {
        (None, _) | (Some(b' '), None) => Count::Unsure,
        (Some(b' '), Some(b'<')) => {
            let text = bytes.get(..digits).and_then(|digits| std::str::from_utf8(digits).ok());
            match text.and_then(|text| text.parse().ok()) {
                Some(length) => Count::Octets { start: digits + 1, length },
                None => Count::None,
            }
        }
        _ => Count::None,
    }
}

fn line_end(bytes: &[u8]) -> Option<usize> {
    memchr::memchr2(b'\n', 0, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All messages of a stream that arrives in pieces, with whether they were cut.
    fn messages(pieces: &[&[u8]], bytes_max: usize) -> Vec<(Vec<u8>, bool)> {
        let (mut framing, mut buffer, mut found) = (Framing::default(), Vec::new(), Vec::new());
        for piece in pieces {
            buffer.extend_from_slice(piece);
            loop {
                match framing.next(&buffer, bytes_max) {
                    Step::More => break,
                    Step::Skip(used) => drop(buffer.drain(..used)),
                    Step::Frame { start, end, used, cut } => {
                        assert!(start <= end && end <= used && used > 0);
                        found.push((buffer[start..end].to_vec(), cut));
                        buffer.drain(..used);
                    }
                }
            }
            assert!(buffer.len() < room(bytes_max), "what is kept is bounded");
        }
        found.extend(framing.last(&buffer, bytes_max).map(|(message, more)| (message.to_vec(), more)));
        found
    }

    fn texts(stream: &[u8], bytes_max: usize) -> Vec<String> {
        let shown =
            |(m, cut): (Vec<u8>, bool)| format!("{}{}", String::from_utf8_lossy(&m), if cut { "…" } else { "" });
        messages(&[stream], bytes_max).into_iter().map(shown).collect()
    }

    #[test]
    fn both_framings_in_one_stream() {
        let stream = b"9 <13>a\nb c<14>line\r\n\n\x0012 <15>monkeys.\n12 monkeys\n<16>nul\x00<17>last";
        assert_eq!(
            texts(stream, 100),
            ["<13>a\nb c", "<14>line\r", "<15>monkeys.", "12 monkeys", "<16>nul", "<17>last"]
        );
    }

    #[test]
    fn long_messages_are_cut_and_the_next_is_found() {
        assert_eq!(texts(b"20 <13>0123456789abcdef7 <13>abc", 8), ["<13>0123…", "<13>abc"]);
        assert_eq!(texts(b"<13>0123456789abcdef\n<14>abcd\n<15>", 8), ["<13>0123…", "<14>abcd", "<15>"]);
        // Exactly as long as allowed.
        assert_eq!(texts(b"12345678\n8 <1>45678", 8), ["12345678", "<1>45678"]);
        assert_eq!(texts(b"123456789", 8), ["12345678…"]);
    }

    #[test]
    fn what_is_no_count_is_a_line() {
        for line in ["0 <13>zero", "1234567890 <13>ten digits", "12 x", "7", "7 ", "9999999999999999999"] {
            assert_eq!(texts(format!("{line}\n").as_bytes(), 100), [line]);
        }
        assert_eq!(texts(b"30 <13>cut off here", 100), ["<13>cut off here…"]);
        assert_eq!(texts(b"30", 100), ["30"]);
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(
            lines in prop::collection::vec(("[ -~]{1,40}", any::<bool>()), 0..20),
            cuts in prop::collection::vec(1usize..9, 1..60),
        ) {
            let mut stream = Vec::new();
            for (line, counted) in &lines {
                let message = format!("<13>{line}");
                match counted {
                    true => stream.extend_from_slice(format!("{} {message}", message.len()).as_bytes()),
                    false => stream.extend_from_slice(format!("{message}\n").as_bytes()),
                }
            }
            let (mut rest, mut pieces) = (stream.as_slice(), Vec::new());
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (piece, after) = rest.split_at((*cut).min(rest.len()));
                pieces.push(piece);
                rest = after;
            }
            let expected: Vec<_> = lines.iter().map(|(line, _)| (format!("<13>{line}").into_bytes(), false)).collect();
            prop_assert_eq!(messages(&pieces, 100), expected);
        }

        #[test]
        fn any_bytes_are_read_to_their_end(stream in prop::collection::vec(prop::sample::select(b"19 <>a\n\0".to_vec()), 0..200), size in 1usize..20) {
            let pieces: Vec<&[u8]> = stream.chunks(size).collect();
            let found = messages(&pieces, 6);
            prop_assert!(found.iter().map(|(m, _)| m.len()).sum::<usize>() <= stream.len());
        }
    }
}
