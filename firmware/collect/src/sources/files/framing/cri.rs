//! Lines of Kubernetes' container runtimes: `<RFC 3339 time> <stdout|stderr> <tags> <text>`, where the first tag is `P` for a
//! part of a line and `F` for a full or last one
//! (kubernetes/design-proposals-archive, `node/kubelet-cri-logging.md`).

use super::time::rfc3339_ns;
use super::{Channel, Framed};

pub(super) fn parse(line: &[u8]) -> Option<Framed<'_>> {
    let (time, rest) = word(line)?;
    let (channel, rest) = word(rest)?;
    let channel = match channel {
        b"stdout" => Channel::Stdout,
        b"stderr" => Channel::Stderr,
        _ => return None,
    };
    // An empty text may lack its blank.
    let (tags, text) = word(rest).unwrap_or((rest, b""));
    let is_partial = match tags.split(|&b| b == b':').next()? {
        b"P" => true,
        b"F" => false,
        _ => return None,
    };
    Some(Framed { timestamp_ns: rfc3339_ns(time)?, channel, is_partial, text: Some(text) })
}

fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(b' ', text)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        let framed = parse(b"2016-10-06T00:17:09.669794202Z stdout P log content 1").unwrap();
        assert_eq!(
            framed,
            Framed {
                timestamp_ns: 1_475_713_029_669_794_202,
                channel: Channel::Stdout,
                is_partial: true,
                text: Some(b"log content 1")
            }
        );
        let framed = parse(b"2016-10-06T00:17:10.113242941Z stderr F:x  two").unwrap();
        assert_eq!((framed.channel, framed.is_partial, framed.text), (Channel::Stderr, false, Some(&b" two"[..])));
        assert_eq!(parse(b"2016-10-06T00:17:10.113242941Z stderr F").unwrap().text, Some(&b""[..]));
        for other in ["", "plain text here F x", "2016-10-06T00:17:10Z stdin F x", "2016-10-06T00:17:10Z stdout X x"] {
            assert_eq!(parse(other.as_bytes()), None, "{other}");
        }
    }
}
