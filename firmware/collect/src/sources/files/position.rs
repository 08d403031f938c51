//! Which file this is, over renames, copies, compression and restarts; and how far it was read.
//!
//! A number of the file system alone does not tell: inodes are reused, and `copytruncate` leaves the inode with the new
//! content. So a position carries what its file looked like: a hash of its first bytes (up to [`HEAD_BYTES_MAX`], and not
//! beyond what was read) and one of the bytes before the offset. A file *is* the one of a position when both fit, whatever it
//! is called now and whether it is compressed.
//!
//! ```text
//! key     16 hex digits, by chance
//! value   "1" dev ino offset head_bytes head_hash tail_bytes tail_hash flags told path
//! flags   "-", or of: s in the middle of a line that was cut, z offset counts decompressed bytes, d read to its end
//! told    "-", or offsets, separated by commas, of lines behind the offset that are stored already: a line that is
//!         written in parts holds the position back, while lines of the other stream go on
//! ```

use bramble_signal::hash::xxhash64;

/// So many first bytes tell a file from others.
pub(super) const HEAD_BYTES_MAX: usize = 1024;
/// So many bytes before the offset are compared.
pub(super) const TAIL_BYTES_MAX: usize = 64;

/// Hash of some bytes of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Print {
    pub(super) bytes: usize,
    hash: u64,
}

impl Print {
    pub(super) fn of(bytes: &[u8]) -> Print {
        // That of nothing is the default, wherever it comes from.
        Print { bytes: bytes.len(), hash: if bytes.is_empty() { 0 } else { xxhash64(bytes, 0) } }
    }

    /// Whether `bytes` begin with what this is of.
    pub(super) fn begins(&self, bytes: &[u8]) -> bool {
        bytes.get(..self.bytes).is_some_and(|bytes| Print::of(bytes) == *self)
    }
}

/// How far a file was read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Position {
    pub(super) dev: u64,
    pub(super) ino: u64,
    /// The next byte to read; of the decompressed text where the file is compressed.
    pub(super) offset: u64,
    pub(super) head: Print,
    pub(super) tail: Print,
    /// The offset is in the middle of a line whose first part was taken; the rest is skipped.
    pub(super) is_skipping: bool,
    pub(super) is_compressed: bool,
    /// There is nothing more to come: a compressed file that was read.
    pub(super) is_done: bool,
    /// Ascending.
    pub(super) told: Vec<u64>,
    pub(super) path: String,
}

impl Position {
    pub(super) fn encode(&self) -> String {
        let mut flags = String::new();
        for (flag, is_set) in [('s', self.is_skipping), ('z', self.is_compressed), ('d', self.is_done)] {
            if is_set {
                flags.push(flag);
            }
        }
        let told: Vec<String> = self.told.iter().map(u64::to_string).collect();
        let or_dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
        format!(
            "1 {:x} {:x} {} {} {:x} {} {:x} {} {} {}",
            self.dev,
            self.ino,
            self.offset,
            self.head.bytes,
            self.head.hash,
            self.tail.bytes,
            self.tail.hash,
            or_dash(flags),
            or_dash(told.join(",")),
            self.path
        )
    }

    /// `None` for what another version wrote or what is damaged: the file is then one that was never seen.
    pub(super) fn parse(text: &str) -> Option<Position> {
        let mut fields = text.splitn(11, ' ');
        if fields.next()? != "1" {
            return None;
        }
        let hex = |field: Option<&str>| u64::from_str_radix(field?, 16).ok();
        let (dev, ino) = (hex(fields.next())?, hex(fields.next())?);
        let offset = fields.next()?.parse().ok()?;
        let head = Print { bytes: fields.next()?.parse().ok()?, hash: hex(fields.next())? };
        let tail = Print { bytes: fields.next()?.parse().ok()?, hash: hex(fields.next())? };
        let flags = fields.next()?;
        let told = match fields.next()? {
            "-" => Vec::new(),
            told => told.split(',').map(str::parse).collect::<Result<_, _>>().ok()?,
        };
        if head.bytes > HEAD_BYTES_MAX || tail.bytes > TAIL_BYTES_MAX {
            return None;
        }
        Some(Position {
            dev,
            ino,
            offset,
            head,
            tail,
            is_skipping: flags.contains('s'),
            is_compressed: flags.contains('z'),
            is_done: flags.contains('d'),
            told,
            path: fields.next()?.to_owned(),
        })
    }

    /// Nothing was taken: the file was empty, or its first line has no end. It is known by its inode alone, which may be
    /// another's by now.
    pub(super) fn is_start(&self) -> bool {
        self.offset == 0 && self.told.is_empty() && !self.is_skipping && !self.is_done
    }

    /// Where the bytes of `tail` begin.
    pub(super) fn tail_at(&self) -> u64 {
        self.offset.saturating_sub(self.tail.bytes as u64)
    }
}

/// Whether two files may be one that was rotated: names in one directory of which one begins with the other's stem
/// (`a.log`, `a.log.1.gz`, `a-20261121.log`).
pub(super) fn is_related(a: &str, b: &str) -> bool {
    let split = |path: &'_ str| path.rsplit_once('/').map(|(d, n)| (d.to_owned(), n.to_owned())).unwrap_or_default();
    let ((directory_a, a), (directory_b, b)) = (split(a), split(b));
    directory_a == directory_b && (a.starts_with(stem(&b)) || b.starts_with(stem(&a)))
}

/// A name without what rotation adds and without its extension.
fn stem(name: &str) -> &str {
    let end = name.find(".log").or_else(|| name.find(['.', '-'])).filter(|&at| at > 0);
    name.get(..end.unwrap_or(name.len())).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_of_rotation_are_related() {
        for name in ["a.log.1", "a.log.2.gz", "a-20261121.log", "a.log-20261121", "a.2026-11-21.0.log.gz"] {
            assert!(is_related("/v/a.log", &format!("/v/{name}")), "{name}");
        }
        assert!(is_related("/v/syslog", "/v/syslog.1") && is_related("/v/messages-1", "/v/messages"));
        assert!(!is_related("/v/a.log", "/v/b.log.1") && !is_related("/v/a.log", "/w/a.log.1"));
    }

    #[test]
    fn heads_grow() {
        let print = Print::of(b"one");
        assert!(print.begins(b"one\ntwo") && !print.begins(b"on") && !print.begins(b"two\n"));
        assert!(Print::default().begins(b""));
    }

    proptest! {
        #[test]
        fn positions_come_back(
            numbers: (u64, u64, u64), flags: (bool, bool, bool), told in prop::collection::vec(any::<u64>(), 0..4),
            head in prop::collection::vec(any::<u8>(), 0..9), path in "[^\n]{0,12}",
        ) {
            let (dev, ino, offset) = numbers;
            let (is_skipping, is_compressed, is_done) = flags;
            let (head, tail) = (Print::of(&head), Print::of(b"tail"));
            let position =
                Position { dev, ino, offset, head, tail, is_skipping, is_compressed, is_done, told, path };
            prop_assert_eq!(Position::parse(&position.encode()), Some(position));
        }

        #[test]
        fn damage_is_no_position(text in ".{0,60}") {
            _ = Position::parse(&text);
        }
    }
}
