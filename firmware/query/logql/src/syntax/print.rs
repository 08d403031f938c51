//! A tree as text, in Loki's layout.

use super::duration_text;
use super::tree::*;
use bramble_signal::Matcher;
use std::fmt::{self, Display, Formatter, Write};

/// A text in double quotes with Go's escapes.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => {
                let _ = write!(out, "\\x{:02x}", c as u32);
            }
            c if c == '\u{2028}' || c == '\u{2029}' || c == '\u{feff}' => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A number as Prometheus and Loki print values: shortest that reads back, exponents from 1e21 and below 1e-6.
pub fn value_text(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let size = value.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{value:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, digits) = exponent.strip_prefix('-').map_or(("+", exponent), |d| ("-", d));
        return format!("{mantissa}e{sign}{digits:0>2}");
    }
    format!("{value}")
}

/// Go's complaint about an expression that does not compile, as near as the crate's own reason allows.
pub(crate) fn regex_complaint(text: &str) -> String {
    match regex::Regex::new(text) {
        Ok(_) => format!("error parsing regexp: expression too large: `{text}`"),
        Err(e) => bramble_line::regexp::complaint(text, &e),
    }
}

fn list<T>(
    f: &mut Formatter<'_>,
    items: &[T],
    mut each: impl FnMut(&mut Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            f.write_str(",")?;
        }
        each(f, item)?;
    }
    Ok(())
}

fn matcher_text(m: &Matcher) -> String {
    format!("{}{}{}", m.name, m.op, quote(&m.value))
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Expr::Log(log) => log.fmt(f),
            Expr::Sample(sample) => sample.fmt(f),
        }
    }
}

impl Display for LogExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let matchers: Vec<String> = self.matchers.iter().map(matcher_text).collect();
        write!(f, "{{{}}}", matchers.join(", "))?;
        for stage in &self.stages {
            write!(f, " {stage}")?;
        }
        Ok(())
    }
}

impl LineOp {
    /// The operator.
    pub fn text(self) -> &'static str {
        match self {
            LineOp::Contains => "|=",
            LineOp::NotContains => "!=",
            LineOp::Matches => "|~",
            LineOp::NotMatches => "!~",
            LineOp::Pattern => "|>",
            LineOp::NotPattern => "!>",
        }
    }
}

impl Display for LineFilter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.op.text())?;
        for (i, text) in self.texts.iter().enumerate() {
            if i > 0 {
                f.write_str(" or ")?;
            }
            match text {
                LineText::Text(text) => f.write_str(&quote(text))?,
                LineText::Ip(text) => write!(f, "ip({})", quote(text))?,
            }
        }
        Ok(())
    }
}

fn extraction(f: &mut Formatter<'_>, (name, path): &(String, String)) -> fmt::Result {
    write!(f, "{name}={}", quote(path))
}

impl Display for Stage {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Stage::Line(filter) => filter.fmt(f),
            Stage::Json(paths) => {
                f.write_str("| json")?;
                f.write_str(if paths.is_empty() { "" } else { " " })?;
                list(f, paths, extraction)
            }
            Stage::Logfmt { strict, keep_empty, fields } => {
                f.write_str("| logfmt")?;
                f.write_str(if *strict { " --strict" } else { "" })?;
                f.write_str(if *keep_empty { " --keep-empty" } else { "" })?;
                f.write_str(if fields.is_empty() { "" } else { " " })?;
                list(f, fields, extraction)
            }
            Stage::Regexp(text) => write!(f, "| regexp {}", quote(text)),
            Stage::Pattern(text) => write!(f, "| pattern {}", quote(text)),
            Stage::Unpack => f.write_str("| unpack"),
            Stage::Label(test) => write!(f, "| {test}"),
            Stage::LineFormat(text) => write!(f, "| line_format {}", quote(text)),
            Stage::LabelFormat(formats) => {
                f.write_str("| label_format ")?;
                list(f, formats, |f, (target, source)| match source {
                    FormatSource::Label(name) => write!(f, "{target}={name}"),
                    FormatSource::Template(text) => write!(f, "{target}={}", quote(text)),
                })
            }
            Stage::Decolorize => f.write_str("| decolorize"),
            Stage::Drop(names) | Stage::Keep(names) => {
                f.write_str(if matches!(self, Stage::Drop(_)) { "| drop " } else { "| keep " })?;
                list(f, names, |f, name| match name {
                    NameTest::Name(name) => f.write_str(name),
                    NameTest::Match(m) => f.write_str(&matcher_text(m)),
                })
            }
        }
    }
}

impl Display for Comparison {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Comparison::Equal => "==",
            Comparison::NotEqual => "!=",
            Comparison::Greater => ">",
            Comparison::GreaterEqual => ">=",
            Comparison::Less => "<",
            Comparison::LessEqual => "<=",
        })
    }
}

/// Bytes as humanize prints them, without the blank: `5.0kB`.
fn bytes_text(bytes: u64) -> String {
    if bytes < 10 {
        return format!("{bytes}B");
    }
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1000.0 && unit < 6 {
        value /= 1000.0;
        unit += 1;
    }
    let name = ["B", "kB", "MB", "GB", "TB", "PB", "EB"][unit];
    let value = (value * 10.0 + 0.5).floor() / 10.0;
    if value < 10.0 { format!("{value:.1}{name}") } else { format!("{value:.0}{name}") }
}

impl Display for LabelTest {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            LabelTest::Match(m) => f.write_str(&matcher_text(m)),
            LabelTest::Compare { name, op, with } => {
                write!(f, "{name}{op}")?;
                match with {
                    Operand::Number(n) => f.write_str(&value_text(*n)),
                    Operand::Duration(ns) => f.write_str(&duration_text(*ns)),
                    Operand::Bytes(n) => f.write_str(&bytes_text(*n)),
                }
            }
            LabelTest::Ip { name, negate, text } => {
                write!(f, "{name}{}ip({})", if *negate { "!=" } else { "=" }, quote(text))
            }
            LabelTest::And(a, b) => write!(f, "( {a} , {b} )"),
            LabelTest::Or(a, b) => write!(f, "( {a} or {b} )"),
        }
    }
}

impl RangeOp {
    /// The function's name.
    pub fn text(self) -> &'static str {
        match self {
            RangeOp::Count => "count_over_time",
            RangeOp::Rate => "rate",
            RangeOp::RateCounter => "rate_counter",
            RangeOp::Bytes => "bytes_over_time",
            RangeOp::BytesRate => "bytes_rate",
            RangeOp::Avg => "avg_over_time",
            RangeOp::Sum => "sum_over_time",
            RangeOp::Min => "min_over_time",
            RangeOp::Max => "max_over_time",
            RangeOp::Stddev => "stddev_over_time",
            RangeOp::Stdvar => "stdvar_over_time",
            RangeOp::Quantile => "quantile_over_time",
            RangeOp::First => "first_over_time",
            RangeOp::Last => "last_over_time",
            RangeOp::Absent => "absent_over_time",
        }
    }
}

impl VectorOp {
    /// The function's name.
    pub fn text(self) -> &'static str {
        match self {
            VectorOp::Sum => "sum",
            VectorOp::Avg => "avg",
            VectorOp::Max => "max",
            VectorOp::Min => "min",
            VectorOp::Count => "count",
            VectorOp::Stddev => "stddev",
            VectorOp::Stdvar => "stdvar",
            VectorOp::Topk => "topk",
            VectorOp::Bottomk => "bottomk",
            VectorOp::ApproxTopk => "approx_topk",
            VectorOp::Sort => "sort",
            VectorOp::SortDesc => "sort_desc",
        }
    }
}

impl BinaryOp {
    /// The operator.
    pub fn text(self) -> String {
        match self {
            BinaryOp::Or => "or".to_owned(),
            BinaryOp::And => "and".to_owned(),
            BinaryOp::Unless => "unless".to_owned(),
            BinaryOp::Add => "+".to_owned(),
            BinaryOp::Sub => "-".to_owned(),
            BinaryOp::Mul => "*".to_owned(),
            BinaryOp::Div => "/".to_owned(),
            BinaryOp::Mod => "%".to_owned(),
            BinaryOp::Pow => "^".to_owned(),
            BinaryOp::Compare(c) => c.to_string(),
        }
    }
}

impl Display for Grouping {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", if self.without { "without" } else { "by" }, self.names.join(","))
    }
}

impl Display for RangeExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.op.text())?;
        if let Some(param) = self.param {
            write!(f, "{},", value_text(param))?;
        }
        self.log.fmt(f)?;
        if let Some(unwrap) = &self.unwrap {
            match unwrap.conversion {
                Conversion::None => write!(f, " | unwrap {}", unwrap.label)?,
                Conversion::Duration(false) => write!(f, " | unwrap duration({})", unwrap.label)?,
                Conversion::Duration(true) => write!(f, " | unwrap duration_seconds({})", unwrap.label)?,
                Conversion::Bytes => write!(f, " | unwrap bytes({})", unwrap.label)?,
            }
            for test in &unwrap.tests {
                write!(f, " | {test}")?;
            }
        }
        write!(f, "[{}]", short_duration(self.range_ns))?;
        if self.offset_ns != 0 {
            write!(f, " offset {}", short_duration(self.offset_ns))?;
        }
        f.write_str(")")?;
        match &self.grouping {
            Some(grouping) => write!(f, " {grouping}"),
            None => Ok(()),
        }
    }
}

/// `5m` rather than `5m0s`.
fn short_duration(ns: i64) -> String {
    let text = duration_text(ns);
    let text = if text.ends_with("m0s") { text.trim_end_matches("0s") } else { &text };
    if text.ends_with("h0m") { text.trim_end_matches("0m").to_owned() } else { text.to_owned() }
}

impl Display for Sample {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Sample::Literal(n) => f.write_str(&value_text(*n)),
            Sample::Vector(n) => write!(f, "vector({n:.6})"),
            Sample::Range(range) => range.fmt(f),
            Sample::Aggregate { op, param, inner, grouping } => {
                f.write_str(op.text())?;
                if let Some(grouping) = grouping {
                    write!(f, " {grouping}")?;
                }
                f.write_str("(")?;
                if let Some(k) = param {
                    write!(f, "{k},")?;
                }
                write!(f, "{inner})")
            }
            Sample::Binary { op, left, right, as_bool, matching } => {
                write!(f, "({left} {}", op.text())?;
                f.write_str(if *as_bool { " bool" } else { "" })?;
                if let Some(m) = matching {
                    write!(f, " {} ({})", if m.on { "on" } else { "ignoring" }, m.names.join(","))?;
                    if let Some((side, include)) = &m.group {
                        let word = if *side == Side::Left { "group_left" } else { "group_right" };
                        write!(f, " {word} ({})", include.join(","))?;
                    }
                }
                write!(f, " {right})")
            }
            Sample::LabelReplace { inner, target, replacement, source, regex } => write!(
                f,
                "label_replace({inner},{},{},{},{})",
                quote(target),
                quote(replacement),
                quote(source),
                quote(regex)
            ),
        }
    }
}
