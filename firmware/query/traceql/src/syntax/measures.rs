//! The grammar of measuring ends: functions over time, their groups, and what is done with their series.

use super::ParseError;
use super::ast::*;
use super::parse::Parser;
use super::token::Token;

/// Most quantiles in one query.
const QUANTILES_MAX: usize = 32;

/// Most steps after a measure.
const STAGES_MAX: usize = 16;

/// Most fields that a measure is grouped by.
const GROUPS_MAX: usize = 32;

/// Values that `compare()` shows of each field when it does not say.
const COMPARE_TOP: usize = 10;

impl Parser {
    /// The measuring end after a bar, if there is one here.
    pub(super) fn measure(&mut self) -> Result<Option<Metrics>, ParseError> {
        let Token::Word(word) = self.peek() else { return Ok(None) };
        let word = word.clone();
        if !(word == "rate" || word == "compare" || word.ends_with("_over_time")) {
            return Ok(None);
        }
        let place = self.place();
        self.advance();
        self.expect("(", ", expecting (")?;
        let measure = match word.as_str() {
            "rate" => Measure::Rate,
            "count_over_time" => Measure::Count,
            "min_over_time" => Measure::Min(self.field()?),
            "max_over_time" => Measure::Max(self.field()?),
            "avg_over_time" => Measure::Avg(self.field()?),
            "sum_over_time" => Measure::Sum(self.field()?),
            "histogram_over_time" => Measure::Histogram(self.field()?),
            "quantile_over_time" => Measure::Quantile(self.field()?, self.quantiles()?),
            "compare" => Measure::Compare(Box::new(self.compare()?)),
            _ => return Err(place.syntax(format_args!("unknown identifier: {word}"))),
        };
        self.expect(")", ", expecting )")?;
        self.measured(measure).map(Some)
    }

    fn number(&mut self) -> Result<f64, ParseError> {
        let sign = if self.take("-") { -1.0 } else { 1.0 };
        let number = match self.peek() {
            Token::Int(i) => *i as f64,
            Token::Float(d) => *d,
            Token::Duration(ns) => *ns as f64 / 1e9,
            _ => return Err(self.unexpected(", expecting a number")),
        };
        self.advance();
        Ok(sign * number)
    }

    fn quantiles(&mut self) -> Result<Vec<f64>, ParseError> {
        self.expect(",", ", expecting ,")?;
        let mut quantiles = Vec::new();
        loop {
            let place = self.place();
            let quantile = self.number()?;
            if !(0.0..=1.0).contains(&quantile) {
                return Err(place.says(format!("compiling query: quantile must be between 0 and 1: {quantile}")));
            }
            if quantiles.len() == QUANTILES_MAX {
                return Err(place.says(format!("more than {QUANTILES_MAX} quantiles")));
            }
            quantiles.push(quantile);
            if !self.take(",") {
                return Ok(quantiles);
            }
        }
    }

    /// `{ … }`, then how many values, then first and last start of selected spans.
    fn compare(&mut self) -> Result<Compare, ParseError> {
        let selection = self.filter_in_braces()?;
        let mut compare = Compare { selection, top: COMPARE_TOP, window_ns: None };
        if !self.take(",") {
            return Ok(compare);
        }
        let place = self.place();
        compare.top = match usize::try_from(self.integer()?) {
            Ok(top) if top > 0 => top,
            _ => {
                return Err(
                    place.says("compiling query: compare() top number of values must be integer greater than 0")
                );
            }
        };
        if self.take(",") {
            let place = self.place();
            let start = u64::try_from(self.integer()?).unwrap_or(0);
            self.expect(",", ", expecting ,")?;
            let end = u64::try_from(self.integer()?).unwrap_or(0);
            if end < start {
                return Err(
                    place.says("compiling query: compare() timestamps must be unix nanoseconds, start before end")
                );
            }
            // Zeros stand for no times.
            compare.window_ns = (end > 0).then_some((start, end));
        }
        Ok(compare)
    }

    fn integer(&mut self) -> Result<i64, ParseError> {
        let sign = if self.take("-") { -1 } else { 1 };
        let Token::Int(number) = *self.peek() else { return Err(self.unexpected(", expecting INTEGER")) };
        self.advance();
        Ok(sign * number)
    }

    fn measured(&mut self, measure: Measure) -> Result<Metrics, ParseError> {
        let mut metrics = Metrics { measure, by: Vec::new(), stages: Vec::new() };
        if matches!(self.peek(), Token::Word(w) if w == "by") {
            let place = self.place();
            if matches!(metrics.measure, Measure::Compare(_)) {
                return Err(self.unexpected(": compare() has no groups"));
            }
            self.advance();
            self.expect("(", ", expecting (")?;
            metrics.by = self.fields()?;
            if metrics.by.len() > GROUPS_MAX {
                return Err(place.says(format!("grouped by more than {GROUPS_MAX} fields")));
            }
        }
        loop {
            let place = self.place();
            if let Token::Sign(sign) = *self.peek()
                && let Some(op) = BinaryOp::parse(sign).filter(|op| op.is_comparison())
            {
                self.advance();
                metrics.stages.push(SeriesStage::Filter(op, self.number()?));
            } else if self.take("|") {
                metrics.stages.push(self.topk()?);
            } else {
                return Ok(metrics);
            }
            if metrics.stages.len() > STAGES_MAX {
                return Err(place.says(format!("more than {STAGES_MAX} steps after a measure")));
            }
        }
    }

    fn topk(&mut self) -> Result<SeriesStage, ParseError> {
        let top = match self.peek() {
            Token::Word(w) if w == "topk" => true,
            Token::Word(w) if w == "bottomk" => false,
            _ => return Err(self.unexpected(", expecting topk or bottomk")),
        };
        self.advance();
        self.expect("(", ", expecting (")?;
        let place = self.place();
        let limit = self.integer()?;
        self.expect(")", ", expecting )")?;
        match usize::try_from(limit) {
            Ok(limit) if limit > 0 => Ok(if top { SeriesStage::Top(limit) } else { SeriesStage::Bottom(limit) }),
            _ => Err(place.says("compiling query: limit must be greater than 0")),
        }
    }
}
