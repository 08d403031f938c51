//! Names of metrics, units and labels as Prometheus translates them from OTLP: by default characters become
//! underscores, units become words at the end (`_seconds`, `_bytes_per_second`), counters end in `_total`, gauges of
//! unit `1` in `_ratio`.
//!
//! Source: OpenTelemetry's "Prometheus and OpenMetrics compatibility" and Prometheus' translation strategies.

use super::options::Translation;

/// The word at the end that a metric's type asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ending {
    /// A counter.
    Total,
    /// A gauge, when its unit is `1`.
    Ratio,
    /// Anything else.
    None,
}

const UNITS: [(&str, &str); 27] = [
    ("d", "days"),
    ("h", "hours"),
    ("min", "minutes"),
    ("s", "seconds"),
    ("ms", "milliseconds"),
    ("us", "microseconds"),
    ("ns", "nanoseconds"),
    ("By", "bytes"),
    ("KiBy", "kibibytes"),
    ("MiBy", "mebibytes"),
    ("GiBy", "gibibytes"),
    ("TiBy", "tibibytes"),
    ("KBy", "kilobytes"),
    ("MBy", "megabytes"),
    ("GBy", "gigabytes"),
    ("TBy", "terabytes"),
    ("m", "meters"),
    ("V", "volts"),
    ("A", "amperes"),
    ("J", "joules"),
    ("W", "watts"),
    ("g", "grams"),
    ("Cel", "celsius"),
    ("Hz", "hertz"),
    ("1", ""),
    ("%", "percent"),
    ("bit", "bits"),
];

const PER_UNITS: [(&str, &str); 7] =
    [("s", "second"), ("m", "minute"), ("h", "hour"), ("d", "day"), ("w", "week"), ("mo", "month"), ("y", "year")];

/// The translated names of the metric at hand; memory is reused from metric to metric.
#[derive(Clone, Default, Debug)]
pub(in crate::otlp) struct Names {
    /// Name of the family.
    pub(super) name: String,
    /// Unit in words, for the metadata.
    pub(super) unit: String,
    /// The family's name with `_bucket`, `_sum` or `_count`.
    pub(super) suffixed: String,
    per: String,
}

impl Names {
    /// Translates a metric's name and unit.
    pub(super) fn translate(&mut self, name: &str, unit: &str, ending: Ending, translation: Translation) {
        self.translate_unit(unit);
        self.name.clear();
        let ending = match ending {
            Ending::Ratio if unit.trim() != "1" => Ending::None,
            other => other,
        };
        match (translation.escapes(), translation.adds_suffixes()) {
            (true, true) => self.escaped_with_suffixes(name, ending),
            (true, false) => {
                let plain = |c: char| c.is_ascii_alphanumeric() || c == ':' || c == '_';
                let pieces = name.split(|c| !plain(c)).filter(|piece| !piece.is_empty());
                pieces.for_each(|piece| push_token(&mut self.name, piece));
            }
            (false, true) => self.unescaped_with_suffixes(name, ending),
            (false, false) => self.name.push_str(name),
        }
        if translation.escapes() && self.name.starts_with(|c: char| c.is_ascii_digit()) {
            self.name.insert(0, '_');
        }
    }

    fn escaped_with_suffixes(&mut self, name: &str, ending: Ending) {
        let mut has_unit = self.unit_word().is_empty();
        for token in tokens(name) {
            // The words that go to the end are not wanted twice.
            if Some(token) == ending.word() {
                continue;
            }
            has_unit |= token == self.unit_word();
            push_token(&mut self.name, token);
        }
        if !has_unit {
            let word = self.unit.split("_per_").next().unwrap_or_default();
            push_token(&mut self.name, word);
        }
        if !self.per.is_empty() {
            push_token(&mut self.name, "per");
            push_token(&mut self.name, &self.per);
        }
        push_token(&mut self.name, ending.word().unwrap_or_default());
    }

    /// Words that the name ends in already are moved to where they belong, with the character before them.
    fn unescaped_with_suffixes(&mut self, name: &str, ending: Ending) {
        let per = if self.per.is_empty() { String::new() } else { format!("per_{}", self.per) };
        let mut stem = without_ending(name, ending.word().unwrap_or_default());
        stem = without_ending(stem, &per);
        self.name.push_str(stem);
        let has_unit = stem.ends_with(self.unit_word());
        let word = if has_unit { "" } else { self.unit.split("_per_").next().unwrap_or_default() };
        push_token(&mut self.name, word);
        push_token(&mut self.name, &per);
        push_token(&mut self.name, ending.word().unwrap_or_default());
    }

    /// The family's name with a suffix.
    pub(super) fn with_suffix(&mut self, suffix: &str) -> &str {
        self.suffixed.clear();
        self.suffixed.push_str(&self.name);
        self.suffixed.push_str(suffix);
        &self.suffixed
    }

    fn unit_word(&self) -> &str {
        match self.unit.starts_with("per_") {
            true => "",
            false => self.unit.split("_per_").next().unwrap_or_default(),
        }
    }

    /// `By/s` to `bytes_per_second`. Annotations in braces (`{request}`) say nothing to Prometheus.
    fn translate_unit(&mut self, unit: &str) {
        self.unit.clear();
        self.per.clear();
        let (main, per) = unit.split_once('/').unwrap_or((unit, ""));
        push_unit(&mut self.unit, main, &UNITS);
        push_unit(&mut self.per, per, &PER_UNITS);
        if !self.per.is_empty() {
            push_token(&mut self.unit, "per");
            push_token(&mut self.unit, &self.per);
        }
    }
}

impl Ending {
    fn word(self) -> Option<&'static str> {
        match self {
            Ending::Total => Some("total"),
            Ending::Ratio => Some("ratio"),
            Ending::None => None,
        }
    }
}

fn without_ending<'a>(name: &'a str, ending: &str) -> &'a str {
    if ending.is_empty() {
        return name;
    }
    let stem = name
        .strip_suffix(ending)
        .map(|stem| stem.char_indices().next_back().map_or("", |(at, _)| stem.get(..at).unwrap_or_default()));
    stem.filter(|stem| !stem.is_empty()).unwrap_or(name)
}

fn push_unit(out: &mut String, unit: &str, words: &[(&str, &str)]) {
    let unit = unit.trim();
    if unit.contains(['{', '}']) {
        return;
    }
    match words.iter().find(|(short, _)| *short == unit) {
        Some((_, word)) => out.push_str(word),
        None => tokens(unit).for_each(|token| push_token(out, token)),
    }
}

fn tokens(name: &str) -> impl Iterator<Item = &str> {
    name.split(|c: char| !c.is_ascii_alphanumeric() && c != ':').filter(|token| !token.is_empty())
}

fn push_token(out: &mut String, token: &str) {
    if token.is_empty() {
        return;
    }
    if !out.is_empty() {
        out.push('_');
    }
    out.push_str(token);
}

/// Appends an attribute's key as a label name: as it is, or other characters become `_`, a leading digit gets `key_` and a
/// single leading underscore `key` in front; names of two underscores are left to the insiders who use them.
pub(super) fn push_label_name(out: &mut String, key: &str, translation: Translation) {
    if !translation.escapes() {
        out.push_str(key);
        return;
    }
    let start = out.len();
    let first = key.chars().next().unwrap_or('a');
    if first.is_ascii_digit() {
        out.push_str("key_");
    }
    let plain_start = out.len();
    crate::label_set::push_sanitized(out, key);
    let name = out.get(plain_start..).unwrap_or_default();
    if plain_start == start && name.starts_with('_') && !name.starts_with("__") {
        out.insert_str(start, "key");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_translated_as_prometheus_does() {
        use Ending::{None as Histogram, Ratio as Gauge, Total as Counter};
        let cases = [
            ("http.server.request.duration", "s", Histogram, "http_server_request_duration_seconds", "seconds"),
            ("system.network.io", "By", Counter, "system_network_io_bytes_total", "bytes"),
            ("requests.total", "{request}", Counter, "requests_total", ""),
            ("total.requests", "", Counter, "requests_total", ""),
            ("process.cpu.utilization", "1", Gauge, "process_cpu_utilization_ratio", ""),
            ("queue.length", "1", Counter, "queue_length_total", ""),
            ("net.rate", "By/s", Gauge, "net_rate_bytes_per_second", "bytes_per_second"),
            ("speed", "m/s", Gauge, "speed_meters_per_second", "meters_per_second"),
            ("rate", "1/s", Gauge, "rate_per_second", "per_second"),
            ("second.rate", "m/s", Gauge, "second_rate_meters_per_second", "meters_per_second"),
            ("memory.bytes.used", "By", Gauge, "memory_bytes_used", "bytes"),
            ("2xx.responses", "", Gauge, "_2xx_responses", ""),
            ("a..b__c:d", "", Gauge, "a_b_c:d", ""),
            ("x", "foo/bar-baz", Gauge, "x_foo_per_bar_baz", "foo_per_bar_baz"),
            ("öl", "", Gauge, "l", ""),
        ];
        let mut names = Names::default();
        for (name, unit, kind, translated, words) in cases {
            names.translate(name, unit, kind, Translation::default());
            assert_eq!((names.name.as_str(), names.unit.as_str()), (translated, words), "{name} [{unit}]");
        }
        assert_eq!(names.with_suffix("_count"), "l_count");
    }

    #[test]
    fn other_strategies() {
        use Translation::{NoTranslation, NoUtf8EscapingWithSuffixes, UnderscoreEscapingWithoutSuffixes};
        let cases = [
            (
                "http.server.time",
                "s",
                Ending::None,
                ["http_server_time", "http.server.time_seconds", "http.server.time"],
            ),
            ("req.total", "1", Ending::Total, ["req_total", "req_total", "req.total"]),
            ("net.io", "By/s", Ending::Total, ["net_io", "net.io_bytes_per_second_total", "net.io"]),
            ("use.ratio", "1", Ending::Ratio, ["use_ratio", "use_ratio", "use.ratio"]),
            ("wait seconds", "s", Ending::None, ["wait_seconds", "wait seconds", "wait seconds"]),
            ("öl__x", "", Ending::None, ["l__x", "öl__x", "öl__x"]),
            ("2x", "", Ending::Total, ["_2x", "2x_total", "2x"]),
            ("total", "", Ending::Total, ["total", "total_total", "total"]),
        ];
        let mut names = Names::default();
        for (name, unit, ending, wanted) in cases {
            let translated = [UnderscoreEscapingWithoutSuffixes, NoUtf8EscapingWithSuffixes, NoTranslation].map(|t| {
                names.translate(name, unit, ending, t);
                names.name.clone()
            });
            assert_eq!(translated, wanted, "{name} [{unit}]");
        }
    }

    #[test]
    fn label_names() {
        let name = |key| {
            let mut out = "x".to_owned();
            push_label_name(&mut out, key, Translation::default());
            out.split_off(1)
        };
        assert_eq!(
            ["http.method", "3d", "_a", "__a", "a-b c", "", "é"].map(name),
            ["http_method", "key_3d", "key_a", "__a", "a_b_c", "", "key_"]
        );
    }
}
