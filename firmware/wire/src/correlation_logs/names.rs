//! What a field of a record means by its name.

use std::borrow::Cow;

/// What a field is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Meaning {
    /// The line; the lowest rank wins.
    Message(u8),
    /// The time.
    Time(u8),
    /// The severity.
    Severity(u8, Scale),
    /// Fields inside are labels of the stream.
    Labels,
    /// Fields inside stand for themselves.
    Container,
    /// Any other.
    Other,
}

/// How a severity is counted, if it is a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Scale {
    /// Whatever the number looks like.
    Any,
    /// OpenTelemetry's 1 to 24.
    OpenTelemetry,
    /// Python's 10 to 50.
    Python,
}

const MESSAGES: [&str; 7] = ["message", "msg", "body", "log", "line", "_msg", "text"];
const TIMES: [&str; 10] = [
    "timestamp",
    "time",
    "ts",
    "@timestamp",
    "_time",
    "timeUnixNano",
    "time_unix_nano",
    "datetime",
    "date",
    "observed_timestamp",
];
/// Times of this rank and beyond have names that other things have too: only what is a time is taken for one.
pub(super) const WEAK_TIME: u8 = 7;
const SEVERITIES: [(&str, Scale); 14] = [
    ("severity", Scale::Any),
    ("level", Scale::Any),
    ("severity_text", Scale::Any),
    ("severityText", Scale::Any),
    ("log.level", Scale::Any),
    ("log_level", Scale::Any),
    ("loglevel", Scale::Any),
    ("levelname", Scale::Any),
    ("lvl", Scale::Any),
    ("priority", Scale::Any),
    ("PRIORITY", Scale::Any),
    ("severity_number", Scale::OpenTelemetry),
    ("severityNumber", Scale::OpenTelemetry),
    ("levelno", Scale::Python),
];
const CONTAINERS: [&str; 7] =
    ["resource", "attributes", "fields", "metadata", "structured_metadata", "context", "extra"];

/// The meaning of a field at the top of a record, or (`log.level`) of one in an object there.
pub(super) fn meaning(name: &str) -> Meaning {
    let rank = |names: &[&str]| names.iter().position(|known| name.eq_ignore_ascii_case(known)).map(|at| at as u8);
    if let Some(rank) = rank(&MESSAGES) {
        return Meaning::Message(rank);
    }
    if let Some(rank) = rank(&TIMES) {
        return Meaning::Time(rank);
    }
    if let Some((rank, scale)) = severity(name) {
        return Meaning::Severity(rank, scale);
    }
    match name {
        "labels" => Meaning::Labels,
        name if CONTAINERS.contains(&name) => Meaning::Container,
        _ => Meaning::Other,
    }
}

/// Whether a severity's name has other meanings too, so that only what is a level is taken for one.
pub(super) fn is_weak_severity(name: &str) -> bool {
    name.eq_ignore_ascii_case("priority")
}

/// Rank and scale of a severity's name.
pub(super) fn severity(name: &str) -> Option<(u8, Scale)> {
    let at = SEVERITIES.iter().position(|(known, _)| name.eq_ignore_ascii_case(known))?;
    SEVERITIES.get(at).map(|(_, scale)| (at as u8, *scale))
}

/// Names that say where something runs, without regard to case and punctuation, and the label of the stream that each is:
/// the names that OTLP's resources get.
const PLACES: [(&str, &str); 32] = [
    ("service", "service"),
    ("servicename", "service"),
    ("host", "host"),
    ("hostname", "host"),
    ("env", "env"),
    ("environment", "env"),
    ("deploymentenvironment", "env"),
    ("deploymentenvironmentname", "env"),
    ("namespace", "namespace"),
    ("k8snamespacename", "namespace"),
    ("pod", "pod"),
    ("podname", "pod"),
    ("k8spodname", "pod"),
    ("container", "container"),
    ("containername", "container"),
    ("k8scontainername", "container"),
    ("node", "node"),
    ("nodename", "node"),
    ("k8snodename", "node"),
    ("cluster", "cluster"),
    ("k8sclustername", "cluster"),
    ("unit", "unit"),
    ("systemdunit", "unit"),
    ("job", "job"),
    ("app", "app"),
    ("application", "application"),
    ("instance", "instance"),
    ("region", "region"),
    ("cloudregion", "region"),
    ("zone", "zone"),
    ("cloudavailabilityzone", "zone"),
    ("servicenamespace", "service_namespace"),
];

/// The stream label that a name of a place is.
pub(super) fn place(name: &str) -> Option<&'static str> {
    // The longest has 25 letters and four dots.
    if name.len() > 32 {
        return None;
    }
    let letters = || name.bytes().filter(u8::is_ascii_alphanumeric).map(|b| b.to_ascii_lowercase());
    PLACES.iter().find(|(known, _)| letters().eq(known.bytes())).map(|(_, label)| *label)
}

/// Whether a field of this name says where something runs (`service`, `host.name`, …), and is a label of the stream.
pub fn is_place(name: &str) -> bool {
    place(name).is_some()
}

/// Whether a name may be that of a label of the stream as it is sent: those with two underscores in front are ours, and
/// what no name of a label has becomes an underscore.
pub(super) fn may_label(name: &str) -> bool {
    let first = name.chars().take(2);
    !name.is_empty() && first.filter(|c| !c.is_ascii_alphanumeric()).count() < 2
}

/// The text of a JSON string as it stands in a document, with its quotes. `None` for escapes that are no character.
pub(super) fn text_of(raw: &str) -> Option<Cow<'_, str>> {
    let inside = raw.strip_prefix('"')?.strip_suffix('"')?;
    match inside.contains('\\') {
        false => Some(Cow::Borrowed(inside)),
        true => serde_json::from_str(raw).ok().map(Cow::Owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_two_underscores_in_front_are_ours() {
        for name in ["__bramble__", "!!bramble!!", "_-x", "", "éé"] {
            assert!(!may_label(name), "{name}");
        }
        for name in ["a", "_a", "!a", "9", "-", "a__"] {
            assert!(may_label(name), "{name}");
        }
    }

    #[test]
    fn names_have_meanings() {
        assert_eq!(meaning("message"), Meaning::Message(0));
        assert_eq!(meaning("Time"), Meaning::Time(1));
        assert_eq!(meaning("Level"), Meaning::Severity(1, Scale::Any));
        assert_eq!(meaning("severityNumber"), Meaning::Severity(12, Scale::OpenTelemetry));
        assert_eq!(
            (meaning("labels"), meaning("attributes"), meaning("x")),
            (Meaning::Labels, Meaning::Container, Meaning::Other)
        );
        for (name, label) in
            [("service.name", "service"), ("Service", "service"), ("k8s.pod.name", "pod"), ("HOST_NAME", "host")]
        {
            assert_eq!(place(name), Some(label), "{name}");
        }
        assert_eq!((place("services"), place(""), place("host.ip")), (None, None, None));
    }

    #[test]
    fn texts_are_borrowed_where_they_can_be() {
        assert!(matches!(text_of(r#""plain""#), Some(Cow::Borrowed("plain"))));
        assert_eq!(text_of(r#""a\n\u00e4""#).as_deref(), Some("a\nä"));
        assert_eq!((text_of(r#""\ud800""#), text_of("7")), (None, None));
    }
}
