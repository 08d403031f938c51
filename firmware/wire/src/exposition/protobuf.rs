//! Protobuf exposition: `io.prometheus.client.MetricFamily` messages, each after its length as a varint.
//!
//! A histogram with spans, a zero bucket or a zero threshold is native; its classic buckets are left out, unless
//! [`with_classic`](ProtobufParser::with_classic). A classic histogram without a +Inf bucket gets one.
//!
//! Source: `io/prometheus/client/metrics.proto` of prometheus/client_model.

use super::entry::{Entry, ExemplarSpan, Exemplars, Pair, SeriesEntry, Text};
use super::error::ExpositionError;
use super::native::{NativeFields, timestamp_ms};
use crate::protobuf::{Field, Reader};
use bramble_signal::{METRIC_NAME, MetricKind, NativeHistogram};

/// Reads one document.
#[derive(Clone, Debug)]
pub struct ProtobufParser<'a> {
    document: &'a [u8],
    at: usize,
    family: Family<'a>,
    pending: Pending<'a>,
    labels: Vec<Pair<'a>>,
    exemplar_labels: Vec<Pair<'a>>,
    exemplars: Vec<ExemplarSpan>,
    time: Times,
    native: NativeHistogram,
    fields: NativeFields,
    classic_too: bool,
}

#[derive(Clone, Copy, Default, Debug)]
struct Times {
    timestamp_ms: Option<i64>,
    start_ms: Option<i64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Family<'a> {
    name: &'a str,
    help: Option<&'a str>,
    unit: &'a str,
    kind: u64,
    /// What of it was not read yet: fields, among them the metrics.
    rest: Reader<'a>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Stage {
    #[default]
    Over,
    Help,
    Type,
    Unit,
    Metrics,
}

/// What is left of the current metric.
#[derive(Clone, Copy, Debug)]
enum Pending<'a> {
    Nothing,
    Value(f64),
    Summary { message: Reader<'a>, rest: Reader<'a>, step: u8 },
    Classic { message: Reader<'a>, rest: Reader<'a>, step: u8, count: f64, sum: f64, has_infinite: bool },
    Native { message: Reader<'a> },
}

type Result<T> = std::result::Result<T, ExpositionError>;

/// What a step gives: a value, and where its labels end.
enum Next {
    Value(f64),
    Histogram,
}

impl<'a> ProtobufParser<'a> {
    /// A parser at the start of `document`.
    pub fn new(document: &'a [u8]) -> Self {
        ProtobufParser {
            document,
            at: 0,
            family: Family::default(),
            pending: Pending::Nothing,
            labels: Vec::new(),
            exemplar_labels: Vec::new(),
            exemplars: Vec::new(),
            time: Times::default(),
            native: NativeHistogram::default(),
            fields: NativeFields::default(),
            classic_too: false,
        }
    }

    /// Gives the classic buckets of native histograms too, before the native one.
    #[must_use]
    pub fn with_classic(mut self, classic_too: bool) -> Self {
        self.classic_too = classic_too;
        self
    }

    /// The next entry, or `None` at the end.
    ///
    /// # Errors
    /// [`ExpositionError`]; nothing follows then.
    #[expect(clippy::should_implement_trait, reason = "entries borrow the parser")]
    pub fn next(&mut self) -> Result<Option<Entry<'_, 'a>>> {
        match self.step() {
            Ok(Some(Step::Metadata(entry))) => Ok(Some(entry)),
            Ok(Some(Step::Sample(next))) => Ok(Some(self.entry(next))),
            Ok(None) => Ok(None),
            Err(error) => {
                self.at = self.document.len();
                (self.family.stage, self.pending) = (Stage::Over, Pending::Nothing);
                Err(error)
            }
        }
    }

    fn entry(&self, next: Next) -> Entry<'_, 'a> {
        let series = SeriesEntry {
            raw: "",
            labels: &self.labels,
            timestamp_ms: self.time.timestamp_ms,
            start_timestamp_ms: self.time.start_ms,
            exemplars: Exemplars { spans: &self.exemplars, labels: &self.exemplar_labels },
        };
        match next {
            Next::Value(value) => Entry::Series { series, value },
            Next::Histogram => Entry::Histogram { series, histogram: &self.native },
        }
    }

    fn step(&mut self) -> Result<Option<Step<'a>>> {
        loop {
            if let Some(next) = self.next_of_metric()? {
                return Ok(Some(Step::Sample(next)));
            }
            match self.family.stage {
                Stage::Over if self.at >= self.document.len() => return Ok(None),
                Stage::Over => self.family = self.read_family()?,
                Stage::Metrics => match self.family.rest.next()? {
                    None => self.family.stage = Stage::Over,
                    Some(field) if field.number == 4 => self.read_metric(&field)?,
                    Some(_) => {}
                },
                stage => {
                    if let Some(entry) = self.metadata(stage) {
                        return Ok(Some(Step::Metadata(entry)));
                    }
                }
            }
        }
    }

    fn metadata(&mut self, stage: Stage) -> Option<Entry<'a, 'a>> {
        let metric = Text::Plain(self.family.name);
        match stage {
            Stage::Help => {
                self.family.stage = Stage::Type;
                self.family.help.map(|help| Entry::Help { metric, help: Text::Plain(help) })
            }
            Stage::Type => {
                self.family.stage = Stage::Unit;
                Some(Entry::Type { metric, kind: kind_of(self.family.kind) })
            }
            _ => {
                self.family.stage = Stage::Metrics;
                let unit = self.family.unit;
                (!unit.is_empty()).then_some(Entry::Unit { metric, unit })
            }
        }
    }

    fn read_family(&mut self) -> Result<Family<'a>> {
        let (length, start) = length_at(self.document, self.at)?;
        let bytes =
            usize::try_from(length).ok().and_then(|length| self.document.get(start..start.checked_add(length)?));
        let Some(bytes) = bytes else {
            let left = self.document.len().saturating_sub(start);
            return Err(error(self.at, format!("metric family of {length} bytes, but only {left} are left")));
        };
        self.at = start + bytes.len();
        let rest = Reader::at(bytes, start);
        let mut family = Family { rest, stage: Stage::Help, kind: 0, ..Family::default() };
        let mut reader = rest;
        while let Some(field) = reader.next()? {
            match field.number {
                1 => family.name = field.text()?,
                2 => family.help = Some(field.text()?),
                3 => family.kind = field.varint()?,
                5 => family.unit = field.text()?,
                _ => {}
            }
        }
        match family.name {
            "" => Err(error(start, "metric family without a name".to_owned())),
            _ => Ok(family),
        }
    }

    fn read_metric(&mut self, metric: &Field<'a>) -> Result<()> {
        self.labels.clear();
        self.clear_exemplars();
        self.time = Times::default();
        self.labels.push(Pair { name: Text::Plain(METRIC_NAME), value: Text::Plain(self.family.name) });
        let mut reader = metric.message()?;
        while let Some(field) = reader.next()? {
            match field.number {
                1 => self.labels.push(pair(field.message()?)?),
                2 | 5 => self.pending = Pending::Value(value_of(field.message()?)?),
                3 => self.read_counter(field.message()?)?,
                4 => {
                    let message = field.message()?;
                    self.pending = Pending::Summary { message, rest: message, step: 0 };
                }
                6 => self.time.timestamp_ms = Some(field.int64()?).filter(|ms| *ms != 0),
                7 => self.read_histogram(field.message()?)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn clear_exemplars(&mut self) {
        self.exemplars.clear();
        self.exemplar_labels.clear();
    }

    fn read_counter(&mut self, counter: Reader<'a>) -> Result<()> {
        self.pending = Pending::Value(value_of(counter)?);
        let mut reader = counter;
        while let Some(field) = reader.next()? {
            match field.number {
                2 => self.exemplar(field.message()?)?,
                3 => self.time.start_ms = timestamp_ms(field.message()?)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn read_histogram(&mut self, message: Reader<'a>) -> Result<()> {
        self.fields.read(message)?;
        self.time.start_ms = self.fields.start_ms;
        if !self.fields.is_native() {
            self.pending = self.classic(message);
            return Ok(());
        }
        self.fields.write_to(&mut self.native, self.family.kind == 5);
        self.pending = match self.classic_too && self.fields.has_buckets {
            true => self.classic(message),
            false => Pending::Native { message },
        };
        Ok(())
    }

    fn classic(&self, message: Reader<'a>) -> Pending<'a> {
        let (count, sum) = (self.fields.count(), self.fields.sum);
        Pending::Classic { message, rest: message, step: 0, count, sum, has_infinite: false }
    }

    fn exemplar(&mut self, mut reader: Reader<'a>) -> Result<()> {
        let first = self.exemplar_labels.len();
        let (mut value, mut time) = (0.0, None);
        while let Some(field) = reader.next()? {
            match field.number {
                1 => self.exemplar_labels.push(pair(field.message()?)?),
                2 => value = field.double()?,
                3 => time = timestamp_ms(field.message()?)?,
                _ => {}
            }
        }
        let end = self.exemplar_labels.len();
        self.exemplars.push(ExemplarSpan { first, end, value, timestamp_ms: time });
        Ok(())
    }

    fn next_of_metric(&mut self) -> Result<Option<Next>> {
        match self.pending {
            Pending::Nothing => Ok(None),
            Pending::Value(value) => {
                self.pending = Pending::Nothing;
                Ok(Some(Next::Value(value)))
            }
            Pending::Native { message } => {
                self.pending = Pending::Nothing;
                self.native_exemplars(message)?;
                self.rename("", None);
                Ok(Some(Next::Histogram))
            }
            Pending::Summary { message, rest, step } => self.next_of_summary(message, rest, step),
            Pending::Classic { message, rest, step, count, sum, has_infinite } => {
                self.next_of_classic(message, rest, step, (count, sum), has_infinite)
            }
        }
    }

    /// Sets the name's suffix, and the last label, which must be the previous one if there was one.
    fn rename(&mut self, suffix: &'static str, inner: Option<(&'static str, f64)>) {
        if let Some(first) = self.labels.first_mut() {
            first.value = Text::Joined(self.family.name, suffix);
        }
        if self.labels.len() > 1 && self.labels.last().is_some_and(|last| matches!(last.value, Text::Number(_))) {
            self.labels.pop();
        }
        if let Some((name, number)) = inner {
            self.labels.push(Pair { name: Text::Plain(name), value: Text::Number(number) });
        }
    }

    fn next_of_summary(&mut self, message: Reader<'a>, mut rest: Reader<'a>, step: u8) -> Result<Option<Next>> {
        if step < 2 {
            let (mut count, mut sum) = (0.0, 0.0);
            let mut reader = message;
            while let Some(field) = reader.next()? {
                match field.number {
                    1 => count = field.varint()? as f64,
                    2 => sum = field.double()?,
                    4 => self.time.start_ms = timestamp_ms(field.message()?)?,
                    _ => {}
                }
            }
            self.pending = Pending::Summary { message, rest, step: step + 1 };
            self.rename(if step == 0 { "_count" } else { "_sum" }, None);
            return Ok(Some(Next::Value(if step == 0 { count } else { sum })));
        }
        while let Some(field) = rest.next()? {
            if field.number == 3 {
                let (quantile, value) = two_doubles(field.message()?)?;
                self.pending = Pending::Summary { message, rest, step };
                self.rename("", Some(("quantile", quantile)));
                return Ok(Some(Next::Value(value)));
            }
        }
        self.pending = Pending::Nothing;
        Ok(None)
    }

    fn next_of_classic(
        &mut self,
        message: Reader<'a>,
        mut rest: Reader<'a>,
        step: u8,
        (count, sum): (f64, f64),
        mut has_infinite: bool,
    ) -> Result<Option<Next>> {
        self.clear_exemplars();
        let again = |rest, step, has_infinite| Pending::Classic { message, rest, step, count, sum, has_infinite };
        if step < 2 {
            self.pending = again(rest, step + 1, has_infinite);
            self.rename(if step == 0 { "_count" } else { "_sum" }, None);
            return Ok(Some(Next::Value(if step == 0 { count } else { sum })));
        }
        while let Some(field) = rest.next()? {
            if field.number == 3 {
                let (bound, value) = self.bucket(field.message()?)?;
                has_infinite |= bound == f64::INFINITY;
                self.pending = again(rest, step, has_infinite);
                self.rename("_bucket", Some(("le", bound)));
                return Ok(Some(Next::Value(value)));
            }
        }
        self.pending = match self.fields.is_native() {
            true => Pending::Native { message },
            false => Pending::Nothing,
        };
        if has_infinite {
            return self.next_of_metric();
        }
        self.rename("_bucket", Some(("le", f64::INFINITY)));
        Ok(Some(Next::Value(count)))
    }

    /// Upper bound and cumulative count; its exemplar becomes the current one.
    fn bucket(&mut self, mut reader: Reader<'a>) -> Result<(f64, f64)> {
        let (mut bound, mut whole, mut float) = (0.0, 0.0, 0.0);
        while let Some(field) = reader.next()? {
            match field.number {
                1 => whole = field.varint()? as f64,
                2 => bound = field.double()?,
                3 => self.exemplar(field.message()?)?,
                4 => float = field.double()?,
                _ => {}
            }
        }
        Ok((bound, if float > 0.0 { float } else { whole }))
    }

    /// Those of the histogram itself; where it has none, those of its buckets that have a time.
    fn native_exemplars(&mut self, message: Reader<'a>) -> Result<()> {
        self.clear_exemplars();
        let mut reader = message;
        while let Some(field) = reader.next()? {
            if field.number == 16 {
                self.exemplar(field.message()?)?;
            }
        }
        if self.exemplars.is_empty() {
            let mut reader = message;
            while let Some(field) = reader.next()? {
                if field.number == 3 {
                    self.bucket(field.message()?)?;
                }
            }
        }
        // Without a time an exemplar of a native histogram cannot be told from the one of the scrape before.
        self.exemplars.retain(|exemplar| exemplar.timestamp_ms.is_some());
        Ok(())
    }
}

enum Step<'a> {
    Metadata(Entry<'a, 'a>),
    Sample(Next),
}

fn error(position: usize, message: String) -> ExpositionError {
    ExpositionError { line: 0, column: 0, position, message: message.into() }
}

/// A varint at `at`, and where it ends.
fn length_at(document: &[u8], at: usize) -> Result<(u64, usize)> {
    let mut length = 0u64;
    for (i, &byte) in document.get(at..).unwrap_or_default().iter().take(10).enumerate() {
        length |= u64::from(byte & 0x7f).checked_shl(7 * i as u32).unwrap_or(0);
        if byte & 0x80 == 0 {
            return Ok((length, at + i + 1));
        }
    }
    Err(error(at, "the document ends inside a length".to_owned()))
}

fn kind_of(code: u64) -> MetricKind {
    match code {
        0 => MetricKind::Counter,
        1 => MetricKind::Gauge,
        2 => MetricKind::Summary,
        4 => MetricKind::Histogram,
        5 => MetricKind::GaugeHistogram,
        _ => MetricKind::Unknown,
    }
}

fn pair<'a>(mut reader: Reader<'a>) -> Result<Pair<'a>> {
    let (mut name, mut value) = ("", "");
    while let Some(field) = reader.next()? {
        match field.number {
            1 => name = field.text()?,
            2 => value = field.text()?,
            _ => {}
        }
    }
    Ok(Pair { name: Text::Plain(name), value: Text::Plain(value) })
}

/// A message whose field 1 is a number.
fn value_of(mut reader: Reader<'_>) -> Result<f64> {
    let mut value = 0.0;
    while let Some(field) = reader.next()? {
        if field.number == 1 {
            value = field.double()?;
        }
    }
    Ok(value)
}

fn two_doubles(mut reader: Reader<'_>) -> Result<(f64, f64)> {
    let (mut first, mut second) = (0.0, 0.0);
    while let Some(field) = reader.next()? {
        match field.number {
            1 => first = field.double()?,
            2 => second = field.double()?,
            _ => {}
        }
    }
    Ok((first, second))
}
