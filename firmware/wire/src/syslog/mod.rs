//! Syslog lines: RFC 5424, RFC 3164 and what is sent under their names, as structure.
//!
//! ```text
//! <34>1 2026-11-21T06:00:00.003Z mymachine su 77 ID47 [origin@1 ip="10.0.0.1"] 'su root' failed
//! <34>Oct 11 22:14:15 mymachine su[77]: 'su root' failed
//! Oct 11 22:14:15 mymachine su[77]: 'su root' failed              (as it stands in a file)
//! ```
//!
//! [`parse`] is a pure function that takes no memory: all that it gives is borrowed from the line. It is lenient where
//! senders differ (no host, no tag, an ISO time in an old header, missing structured data) and strict where a line that is
//! none could be taken for one: without a priority only a whole header counts.
//!
//! Source: RFC 5424 §6, RFC 3164 §4.1, sd-daemon(3) for priorities alone.

mod clock;
mod structured;

pub use structured::{Element, StructuredData};

use crate::loki::json::parse_rfc3339;

/// Facility and severity.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Priority(u8);

/// Severities as syslog names them, from 0.
const SEVERITIES: [&str; 8] = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];
/// The words that log viewers know for them.
const LEVELS: [&str; 8] = ["fatal", "critical", "critical", "error", "warn", "info", "info", "debug"];
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
    "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];

impl Priority {
    /// From the number between the brackets: `None` beyond 191.
    pub fn new(number: u8) -> Option<Priority> {
        (number < 192).then_some(Priority(number))
    }

    /// 0 to 23.
    pub fn facility(self) -> u8 {
        self.0 >> 3
    }

    /// 0 (emergency) to 7 (debug).
    pub fn severity(self) -> u8 {
        self.0 & 7
    }

    /// `auth`, `local0`, ….
    pub fn facility_name(self) -> &'static str {
        FACILITIES.get(usize::from(self.facility())).copied().unwrap_or_default()
    }

    /// `err`, `notice`, ….
    pub fn severity_name(self) -> &'static str {
        SEVERITIES.get(usize::from(self.severity())).copied().unwrap_or_default()
    }

    /// The level as log viewers have it: see [`level_of_severity`].
    pub fn level(self) -> &'static str {
        level_of_severity(self.severity()).unwrap_or_default()
    }
}

/// `fatal`, `critical`, `error`, `warn`, `info` or `debug` for a severity from 0 to 7; notices are `info`.
pub fn level_of_severity(severity: u8) -> Option<&'static str> {
    LEVELS.get(usize::from(severity)).copied()
}

/// A line taken apart. What is missing, or `-` in RFC 5424, is `None`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SyslogLine<'a> {
    /// The number in front.
    pub priority: Option<Priority>,
    /// Whether there is a header behind the priority; without one it may be a bare priority, as services write them to
    /// journald, whose facility says nothing.
    pub has_header: bool,
    /// Nanoseconds since the Unix epoch.
    pub timestamp_ns: Option<i64>,
    /// Whether the time stood there without a zone, and `timestamp_ns` takes it for UTC.
    pub is_local_time: bool,
    /// Host name or address.
    pub host: Option<&'a str>,
    /// The program: APP-NAME, or TAG.
    pub app: Option<&'a str>,
    /// Process id, or another word in its place.
    pub procid: Option<&'a str>,
    /// Kind of message.
    pub msgid: Option<&'a str>,
    /// Named values.
    pub structured_data: StructuredData<'a>,
    /// What is left at the end of the line: the text for people, without a byte order mark. Any bytes.
    pub message: &'a [u8],
}

/// Longest word of a header, in bytes.
const WORD_BYTES_MAX: usize = 255;

/// Takes a syslog line apart; `None` for a line that does not look like one. A time without a year is that nearest to
/// `now_ns`, and in UTC.
pub fn parse(line: &[u8], now_ns: i64) -> Option<SyslogLine<'_>> {
    let line = trimmed(line);
    let Some((priority, rest)) = priority(line) else {
        return rfc5424(line, true).or_else(|| rfc3164(line, now_ns).filter(is_whole));
    };
    let bare = SyslogLine { message: rest.trim_ascii_start(), ..SyslogLine::default() };
    let parsed = rfc5424(rest, false).or_else(|| rfc3164(rest, now_ns)).unwrap_or(bare);
    Some(SyslogLine { priority: Some(priority), ..parsed })
}

/// The line without what framing leaves behind it; what messages are the end of.
pub(crate) fn trimmed(line: &[u8]) -> &[u8] {
    let line = line.trim_ascii_end();
    line.strip_suffix(b"\0").unwrap_or(line)
}

/// Whether a line without a priority is beyond doubt: prose begins with times too.
fn is_whole(line: &SyslogLine<'_>) -> bool {
    line.host.is_some() && line.app.is_some()
}

/// `<34>` and what follows.
fn priority(line: &[u8]) -> Option<(Priority, &[u8])> {
    let rest = line.strip_prefix(b"<")?;
    let digits = rest.iter().take(4).position(|&b| b == b'>').filter(|&len| len > 0)?;
    let (digits, rest) = rest.split_at_checked(digits)?;
    let number = number(digits)?;
    Some((Priority::new(u8::try_from(number).ok()?)?, rest.strip_prefix(b">")?))
}

fn number(digits: &[u8]) -> Option<u32> {
    let all_digits = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    all_digits.then(|| std::str::from_utf8(digits).ok()?.parse().ok())?
}

/// A word up to a space or the end, and what follows the space.
fn word(text: &[u8]) -> Option<(&str, &[u8])> {
    let end = text.iter().take(WORD_BYTES_MAX + 1).position(|&b| b == b' ').unwrap_or(text.len());
    let (word, rest) =
        text.split_at_checked(end).filter(|(word, _)| !word.is_empty() && word.len() <= WORD_BYTES_MAX)?;
    let word = std::str::from_utf8(word).ok().filter(|word| !word.contains(char::is_control))?;
    Some((word, rest.strip_prefix(b" ").unwrap_or(rest)))
}

/// `-` stands for nothing.
fn given(word: &str) -> Option<&str> {
    (word != "-").then_some(word)
}

/// A header of version 1. `strict`: it is all there, with structured data.
fn rfc5424(rest: &[u8], strict: bool) -> Option<SyslogLine<'_>> {
    let rest = rest.strip_prefix(b"1 ")?;
    let (time, rest) = word(rest)?;
    let timestamp_ns = match time {
        "-" if !strict => None,
        time => Some(parse_rfc3339(time)?),
    };
    let (host, rest) = word(rest)?;
    let (app, rest) = word(rest)?;
    let (procid, rest) = word(rest)?;
    let (msgid, rest) = word(rest)?;
    let (structured_data, message) = match StructuredData::split(rest) {
        Some(split) => split,
        None if strict => return None,
        // Many leave it out.
        None => (StructuredData::default(), rest),
    };
    Some(SyslogLine {
        priority: None,
        has_header: true,
        timestamp_ns,
        is_local_time: false,
        host: given(host),
        app: given(app),
        procid: given(procid),
        msgid: given(msgid),
        structured_data,
        message: message.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(message),
    })
}

/// A time, then a host or none, a tag or none, and the message.
fn rfc3164(rest: &[u8], now_ns: i64) -> Option<SyslogLine<'_>> {
    let (timestamp_ns, rest, is_iso) = match clock::old_time(rest, now_ns) {
        Some((ns, rest)) => (ns, rest, false),
        None => {
            let (time, rest) = word(rest)?;
            (parse_rfc3339(time)?, rest, true)
        }
    };
    let line = SyslogLine {
        has_header: true,
        timestamp_ns: Some(timestamp_ns),
        is_local_time: !is_iso,
        ..SyslogLine::default()
    };
    let rest = rest.trim_ascii_start();
    if let Some(tag) = tag(rest) {
        return Some(SyslogLine { app: Some(tag.app), procid: tag.procid, message: tag.message, ..line });
    }
    let Some((host, rest)) = word(rest) else { return Some(SyslogLine { message: rest, ..line }) };
    let line = SyslogLine { host: Some(host), message: rest, ..line };
    match tag(rest) {
        // After an ISO time two words and a colon are as likely prose, unless a process has a number.
        Some(tag) if !is_iso || tag.procid.is_some() => {
            Some(SyslogLine { app: Some(tag.app), procid: tag.procid, message: tag.message, ..line })
        }
        _ => Some(line),
    }
}

struct Tag<'a> {
    app: &'a str,
    procid: Option<&'a str>,
    message: &'a [u8],
}

/// `su[77]: ` or `su: `.
fn tag(text: &[u8]) -> Option<Tag<'_>> {
    let ends = |b: &u8| matches!(b, b':' | b'[' | b' ' | b'\t') || b.is_ascii_control();
    let end = text.iter().take(WORD_BYTES_MAX).position(ends).filter(|&end| end > 0)?;
    let (app, rest) = text.split_at_checked(end)?;
    let (procid, rest) = match rest.strip_prefix(b"[") {
        None => (None, rest),
        Some(rest) => {
            let end = rest.iter().take(WORD_BYTES_MAX).position(|&b| matches!(b, b']' | b' '))?;
            let (procid, rest) = rest.split_at_checked(end)?;
            let procid = std::str::from_utf8(procid).ok().filter(|id| !id.contains(char::is_control))?;
            (Some(procid).filter(|id| !id.is_empty()), rest.strip_prefix(b"]")?)
        }
    };
    let rest = match rest.strip_prefix(b":") {
        Some(rest) => rest,
        // rsyslog leaves the colon out where it makes a tag of RFC 5424's words.
        None if procid.is_some() && matches!(rest.first(), Some(b' ')) => rest,
        None => return None,
    };
    let message = match rest.first() {
        None => rest,
        // More colons belong to an address.
        Some(b' ' | b'\t') => rest.get(1..).unwrap_or_default(),
        Some(_) => return None,
    };
    Some(Tag { app: std::str::from_utf8(app).ok()?, procid, message })
}

#[cfg(test)]
mod tests;
