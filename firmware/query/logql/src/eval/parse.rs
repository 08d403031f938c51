//! What the parsers of lines give, as labels.

use super::fields::Fields;
use bramble_line::json::{self, Path, Raw, Visit, unescape};
use bramble_line::logfmt::pairs;
use bramble_line::name::{is_plain, sanitize};
use std::borrow::Cow;

const JSON_ERROR: &str = "JSONParserErr";
const LOGFMT_ERROR: &str = "LogfmtParserErr";

struct Flatten<'f> {
    fields: &'f mut Fields,
    /// Names of the objects around, joined.
    prefix: String,
    /// Lengths to go back to.
    marks: Vec<usize>,
}

impl Flatten<'_> {
    /// Appends the key to the prefix; the length to go back to, `None` when nothing of the key remains.
    fn append(&mut self, key: &str) -> (usize, bool) {
        let before = self.prefix.len();
        if before > 0 {
            self.prefix.push('_');
        }
        let joint = self.prefix.len();
        sanitize(&unescape(key), &mut self.prefix);
        (before, self.prefix.len() > joint)
    }
}

impl<'a> Visit<'a> for Flatten<'_> {
    fn open(&mut self, key: &'a str) -> bool {
        let (before, named) = self.append(key);
        if named && self.fields.wants_under(&self.prefix) {
            self.marks.push(before);
            return true;
        }
        self.prefix.truncate(before);
        false
    }

    fn close(&mut self) {
        self.prefix.truncate(self.marks.pop().unwrap_or(0));
    }

    fn value(&mut self, key: &'a str, value: Raw<'a>) {
        let text = match value {
            Raw::Str(s) | Raw::Plain(s) => s,
            Raw::Object(_) | Raw::Array(_) | Raw::Null => return,
        };
        let resolved = |text: &'a str| if matches!(value, Raw::Str(_)) { unescape(text) } else { text.into() };
        if self.prefix.is_empty() && is_plain(key) {
            if self.fields.wants(key) {
                self.fields.extract(key, &resolved(text));
            }
            return;
        }
        let (before, named) = self.append(key);
        if named && self.fields.wants(&self.prefix) {
            self.fields.extract(&self.prefix, &resolved(text));
        }
        self.prefix.truncate(before);
    }
}

/// Labels of all members; nested objects join their keys with an underscore, arrays and nulls are left out.
pub(crate) fn json_all(line: &str, fields: &mut Fields) {
    let mut prefix = std::mem::take(&mut fields.name);
    prefix.clear();
    let mut flatten = Flatten { fields, prefix, marks: Vec::new() };
    let outcome = json::walk(line, &mut flatten);
    let Flatten { prefix, .. } = flatten;
    fields.name = prefix;
    if let Err(e) = outcome {
        fields.fail(JSON_ERROR, &e.to_string());
    }
}

/// Labels of the values at `paths`; a value that is not there gives an empty label.
pub(crate) fn json_some(line: &str, paths: &[(String, Path)], fields: &mut Fields) {
    if !line.trim_start().starts_with(['{', '[', '"']) {
        fields.fail(JSON_ERROR, "");
        return;
    }
    for (name, path) in paths {
        if !fields.wants(name) {
            continue;
        }
        let value = match path.find(line) {
            Ok(Some(Raw::Str(s))) => unescape(s),
            Ok(Some(Raw::Plain(s) | Raw::Array(s) | Raw::Object(s))) => s.into(),
            Ok(Some(Raw::Null) | None) | Err(_) => "".into(),
        };
        fields.extract(name, &value);
    }
}

/// Calls `named(key)` with the key as a label name, which is made only where the key is none.
fn with_name(fields: &mut Fields, key: &str, named: impl FnOnce(&mut Fields, &str)) {
    if is_plain(key) {
        return named(fields, key);
    }
    let mut name = std::mem::take(&mut fields.name);
    name.clear();
    sanitize(key, &mut name);
    named(fields, &name);
    fields.name = name;
}

/// Labels of all pairs.
pub(crate) fn logfmt_all(line: &str, strict: bool, keep_empty: bool, fields: &mut Fields) {
    let outcome = pairs(line, strict, |key, value| {
        if !value.is_empty() || keep_empty {
            with_name(fields, key, |fields, name| fields.extract(name, &value));
        }
        true
    });
    if let (Err(e), true) = (outcome, strict) {
        fields.fail(LOGFMT_ERROR, &e.to_string());
    }
}

/// Labels of the pairs whose keys are wanted: (label, key).
pub(crate) fn logfmt_some(line: &str, strict: bool, keep_empty: bool, keys: &[(String, String)], fields: &mut Fields) {
    let outcome = pairs(line, strict, |key, value| {
        for (label, _) in keys.iter().filter(|(_, k)| k == key) {
            if !value.is_empty() || keep_empty {
                fields.extract(label, &value);
            }
        }
        true
    });
    for (label, _) in keys {
        if fields.get(label).is_none() {
            fields.extract(label, "");
        }
    }
    if let (Err(e), true) = (outcome, strict) {
        fields.fail(LOGFMT_ERROR, &e.to_string());
    }
}

/// Labels around a packed line, and the line. Nothing happens without an `_entry`.
pub(crate) fn unpack(line: &str, fields: &mut Fields) -> Option<String> {
    let outcome = bramble_line::unpack::unpack(line, |key, value| {
        let key = unescape(key);
        with_name(fields, &key, |fields, name| fields.extract(name, value));
    });
    outcome.unwrap_or_else(|e| {
        fields.fail(JSON_ERROR, &e.to_string());
        None
    })
}

/// Text as labels have it: what is not UTF-8 is replaced.
pub(crate) fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    // Checking first is several times faster than replacing where there is nothing to replace.
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

#[cfg(test)]
mod tests {
    use super::super::fields::{Base, Wanted};
    use super::*;
    use bramble_signal::{Labels, LabelsRef};
    use std::sync::Arc;

    fn fields(wanted: Option<Wanted>) -> Fields {
        let mut fields = Fields::only(wanted.map(Arc::new));
        let labels = Labels::from_pairs([("app", "a")]);
        fields.start(&Base::new(labels.as_ref()), LabelsRef::EMPTY);
        fields
    }

    fn flat(line: &str) -> String {
        let mut fields = fields(None);
        json_all(line, &mut fields);
        fields.to_set(None).to_string()
    }

    #[test]
    fn objects_flatten() {
        assert_eq!(
            flat(r#"{"app":"b","n":1.10,"u":{"x-id":"q\"\u00f6"},"l":[1],"no":null,"0":true,"":"e"}"#),
            r#"{_0="true", app="a", app_extracted="b", n="1.10", u_x_id="q\"ö"}"#
        );
        assert_eq!(flat("{}"), r#"{app="a"}"#);
    }

    #[test]
    fn broken_objects_give_what_they_have() {
        let broken = flat(r#"{"t": "yes", "n": 1"#);
        assert!(broken.contains(r#"n="1", t="yes""#) && broken.contains("can't find closing ']' symbol"), "{broken}");
        assert!(flat("not json").contains("can't find closing '}' symbol"));
    }

    #[test]
    fn what_nobody_wants_is_checked_all_the_same() {
        let mut fields = fields(Some(Wanted::new(["u_id"])));
        json_all(r#"{"a":1,"u":{"id":"7","x":{"y":1}},"v":{"z":{"broken"}}}"#, &mut fields);
        assert_eq!(fields.get("u_id"), Some("7"));
        assert_eq!((fields.get("a"), fields.get("u_x_y"), fields.error()), (None, None, Some("JSONParserErr")));
    }

    #[test]
    fn packed_lines_unpack() {
        let mut f = fields(None);
        assert_eq!(unpack(r#"{"_entry":"x \"y\"","p-d":"p"}"#, &mut f).unwrap(), "x \"y\"");
        assert_eq!(f.get("p_d"), Some("p"));
        assert_eq!(unpack("text", &mut f), None);
        assert_eq!(f.error(), Some("JSONParserErr"));
    }
}
