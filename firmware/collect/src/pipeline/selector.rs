//! Selectors as people write them, `{app="web", env=~"prod|stage"}`, over whatever says who an item is from.
//!
//! Names may hold dots, since attributes do. Of logs and metrics a name is asked as labels have it (`http.route` is
//! `http_route` there); of spans it is asked as it stands, of the span first and then of its resource, unless `span.` or
//! `resource.` in front says of which.

use bramble_signal::attributes::{AttributeValue, AttributesRef};
use bramble_signal::{FLOATING_MARK, LabelsRef, MatchOp, Matcher, SpanBatch, SpanEntry};
use std::borrow::Cow;

/// Which attributes of a span a test asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Scope {
    Either,
    Span,
    Resource,
}

/// One test of a selector.
#[derive(Clone, Debug)]
struct Test {
    scope: Scope,
    /// As attributes are named, without the scope.
    attribute: String,
    /// As labels are named, and as metadata names a floating label.
    label: String,
    floating: String,
    matcher: Matcher,
}

/// All of its tests must hold. An empty one selects everything.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selector {
    tests: Vec<Test>,
}

/// A name as labels and metadata have it.
pub(crate) fn label_name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == ':' { c } else { '_' };
    name.chars().map(plain).collect()
}

/// A value as a text that can be matched; `None` for what has no short text (bytes, arrays, lists).
pub(crate) fn value_text(value: AttributeValue<'_>) -> Option<Cow<'_, str>> {
    Some(match value {
        AttributeValue::Str(text) => Cow::Borrowed(text),
        AttributeValue::Bool(true) => Cow::Borrowed("true"),
        AttributeValue::Bool(false) => Cow::Borrowed("false"),
        AttributeValue::Int(number) => Cow::Owned(number.to_string()),
        AttributeValue::Double(number) => Cow::Owned(number.to_string()),
        AttributeValue::Empty => Cow::Borrowed(""),
        AttributeValue::Bytes(_) | AttributeValue::Array(_) | AttributeValue::List(_) => return None,
    })
}

impl Selector {
    /// Reads a selector; braces may be left out, and an empty text selects everything.
    ///
    /// # Errors
    /// What is wrong and at which character.
    pub(crate) fn parse(text: &str) -> Result<Selector, String> {
        let mut reader = Reader { text, at: 0 };
        let mut tests = Vec::new();
        reader.skip_spaces();
        let braced = reader.take("{");
        loop {
            reader.skip_spaces();
            if reader.at_end() || reader.rest().starts_with('}') {
                break;
            }
            tests.push(reader.test()?);
            reader.skip_spaces();
            if !reader.take(",") {
                break;
            }
        }
        if braced && !reader.take("}") {
            return Err(reader.expected("a comma or '}'"));
        }
        reader.skip_spaces();
        if !reader.at_end() {
            return Err(reader.expected("the end"));
        }
        Ok(Selector { tests })
    }

    /// Whether everything is selected.
    pub(crate) fn is_everything(&self) -> bool {
        self.tests.is_empty()
    }

    /// Whether a series or stream of these labels is selected.
    pub(crate) fn matches_labels(&self, labels: LabelsRef<'_>) -> bool {
        self.tests.iter().all(|test| test.matcher.matches(labels.get(&test.label).unwrap_or("")))
    }

    /// Whether an entry is selected: labels are asked first, then metadata.
    pub(crate) fn matches_entry(&self, labels: LabelsRef<'_>, metadata: LabelsRef<'_>) -> bool {
        self.tests.iter().all(|test| {
            let value = labels.get(&test.label).or_else(|| metadata.get(&test.label));
            test.matcher.matches(value.or_else(|| metadata.get(&test.floating)).unwrap_or(""))
        })
    }

    /// Whether spans of a resource are selected.
    pub(crate) fn matches_resource(&self, attributes: AttributesRef<'_>) -> bool {
        self.tests.iter().all(|test| test.matches(attributes.get(&test.attribute)))
    }

    /// Whether a span is selected.
    pub(crate) fn matches_span(&self, batch: &SpanBatch, span: &SpanEntry) -> bool {
        self.tests.iter().all(|test| {
            let of_span = || batch.attributes(span.attributes).get(&test.attribute);
            let of_resource = || batch.resource_attributes(span).get(&test.attribute);
            test.matches(match test.scope {
                Scope::Either => of_span().or_else(of_resource),
                Scope::Span => of_span(),
                Scope::Resource => of_resource(),
            })
        })
    }
}

impl Test {
    fn matches(&self, value: Option<AttributeValue<'_>>) -> bool {
        self.matcher.matches(&value.and_then(value_text).unwrap_or_default())
    }
}

/// A text and how far it is read.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn at_end(&self) -> bool {
        self.rest().is_empty()
    }

    fn skip_spaces(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn take(&mut self, what: &str) -> bool {
        let found = self.rest().starts_with(what);
        self.at += if found { what.len() } else { 0 };
        found
    }

    fn expected(&self, what: &str) -> String {
        let found = self.rest().chars().next().map_or("the end".to_owned(), |c| format!("{c:?}"));
        format!("selector {:?}, character {}: expected {what}, found {found}", self.text, self.at + 1)
    }

    fn test(&mut self) -> Result<Test, String> {
        let name = self.name()?;
        self.skip_spaces();
        let ops = [("=~", MatchOp::Regex), ("!~", MatchOp::NotRegex), ("!=", MatchOp::NotEqual), ("=", MatchOp::Equal)];
        let Some((_, op)) = ops.into_iter().find(|(sign, _)| self.take(sign)) else {
            return Err(self.expected("one of = != =~ !~"));
        };
        self.skip_spaces();
        let value = self.value()?;
        let (scope, attribute) = match name.split_once('.') {
            Some(("span", rest)) => (Scope::Span, rest.to_owned()),
            Some(("resource", rest)) => (Scope::Resource, rest.to_owned()),
            _ => (Scope::Either, name.clone()),
        };
        let label = label_name(&attribute);
        let matcher = Matcher::new(&name, op, value).map_err(|error| format!("selector {:?}: {error}", self.text))?;
        Ok(Test { scope, attribute, floating: format!("{FLOATING_MARK}{label}"), label, matcher })
    }

    fn name(&mut self) -> Result<String, String> {
        if self.rest().starts_with(['"', '`']) {
            return self.value();
        }
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '/' | '-');
        let name: String = self.rest().chars().take_while(|&c| is_part(c)).collect();
        if name.is_empty() {
            return Err(self.expected("a name"));
        }
        self.at += name.len();
        Ok(name)
    }

    /// A text in double quotes with Go's usual escapes, or in back quotes without any.
    fn value(&mut self) -> Result<String, String> {
        if self.take("`") {
            let Some(end) = self.rest().find('`') else { return Err(self.expected("a closing `")) };
            let value = self.rest().get(..end).unwrap_or("").to_owned();
            self.at += end + 1;
            return Ok(value);
        }
        if !self.take("\"") {
            return Err(self.expected("a text in quotes"));
        }
        let mut value = String::new();
        while let Some(c) = self.rest().chars().next() {
            self.at += c.len_utf8();
            match c {
                '"' => return Ok(value),
                '\\' => {
                    let escaped = self.rest().chars().next();
                    self.at += escaped.map_or(0, char::len_utf8);
                    match escaped {
                        Some('n') => value.push('\n'),
                        Some('t') => value.push('\t'),
                        Some('r') => value.push('\r'),
                        Some(c @ ('\\' | '"' | '\'')) => value.push(c),
                        // A regular expression's own escape: more useful kept than refused.
                        Some(c) => value.extend(['\\', c]),
                        None => break,
                    }
                }
                c => value.push(c),
            }
        }
        Err(self.expected("a closing quote"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_signal::Labels;

    fn check(selector: &str, pairs: &[(&str, &str)], expected: bool) {
        let labels = Labels::from_pairs(pairs.iter().copied());
        assert_eq!(Selector::parse(selector).unwrap().matches_labels(labels.as_ref()), expected, "{selector} {labels}");
    }

    #[test]
    fn selectors_are_read_with_and_without_braces() {
        let web: &[_] = &[("app", "web"), ("http_route", "/a\"b")];
        check("", web, true);
        check("{}", web, true);
        check(r#"{app="web"}"#, web, true);
        check(r#"app = "web", "#, web, true);
        check(r#"{app="web", env!=""}"#, web, false);
        check(r#"{app=~"w.+", env=""}"#, web, true);
        check(r#"{app!~`w..`}"#, web, false);
        check(r#"{http.route="/a\"b"}"#, web, true);
        check(r#"{"http.route"=~"/a\W."}"#, web, true);
    }

    #[test]
    fn what_is_no_selector_is_refused_with_its_place() {
        let error = |text: &str| Selector::parse(text).unwrap_err();
        assert_eq!(
            error(r#"{app="web""#),
            r#"selector "{app=\"web\"", character 11: expected a comma or '}', found the end"#
        );
        assert!(error("{app}").contains("character 5: expected one of = != =~ !~, found '}'"));
        assert!(error(r#"{app=web}"#).contains("a text in quotes"));
        assert!(error(r#"{="x"}"#).contains("a name"));
        assert!(error(r#"{a="x"} b"#).contains("the end, found 'b'"));
        assert!(error(r#"{a=~"("}"#).contains("regex parse error"));
        assert!(error("{a=\"x\\").contains("closing quote") && error("{a=`x").contains("closing `"));
    }

    #[test]
    fn floating_labels_are_found_in_metadata() {
        let selector = Selector::parse(r#"{trace_id="1", k="v"}"#).unwrap();
        let metadata = Labels::from_pairs([("\u{1}trace_id", "1"), ("k", "v")]);
        assert!(selector.matches_entry(LabelsRef::EMPTY, metadata.as_ref()));
        assert!(!selector.matches_entry(Labels::from_pairs([("k", "other")]).as_ref(), metadata.as_ref()));
    }
}
