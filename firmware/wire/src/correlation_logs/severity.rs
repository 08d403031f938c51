//! One word for a level that has many, and for levels that are numbers.
//!
//! Numbers, as people send them: 0 to 7 are syslog's severities, 10, 20, 30, 40, 50 and 60 those of Pino and Bunyan, other
//! numbers to 24 OpenTelemetry's; a field that is named for OpenTelemetry's number or Python's is read as that.

use super::names::Scale;
use crate::syslog::level_of_severity;

/// `trace`, `debug`, `info`, `warn`, `error`, `critical` or `fatal`; `None` for what is none of them.
pub(super) fn level(text: &str, scale: Scale) -> Option<&'static str> {
    let text = text.trim();
    match text.parse::<u8>() {
        Ok(number) => of_number(number, scale),
        // 10.0 is a number too.
        Err(_) => match text.strip_suffix(".0").map(str::parse) {
            Some(Ok(number)) => of_number(number, scale),
            _ => of_word(text),
        },
    }
}

fn of_word(word: &str) -> Option<&'static str> {
    const WORDS: [(&str, &str); 39] = [
        ("trace", "trace"),
        ("trc", "trace"),
        ("verbose", "trace"),
        ("finest", "trace"),
        ("finer", "trace"),
        ("t", "trace"),
        ("debug", "debug"),
        ("dbg", "debug"),
        ("fine", "debug"),
        ("d", "debug"),
        ("info", "info"),
        ("inf", "info"),
        ("information", "info"),
        ("informational", "info"),
        ("notice", "info"),
        ("success", "info"),
        ("log", "info"),
        ("i", "info"),
        ("n", "info"),
        ("warn", "warn"),
        ("wrn", "warn"),
        ("warning", "warn"),
        ("w", "warn"),
        ("error", "error"),
        ("err", "error"),
        ("failure", "error"),
        ("severe", "error"),
        ("e", "error"),
        ("critical", "critical"),
        ("crit", "critical"),
        ("alert", "critical"),
        ("c", "critical"),
        ("fatal", "fatal"),
        ("emerg", "fatal"),
        ("emergency", "fatal"),
        ("panic", "fatal"),
        ("dpanic", "fatal"),
        ("f", "fatal"),
        ("ftl", "fatal"),
    ];
    WORDS.iter().find(|(known, _)| word.eq_ignore_ascii_case(known)).map(|(_, level)| *level)
}

fn of_number(number: u8, scale: Scale) -> Option<&'static str> {
    match (scale, number) {
        (Scale::Any, 0..=7) => level_of_severity(number),
        (Scale::Any, 10 | 20 | 30 | 40 | 50 | 60) => of_tens(number),
        (Scale::Python, 0..=9) => Some("trace"),
        (Scale::Python, 10..=19) => Some("debug"),
        (Scale::Python, 20..=29) => Some("info"),
        (Scale::Python, 30..=39) => Some("warn"),
        (Scale::Python, 40..=49) => Some("error"),
        (Scale::Python, _) => Some("critical"),
        (Scale::Any | Scale::OpenTelemetry, 1..=24) => of_open_telemetry(number),
        _ => None,
    }
}

fn of_open_telemetry(number: u8) -> Option<&'static str> {
    ["trace", "debug", "info", "warn", "error", "fatal"].get(usize::from(number.checked_sub(1)? / 4)).copied()
}

fn of_tens(number: u8) -> Option<&'static str> {
    ["trace", "debug", "info", "warn", "error", "fatal"].get(usize::from(number / 10).checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_numbers() {
        for (text, scale, wanted) in [
            ("ERROR", Scale::Any, Some("error")),
            (" Warning ", Scale::Any, Some("warn")),
            ("Notice", Scale::OpenTelemetry, Some("info")),
            ("3", Scale::Any, Some("error")),
            ("0", Scale::Any, Some("fatal")),
            ("30", Scale::Any, Some("info")),
            ("60", Scale::Any, Some("fatal")),
            ("9", Scale::Any, Some("info")),
            ("17.0", Scale::Any, Some("error")),
            ("3", Scale::OpenTelemetry, Some("trace")),
            ("10", Scale::OpenTelemetry, Some("info")),
            ("0", Scale::OpenTelemetry, None),
            ("30", Scale::Python, Some("warn")),
            ("50", Scale::Python, Some("critical")),
            ("99", Scale::Any, None),
            ("-1", Scale::Any, None),
            ("", Scale::Any, None),
            ("mine", Scale::Any, None),
        ] {
            assert_eq!(level(text, scale), wanted, "{text} {scale:?}");
        }
    }
}
