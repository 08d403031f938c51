//! Text to tokens.

use super::numbers::{parse_bytes, parse_duration};
use super::token::{PUNCTUATION, Token};
use super::{ParseError, quote};

/// All tokens of `text` with the byte they start at; the last is [`Token::End`].
pub(crate) fn tokens(text: &str) -> Result<Vec<(Token, usize)>, ParseError> {
    let mut lexer = Lexer { text, at: 0 };
    let mut out = Vec::new();
    loop {
        lexer.skip_blank();
        let start = lexer.at;
        let token = lexer.token()?;
        let end = token == Token::End;
        out.push((token, start));
        if end {
            return Ok(out);
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

fn in_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip_blank(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start();
            self.at += rest.len() - trimmed.len();
            if !trimmed.starts_with('#') {
                return;
            }
            self.at += trimmed.find('\n').unwrap_or(trimmed.len());
        }
    }

    fn token(&mut self) -> Result<Token, ParseError> {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return Ok(Token::End) };
        let second = rest.chars().nth(1);
        match first {
            '"' => self.quoted(),
            '`' => self.raw(),
            '[' => self.range(),
            '0'..='9' => Ok(self.number()),
            '.' if second.is_some_and(|c| c.is_ascii_digit()) => Ok(self.number()),
            '-' if rest.starts_with("--") && rest[2..].starts_with(|c: char| c.is_ascii_alphabetic()) => {
                let len = rest[2..].find(|c: char| !(in_word(c) || c == '-')).unwrap_or(rest.len() - 2);
                self.at += 2 + len;
                Ok(Token::Flag(rest[2..2 + len].to_owned()))
            }
            c if c.is_alphabetic() || c == '_' => {
                let len = rest.find(|c: char| !in_word(c)).unwrap_or(rest.len());
                self.at += len;
                Ok(Token::Ident(rest[..len].to_owned()))
            }
            c => match PUNCTUATION.iter().find(|p| rest.starts_with(**p)) {
                Some(&p) if p != "@" && p != "." => {
                    self.at += p.len();
                    Ok(Token::Punct(p))
                }
                // Anything else reads as a word, as in Loki, and is refused by the grammar.
                _ => {
                    self.at += c.len_utf8();
                    Ok(Token::Ident(c.to_string()))
                }
            },
        }
    }

    fn number(&mut self) -> Token {
        let rest = self.rest();
        let mut len = rest.find(|c: char| !(in_word(c) || c == '.')).unwrap_or(rest.len());
        let mantissa = rest[..len].strip_suffix(['e', 'E']);
        if let Some(tail) = rest[len..].strip_prefix(['+', '-'])
            && mantissa.is_some_and(|m| m.parse::<f64>().is_ok())
        {
            len += 1 + tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len());
        }
        let word = &rest[..len];
        let parsed = if let Ok(number) = word.parse::<f64>() {
            Some(Token::Number(number))
        } else if let Some(hex) = word.strip_prefix("0x").and_then(|h| u64::from_str_radix(h, 16).ok()) {
            Some(Token::Number(hex as f64))
        } else if let Ok(ns) = parse_duration(word, true) {
            Some(Token::Duration(ns))
        } else {
            parse_bytes(word).ok().map(Token::Bytes)
        };
        if let Some(token) = parsed {
            self.at += len;
            return token;
        }
        // A number and then something that is no unit.
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
        self.at += digits;
        rest[..digits].parse().map_or_else(|_| Token::Ident(rest[..digits].to_owned()), Token::Number)
    }

    fn range(&mut self) -> Result<Token, ParseError> {
        let start = self.at;
        let refuse = |message: String| {
            let column = self.text[..start].chars().count() + 1;
            ParseError(format!("parse error at line 0, col {column}: {message}"))
        };
        let Some(len) = self.rest().find(']') else {
            return Err(refuse("missing closing ']' in duration".to_owned()));
        };
        let word = self.rest()[1..len].trim();
        if word.is_empty() {
            return Err(refuse("empty duration string".to_owned()));
        }
        let ns = match parse_duration(word, true) {
            Ok(ns) => ns,
            Err(_) if word.bytes().all(|b| b.is_ascii_digit() || b == b'.') => {
                return Err(refuse(format!("not a valid duration string: {}", quote(word))));
            }
            Err(message) => return Err(refuse(message.trim_start_matches("time: ").to_owned())),
        };
        if ns <= 0 {
            return Err(refuse(format!("not a valid duration string: {}", quote(word))));
        }
        self.at += len + 1;
        Ok(Token::Range(ns))
    }

    fn raw(&mut self) -> Result<Token, ParseError> {
        let rest = self.rest();
        let Some(len) = rest[1..].find('`') else {
            return Err(ParseError::at(self.text, self.at, "literal not terminated"));
        };
        self.at += len + 2;
        Ok(Token::Str(rest[1..1 + len].replace('\r', "")))
    }

    fn quoted(&mut self) -> Result<Token, ParseError> {
        let start = self.at;
        let mut out = Vec::new();
        let mut chars = self.rest()[1..].char_indices();
        let mut buffer = [0; 4];
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.at = start + at + 2;
                    return String::from_utf8(out)
                        .map(Token::Str)
                        .map_err(|_| ParseError::at(self.text, start, "invalid UTF-8 in string"));
                }
                '\n' => break,
                '\\' => {
                    escape(&mut chars, &mut out)
                        .ok_or_else(|| ParseError::at(self.text, start, "invalid char escape"))?;
                }
                c => out.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes()),
            }
        }
        Err(ParseError::at(self.text, start, "literal not terminated"))
    }
}

/// Reads one of Go's escapes after its backslash.
fn escape(chars: &mut std::str::CharIndices<'_>, out: &mut Vec<u8>) -> Option<()> {
    let (_, c) = chars.next()?;
    let mut number = |digits: usize, radix: u32, first: Option<char>| -> Option<u32> {
        let mut value = first.map_or(Some(0), |c| c.to_digit(radix))?;
        for _ in 0..digits {
            value = value * radix + chars.next()?.1.to_digit(radix)?;
        }
        Some(value)
    };
    let simple = match c {
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 11,
        '\\' | '"' | '\'' => c as u8,
        'x' => number(2, 16, None)? as u8,
        '0'..='7' => u8::try_from(number(2, 8, Some(c))?).ok()?,
        'u' | 'U' => {
            let code = char::from_u32(number(if c == 'u' { 4 } else { 8 }, 16, None)?)?;
            out.extend_from_slice(code.encode_utf8(&mut [0; 4]).as_bytes());
            return Some(());
        }
        _ => return None,
    };
    out.push(simple);
    Some(())
}
