//! How serious an entry is.
//!
//! What its metadata says counts before what its labels say, and of each the first of `detected_level`, `level`,
//! `severity`, `severity_text`, `log_level`, `lvl` (dots may be underscores, in any case), `severity_number` (OTLP's 1 to 24),
//! `PRIORITY` (syslog's 0 to 7). Receivers add `detected_level` to entries of every protocol, so that the line is looked
//! at only where that is switched off: then its first word that names a level counts.

use super::pairs::pairs;
use crate::item::Level;
use bramble_signal::LabelsRef;

/// Bytes of a line in which a level is looked for.
const SEARCH_BYTES_MAX: usize = 256;

/// The best that was said so far.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Said<'a> {
    /// How many fields count before, and the value.
    best: Option<(u8, &'a str)>,
}

const OF_OTLP: u8 = 6;
const OF_SYSLOG: u8 = 7;

impl<'a> Said<'a> {
    /// Takes note of a field, if it is one that tells a level.
    #[inline]
    pub(super) fn add_field(&mut self, name: &[u8], value: &'a [u8]) {
        // Nearly all names are told from a level's by their first letter.
        if let Some(b'd' | b'l' | b's' | b'L' | b'S' | b'P') = name.first()
            && let Some(rank) = rank(name)
            && self.best.is_none_or(|(best, _)| rank < best)
        {
            self.best = std::str::from_utf8(value).ok().map(|value| (rank, value)).or(self.best);
        }
    }

    /// What it comes to: this before `others` before the line.
    pub(super) fn level(&self, others: &Said<'_>, line: &[u8]) -> Level {
        [self.best, others.best]
            .into_iter()
            .flatten()
            .find_map(|(rank, value)| read(rank, value))
            .unwrap_or_else(|| of_line(line))
    }
}

fn rank(name: &[u8]) -> Option<u8> {
    // What nearly all of them are called.
    match name.len() {
        5 if name == b"level" => return Some(1),
        14 if name == b"detected_level" => return Some(0),
        _ => {}
    }
    let names: &[(&[u8], u8)] = match name.len() {
        3 => &[(b"lvl", 5)],
        5 => &[(b"level", 1)],
        8 => &[(b"severity", 2), (b"priority", OF_SYSLOG)],
        9 => &[(b"log.level", 4), (b"log_level", 4)],
        12 => &[(b"severitytext", 3)],
        13 => &[(b"severity_text", 3), (b"severity.text", 3)],
        14 => &[(b"detected_level", 0)],
        15 => &[(b"severity_number", OF_OTLP), (b"severity.number", OF_OTLP)],
        _ => return None,
    };
    names.iter().find(|(known, _)| name.eq_ignore_ascii_case(known)).map(|(_, rank)| *rank)
}

fn read(rank: u8, value: &str) -> Option<Level> {
    if rank < OF_OTLP {
        return level_of_word(value).or((rank == 0).then_some(Level::Unknown));
    }
    let number: u8 = value.trim().parse().ok()?;
    Some(match (rank, number) {
        (OF_OTLP, 1..=8) => Level::Debug,
        (OF_OTLP, 9..=12) => Level::Info,
        (OF_OTLP, 13..=16) => Level::Warn,
        (OF_OTLP, 17..=20) => Level::Error,
        (OF_OTLP, 21..=24) => Level::Fatal,
        (OF_SYSLOG, 0..=2) => Level::Fatal,
        (OF_SYSLOG, 3) => Level::Error,
        (OF_SYSLOG, 4) => Level::Warn,
        (OF_SYSLOG, 5 | 6) => Level::Info,
        (OF_SYSLOG, 7) => Level::Debug,
        _ => return None,
    })
}

/// The level that a word names in any case, or one of Bunyan's and pino's numbers; `None` for other words. `unknown` and
/// nothing at all are [`Level::Unknown`].
pub fn level_of_word(word: &str) -> Option<Level> {
    const WORDS: [(Level, &[&str]); 6] = [
        (Level::Info, &["info", "inf", "information", "informational", "notice", "i", "30", "log"]),
        (Level::Error, &["error", "err", "e", "severe", "50", "failure"]),
        (Level::Warn, &["warn", "warning", "wrn", "w", "40"]),
        (Level::Debug, &["debug", "dbg", "d", "trace", "trc", "verbose", "fine", "finer", "finest", "10", "20"]),
        (Level::Unknown, &["unknown", "", "unspecified"]),
        (
            Level::Fatal,
            &["fatal", "critical", "crit", "emergency", "emerg", "alert", "panic", "f", "60", "ftl", "dpanic"],
        ),
    ];
    let word = word.trim();
    WORDS.iter().find(|(_, words)| words.iter().any(|known| word.eq_ignore_ascii_case(known))).map(|(level, _)| *level)
}

/// The first whole word that names a level.
fn of_line(line: &[u8]) -> Level {
    let line = line.get(..SEARCH_BYTES_MAX).unwrap_or(line);
    let words = line.split(|b| !b.is_ascii_alphanumeric() && *b != b'_').filter(|word| (3..=9).contains(&word.len()));
    let known = words.filter(|word| !word.iter().any(u8::is_ascii_digit) && *word != b"log");
    known
        .filter_map(|word| level_of_word(std::str::from_utf8(word).ok()?))
        .find(|level| *level != Level::Unknown)
        .unwrap_or_default()
}

/// How serious an entry of a stream of these labels is.
pub fn level_of(labels: LabelsRef<'_>, metadata: LabelsRef<'_>, line: &[u8]) -> Level {
    let (mut of_stream, mut of_entry) = (Said::default(), Said::default());
    pairs(labels).for_each(|(name, value)| of_stream.add_field(name, value));
    pairs(metadata).for_each(|(name, value)| of_entry.add_field(name, value));
    of_entry.level(&of_stream, line)
}
