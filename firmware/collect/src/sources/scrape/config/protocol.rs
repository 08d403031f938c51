//! Formats that a scrape asks for.

use bramble_wire::exposition::ExpositionFormat;
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use std::fmt::Write;

/// An exposition format with its version, by Prometheus' names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ScrapeProtocol {
    /// Delimited protobuf: the only one with native histograms.
    Proto,
    /// OpenMetrics text, 0.0.1.
    OpenMetrics0,
    /// OpenMetrics text, 1.0.0.
    OpenMetrics1,
    /// Prometheus text, 0.0.4.
    Text0,
    /// Prometheus text, 1.0.0.
    Text1,
}

/// What is asked for where a configuration says nothing.
pub(super) const DEFAULT_PROTOCOLS: [ScrapeProtocol; 4] =
    [ScrapeProtocol::OpenMetrics1, ScrapeProtocol::OpenMetrics0, ScrapeProtocol::Text1, ScrapeProtocol::Text0];

impl ScrapeProtocol {
    const ALL: [(ScrapeProtocol, &'static str, &'static str); 5] = [
        (ScrapeProtocol::OpenMetrics0, "OpenMetricsText0.0.1", "application/openmetrics-text;version=0.0.1"),
        (ScrapeProtocol::OpenMetrics1, "OpenMetricsText1.0.0", "application/openmetrics-text;version=1.0.0"),
        (
            ScrapeProtocol::Proto,
            "PrometheusProto",
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
        ),
        (ScrapeProtocol::Text0, "PrometheusText0.0.4", "text/plain;version=0.0.4"),
        (ScrapeProtocol::Text1, "PrometheusText1.0.0", "text/plain;version=1.0.0"),
    ];

    /// The name in configurations.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(known, ..)| *known == self).map_or("", |(_, name, _)| name)
    }

    fn media_type(self) -> &'static str {
        Self::ALL.iter().find(|(known, ..)| *known == self).map_or("", |(.., media_type)| media_type)
    }

    /// Whether names in it may be of any characters, so that it is said how they are to be escaped.
    fn has_escaping(self) -> bool {
        matches!(self, ScrapeProtocol::Proto | ScrapeProtocol::OpenMetrics1 | ScrapeProtocol::Text1)
    }

    /// The parser of what comes.
    pub fn format(self) -> ExpositionFormat {
        match self {
            ScrapeProtocol::Proto => ExpositionFormat::Protobuf,
            ScrapeProtocol::OpenMetrics0 | ScrapeProtocol::OpenMetrics1 => ExpositionFormat::OpenMetrics,
            ScrapeProtocol::Text0 | ScrapeProtocol::Text1 => ExpositionFormat::Text,
        }
    }
}

impl<'de> Deserialize<'de> for ScrapeProtocol {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let found = Self::ALL.iter().find(|(_, known, _)| *known == name);
        let names: Vec<&str> = Self::ALL.iter().map(|(_, name, _)| *name).collect();
        let unknown = || format!("unknown scrape protocol {name}, supported: [{}]", names.join(" "));
        found.map(|(protocol, ..)| *protocol).ok_or_else(|| D::Error::custom(unknown()))
    }
}

/// The `Accept` header: what comes first is liked best.
pub(super) fn accept_header(protocols: &[ScrapeProtocol], escaping: &str) -> String {
    let mut header = String::new();
    let mut weight = ScrapeProtocol::ALL.len() + 1;
    for protocol in protocols {
        header.push_str(protocol.media_type());
        if protocol.has_escaping() {
            // Writing to a string cannot fail.
            _ = write!(header, ";escaping={escaping}");
        }
        _ = write!(header, ";q=0.{weight},");
        weight = weight.saturating_sub(1);
    }
    _ = write!(header, "*/*;q=0.{weight}");
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_wire::exposition::negotiate;

    #[test]
    fn the_header_is_prometheus() {
        let expected = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
            application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
            text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        assert_eq!(accept_header(&DEFAULT_PROTOCOLS, "allow-utf-8"), expected);
        let with_histograms = accept_header(&[ScrapeProtocol::Proto, ScrapeProtocol::Text0], "underscores");
        assert_eq!(negotiate(&with_histograms), (ExpositionFormat::Protobuf, false));
    }

    #[test]
    fn names_are_checked() {
        let read = serde_saphyr::from_str::<Vec<ScrapeProtocol>>("[PrometheusProto, PrometheusText0.0.4]");
        assert_eq!(read.unwrap(), [ScrapeProtocol::Proto, ScrapeProtocol::Text0]);
        let error = serde_saphyr::from_str::<Vec<ScrapeProtocol>>("[Text]").unwrap_err().to_string();
        assert!(error.contains("unknown scrape protocol Text, supported: [OpenMetricsText0.0.1 "), "{error}");
    }
}
