//! Pipelines: one function per kind of stage.

use super::ParseError;
use super::parser::{Parser, matcher};
use super::token::Token;
use super::tree::*;
use bramble_signal::MatchOp;

const STAGES: [&str; 11] = [
    "json",
    "logfmt",
    "regexp",
    "pattern",
    "unpack",
    "line_format",
    "label_format",
    "decolorize",
    "drop",
    "keep",
    "unwrap",
];

impl Parser<'_> {
    /// The next stage; `None` when there is none, or when it is `| unwrap`, which belongs to the range.
    pub(crate) fn stage(&mut self) -> Result<Option<Stage>, ParseError> {
        if let Some(op) = self.line_op() {
            return self.line_filter(op).map(|f| Some(Stage::Line(f)));
        }
        if !self.is("|") || matches!(self.ahead(1), Token::Ident(w) if w == "unwrap") {
            return Ok(None);
        }
        self.next();
        let word = match self.peek() {
            Token::Ident(word) if STAGES.contains(&word.as_str()) => word.clone(),
            _ => return self.label_tests().map(|t| Some(Stage::Label(t))),
        };
        self.next();
        let stage = match word.as_str() {
            "json" => Stage::Json(self.extractions()?),
            "logfmt" => self.logfmt()?,
            "regexp" => Stage::Regexp(self.string("STRING")?),
            "pattern" => Stage::Pattern(self.string("STRING")?),
            "unpack" => Stage::Unpack,
            "line_format" => Stage::LineFormat(self.string("STRING")?),
            "label_format" => Stage::LabelFormat(self.label_formats()?),
            "decolorize" => Stage::Decolorize,
            "drop" => Stage::Drop(self.name_tests()?),
            _ => Stage::Keep(self.name_tests()?),
        };
        Ok(Some(stage))
    }

    fn line_op(&mut self) -> Option<LineOp> {
        let op = match self.peek() {
            Token::Punct("|=") => LineOp::Contains,
            Token::Punct("!=") => LineOp::NotContains,
            Token::Punct("|~") => LineOp::Matches,
            Token::Punct("!~") => LineOp::NotMatches,
            Token::Punct("|>") => LineOp::Pattern,
            Token::Punct("!>") => LineOp::NotPattern,
            _ => return None,
        };
        self.next();
        Some(op)
    }

    fn line_filter(&mut self, op: LineOp) -> Result<LineFilter, ParseError> {
        let mut texts = vec![self.line_text()?];
        while self.take_word("or") {
            texts.push(self.line_text()?);
        }
        Ok(LineFilter { op, texts })
    }

    fn line_text(&mut self) -> Result<LineText, ParseError> {
        if self.is_word("ip") {
            return self.ip().map(LineText::Ip);
        }
        self.string("STRING or ip").map(LineText::Text)
    }

    fn ip(&mut self) -> Result<String, ParseError> {
        self.next();
        self.expect("(", "(")?;
        let text = self.string("STRING")?;
        self.expect(")", ")")?;
        Ok(text)
    }

    /// `a="x.y", b`: also none at all.
    fn extractions(&mut self) -> Result<Vec<(String, String)>, ParseError> {
        let mut out = Vec::new();
        while matches!(self.peek(), Token::Ident(_)) {
            let name = self.ident("IDENTIFIER")?;
            let path = if self.take("=") { self.string("STRING")? } else { name.clone() };
            out.push((name, path));
            if !self.take(",") {
                break;
            }
            if !matches!(self.peek(), Token::Ident(_)) {
                return self.unexpected("IDENTIFIER");
            }
        }
        Ok(out)
    }

    fn logfmt(&mut self) -> Result<Stage, ParseError> {
        let (mut strict, mut keep_empty) = (false, false);
        while let Token::Flag(flag) = self.peek() {
            match flag.as_str() {
                "strict" => strict = true,
                "keep-empty" => keep_empty = true,
                _ => return self.unexpected(""),
            }
            self.next();
        }
        Ok(Stage::Logfmt { strict, keep_empty, fields: self.extractions()? })
    }

    fn label_formats(&mut self) -> Result<Vec<(String, FormatSource)>, ParseError> {
        let mut out = Vec::new();
        loop {
            let target = self.ident("IDENTIFIER")?;
            self.expect("=", "=")?;
            let source = match self.peek() {
                Token::Str(text) => FormatSource::Template(text.clone()),
                Token::Ident(name) => FormatSource::Label(name.clone()),
                _ => return self.unexpected("IDENTIFIER or STRING"),
            };
            self.next();
            out.push((target, source));
            if !self.take(",") {
                return Ok(out);
            }
        }
    }

    fn name_tests(&mut self) -> Result<Vec<NameTest>, ParseError> {
        let mut out = Vec::new();
        loop {
            let name = self.ident("IDENTIFIER")?;
            out.push(match self.match_op() {
                None => NameTest::Name(name),
                Some(op) => NameTest::Match(matcher(name, op, self.string("STRING")?)?),
            });
            if !self.take(",") {
                return Ok(out);
            }
        }
    }

    /// Tests joined by `or` (weakest), and `and`, a comma or nothing at all.
    pub(crate) fn label_tests(&mut self) -> Result<LabelTest, ParseError> {
        let mut left = self.label_conjunction()?;
        while self.take_word("or") {
            let right = self.label_conjunction()?;
            left = LabelTest::Or(Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn label_conjunction(&mut self) -> Result<LabelTest, ParseError> {
        let mut left = self.label_test()?;
        loop {
            let joined = self.take(",") || self.take_word("and");
            let follows = match self.peek() {
                Token::Ident(word) => word != "or",
                Token::Punct("(") => true,
                _ => false,
            };
            if !joined && !follows {
                return Ok(left);
            }
            let right = self.label_test()?;
            left = LabelTest::And(Box::new(left), Box::new(right));
        }
    }

    fn label_test(&mut self) -> Result<LabelTest, ParseError> {
        if self.take("(") {
            let inner = self.nested(Self::label_tests)?;
            self.expect(")", ")")?;
            return Ok(inner);
        }
        let name = self.ident("")?;
        let op = match self.peek() {
            Token::Punct("=" | "==") => Comparison::Equal,
            Token::Punct("!=") => Comparison::NotEqual,
            Token::Punct(">") => Comparison::Greater,
            Token::Punct(">=") => Comparison::GreaterEqual,
            Token::Punct("<") => Comparison::Less,
            Token::Punct("<=") => Comparison::LessEqual,
            Token::Punct("=~" | "!~") => {
                let Some(op) = self.match_op() else { return self.unexpected("") };
                let value = self.string("STRING")?;
                return matcher(name, op, value).map(LabelTest::Match);
            }
            _ => return self.unexpected(""),
        };
        let double = self.is("==");
        self.next();
        self.operand(name, op, double)
    }

    fn operand(&mut self, name: String, op: Comparison, double: bool) -> Result<LabelTest, ParseError> {
        let equality = matches!(op, Comparison::Equal | Comparison::NotEqual) && !double;
        let negative = self.is("-");
        if negative {
            self.next();
        }
        let sign = if negative { -1.0 } else { 1.0 };
        let with = match self.peek() {
            Token::Str(value) if equality && !negative => {
                let op = if op == Comparison::Equal { MatchOp::Equal } else { MatchOp::NotEqual };
                let test = matcher(name, op, value.clone())?;
                self.next();
                return Ok(LabelTest::Match(test));
            }
            Token::Ident(word) if word == "ip" && equality && !negative => {
                let text = self.ip()?;
                return Ok(LabelTest::Ip { name, negate: op == Comparison::NotEqual, text });
            }
            Token::Number(n) => Operand::Number(*n * sign),
            Token::Duration(ns) => Operand::Duration(if negative { -*ns } else { *ns }),
            Token::Bytes(n) if !negative => Operand::Bytes(*n),
            _ => return self.unexpected(""),
        };
        self.next();
        Ok(LabelTest::Compare { name, op, with })
    }
}
