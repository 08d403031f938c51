//! Who emitted: what is found once per resource of a batch, so that spans need not look again.

use crate::options::DeriveOptions;
use crate::texts::{TextId, Texts};
use bramble_signal::attributes::{AttributeValue, AttributesRef};
use std::borrow::Cow;

/// A resource of the batch at hand.
#[derive(Clone, Copy)]
pub(crate) struct Source {
    pub(crate) service: TextId,
    /// What of the resource makes a label set its own: the service, and with `target_info` job and instance, as one text
    /// with NUL between them.
    pub(crate) identity: TextId,
    /// Whether its spans are left out.
    pub(crate) left_out: bool,
}

fn text<'a>(attributes: AttributesRef<'a>, key: &str) -> &'a str {
    match attributes.get(key) {
        Some(AttributeValue::Str(text)) => text,
        _ => "",
    }
}

impl Source {
    pub(crate) fn of(attributes: AttributesRef<'_>, texts: &mut Texts, options: &DeriveOptions) -> Self {
        let service = match text(attributes, "service.name") {
            "" => "unknown_service",
            name => name,
        };
        // What was made up is no work of the service.
        let left_out = attributes.is_synthetic() || options.services_left_out.iter().any(|name| name == service);
        let id = texts.id(service);
        let identity = match options.target_info {
            false => id,
            true => texts.id(&identity_text(service, attributes)),
        };
        Source { service: id, identity, left_out }
    }
}

fn identity_text(service: &str, attributes: AttributesRef<'_>) -> String {
    let job = match text(attributes, "service.namespace") {
        "" => Cow::Borrowed(service),
        namespace => Cow::Owned(format!("{namespace}/{service}")),
    };
    format!("{service}\0{job}\0{}", text(attributes, "service.instance.id"))
}

/// Service, job and instance of an identity; the latter two are empty without `target_info`.
pub(crate) fn parts_of(identity: &str) -> (&str, &str, &str) {
    let mut parts = identity.splitn(3, '\0');
    (parts.next().unwrap_or(""), parts.next().unwrap_or(""), parts.next().unwrap_or(""))
}

/// Appends a value as a label shows it; nothing for what has no text of its own. Whether it did.
pub(crate) fn put_text(value: &AttributeValue<'_>, bytes_max: usize, out: &mut Vec<u8>) -> bool {
    match value {
        AttributeValue::Str(text) => out.extend_from_slice(crate::texts::cut(text, bytes_max).as_bytes()),
        AttributeValue::Int(i) => out.extend_from_slice(i.to_string().as_bytes()),
        AttributeValue::Double(d) => out.extend_from_slice(d.to_string().as_bytes()),
        AttributeValue::Bool(b) => out.extend_from_slice(if *b { b"true" } else { b"false" }),
        _ => return false,
    }
    true
}

/// An attribute's name as a label: other characters than letters, digits and underscores become underscores; a name
/// that is `taken` gets two of them in front, as Tempo has it.
pub(crate) fn label_name(attribute: &str, taken: &[&str]) -> String {
    let mut name: String =
        attribute.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) || name.is_empty() {
        name.insert(0, '_');
    }
    if taken.contains(&name.as_str()) {
        name.insert_str(0, "__");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_labels_are_plain_and_their_own() {
        assert_eq!(label_name("http.method", &["service"]), "http_method");
        assert_eq!(label_name("service", &["service"]), "__service");
        assert_eq!(label_name("4xx", &[]), "_4xx");
    }
}
