//! Lines without the colours of a terminal.

/// The line without its ANSI colour sequences; `None` when it has none.
pub fn decolorize(line: &[u8]) -> Option<Vec<u8>> {
    let mut rest = line;
    let mut out: Option<Vec<u8>> = None;
    while let Some(at) = memchr::memchr(0x1b, rest) {
        let length = sequence(&rest[at..]);
        let out = out.get_or_insert_with(|| Vec::with_capacity(line.len()));
        out.extend_from_slice(&rest[..at]);
        if length == 0 {
            out.push(0x1b);
        }
        rest = &rest[at + length.max(1)..];
    }
    if let Some(out) = &mut out {
        out.extend_from_slice(rest);
    }
    out
}

/// Length of the sequence `ESC [ digits and semicolons, letter` at the start; 0 if there is none.
fn sequence(text: &[u8]) -> usize {
    if text.get(1) != Some(&b'[') {
        return 0;
    }
    let parameters = text[2..].iter().take_while(|b| b.is_ascii_digit() || **b == b';' || **b == b'?').count();
    match text.get(2 + parameters) {
        Some(b) if b.is_ascii_alphabetic() => parameters + 3,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::decolorize;

    #[test]
    fn colours_go() {
        assert_eq!(decolorize(b"\x1b[31mred\x1b[0m \x1b[1;32mgreen").unwrap(), b"red green");
        assert_eq!(decolorize(b"plain"), None);
        assert_eq!(decolorize(b"odd\x1b").unwrap(), b"odd\x1b");
    }
}
