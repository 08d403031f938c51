//! One record of `/dev/kmsg`.
//!
//! ```text
//! 6,1234,5678901,-;usb 1-1: new high-speed USB device number 2
//!  SUBSYSTEM=usb
//!  DEVICE=+usb:1-1
//! ```
//!
//! Source: kernel `Documentation/ABI/testing/dev-kmsg`.

use bramble_wire::syslog::Priority;
use std::borrow::Cow;

/// A record, borrowed from what was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Record<'a> {
    pub(super) priority: Priority,
    /// Ascending within a boot, with gaps where the kernel's buffer went around.
    pub(super) sequence: u64,
    /// Microseconds since the boot.
    pub(super) time_us: u64,
    /// The text; a byte that is not printable is written by its number and is a byte here again.
    pub(super) message: Cow<'a, [u8]>,
    /// `KEY=value` lines behind the text.
    dictionary: &'a [u8],
}

impl<'a> Record<'a> {
    /// Parses one record with or without its line break. `None` for what is none.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Record<'a>> {
        let separator = memchr::memchr(b';', bytes)?;
        let (prefix, text) = bytes.split_at_checked(separator)?;
        let text = text.get(1..)?;
        let mut fields = std::str::from_utf8(prefix).ok()?.split(',');
        let number: u64 = fields.next()?.parse().ok()?;
        let (sequence, time_us) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        // Facilities beyond syslog's are kept as the last one.
        let priority =
            Priority::new(u8::try_from(number).ok().filter(|n| *n < 192).unwrap_or(184 | (number & 7) as u8))?;
        let end = memchr::memchr(b'\n', text).unwrap_or(text.len());
        let (message, dictionary) = text.split_at_checked(end)?;
        Some(Record { priority, sequence, time_us, message: unescaped(message), dictionary })
    }

    /// Names and values of the dictionary: `SUBSYSTEM`, `DEVICE`.
    pub(super) fn dictionary(&self) -> impl Iterator<Item = (&'a str, Cow<'a, str>)> + use<'a> {
        let lines = self.dictionary.split(|&b| b == b'\n').filter_map(|line| line.strip_prefix(b" "));
        lines.filter_map(|line| {
            let at = memchr::memchr(b'=', line)?;
            let (name, value) = line.split_at_checked(at)?;
            let value = match unescaped(value.get(1..)?) {
                Cow::Borrowed(value) => String::from_utf8_lossy(value),
                Cow::Owned(value) => Cow::Owned(String::from_utf8_lossy(&value).into_owned()),
            };
            Some((std::str::from_utf8(name).ok().filter(|name| !name.is_empty())?, value))
        })
    }
}

/// `\x1b` as the byte.
fn unescaped(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.windows(2).any(|pair| pair == b"\\x") {
        return Cow::Borrowed(text);
    }
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some((&first, after)) = rest.split_first() {
        let digits = rest.strip_prefix(b"\\x").and_then(|hex| std::str::from_utf8(hex.get(..2)?).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                rest = rest.get(4..).unwrap_or_default();
            }
            None => {
                out.push(first);
                rest = after;
            }
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_the_kernels_documentation() {
        let text = b"7,160,424069,-;pci_root PNP0A03:00: host bridge window [io  0x0000-0x0cf7] (ignored)\n SUBSYSTEM=acpi\n DEVICE=+acpi:PNP0A03:00\n";
        let record = Record::parse(text).unwrap();
        assert_eq!((record.sequence, record.time_us, record.priority.severity_name()), (160, 424_069, "debug"));
        assert_eq!(&*record.message, b"pci_root PNP0A03:00: host bridge window [io  0x0000-0x0cf7] (ignored)");
        let dictionary: Vec<_> = record.dictionary().collect();
        assert_eq!(dictionary, [("SUBSYSTEM", "acpi".into()), ("DEVICE", "+acpi:PNP0A03:00".into())]);
        let plain = Record::parse(b"6,339,5140900,-;NET: Registered protocol family 10\n").unwrap();
        assert_eq!(&*plain.message, b"NET: Registered protocol family 10");
        let user = Record::parse(b"30,340,5690716,-,caller=T1;udevd[80]: starting version 181\n").unwrap();
        assert_eq!((user.priority.facility_name(), user.priority.level()), ("daemon", "info"));
    }

    #[test]
    fn escapes_and_garbage() {
        let record = Record::parse(b"2047,1,2,c;a\\x0ab\\x1b[0m \\xzz ; end").unwrap();
        assert_eq!(&*record.message, b"a\nb\x1b[0m \\xzz ; end");
        assert_eq!((record.priority.facility(), record.priority.severity()), (23, 7));
        for text in ["", "6,1,2,-", "x,1,2,-;a", "6,x,2;a", "6,1;a", ";"] {
            assert!(Record::parse(text.as_bytes()).is_none(), "{text}");
        }
    }
}
