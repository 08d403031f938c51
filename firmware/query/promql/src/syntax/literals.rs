//! Numbers, durations and quoted texts among the tokens.

use super::lexer::{Lexer, go_rune, is_alphanumeric};
use super::numbers::go_quote;
use super::token::Kind;

impl Lexer<'_> {
    pub(crate) fn number_or_duration(&mut self) -> Result<(), String> {
        if self.number() {
            self.emit(Kind::Number);
            return Ok(());
        }
        if self.rest_of_duration() {
            self.emit(Kind::Duration);
            return Ok(());
        }
        Err(format!("bad number or duration syntax: {}", go_quote(self.text())))
    }

    /// Scans a number; on `false` the position is where a duration's unit would stand.
    fn number(&mut self) -> bool {
        let begin = self.at;
        let mut digits = "0123456789";
        if self.accept("0") && self.accept("xX") {
            self.accept("_");
            digits = "0123456789abcdefABCDEF";
        }
        let hexadecimal = digits.len() > 10;
        let (mut dot, mut exponent) = (false, false);
        self.accept(".").then(|| dot = true);
        self.accept(digits);
        while let Some(c) = self.peek().filter(|c| digits.contains(*c) || "._eE".contains(*c)) {
            if digits.contains(c) {
                self.next();
            } else if c == '.' {
                self.next();
                if dot || hexadecimal || self.accept("_.") {
                    return false;
                }
                dot = true;
            } else if c == '_' {
                self.next();
                if self.accept("._eE") || self.peek().is_none() {
                    return false;
                }
            } else {
                self.next();
                if exponent {
                    return false;
                }
                exponent = true;
                self.accept("+-");
                if self.accept("._eE") || self.peek().is_none() {
                    return false;
                }
            }
        }
        self.at > begin && !is_alphanumeric(self.peek())
    }

    fn rest_of_duration(&mut self) -> bool {
        if !self.accept("smhdwy") {
            return false;
        }
        self.accept("s");
        while self.accept("0123456789") {
            while self.accept("0123456789") {}
            // Years come first or not at all.
            if !self.accept("smhdw") {
                return false;
            }
            self.accept("s");
        }
        if is_alphanumeric(self.peek()) {
            self.next();
            return false;
        }
        true
    }

    pub(crate) fn string(&mut self, quote: char) -> Result<(), String> {
        if quote == '`' {
            loop {
                match self.next() {
                    Some('`') => break,
                    Some(_) => {}
                    None => return Err("unterminated raw string".to_owned()),
                }
            }
            self.emit(Kind::String);
            return Ok(());
        }
        loop {
            match self.next() {
                Some(c) if c == quote => break,
                Some('\\') => self.escape(quote)?,
                Some('\n') | None => return Err("unterminated quoted string".to_owned()),
                Some(_) => {}
            }
        }
        self.emit(Kind::String);
        Ok(())
    }

    fn escape(&mut self, quote: char) -> Result<(), String> {
        let (digits, radix, largest) = match self.next() {
            Some(c) if "abfnrtv\\".contains(c) || c == quote => return Ok(()),
            Some('0'..='7') => {
                self.at -= 1;
                (3, 8, 255)
            }
            Some('x') => (2, 16, 255),
            Some('u') => (4, 16, 0x10ffff),
            Some('U') => (8, 16, 0x10ffff),
            None => return Err("escape sequence not terminated".to_owned()),
            Some(c) => return Err(format!("unknown escape sequence U+{:04X} {}", c as u32, go_rune(c))),
        };
        let mut value = 0u32;
        for _ in 0..digits {
            let c = self.next().ok_or_else(|| "escape sequence not terminated".to_owned())?;
            let digit = c
                .to_digit(radix)
                .ok_or_else(|| format!("illegal character U+{:04X} {} in escape sequence", c as u32, go_rune(c)))?;
            value = value.saturating_mul(radix).saturating_add(digit);
        }
        if value > largest || (0xd800..0xe000).contains(&value) && digits > 3 {
            return Err("escape sequence is an invalid Unicode code point".to_owned());
        }
        Ok(())
    }
}
