//! Searches as they were before TraceQL: by tags in logfmt and by duration, written as TraceQL.

use super::super::answer::ApiError;
use crate::params::Params;
use bramble_query_traceql::duration_ns;

const MILLISECOND_NS: u64 = 1_000_000;

/// A search by tags: one span passes all of them, and lasts so long.
#[derive(Default, Debug)]
pub(in super::super) struct ByTags {
    pub(in super::super) tags: Vec<(String, String)>,
    pub(in super::super) min_ns: Option<u64>,
    pub(in super::super) max_ns: Option<u64>,
}

impl ByTags {
    pub(super) fn of_params(params: &Params) -> Result<Self, ApiError> {
        let duration = |name: &str| match params.get(name) {
            None => Ok(None),
            // Whole milliseconds, of which none is no bound, as Tempo reads them.
            Some(text) => duration_ns(text)
                .and_then(|ns| u64::try_from(ns).ok())
                .map(|ns| Some(ns / MILLISECOND_NS * MILLISECOND_NS).filter(|ns| *ns > 0))
                .ok_or_else(|| ApiError::bad(format!("invalid {name}: time: invalid duration {text:?}"))),
        };
        Ok(ByTags {
            tags: logfmt(params.get("tags").unwrap_or("")),
            min_ns: duration("minDuration")?,
            max_ns: duration("maxDuration")?,
        })
    }

    /// The same in TraceQL; `None` when it asks for nothing.
    pub(super) fn query(&self) -> Option<String> {
        let mut tests: Vec<String> = self.tags.iter().map(|(k, v)| tag_test(k, v)).collect();
        tests.extend(self.min_ns.map(|ns| format!("duration >= {ns}ns")));
        tests.extend(self.max_ns.map(|ns| format!("duration <= {ns}ns")));
        (!tests.is_empty()).then(|| format!("{{ {} }}", tests.join(" && ")))
    }
}

/// Keys and values of logfmt: `a=b c="d e"`; words without a value are keys of nothing.
fn logfmt(text: &str) -> Vec<(String, String)> {
    let (mut out, mut chars) = (Vec::new(), text.chars().peekable());
    loop {
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        if chars.peek().is_none() {
            return out;
        }
        let (mut key, mut value) = (String::new(), String::new());
        while let Some(c) = chars.next_if(|c| *c != '=' && !c.is_whitespace()) {
            key.push(c);
        }
        if chars.next_if_eq(&'=').is_some() {
            if chars.next_if_eq(&'"').is_some() {
                while let Some(c) = chars.next().filter(|c| *c != '"') {
                    value.push(if c == '\\' { chars.next().unwrap_or(c) } else { c });
                }
            } else {
                while let Some(c) = chars.next_if(|c| !c.is_whitespace()) {
                    value.push(c);
                }
            }
        }
        out.push((key, value));
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

/// One tag as a test. Values have no types in logfmt: what reads as a number or truth value matches both.
fn tag_test(key: &str, value: &str) -> String {
    let text = quoted(value);
    match key {
        "name" => format!("name = {text}"),
        "root.name" => format!("rootName = {text}"),
        "root.service.name" => format!("rootServiceName = {text}"),
        _ => {
            let field = format!(".{}", quoted(key));
            let is_typed = value.parse::<i64>().is_ok_and(|i| i >= 0) || value == "true" || value == "false";
            if is_typed { format!("({field} = {text} || {field} = {value})") } else { format!("{field} = {text}") }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_query_traceql::parse;

    #[test]
    fn tags_are_read_as_logfmt() {
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(
            logfmt("a=b  c=\"d \\\"e\" f g="),
            [pair("a", "b"), pair("c", "d \"e"), pair("f", ""), pair("g", "")]
        );
        let params = Params::parse("tags=http.status_code%3D500+name%3D%22a+b%22&minDuration=2s");
        let query = ByTags::of_params(&params).unwrap().query().unwrap();
        assert_eq!(
            query,
            "{ (.\"http.status_code\" = \"500\" || .\"http.status_code\" = 500) && name = \"a b\" && duration >= 2000000000ns }"
        );
        assert!(parse(&query).is_ok());
        assert_eq!(ByTags::default().query(), None);
        assert_eq!(ByTags::of_params(&Params::parse("maxDuration=200us")).unwrap().query(), None);
    }
}
