//! Prometheus text, 0.0.4 and 1.0.0 (names that are not plain stand in quotes).
//!
//! As Prometheus reads it: blanks may stand nearly anywhere, lines that are neither metadata nor samples are
//! comments, commas between labels may be left out. After an error the parser goes on at the next line, for those
//! who would rather have the rest.
//!
//! Source: <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use super::cursor::{Cursor, LabelSyntax};
use super::entry::{Entry, Exemplars, Pair, SeriesEntry, Text};
use super::error::ExpositionError;
use super::family::{Family, normalize_bounds};
use super::float::parse_float;
use bramble_signal::{METRIC_NAME, MetricKind};

/// Reads one document.
#[derive(Clone, Debug)]
pub struct TextParser<'a> {
    cursor: Cursor<'a>,
    family: Family<'a>,
    labels: Vec<Pair<'a>>,
}

type Result<T> = std::result::Result<T, ExpositionError>;

const SYNTAX: LabelSyntax = LabelSyntax { loose: true, may_name: true };

impl<'a> TextParser<'a> {
    /// A parser at the start of `document`.
    pub fn new(document: &'a [u8]) -> Self {
        TextParser { cursor: Cursor::new(document), family: Family::default(), labels: Vec::new() }
    }

    /// Goes on with a document whose earlier part ended in the family `name` of `kind`.
    pub fn resume(document: &'a [u8], name: &'a str, kind: MetricKind) -> Self {
        let family = Family { name, kind };
        TextParser { family, ..Self::new(document) }
    }

    /// Name as it stands in the document and type of the family that was announced last.
    pub fn family(&self) -> (&'a str, MetricKind) {
        (self.family.name, self.family.kind)
    }

    /// Bytes read so far: whole lines.
    pub fn position(&self) -> usize {
        self.cursor.at
    }

    /// The next entry, or `None` at the end.
    ///
    /// # Errors
    /// [`ExpositionError`] for a line that is wrong; the next call goes on behind that line.
    #[expect(clippy::should_implement_trait, reason = "entries borrow the parser")]
    pub fn next(&mut self) -> Result<Option<Entry<'_, 'a>>> {
        loop {
            self.cursor.skip_blanks();
            let start = self.cursor.at;
            match self.cursor.peek() {
                None => return Ok(None),
                Some(b'\n') => self.cursor.at += 1,
                Some(b'#') => {
                    return match comment(&mut self.cursor, &mut self.family) {
                        Ok(entry) => Ok(Some(entry)),
                        Err(error) => Err(self.give_up_line(start, error)),
                    };
                }
                Some(_) => break,
            }
        }
        let start = self.cursor.at;
        match self.sample() {
            Ok((raw, value, timestamp_ms)) => Ok(Some(Entry::Series {
                series: SeriesEntry {
                    raw,
                    labels: &self.labels,
                    timestamp_ms,
                    start_timestamp_ms: None,
                    exemplars: Exemplars { spans: &[], labels: &[] },
                },
                value,
            })),
            Err(error) => Err(self.give_up_line(start, error)),
        }
    }

    fn give_up_line(&mut self, start: usize, error: ExpositionError) -> ExpositionError {
        self.cursor.at = start;
        self.cursor.take_line();
        error
    }

    fn sample(&mut self) -> Result<(&'a str, f64, Option<i64>)> {
        let cursor = &mut self.cursor;
        let start = cursor.at;
        self.labels.clear();
        let mut name = cursor.metric_name().map(Text::Plain);
        let mut end = cursor.at;
        cursor.skip_blanks();
        // The name is first among the labels; where it stands in quotes is known only later.
        self.labels.push(Pair { name: Text::Plain(METRIC_NAME), value: Text::Plain("") });
        if cursor.eat(b'{') {
            let braces = cursor.labels(SYNTAX, &mut self.labels)?;
            if name.is_some() && braces.name.is_some() {
                return Err(cursor.error_at(start, "the metric has two names"));
            }
            name = name.or(braces.name);
            end = cursor.at;
        } else if name.is_none() {
            return Err(cursor.expected("a metric name"));
        }
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            return Err(cursor.error_at(start, "the metric has no name"));
        };
        if let Some(first) = self.labels.first_mut() {
            first.value = name;
        }
        normalize_bounds(&self.family, name, &mut self.labels);
        let (value, timestamp_ms) = value_and_time(cursor)?;
        let raw = std::str::from_utf8(cursor.bytes.get(start..end).unwrap_or_default());
        Ok((raw.map_err(|_| cursor.error_at(start, "not UTF-8"))?, value, timestamp_ms))
    }
}

fn value_and_time(cursor: &mut Cursor<'_>) -> Result<(f64, Option<i64>)> {
    cursor.skip_blanks();
    let start = cursor.at;
    let value = cursor.take_while(|b| !matches!(b, b' ' | b'\t' | b'\n' | b'{'));
    if value.is_empty() {
        return Err(cursor.expected("a value"));
    }
    let value = parse_float(value).map_err(|why| cursor.error_at(start, format!("value: {why}")))?;
    cursor.skip_blanks();
    let start = cursor.at;
    let time = cursor.take_while(|b| b.is_ascii_digit() || b == b'-');
    let timestamp_ms = match time {
        [] => None,
        digits => {
            let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
            Some(number.ok_or_else(|| cursor.error_at(start, "timestamp: not a number of milliseconds"))?)
        }
    };
    cursor.skip_blanks();
    if !cursor.is_at_end() && !cursor.eat(b'\n') {
        return Err(cursor.expected("the end of the line"));
    }
    Ok((value, timestamp_ms))
}

/// A line that begins with `#`.
fn comment<'a, 'p>(cursor: &mut Cursor<'a>, family: &mut Family<'a>) -> Result<Entry<'p, 'a>> {
    let mut line = *cursor;
    line.at += 1;
    let has_blank = matches!(line.peek(), Some(b' ' | b'\t'));
    line.skip_blanks();
    let word = line.take_while(|b| b.is_ascii_uppercase());
    let ends_word = matches!(line.peek(), Some(b' ' | b'\t'));
    if !(has_blank && ends_word && matches!(word, b"HELP" | b"TYPE")) {
        return Ok(Entry::Comment(cursor.take_line()));
    }
    line.skip_blanks();
    let metric = match line.metric_name() {
        Some(name) => Text::Plain(name),
        None => line.quoted("a metric name")?,
    };
    let separated = matches!(line.peek(), Some(b' ' | b'\t' | b'\n') | None);
    if !separated {
        return Err(line.expected("a blank after the metric name"));
    }
    // One blank separates; what follows it belongs to the text.
    line.at += usize::from(matches!(line.peek(), Some(b' ' | b'\t')));
    let start = line.at;
    let text = std::str::from_utf8(line.take_line()).map_err(|_| line.error_at(start, "text is not UTF-8"))?;
    *cursor = line;
    if word == b"HELP" {
        let help = if text.contains('\\') { Text::EscapedHelp(text) } else { Text::Plain(text) };
        return Ok(Entry::Help { metric, help });
    }
    let kind = match text.trim_matches([' ', '\t']) {
        "counter" => MetricKind::Counter,
        "gauge" => MetricKind::Gauge,
        "histogram" => MetricKind::Histogram,
        "summary" => MetricKind::Summary,
        "untyped" | "unknown" => MetricKind::Unknown,
        other => {
            let message = format!("{other:.40?} is no type; types are counter, gauge, histogram, summary, untyped");
            return Err(cursor.error_at(start, message));
        }
    };
    *family = Family { name: metric.raw(), kind };
    Ok(Entry::Type { metric, kind })
}
