//! Which format a client wants, and which one a server sent.

/// A format of exposition.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ExpositionFormat {
    /// Prometheus text.
    Text,
    /// OpenMetrics text.
    OpenMetrics,
    /// Delimited protobuf.
    Protobuf,
}

impl ExpositionFormat {
    /// The `Content-Type` of an answer in this format; `utf8_names` is whether names may be of any characters (those
    /// of the text formats then stand in quotes) or are escaped to plain ones.
    pub fn content_type(self, utf8_names: bool) -> &'static str {
        match (self, utf8_names) {
            (ExpositionFormat::Text, false) => "text/plain; version=0.0.4; charset=utf-8; escaping=underscores",
            (ExpositionFormat::Text, true) => "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
            (ExpositionFormat::OpenMetrics, false) => {
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"
            }
            (ExpositionFormat::OpenMetrics, true) => {
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8"
            }
            (ExpositionFormat::Protobuf, false) => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; \
                 escaping=underscores"
            }
            (ExpositionFormat::Protobuf, true) => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; \
                 escaping=allow-utf-8"
            }
        }
    }

    /// The format that a `Content-Type` names; `None` for anything else, also for an empty one.
    pub fn from_content_type(header: &str) -> Option<Self> {
        let mut pieces = header.split(';').map(str::trim);
        let essence = pieces.next().unwrap_or("");
        let is = |name: &str| essence.eq_ignore_ascii_case(name);
        if is("text/plain") {
            return Some(ExpositionFormat::Text);
        }
        if is("application/openmetrics-text") {
            return Some(ExpositionFormat::OpenMetrics);
        }
        if !is("application/vnd.google.protobuf") {
            return None;
        }
        let parameter = |name: &str, wanted: &str| {
            let found = header.split(';').filter_map(|piece| piece.trim().split_once('=')).find(|(n, _)| *n == name);
            found.is_none_or(|(_, value)| value.trim_matches('"') == wanted)
        };
        let known = parameter("proto", "io.prometheus.client.MetricFamily") && parameter("encoding", "delimited");
        known.then_some(ExpositionFormat::Protobuf)
    }
}

/// The format that an `Accept` header likes best, by `q`, then by order, and whether names of any characters are
/// welcome in it. Prometheus text where nothing fits or nothing is asked.
pub fn negotiate(accept: &str) -> (ExpositionFormat, bool) {
    let mut best = (0.0, (ExpositionFormat::Text, false));
    for wish in accept.split(',').map(str::trim) {
        let parameter = |name: &str| {
            let found = wish.split(';').filter_map(|piece| piece.trim().split_once('=')).find(|(n, _)| *n == name);
            found.map(|(_, value)| value)
        };
        let quality = parameter("q").map_or(1.0, |q| q.parse().unwrap_or(0.0));
        let format = match wish.split(';').next().unwrap_or("").trim() {
            "*/*" | "text/*" => Some(ExpositionFormat::Text),
            _ => ExpositionFormat::from_content_type(wish),
        };
        if let Some(format) = format
            && version_is_known(format, parameter("version"))
            && quality > best.0
        {
            best = (quality, (format, parameter("escaping") == Some("allow-utf-8")));
        }
    }
    best.1
}

fn version_is_known(format: ExpositionFormat, version: Option<&str>) -> bool {
    match (format, version) {
        (_, None) | (ExpositionFormat::Protobuf, _) => true,
        (ExpositionFormat::Text, Some(version)) => matches!(version, "0.0.4" | "1.0.0"),
        (ExpositionFormat::OpenMetrics, Some(version)) => matches!(version, "1.0.0" | "0.0.1"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: (ExpositionFormat, bool) = (ExpositionFormat::Text, false);

    #[test]
    fn the_best_known_wish_wins() {
        let scraper = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
            application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
            text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        assert_eq!(negotiate(scraper), (ExpositionFormat::OpenMetrics, true));
        let with_histograms = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
            encoding=delimited;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.2";
        assert_eq!(negotiate(with_histograms), (ExpositionFormat::Protobuf, true));
        assert_eq!(negotiate(""), TEXT);
        assert_eq!(negotiate("text/html,application/json"), TEXT);
        assert_eq!(negotiate("application/openmetrics-text;version=9.0.0,*/*;q=0.1"), TEXT);
        assert_eq!(negotiate("application/vnd.google.protobuf;proto=other.Message,*/*;q=0.1"), TEXT);
        assert_eq!(negotiate("application/openmetrics-text;q=0"), TEXT);
    }
}
