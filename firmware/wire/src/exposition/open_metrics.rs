//! OpenMetrics 1.0 text.
//!
//! Reads what Prometheus reads: the grammar is kept to the letter (one blank between words, `# EOF` at the end, no
//! comments), while rules about families as a whole are not looked at; [`strict`](super::strict) does that.
//!
//! `_created` lines are no samples of their own: they become the start timestamp of the other samples of their group
//! (same family, same labels but for `le` and `quantile`). To know a start that comes after its samples the parser
//! reads ahead to the end of the group, which the specification keeps in one piece; so a document is read at most twice.
//!
//! Source: the OpenMetrics specification 1.0, <https://prometheus.io/docs/specs/om/open_metrics_spec/>.

use super::cursor::{Braces, Cursor, LabelSyntax};
use super::entry::{Entry, ExemplarSpan, Exemplars, Pair, SeriesEntry, Text};
use super::error::ExpositionError;
use super::family::{Family, Part, normalize_bounds};
use super::float::parse_float;
use bramble_signal::{METRIC_NAME, MetricKind};

/// Reads one document.
#[derive(Clone, Debug)]
pub struct OpenMetricsParser<'a> {
    cursor: Cursor<'a>,
    family: Family<'a>,
    labels: Vec<Pair<'a>>,
    exemplar_labels: Vec<Pair<'a>>,
    exemplar: Option<ExemplarSpan>,
    group: Group<'a>,
    /// Scratch memory of reading ahead.
    ahead: Vec<Pair<'a>>,
    is_over: bool,
    has_eof: bool,
    /// Whether the document may end without `# EOF`, being a part of one.
    is_part: bool,
    trailing_comma: bool,
    /// Whether `_created` lines become starts and bounds numbers.
    folds: bool,
    /// Whether `_created` lines are samples too.
    created_too: bool,
}

/// The group of samples read last, for which the start is known.
#[derive(Clone, Default, Debug)]
struct Group<'a> {
    family: &'a str,
    labels: Vec<Pair<'a>>,
    start_ms: Option<i64>,
}

type Result<T> = std::result::Result<T, ExpositionError>;

const SYNTAX: LabelSyntax = LabelSyntax { loose: false, may_name: true };
const EXEMPLAR_SYNTAX: LabelSyntax = LabelSyntax { loose: false, may_name: false };

/// A sample's line.
struct Sample<'a> {
    raw: &'a str,
    value: f64,
    timestamp_ms: Option<i64>,
}

impl<'a> OpenMetricsParser<'a> {
    /// A parser at the start of `document`.
    pub fn new(document: &'a [u8]) -> Self {
        OpenMetricsParser {
            cursor: Cursor::new(document),
            family: Family::default(),
            labels: Vec::new(),
            exemplar_labels: Vec::new(),
            exemplar: None,
            group: Group::default(),
            ahead: Vec::new(),
            is_over: false,
            has_eof: false,
            is_part: false,
            trailing_comma: false,
            folds: true,
            created_too: false,
        }
    }

    /// Gives `_created` lines as samples of their own too, as Prometheus' scraper stores them.
    #[must_use]
    pub fn with_created(mut self) -> Self {
        self.created_too = true;
        self
    }

    /// A parser that gives every sample as it stands, `_created` lines too.
    pub(super) fn unfolded(document: &'a [u8]) -> Self {
        OpenMetricsParser { folds: false, ..Self::new(document) }
    }

    /// Reads a part of a document, whole lines, whose earlier part ended in the family `name` of `kind`. It need not
    /// end with `# EOF`.
    pub fn resume(document: &'a [u8], name: &'a str, kind: MetricKind) -> Self {
        let family = Family { name, kind };
        OpenMetricsParser { family, is_part: true, ..Self::new(document) }
    }

    /// Name as it stands in the document and type of the family that was announced last.
    pub fn family(&self) -> (&'a str, MetricKind) {
        (self.family.name, self.family.kind)
    }

    /// Bytes read so far: whole lines.
    pub fn position(&self) -> usize {
        self.cursor.at
    }

    /// Whether `# EOF` was read.
    pub fn has_eof(&self) -> bool {
        self.has_eof
    }

    /// Whether the last sample's labels ended in a comma, which Prometheus takes and the specification does not.
    pub(super) fn has_trailing_comma(&self) -> bool {
        self.trailing_comma
    }

    /// An error at the line before the next one.
    pub(super) fn error_before(&mut self, message: String) -> ExpositionError {
        let before = self.cursor.bytes.get(..self.cursor.at.saturating_sub(1)).unwrap_or_default();
        let line = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
        self.cursor.error_at(line, message)
    }

    /// The next entry, or `None` behind `# EOF`.
    ///
    /// # Errors
    /// [`ExpositionError`] for a line that is wrong; the next call goes on behind that line.
    #[expect(clippy::should_implement_trait, reason = "entries borrow the parser")]
    pub fn next(&mut self) -> Result<Option<Entry<'_, 'a>>> {
        loop {
            self.trailing_comma = false;
            if self.is_over {
                return Ok(None);
            }
            let start = self.cursor.at;
            if self.cursor.is_at_end() {
                self.is_over = true;
                return match self.is_part {
                    true => Ok(None),
                    false => Err(self.cursor.error("the document does not end with # EOF")),
                };
            }
            if self.cursor.peek() == Some(b'#') {
                return match self.metadata() {
                    Ok(entry) => Ok(entry),
                    Err(error) => Err(self.give_up_line(start, error)),
                };
            }
            match self.sample() {
                Ok(Some((sample, start_ms))) => return Ok(Some(self.entry(&sample, start_ms))),
                Ok(None) => {}
                Err(error) => return Err(self.give_up_line(start, error)),
            }
        }
    }

    fn entry(&self, sample: &Sample<'a>, start_timestamp_ms: Option<i64>) -> Entry<'_, 'a> {
        let exemplars = Exemplars { spans: self.exemplar.as_slice(), labels: &self.exemplar_labels };
        let (raw, timestamp_ms) = (sample.raw, sample.timestamp_ms);
        let series = SeriesEntry { raw, labels: &self.labels, timestamp_ms, start_timestamp_ms, exemplars };
        Entry::Series { series, value: sample.value }
    }

    fn give_up_line(&mut self, start: usize, error: ExpositionError) -> ExpositionError {
        self.cursor.at = start;
        self.cursor.take_line();
        error
    }

    fn metadata(&mut self) -> Result<Option<Entry<'a, 'a>>> {
        let cursor = &mut self.cursor;
        if cursor.eat_all(b"# EOF") {
            cursor.eat(b'\n');
            (self.is_over, self.has_eof) = (true, true);
            return match cursor.is_at_end() {
                true => Ok(None),
                false => Err(cursor.error("there is more after # EOF")),
            };
        }
        let word = [&b"# TYPE "[..], b"# HELP ", b"# UNIT "].into_iter().find(|word| cursor.eat_all(word));
        let Some(word) = word else {
            return Err(cursor.error("expected # TYPE, # HELP, # UNIT, # EOF or a sample"));
        };
        let metric = match cursor.metric_name() {
            Some(name) => Text::Plain(name),
            None => cursor.quoted("a metric name")?,
        };
        if !cursor.eat(b' ') {
            return Err(cursor.expected("a blank and text after the metric name"));
        }
        let start = cursor.at;
        if memchr::memchr(b'\n', cursor.rest()).is_none() {
            return Err(cursor.error("the line does not end"));
        }
        let text = std::str::from_utf8(cursor.take_line()).map_err(|_| cursor.error_at(start, "text is not UTF-8"))?;
        match word {
            b"# HELP " => Ok(Some(Entry::Help { metric, help: Text::of_quoted(text) })),
            b"# UNIT " => match is_unit_of(text, metric.raw()) {
                true => Ok(Some(Entry::Unit { metric, unit: text })),
                false => Err(cursor.error_at(start, format!("unit {text:.40?} does not end the metric's name"))),
            },
            _ => match MetricKind::from_name(text) {
                Some(kind) => {
                    self.family = Family { name: metric.raw(), kind };
                    Ok(Some(Entry::Type { metric, kind }))
                }
                None => Err(cursor.error_at(start, format!("{text:.40?} is no type"))),
            },
        }
    }

    /// A sample with its start; `None` when the line was a group's start itself.
    fn sample(&mut self) -> Result<Option<(Sample<'a>, Option<i64>)>> {
        self.labels.clear();
        let begin = self.cursor.at;
        let (name, braces) = name_and_labels(&mut self.cursor, &mut self.labels)?;
        self.trailing_comma = braces.trailing_comma;
        let raw = std::str::from_utf8(self.cursor.bytes.get(begin..self.cursor.at).unwrap_or_default());
        let raw = raw.map_err(|_| self.cursor.error_at(begin, "not UTF-8"))?;
        let (value, timestamp_ms) = value_and_time(&mut self.cursor, "value", "timestamp")?;
        self.exemplar()?;
        let sample = Sample { raw, value, timestamp_ms };
        if !self.folds {
            return Ok(Some((sample, None)));
        }
        let part = self.family.part_with_start(name.raw());
        if part == Some(Part::Created) {
            self.enter_group(start_of(value));
            return Ok(self.created_too.then_some((sample, None)));
        }
        let mut start_ms = None;
        if part.is_some() {
            if !self.group.is_of(&self.family, &self.labels) {
                let found = self.start_ahead();
                self.enter_group(found);
            }
            start_ms = self.group.start_ms;
        }
        normalize_bounds(&self.family, name, &mut self.labels);
        Ok(Some((sample, start_ms)))
    }

    fn exemplar(&mut self) -> Result<()> {
        let cursor = &mut self.cursor;
        (self.exemplar, _) = (None, self.exemplar_labels.clear());
        if cursor.eat_all(b" # {") {
            cursor.labels(EXEMPLAR_SYNTAX, &mut self.exemplar_labels)?;
            let (value, timestamp_ms) = value_and_time(cursor, "exemplar's value", "exemplar's timestamp")?;
            let end = self.exemplar_labels.len();
            self.exemplar = Some(ExemplarSpan { first: 0, end, value, timestamp_ms });
        }
        match cursor.eat(b'\n') {
            true => Ok(()),
            false => Err(cursor.expected("the end of the line")),
        }
    }

    fn enter_group(&mut self, start_ms: Option<i64>) {
        self.group.family = self.family.name;
        self.group.labels.clear();
        self.group.labels.extend_from_slice(&self.labels);
        self.group.start_ms = start_ms;
    }

    /// The start of the group that the cursor is in, from the lines that follow.
    fn start_ahead(&mut self) -> Option<i64> {
        let mut cursor = self.cursor;
        loop {
            self.ahead.clear();
            let (name, _) = name_and_labels(&mut cursor, &mut self.ahead).ok()?;
            let part = self.family.part_with_start(name.raw())?;
            if !same_group(self.family.inner_label(), &self.ahead, &self.labels) {
                return None;
            }
            if part == Part::Created {
                return start_of(value_and_time(&mut cursor, "value", "timestamp").ok()?.0);
            }
            cursor.take_line();
        }
    }
}

impl Group<'_> {
    fn is_of(&self, family: &Family<'_>, labels: &[Pair<'_>]) -> bool {
        // Within one document names are the same piece of it or compare by their characters.
        self.family == family.name && !self.labels.is_empty() && same_group(family.inner_label(), &self.labels, labels)
    }
}

/// Whether labels are equal but for the name (the first) and `inner`. Groups are written with one order of labels.
fn same_group(inner: &str, a: &[Pair<'_>], b: &[Pair<'_>]) -> bool {
    let outer = |pair: &&Pair<'_>| inner.is_empty() || pair.name != Text::Plain(inner);
    let (mut a, mut b) = (a.iter().skip(1).filter(outer), b.iter().skip(1).filter(outer));
    loop {
        match (a.next(), b.next()) {
            (None, None) => return true,
            (Some(a), Some(b)) if a.name == b.name && a.value == b.value => {}
            _ => return false,
        }
    }
}

fn start_of(seconds: f64) -> Option<i64> {
    seconds.is_finite().then(|| milliseconds(seconds)).filter(|ms| *ms != 0)
}

/// Toward zero, as Prometheus; what does not fit ends at the largest number.
fn milliseconds(seconds: f64) -> i64 {
    (seconds * 1000.0) as i64
}

fn name_and_labels<'a>(cursor: &mut Cursor<'a>, labels: &mut Vec<Pair<'a>>) -> Result<(Text<'a>, Braces<'a>)> {
    let start = cursor.at;
    let mut name = cursor.metric_name().map(Text::Plain);
    labels.push(Pair { name: Text::Plain(METRIC_NAME), value: Text::Plain("") });
    let mut braces = Braces::default();
    if cursor.eat(b'{') {
        braces = cursor.labels(SYNTAX, labels)?;
        if name.is_some() && braces.name.is_some() {
            return Err(cursor.error_at(start, "the metric has two names"));
        }
        name = name.or(braces.name);
    } else if name.is_none() {
        return Err(cursor.expected("a metric name"));
    }
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        return Err(cursor.error_at(start, "the metric has no name"));
    };
    if let Some(first) = labels.first_mut() {
        first.value = name;
    }
    Ok((name, braces))
}

/// A blank and a number, then perhaps a blank and seconds.
fn value_and_time(cursor: &mut Cursor<'_>, what: &str, time: &str) -> Result<(f64, Option<i64>)> {
    let value = number(cursor, what)?;
    // " # " begins an exemplar.
    if cursor.peek() != Some(b' ') || cursor.rest().starts_with(b" # {") {
        return Ok((value, None));
    }
    let start = cursor.at;
    let seconds = number(cursor, time)?;
    if !seconds.is_finite() {
        return Err(cursor.error_at(start + 1, format!("{time} must be a finite number of seconds")));
    }
    Ok((value, Some(milliseconds(seconds))))
}

fn number(cursor: &mut Cursor<'_>, what: &str) -> Result<f64> {
    if !cursor.eat(b' ') {
        return Err(cursor.expected(&format!("a blank and a {what}")));
    }
    let start = cursor.at;
    let text = cursor.take_while(|b| !matches!(b, b' ' | b'\n'));
    if text.is_empty() {
        return Err(cursor.expected(&format!("a {what}")));
    }
    parse_float(text).map_err(|why| cursor.error_at(start, format!("{what}: {why}")))
}

fn is_unit_of(unit: &str, metric: &str) -> bool {
    unit.is_empty() || metric.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_'))
}
