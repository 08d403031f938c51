//! Lines of Docker's `json-file` driver: `{"log":"text\n","stream":"stdout","attrs":{…},"time":"…"}`. A text without a line
//! break at its end goes on in the next line of its stream: the daemon cuts at 16 KiB.

use super::time::rfc3339_ns;
use super::{Channel, Framed};
use bramble_line::json::{Raw, members};

/// Reads a line; its text is unescaped into `scratch` where it has to be.
pub(super) fn parse<'a>(line: &'a [u8], scratch: &mut Vec<u8>) -> Option<Framed<'a>> {
    if line.first() != Some(&b'{') {
        return None;
    }
    let text = std::str::from_utf8(line).ok()?;
    let (mut log, mut channel, mut time) = (None, Channel::Stdout, None);
    for member in members(text) {
        match member.ok()? {
            ("log", Raw::Str(value)) => log = Some(value),
            ("stream", Raw::Str("stderr")) => channel = Channel::Stderr,
            ("time", Raw::Str(value)) => time = rfc3339_ns(value.as_bytes()),
            _ => {}
        }
    }
    let (log, timestamp_ns) = (log?, time?);
    // A line break is always written as an escape, and a backslash before it would be two.
    let body = log.strip_suffix("\\n").filter(|body| trailing_backslashes(body).is_multiple_of(2));
    let is_partial = body.is_none();
    let body = body.unwrap_or(log);
    if memchr::memchr(b'\\', body.as_bytes()).is_none() {
        return Some(Framed { timestamp_ns, channel, is_partial, text: Some(body.as_bytes()) });
    }
    scratch.clear();
    unescape(body, scratch);
    Some(Framed { timestamp_ns, channel, is_partial, text: None })
}

fn trailing_backslashes(text: &str) -> usize {
    text.bytes().rev().take_while(|&b| b == b'\\').count()
}

/// Appends `text` without JSON's escapes. A broken one stays as it stands.
fn unescape(text: &str, out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some((before, tail)) = rest.split_once('\\') {
        out.extend_from_slice(before.as_bytes());
        let used = match tail.as_bytes().first() {
            Some(b'n') => put(out, b'\n'),
            Some(b't') => put(out, b'\t'),
            Some(b'r') => put(out, b'\r'),
            Some(b'b') => put(out, 8),
            Some(b'f') => put(out, 12),
            Some(&b @ (b'"' | b'\\' | b'/')) => put(out, b),
            Some(b'u') => code_point(tail.get(1..).unwrap_or("")).map_or(0, |(c, used)| {
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                used + 1
            }),
            _ => 0,
        };
        if used == 0 {
            out.push(b'\\');
        }
        rest = tail.get(used..).unwrap_or("");
    }
    out.extend_from_slice(rest.as_bytes());
}

fn put(out: &mut Vec<u8>, byte: u8) -> usize {
    out.push(byte);
    1
}

/// What stands behind `\u`, and how many bytes of it: four, or ten where two halves of a pair follow each other. Half a
/// pair is U+FFFD.
fn code_point(text: &str) -> Option<(char, usize)> {
    let unit = |from: usize| u32::from_str_radix(text.get(from..from + 4)?, 16).ok();
    let first = unit(0)?;
    if let Some(c) = char::from_u32(first) {
        return Some((c, 4));
    }
    let second = if text.get(4..6) == Some("\\u") { unit(6) } else { None };
    let pair = second.and_then(|second| char::decode_utf16([first as u16, second as u16]).next()?.ok());
    Some(pair.map_or((char::REPLACEMENT_CHARACTER, 4), |c| (c, 10)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(line: &str) -> Option<(String, bool, Channel)> {
        let mut scratch = Vec::new();
        let framed = parse(line.as_bytes(), &mut scratch)?;
        let text = framed.text.unwrap_or(&scratch).to_vec();
        Some((String::from_utf8(text).unwrap(), framed.is_partial, framed.channel))
    }

    #[test]
    fn lines_are_read() {
        let line =
            |log: &str| format!(r#"{{"log":"{log}","stream":"stderr","time":"2016-10-06T00:17:09.669794202Z"}}"#);
        let found = |text: &str, is_partial| Some((text.to_owned(), is_partial, Channel::Stderr));
        assert_eq!(text_of(&line(r"no end\\n")), found(r"no end\n", true));
        assert_eq!(text_of(&line(r"a line\n")), found("a line", false));
        assert_eq!(
            text_of(&line(r#"\"q\" \u001b[0m \u00f6 \ud83d\ude00 \ud83d\t\q"#)),
            found("\"q\" \u{1b}[0m ö 😀 \u{fffd}\t\\q", true)
        );
        assert_eq!(text_of(&line("")), found("", true));
        for other in ["", "{}", "text", r#"{"log":"x\n"}"#, r#"{"log":"x\n","time":"yesterday"}"#, r#"{"log":"x"#] {
            assert_eq!(text_of(other), None, "{other}");
        }
    }
}
