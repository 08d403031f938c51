//! Types of settings: how each is read from TOML or from the environment, and printed.

use bramble_collect::receivers::Translation;
use std::time::Duration;

/// A value before its type is known.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Raw {
    /// A string, or a variable of the environment.
    Text(String),
    /// An integer.
    Integer(i64),
    /// A truth value.
    Bool(bool),
    /// A list of strings.
    List(Vec<String>),
    /// Anything else, by its TOML type's name.
    Other(&'static str),
}

impl Raw {
    fn describe(&self) -> String {
        match self {
            Raw::Text(text) => format!("{text:?}"),
            Raw::Integer(n) => n.to_string(),
            Raw::Bool(b) => b.to_string(),
            Raw::List(items) => format!("{items:?}"),
            Raw::Other(kind) => format!("a {kind}"),
        }
    }
}

/// A type that settings may have.
pub(crate) trait SettingValue: Sized {
    /// What form the value takes, for people.
    const KIND: &'static str;
    /// Reads a value; the error says what was found and what is wanted.
    fn read(raw: &Raw) -> Result<Self, String>;
    /// As TOML.
    fn show(&self) -> String;
}

pub(super) fn wanted<T: SettingValue>(raw: &Raw) -> String {
    format!("{} is not {}", raw.describe(), T::KIND)
}

impl SettingValue for bool {
    const KIND: &'static str = "true or false";

    fn read(raw: &Raw) -> Result<Self, String> {
        match raw {
            Raw::Bool(b) => Ok(*b),
            Raw::Text(t) => t.parse().map_err(|_| wanted::<Self>(raw)),
            _ => Err(wanted::<Self>(raw)),
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl SettingValue for u64 {
    const KIND: &'static str = "a whole number, not negative";

    fn read(raw: &Raw) -> Result<Self, String> {
        match raw {
            Raw::Integer(n) => u64::try_from(*n).map_err(|_| wanted::<Self>(raw)),
            Raw::Text(t) => t.replace('_', "").parse().map_err(|_| wanted::<Self>(raw)),
            _ => Err(wanted::<Self>(raw)),
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl SettingValue for String {
    const KIND: &'static str = "a text";

    fn read(raw: &Raw) -> Result<Self, String> {
        match raw {
            Raw::Text(t) if !t.is_empty() => Ok(t.clone()),
            _ => Err(wanted::<Self>(raw)),
        }
    }

    fn show(&self) -> String {
        format!("{self:?}")
    }
}

/// A value that "auto" or "off" leaves out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Optional<T>(pub Option<T>);

impl<T: SettingValue> SettingValue for Optional<T> {
    const KIND: &'static str = T::KIND;

    fn read(raw: &Raw) -> Result<Self, String> {
        match raw {
            Raw::Text(t) if t == "auto" || t == "off" => Ok(Optional(None)),
            _ => T::read(raw).map(|v| Optional(Some(v))).map_err(|e| format!("{e}, nor \"auto\" or \"off\"")),
        }
    }

    fn show(&self) -> String {
        self.0.as_ref().map_or("\"auto\"".to_owned(), T::show)
    }
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(pub u64);

impl Size {
    /// So many KiB.
    pub(crate) const fn kib(n: u64) -> Self {
        Size(n << 10)
    }

    /// So many MiB.
    pub(crate) const fn mib(n: u64) -> Self {
        Size(n << 20)
    }
}

/// Unit words, largest first for printing.
const SIZE_UNITS: [(&str, u64); 8] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1000),
];

fn split_number(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    Some((number.replace('_', "").parse().ok()?, unit.trim()))
}

impl SettingValue for Size {
    const KIND: &'static str = "a size such as \"64MiB\" or \"2GB\", or a number of bytes";

    fn read(raw: &Raw) -> Result<Self, String> {
        match raw {
            Raw::Integer(n) => u64::try_from(*n).map(Size).map_err(|_| wanted::<Self>(raw)),
            Raw::Text(text) => {
                let (number, unit) = split_number(text).ok_or_else(|| wanted::<Self>(raw))?;
                let factor = match unit {
                    "" | "B" => 1,
                    "K" => 1 << 10,
                    "M" => 1 << 20,
                    "G" => 1 << 30,
                    _ => {
                        SIZE_UNITS
                            .iter()
                            .find(|(word, _)| word.eq_ignore_ascii_case(unit))
                            .ok_or_else(|| wanted::<Self>(raw))?
                            .1
                    }
                };
                Ok(Size((number * factor as f64) as u64))
            }
            _ => Err(wanted::<Self>(raw)),
        }
    }

    fn show(&self) -> String {
        match SIZE_UNITS[..4].iter().find(|(_, factor)| self.0 > 0 && self.0.is_multiple_of(*factor)) {
            Some((word, factor)) => format!("\"{}{word}\"", self.0 / factor),
            None => self.0.to_string(),
        }
    }
}

/// A length of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interval(pub Duration);

impl Interval {
    /// So many seconds.
    pub(crate) const fn seconds(n: u64) -> Self {
        Interval(Duration::from_secs(n))
    }

    /// So many hours.
    pub(crate) const fn hours(n: u64) -> Self {
        Interval(Duration::from_secs(n * 3600))
    }

    /// So many days.
    pub(crate) const fn days(n: u64) -> Self {
        Interval(Duration::from_secs(n * 86_400))
    }

    /// In nanoseconds.
    pub(crate) fn ns(self) -> u64 {
        self.0.as_nanos() as u64
    }

    /// In milliseconds.
    pub(crate) fn ms(self) -> i64 {
        self.0.as_millis() as i64
    }
}

const TIME_UNITS: [(&str, f64); 6] =
    [("d", 86_400.0), ("h", 3600.0), ("m", 60.0), ("s", 1.0), ("ms", 1e-3), ("us", 1e-6)];

impl SettingValue for Interval {
    const KIND: &'static str = "a length of time such as \"15s\", \"5m\", \"30d\"";

    fn read(raw: &Raw) -> Result<Self, String> {
        let Raw::Text(text) = raw else { return Err(wanted::<Self>(raw)) };
        let (number, unit) = split_number(text).ok_or_else(|| wanted::<Self>(raw))?;
        let (_, factor) = TIME_UNITS.iter().find(|(word, _)| *word == unit).ok_or_else(|| wanted::<Self>(raw))?;
        Duration::try_from_secs_f64(number * factor).map(Interval).map_err(|_| wanted::<Self>(raw))
    }

    fn show(&self) -> String {
        // In whole nanoseconds: 0.0005 s over 1e-6 s is not quite 500 in floating point.
        let ns = self.0.as_nanos();
        let whole = |factor: f64| {
            let unit_ns = (factor * 1e9).round() as u128;
            (unit_ns > 0 && ns >= unit_ns && ns.is_multiple_of(unit_ns)).then(|| ns / unit_ns)
        };
        match TIME_UNITS.iter().find_map(|(word, factor)| Some((word, whole(*factor)?))) {
            Some((word, count)) => format!("\"{count}{word}\""),
            None => format!("\"{}s\"", self.0.as_secs_f64()),
        }
    }
}

/// Where a door listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// Nowhere.
    Off,
    /// On this port of the common address.
    Port(u16),
    /// On this address and port.
    Address(String, u16),
}

impl Door {
    /// A port of the common address.
    pub(crate) const fn port(port: u16) -> Self {
        Door::Port(port)
    }

    /// The port; `None` when off.
    pub(crate) fn number(&self) -> Option<u16> {
        match self {
            Door::Off => None,
            Door::Port(port) | Door::Address(_, port) => Some(*port),
        }
    }

    /// Address and port, given the common address; `None` when off.
    pub(crate) fn address(&self, listen: &str) -> Option<String> {
        let joined = |host: &str, port: u16| {
            if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
        };
        match self {
            Door::Off => None,
            Door::Port(port) => Some(joined(listen, *port)),
            Door::Address(host, port) => Some(joined(host, *port)),
        }
    }
}

impl SettingValue for Door {
    const KIND: &'static str = "a port, \"address:port\" or \"off\"";

    fn read(raw: &Raw) -> Result<Self, String> {
        let error = || wanted::<Self>(raw);
        match raw {
            Raw::Integer(n) => u16::try_from(*n).map(Door::Port).map_err(|_| error()),
            Raw::Bool(false) => Ok(Door::Off),
            Raw::Text(t) if t == "off" => Ok(Door::Off),
            Raw::Text(t) => match t.rsplit_once(':') {
                None => t.parse().map(Door::Port).map_err(|_| error()),
                Some((host, port)) => {
                    let host = host.trim_start_matches('[').trim_end_matches(']');
                    let host = if host.is_empty() { "0.0.0.0" } else { host };
                    Ok(Door::Address(host.to_owned(), port.parse().map_err(|_| error())?))
                }
            },
            _ => Err(error()),
        }
    }

    fn show(&self) -> String {
        match self {
            Door::Off => "\"off\"".to_owned(),
            Door::Port(port) => port.to_string(),
            Door::Address(host, port) => format!("\"{host}:{port}\""),
        }
    }
}

/// One of a few words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Words {
    /// The word chosen.
    pub word: &'static str,
}

impl Words {
    const DISK: [&'static str; 3] = ["auto", "io_uring", "threads"];

    /// The word `default` of `all`.
    pub(crate) fn of(default: &'static str, all: &[&'static str]) -> Self {
        debug_assert_eq!(all, Self::DISK);
        Words { word: default }
    }
}

impl SettingValue for Words {
    const KIND: &'static str = "\"auto\", \"io_uring\" or \"threads\"";

    fn read(raw: &Raw) -> Result<Self, String> {
        match raw {
            Raw::Text(t) => match Self::DISK.iter().find(|w| *w == t) {
                Some(word) => Ok(Words { word }),
                None => Err(wanted::<Self>(raw)),
            },
            _ => Err(wanted::<Self>(raw)),
        }
    }

    fn show(&self) -> String {
        format!("{:?}", self.word)
    }
}

/// When wall time is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimeTrustSetting {
    /// When the kernel says that the clock is synchronised, or the machine has a battery-backed clock.
    Auto,
    /// Always.
    Always,
}

impl SettingValue for TimeTrustSetting {
    const KIND: &'static str = "\"auto\" or \"always\"";

    fn read(raw: &Raw) -> Result<Self, String> {
        match raw {
            Raw::Text(t) if t == "auto" => Ok(TimeTrustSetting::Auto),
            Raw::Text(t) if t == "always" => Ok(TimeTrustSetting::Always),
            _ => Err(wanted::<Self>(raw)),
        }
    }

    fn show(&self) -> String {
        match self {
            TimeTrustSetting::Auto => "\"auto\"".to_owned(),
            TimeTrustSetting::Always => "\"always\"".to_owned(),
        }
    }
}

/// A level of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogLevel(pub tracing::Level);

impl LogLevel {
    /// What an operator wants to see.
    pub(crate) fn info() -> Self {
        LogLevel(tracing::Level::INFO)
    }
}

impl SettingValue for LogLevel {
    const KIND: &'static str = "\"error\", \"warn\", \"info\", \"debug\" or \"trace\"";

    fn read(raw: &Raw) -> Result<Self, String> {
        match raw {
            Raw::Text(t) => t.parse().map(LogLevel).map_err(|_| wanted::<Self>(raw)),
            _ => Err(wanted::<Self>(raw)),
        }
    }

    fn show(&self) -> String {
        format!("{:?}", self.0.as_str().to_lowercase())
    }
}

/// A list of names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names(pub Vec<String>);

impl SettingValue for Names {
    const KIND: &'static str = "a list of texts, or one text with commas between them";

    fn read(raw: &Raw) -> Result<Self, String> {
        let names: Vec<String> = match raw {
            Raw::List(items) => items.iter().map(|item| item.trim().to_owned()).collect(),
            Raw::Text(text) if text.trim().is_empty() => Vec::new(),
            Raw::Text(text) => text.split(',').map(|item| item.trim().to_owned()).collect(),
            _ => return Err(wanted::<Self>(raw)),
        };
        match names.iter().any(String::is_empty) {
            true => Err(wanted::<Self>(raw)),
            false => Ok(Names(names)),
        }
    }

    fn show(&self) -> String {
        format!("{:?}", self.0)
    }
}

/// How names that come by OTLP are translated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TranslationSetting(pub Translation);

impl SettingValue for TranslationSetting {
    const KIND: &'static str = "\"UnderscoreEscapingWithSuffixes\", \"UnderscoreEscapingWithoutSuffixes\", \
                                \"NoUTF8EscapingWithSuffixes\" or \"NoTranslation\"";

    fn read(raw: &Raw) -> Result<Self, String> {
        let named = |name: &str| Translation::ALL.into_iter().find(|t| t.as_str().eq_ignore_ascii_case(name));
        match raw {
            Raw::Text(name) => named(name).map(TranslationSetting).ok_or_else(|| wanted::<Self>(raw)),
            _ => Err(wanted::<Self>(raw)),
        }
    }

    fn show(&self) -> String {
        format!("{:?}", self.0.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(t: &str) -> Raw {
        Raw::Text(t.into())
    }

    #[test]
    fn sizes() {
        assert_eq!(Size::read(&text("64MiB")), Ok(Size::mib(64)));
        assert_eq!(Size::read(&text("1.5 GiB")), Ok(Size(3 << 29)));
        assert_eq!(Size::read(&text("2GB")), Ok(Size(2_000_000_000)));
        assert_eq!(Size::read(&Raw::Integer(7)), Ok(Size(7)));
        assert!(Size::read(&text("many")).unwrap_err().contains("is not a size"));
        assert_eq!((Size::mib(64).show(), Size(7).show()), ("\"64MiB\"".into(), "7".into()));
        assert_eq!(Optional::<Size>::read(&text("auto")), Ok(Optional(None)));
    }

    #[test]
    fn intervals_print_as_they_read() {
        for shown in ["15s", "5m", "30d", "250ms", "36h"] {
            let read = Interval::read(&text(shown)).unwrap();
            assert_eq!(Interval::read(&text(read.show().trim_matches('"'))), Ok(read), "{shown}");
        }
        assert!(Interval::read(&text("5 parsecs")).is_err());
        assert!(Interval::read(&Raw::Integer(5)).is_err(), "a number without a unit could be anything");
    }

    #[test]
    fn names_and_translations() {
        let names = Names(vec!["a.b".into(), "c".into()]);
        assert_eq!(Names::read(&text("a.b, c")), Ok(names.clone()));
        assert_eq!(Names::read(&Raw::List(names.0.clone())), Ok(names.clone()));
        assert_eq!(names.show(), r#"["a.b", "c"]"#);
        assert_eq!((Names::read(&text("")), Names::read(&text("a,,b")).is_err()), (Ok(Names::default()), true));
        for translation in Translation::ALL.map(TranslationSetting) {
            assert_eq!(TranslationSetting::read(&text(translation.show().trim_matches('"'))), Ok(translation));
        }
        assert!(TranslationSetting::read(&text("Whatever")).unwrap_err().contains("NoTranslation"));
    }

    #[test]
    fn doors() {
        assert_eq!(Door::read(&Raw::Integer(80)), Ok(Door::Port(80)));
        assert_eq!(Door::read(&text("off")), Ok(Door::Off));
        assert_eq!(Door::read(&text("[::1]:80")).unwrap().address("x"), Some("[::1]:80".into()));
        assert_eq!(Door::Port(80).address("127.0.0.1"), Some("127.0.0.1:80".into()));
        assert!(Door::read(&Raw::Integer(70_000)).is_err());
    }
}
