//! Expressions of numbers: operators by precedence, functions, ranges.

use super::ParseError;
use super::parser::Parser;
use super::token::Token;
use super::tree::*;

fn range_op(word: &str) -> Option<RangeOp> {
    Some(match word {
        "count_over_time" => RangeOp::Count,
        "rate" => RangeOp::Rate,
        "rate_counter" => RangeOp::RateCounter,
        "bytes_over_time" => RangeOp::Bytes,
        "bytes_rate" => RangeOp::BytesRate,
        "avg_over_time" => RangeOp::Avg,
        "sum_over_time" => RangeOp::Sum,
        "min_over_time" => RangeOp::Min,
        "max_over_time" => RangeOp::Max,
        "stddev_over_time" => RangeOp::Stddev,
        "stdvar_over_time" => RangeOp::Stdvar,
        "quantile_over_time" => RangeOp::Quantile,
        "first_over_time" => RangeOp::First,
        "last_over_time" => RangeOp::Last,
        "absent_over_time" => RangeOp::Absent,
        _ => return None,
    })
}

fn vector_op(word: &str) -> Option<VectorOp> {
    Some(match word {
        "sum" => VectorOp::Sum,
        "avg" => VectorOp::Avg,
        "max" => VectorOp::Max,
        "min" => VectorOp::Min,
        "count" => VectorOp::Count,
        "stddev" => VectorOp::Stddev,
        "stdvar" => VectorOp::Stdvar,
        "topk" => VectorOp::Topk,
        "bottomk" => VectorOp::Bottomk,
        "approx_topk" => VectorOp::ApproxTopk,
        "sort" => VectorOp::Sort,
        "sort_desc" => VectorOp::SortDesc,
        _ => return None,
    })
}

/// The label that tells variants apart, and how many there may be.
const VARIANT: &str = "__variant__";
const VARIANTS_MAX: usize = 64;

impl Parser<'_> {
    /// A whole query.
    pub(crate) fn sample_or_log(&mut self) -> Result<Expr, ParseError> {
        let log_starts = {
            let mut n = 0;
            while matches!(self.ahead(n), Token::Punct("(")) {
                n += 1;
            }
            matches!(self.ahead(n), Token::Punct("{"))
        };
        if !log_starts {
            return self.sample(0).map(Expr::Sample);
        }
        let log = self.log()?;
        match self.binary_op() {
            Some((op, _)) if *self.ahead(1) != Token::End => Err(ParseError::plain(format!(
                "unexpected type for left leg of binary operation ({}): *syntax.{}",
                op.text(),
                if log.stages.is_empty() { "MatchersExpr" } else { "PipelineExpr" }
            ))),
            _ => Ok(Expr::Log(log)),
        }
    }

    /// The operator here with its precedence.
    fn binary_op(&self) -> Option<(BinaryOp, u8)> {
        Some(match self.peek() {
            Token::Ident(word) => match word.as_str() {
                "or" => (BinaryOp::Or, 1),
                "and" => (BinaryOp::And, 2),
                "unless" => (BinaryOp::Unless, 2),
                _ => return None,
            },
            Token::Punct(punct) => match *punct {
                "==" => (BinaryOp::Compare(Comparison::Equal), 3),
                "!=" => (BinaryOp::Compare(Comparison::NotEqual), 3),
                ">" => (BinaryOp::Compare(Comparison::Greater), 3),
                ">=" => (BinaryOp::Compare(Comparison::GreaterEqual), 3),
                "<" => (BinaryOp::Compare(Comparison::Less), 3),
                "<=" => (BinaryOp::Compare(Comparison::LessEqual), 3),
                "+" => (BinaryOp::Add, 4),
                "-" => (BinaryOp::Sub, 4),
                "*" => (BinaryOp::Mul, 5),
                "/" => (BinaryOp::Div, 5),
                "%" => (BinaryOp::Mod, 5),
                "^" => (BinaryOp::Pow, 6),
                _ => return None,
            },
            _ => return None,
        })
    }

    /// An expression of operators that bind at least as strongly as `weakest`.
    pub(crate) fn sample(&mut self, weakest: u8) -> Result<Sample, ParseError> {
        let mut left = self.nested(Self::operand_sample)?;
        while let Some((op, precedence)) = self.binary_op() {
            if precedence < weakest {
                break;
            }
            self.next();
            let (as_bool, matching) = self.modifiers()?;
            // `^` groups from the right, everything else from the left.
            let next = if op == BinaryOp::Pow { precedence } else { precedence + 1 };
            let right = self.nested(|p| p.sample(next))?;
            left = join(op, left, right, as_bool, matching)?;
        }
        Ok(left)
    }

    fn modifiers(&mut self) -> Result<(bool, Option<Matching>), ParseError> {
        let as_bool = self.take_word("bool");
        let on = self.is_word("on");
        if !on && !self.is_word("ignoring") {
            return Ok((as_bool, None));
        }
        self.next();
        let names = self.names()?;
        let mut matching = Matching { on, names, group: None };
        for (word, side) in [("group_left", Side::Left), ("group_right", Side::Right)] {
            if self.take_word(word) {
                let include = if self.is("(") { self.names()? } else { Vec::new() };
                matching.group = Some((side, include));
            }
        }
        Ok((as_bool, Some(matching)))
    }

    /// `(a, b)`
    fn names(&mut self) -> Result<Vec<String>, ParseError> {
        self.expect("(", "(")?;
        let mut names = Vec::new();
        if self.take(")") {
            return Ok(names);
        }
        loop {
            if matches!(self.ahead(1), Token::Punct("(")) {
                return self.unexpected("IDENTIFIER or )");
            }
            names.push(self.ident("IDENTIFIER or )")?);
            if !self.take(",") {
                self.expect(")", ") or ,")?;
                return Ok(names);
            }
        }
    }

    fn grouping(&mut self) -> Result<Option<Grouping>, ParseError> {
        let without = self.is_word("without");
        if !without && !self.is_word("by") {
            return Ok(None);
        }
        self.next();
        Ok(Some(Grouping { without, names: self.names()? }))
    }

    fn operand_sample(&mut self) -> Result<Sample, ParseError> {
        match self.peek().clone() {
            Token::Punct("(") => {
                self.next();
                let inner = self.nested(|p| p.sample(0))?;
                self.expect(")", ")")?;
                Ok(inner)
            }
            Token::Number(n) => {
                self.next();
                Ok(Sample::Literal(n))
            }
            Token::Punct(sign @ ("-" | "+")) if matches!(self.ahead(1), Token::Number(_)) => {
                self.next();
                let Token::Number(n) = self.next() else { return self.unexpected("NUMBER") };
                Ok(Sample::Literal(if sign == "-" { -n } else { n }))
            }
            Token::Ident(word) => self.call(&word),
            _ => self.unexpected(""),
        }
    }

    fn call(&mut self, word: &str) -> Result<Sample, ParseError> {
        let opens = matches!(self.ahead(1), Token::Punct("("));
        let grouped = matches!(self.ahead(1), Token::Ident(w) if w == "by" || w == "without");
        if let Some(op) = vector_op(word)
            && (opens || grouped)
        {
            self.next();
            return self.aggregate(op);
        }
        if !opens {
            return self.unexpected("");
        }
        if let Some(op) = range_op(word) {
            self.next();
            return self.range(op, word);
        }
        match word {
            "vector" => {
                self.next();
                self.next();
                let sign = if self.take("-") { -1.0 } else { 1.0 };
                let Token::Number(n) = *self.peek() else { return self.unexpected("NUMBER") };
                self.next();
                self.expect(")", ")")?;
                Ok(Sample::Vector(sign * n))
            }
            "label_replace" => self.label_replace(),
            "variants" => self.variants(),
            _ => self.unexpected(""),
        }
    }

    fn label_replace(&mut self) -> Result<Sample, ParseError> {
        self.next();
        self.next();
        let inner = Box::new(self.nested(|p| p.sample(0))?);
        let mut texts: [String; 4] = Default::default();
        for text in &mut texts {
            self.expect(",", ",")?;
            *text = self.string("STRING")?;
        }
        self.expect(")", ")")?;
        let [target, replacement, source, regex] = texts;
        let anchored = format!("^(?:{regex})$");
        if regex::Regex::new(&anchored).is_err() {
            let complaint = super::print::regex_complaint(&anchored);
            return Err(ParseError::plain(format!("invalid regex in label_replace: {complaint}")));
        }
        Ok(Sample::LabelReplace { inner, target, replacement, source, regex })
    }

    /// `variants(a, b) of ({…}[5m])`: several answers from the same lines, told apart by a label. As the answers differ
    /// in it, they are the union of their labelled forms.
    fn variants(&mut self) -> Result<Sample, ParseError> {
        self.next();
        self.next();
        let mut all: Option<Sample> = None;
        let mut number = 0;
        loop {
            let inner = Box::new(self.nested(|p| p.sample(0))?);
            let labelled = Sample::LabelReplace {
                inner,
                target: VARIANT.to_owned(),
                replacement: number.to_string(),
                source: String::new(),
                regex: String::new(),
            };
            all = Some(match all {
                None => labelled,
                Some(left) => join(BinaryOp::Or, left, labelled, false, None)?,
            });
            number += 1;
            if number > VARIANTS_MAX {
                return Err(ParseError::plain(format!("more than {VARIANTS_MAX} variants")));
            }
            if !self.take(",") {
                break;
            }
        }
        self.expect(")", ") or ,")?;
        if !self.take_word("of") {
            return self.unexpected("of");
        }
        self.expect("(", "(")?;
        // What the lines are stands in every variant too.
        self.log_range(RangeOp::Count)?;
        self.expect(")", ")")?;
        all.map_or_else(|| self.unexpected(""), Ok)
    }

    fn aggregate(&mut self, op: VectorOp) -> Result<Sample, ParseError> {
        let mut grouping = self.grouping()?;
        self.expect("(", "(")?;
        let needs_k = matches!(op, VectorOp::Topk | VectorOp::Bottomk | VectorOp::ApproxTopk);
        let param = if needs_k {
            let k = match *self.peek() {
                Token::Number(n) => n,
                Token::Punct("{") => {
                    self.log()?;
                    return self.unexpected("");
                }
                _ => return self.unexpected("NUMBER"),
            };
            self.next();
            self.expect(",", ",")?;
            let name = op.text();
            if k.fract() != 0.0 || k > f64::from(u32::MAX) {
                return Err(ParseError::plain(format!("invalid parameter {name}({k},")));
            }
            if k < 1.0 {
                return Err(ParseError::plain(format!("invalid parameter (must be greater than 0) {name}({k}")));
            }
            Some(k as u32)
        } else {
            None
        };
        if self.is("{") {
            self.log()?;
            return self.unexpected("");
        }
        let inner = Box::new(self.nested(|p| p.sample(0))?);
        self.expect(")", ")")?;
        if grouping.is_none() {
            grouping = self.grouping()?;
        }
        if matches!(op, VectorOp::Sort | VectorOp::SortDesc) && grouping.is_some() {
            return Err(ParseError::plain(format!("grouping not allowed for {} aggregation", op.text())));
        }
        Ok(Sample::Aggregate { op, param, inner, grouping })
    }

    fn range(&mut self, op: RangeOp, word: &str) -> Result<Sample, ParseError> {
        self.expect("(", "(")?;
        let mut param = None;
        if let Token::Number(n) = *self.peek() {
            param = Some(n);
            self.next();
            self.expect(",", ",")?;
        }
        let mut range = self.log_range(op)?;
        self.expect(")", ")")?;
        range.param = param;
        range.grouping = self.grouping()?;
        check_range(&range, word)?;
        Ok(Sample::Range(Box::new(range)))
    }

    /// A pipeline with its range, which may stand after the selector or at the end, the whole perhaps in
    /// parentheses.
    fn log_range(&mut self, op: RangeOp) -> Result<RangeExpr, ParseError> {
        if self.is("(") {
            let mark = self.mark();
            self.next();
            if let Ok(inner) = self.nested(|p| p.log_range(op))
                && self.take(")")
            {
                return Ok(inner);
            }
            self.reset(mark);
        }
        let paren = self.take("(");
        if !self.is("{") {
            return self.unexpected("NUMBER or { or (");
        }
        let matchers = self.selector()?;
        let mut range_ns = None;
        let mut offset_ns = 0;
        if let Token::Range(ns) = *self.peek() {
            self.next();
            range_ns = Some(ns);
            offset_ns = self.offset()?;
        }
        let mut stages = Vec::new();
        while let Some(stage) = self.stage()? {
            stages.push(stage);
        }
        let mut unwrap = self.unwrap()?;
        if paren {
            self.expect(")", ")")?;
        }
        let range_ns = match (range_ns, self.peek()) {
            (Some(ns), _) => ns,
            (None, Token::Range(ns)) => {
                let ns = *ns;
                self.next();
                offset_ns = self.offset()?;
                if paren && unwrap.is_none() {
                    unwrap = self.unwrap()?;
                }
                ns
            }
            _ => return self.unexpected(if unwrap.is_some() { "RANGE or |" } else { "" }),
        };
        let log = LogExpr { matchers, stages };
        Ok(RangeExpr { op, param: None, log, unwrap, range_ns, offset_ns, grouping: None })
    }

    fn offset(&mut self) -> Result<i64, ParseError> {
        if !self.take_word("offset") {
            return Ok(0);
        }
        let negative = self.take("-");
        let Token::Duration(ns) = *self.peek() else { return self.unexpected("DURATION") };
        self.next();
        Ok(if negative { -ns } else { ns })
    }

    fn unwrap(&mut self) -> Result<Option<Unwrap>, ParseError> {
        if !self.is("|") {
            return Ok(None);
        }
        self.next();
        self.next();
        let expecting = "IDENTIFIER or BYTES_CONV or DURATION_CONV or DURATION_SECONDS_CONV";
        let called = matches!(self.ahead(1), Token::Punct("("));
        let word = self.ident(expecting)?;
        let conversion = match word.as_str() {
            "duration" if called => Conversion::Duration(false),
            "duration_seconds" if called => Conversion::Duration(true),
            "bytes" if called => Conversion::Bytes,
            _ => Conversion::None,
        };
        let label = if conversion == Conversion::None {
            word
        } else {
            self.next();
            let label = self.ident("IDENTIFIER")?;
            self.expect(")", ")")?;
            label
        };
        let mut tests = Vec::new();
        while self.take("|") {
            tests.push(self.label_tests()?);
        }
        Ok(Some(Unwrap { label, conversion, tests }))
    }
}

fn check_range(range: &RangeExpr, word: &str) -> Result<(), ParseError> {
    let refuse = |text: String| Err(ParseError::plain(text));
    let (op, unwrapped) = (range.op, range.unwrap.is_some());
    if op == RangeOp::Quantile && range.param.is_none() {
        return refuse(format!("parameter required for operation {word}"));
    }
    if op != RangeOp::Quantile && range.param.is_some() {
        return refuse(format!("parameter {} not supported for operation {word}", range.param.unwrap_or_default()));
    }
    if unwrapped && matches!(op, RangeOp::Count | RangeOp::Bytes | RangeOp::BytesRate) {
        return refuse(format!("invalid aggregation {word} with unwrap"));
    }
    let counts = matches!(op, RangeOp::Count | RangeOp::Bytes | RangeOp::BytesRate | RangeOp::Rate | RangeOp::Absent);
    if !unwrapped && !counts {
        return refuse(format!("invalid aggregation {word} without unwrap"));
    }
    let groups = matches!(
        op,
        RangeOp::Avg
            | RangeOp::Stddev
            | RangeOp::Stdvar
            | RangeOp::Quantile
            | RangeOp::Max
            | RangeOp::Min
            | RangeOp::First
            | RangeOp::Last
    );
    if range.grouping.is_some() && !groups {
        return refuse(format!("grouping not allowed for {word} aggregation"));
    }
    Ok(())
}

fn join(
    op: BinaryOp,
    left: Sample,
    right: Sample,
    as_bool: bool,
    matching: Option<Matching>,
) -> Result<Sample, ParseError> {
    for (side, sample) in [("left", &left), ("right", &right)] {
        if let Sample::Literal(n) = sample
            && op.is_set()
        {
            return Err(ParseError::plain(format!(
                "unexpected literal for {side} leg of logical/set binary operation ({}): {n:.6}",
                op.text()
            )));
        }
    }
    if let (Sample::Literal(a), Sample::Literal(b)) = (&left, &right) {
        // Without `bool`, comparing two numbers gives 1 or 0 too.
        return Ok(Sample::Literal(crate::eval::number(op, *a, *b, true).unwrap_or(0.0)));
    }
    Ok(Sample::Binary { op, left: Box::new(left), right: Box::new(right), as_bool, matching })
}
