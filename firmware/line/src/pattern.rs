//! Patterns: literals and captures in turn, `<ip> - <user> [<_>]`.

use memchr::memmem::find;

#[derive(Clone, PartialEq, Eq, Debug)]
enum Part {
    Literal(Vec<u8>),
    /// Empty for `<_>`.
    Capture(String),
}

/// A pattern.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pattern(Vec<Part>);

/// `<name>` at the start of `text`: the name.
fn capture(text: &str) -> Option<&str> {
    let name = text.strip_prefix('<')?.split_once('>')?.0;
    crate::name::is_plain(name).then_some(name)
}

impl Pattern {
    /// Reads a pattern: `<name>` and `<_>` are captures, all else is literal.
    ///
    /// # Errors
    /// Two captures with nothing between them.
    pub fn new(text: &str) -> Result<Self, String> {
        let mut parts: Vec<Part> = Vec::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            if let Some(name) = capture(rest) {
                if let Some(Part::Capture(before)) = parts.last() {
                    let before = if before.is_empty() { "_" } else { before };
                    return Err(format!("found consecutive capture '<{before}><{name}>': invalid expression"));
                }
                parts.push(Part::Capture(if name == "_" { String::new() } else { name.to_owned() }));
                rest = &rest[name.len() + 2..];
                continue;
            }
            let bytes = &rest.as_bytes()[..c.len_utf8()];
            match parts.last_mut() {
                Some(Part::Literal(literal)) => literal.extend_from_slice(bytes),
                _ => parts.push(Part::Literal(bytes.to_vec())),
            }
            rest = &rest[c.len_utf8()..];
        }
        Ok(Pattern(parts))
    }

    /// Checks a pattern that is to capture.
    ///
    /// # Errors
    /// It has no named capture, or a name twice.
    pub fn for_parser(self) -> Result<Self, String> {
        let names: Vec<&String> =
            self.0.iter().filter_map(|p| if let Part::Capture(n) = p { Some(n) } else { None }).collect();
        if self.0.is_empty() {
            let text = "parse error at line 1, col 1: syntax error: unexpected $end, expecting IDENTIFIER or LITERAL";
            return Err(text.to_owned());
        }
        if names.iter().all(|n| n.is_empty()) {
            return Err("at least one capture is required".to_owned());
        }
        for (i, name) in names.iter().enumerate() {
            if !name.is_empty() && names[..i].contains(name) {
                return Err(format!("duplicate capture name ({name}): invalid expression"));
            }
        }
        Ok(self)
    }

    /// Checks a pattern that is to filter.
    ///
    /// # Errors
    /// It has a named capture.
    pub fn for_filter(self) -> Result<Self, String> {
        let named = self.0.iter().find_map(|p| match p {
            Part::Capture(name) if !name.is_empty() => Some(name),
            _ => None,
        });
        match named {
            Some(name) => Err(format!("named captures are not allowed: found '<{name}>'")),
            None => Ok(self),
        }
    }

    /// The literals.
    pub fn literals(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().filter_map(|p| if let Part::Literal(l) = p { Some(l.as_slice()) } else { None })
    }

    /// Whether the whole line has this shape.
    pub fn matches(&self, line: &[u8]) -> bool {
        if line.is_empty() || self.0.is_empty() {
            return line.is_empty() && self.0.is_empty();
        }
        let mut rest = line;
        for (i, part) in self.0.iter().enumerate() {
            let Part::Literal(literal) = part else { continue };
            match find(rest, literal) {
                Some(at) if i > 0 || at == 0 => rest = &rest[at + literal.len()..],
                _ => return false,
            }
        }
        // What is left must be there for a capture at the end, and must not be there for a literal.
        matches!(self.0.last(), Some(Part::Capture(_))) != rest.is_empty()
    }

    /// Calls `found(name, value)` for the named captures, as far as the line has the shape. A capture whose end is
    /// missing takes the rest of the line.
    pub fn captures(&self, line: &[u8], mut found: impl FnMut(&str, &[u8])) {
        let (mut rest, mut parts) = (line, self.0.as_slice());
        if line.is_empty() {
            return;
        }
        if let [Part::Literal(first), others @ ..] = parts {
            let Some(after) = rest.strip_prefix(first.as_slice()) else { return };
            (rest, parts) = (after, others);
        }
        while let [Part::Capture(name), others @ ..] = parts {
            let end = match others.first() {
                Some(Part::Literal(literal)) => find(rest, literal).map(|at| (at, at + literal.len())),
                _ => None,
            };
            let value = &rest[..end.map_or(rest.len(), |e| e.0)];
            if !name.is_empty() {
                found(name, value);
            }
            let Some((_, after)) = end else { return };
            rest = &rest[after..];
            parts = others.get(1..).unwrap_or(&[]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    fn captured(pattern: &str, line: &str) -> Vec<String> {
        let mut out = Vec::new();
        let pattern = Pattern::new(pattern).unwrap();
        pattern.captures(line.as_bytes(), |n, v| out.push(format!("{n}={}", String::from_utf8_lossy(v))));
        out
    }

    #[test]
    fn captures() {
        assert_eq!(captured("<ip> - <user> [<_>]", "1.2.3.4 - bob [x]"), ["ip=1.2.3.4", "user=bob"]);
        assert_eq!(captured("nomatch <x>", "abc"), Vec::<String>::new());
        assert_eq!(captured("<a>=<b>", "no equals"), ["a=no equals"]);
    }

    #[test]
    fn shapes() {
        let matches = |p: &str, l: &str| Pattern::new(p).unwrap().matches(l.as_bytes());
        assert!(matches("<_> - alice <_>", "1 - alice x") && !matches("<_> - alice <_>", "1 - alice "));
        assert!(matches("a<_>", "ab") && !matches("a<_>", "ba") && !matches("a", "ab"));
    }

    #[test]
    fn complaints() {
        let parser = |p: &str| Pattern::new(p).and_then(Pattern::for_parser).unwrap_err();
        assert_eq!(parser("<a><b>"), "found consecutive capture '<a><b>': invalid expression");
        assert_eq!(parser("<_> <_>"), "at least one capture is required");
    }
}
