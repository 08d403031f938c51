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
    /// The `Content-Type` of an answer in this format.
    pub fn content_type(self) -> &'static str {
        match self {
            ExpositionFormat::Text => "text/plain; version=0.0.4; charset=utf-8; escaping=allow-utf-8",
            ExpositionFormat::OpenMetrics => {
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8"
            }
            ExpositionFormat::Protobuf => {
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

/// The format that an `Accept` header likes best: by `q`, then by order. Prometheus text where nothing fits or
/// nothing is asked.
pub fn negotiate(accept: &str) -> ExpositionFormat {
    let mut best = (0.0, ExpositionFormat::Text);
    for wish in accept.split(',') {
        let quality =
            wish.split(';').find_map(|p| p.trim().strip_prefix("q=")).map_or(1.0, |q| q.parse().unwrap_or(0.0));
        let format = match wish.split(';').next().unwrap_or("").trim() {
            "*/*" | "text/*" => Some(ExpositionFormat::Text),
            _ => ExpositionFormat::from_content_type(wish_without_quality(wish)),
        };
        if let Some(format) = format
            && version_is_known(format, wish)
            && quality > best.0
        {
            best = (quality, format);
        }
    }
    best.1
}

fn wish_without_quality(wish: &str) -> &str {
    // A quality is no parameter of the type, but it stands among them and does no harm there.
    wish.trim()
}

fn version_is_known(format: ExpositionFormat, wish: &str) -> bool {
    let version = wish.split(';').find_map(|piece| piece.trim().strip_prefix("version="));
    match (format, version) {
        (_, None) | (ExpositionFormat::Protobuf, _) => true,
        (ExpositionFormat::Text, Some(version)) => matches!(version, "0.0.4" | "1.0.0"),
        (ExpositionFormat::OpenMetrics, Some(version)) => matches!(version, "1.0.0" | "0.0.1"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_known_wish_wins() {
        let scraper = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
            application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
            text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        assert_eq!(negotiate(scraper), ExpositionFormat::OpenMetrics);
        let with_histograms = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
            encoding=delimited;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.2";
        assert_eq!(negotiate(with_histograms), ExpositionFormat::Protobuf);
        assert_eq!(negotiate(""), ExpositionFormat::Text);
        assert_eq!(negotiate("text/html,application/json"), ExpositionFormat::Text);
        assert_eq!(negotiate("application/openmetrics-text;version=9.0.0,*/*;q=0.1"), ExpositionFormat::Text);
        assert_eq!(negotiate("application/vnd.google.protobuf;proto=other.Message,*/*;q=0.1"), ExpositionFormat::Text);
        assert_eq!(negotiate("application/openmetrics-text;q=0"), ExpositionFormat::Text);
    }
}
