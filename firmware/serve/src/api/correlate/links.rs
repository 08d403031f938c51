//! Where else a correlation is to be seen.

use bramble_correlate::Correlation;
use bramble_line::ids::IdKind;
use form_urlencoded::byte_serialize;
use http::header::HOST;
use http::uri::Authority;
use http::{HeaderMap, Uri};
use serde_json::{Value, json};
use std::fmt::Write;
use std::net::SocketAddr;

/// How far before the first and behind the last instant its log entries are looked for.
const MARGIN_NS: i64 = 60_000_000_000;

/// Log entries that a link asks for.
const LOGS_MAX: u32 = 1000;

/// Links of one answer: to paths of the main door, from wherever the asker is.
#[derive(Clone, Default, Debug)]
pub(super) struct Links {
    /// What comes before paths that only the main door has: empty there.
    base: String,
}

impl Links {
    /// Links for who asks at another door: to the port of the door "main" on the host that was asked for.
    pub(super) fn from_another_door(headers: &HeaderMap, uri: &Uri, main_address: &str) -> Self {
        let said = headers.get(HOST).and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
        let host = said.as_ref().or(uri.authority()).map(|authority| authority.host()).filter(|host| !host.is_empty());
        let port = main_address.parse::<SocketAddr>().map(|address| address.port()).ok();
        let base = host.zip(port).map(|(host, port)| format!("http://{host}:{port}"));
        Links { base: base.unwrap_or_default() }
    }

    /// The links of a correlation.
    pub(super) fn of(&self, c: &Correlation) -> Value {
        let (base, id, trace) = (&self.base, c.id, c.id.trace_id);
        let (from, to) = (c.start_ns.saturating_sub(MARGIN_NS), c.end_ns.saturating_add(MARGIN_NS));
        let query = encoded(&format!(r#"{{service_name=~".+"}} | trace_id="{trace}""#));
        json!({
            "self": format!("/api/correlations/{id}"),
            "page": format!("{base}/#/correlations/{id}"),
            "trace": format!("{base}/#/trace/{trace}"),
            "tempo": format!("{base}/tempo/api/traces/{trace}"),
            "jaeger": format!("{base}/jaeger/api/traces/{trace}"),
            "logs": format!("{base}/loki/loki/api/v1/query_range?query={query}&start={from}&end={to}&limit={LOGS_MAX}&direction=forward"),
            "log_records": format!("/api/logs?trace_id={trace}&since={from}&until={to}&limit={LOGS_MAX}"),
            "stories": c.ids.iter().map(|(kind, value)| story(&[(*kind, value.as_str())])).collect::<Vec<_>>(),
        })
    }

    /// The page of the story of some ids.
    pub(super) fn story_page(&self, ids: &[(IdKind, &str)]) -> String {
        format!("{}/#/stories{}", self.base, parameters(ids))
    }
}

/// The path of the story of some ids.
pub(super) fn story(ids: &[(IdKind, &str)]) -> String {
    format!("/api/stories{}", parameters(ids))
}

fn parameters(ids: &[(IdKind, &str)]) -> String {
    let mut out = String::new();
    for (i, (kind, value)) in ids.iter().enumerate() {
        let _ = write!(out, "{}{}={}", if i == 0 { '?' } else { '&' }, kind.as_str(), encoded(value));
    }
    out
}

fn encoded(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::correlation;
    use super::*;

    fn base(host: &str, main: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        Links::from_another_door(&headers, &Uri::from_static("/api/correlations"), main).base
    }

    #[test]
    fn another_door_points_to_the_main_one() {
        assert_eq!(base("pi.local:8080", "0.0.0.0:3000"), "http://pi.local:3000");
        assert_eq!(base("[::1]:8080", "[::]:3001"), "http://[::1]:3001");
        assert_eq!(base("10.0.0.7", "0.0.0.0:3000"), "http://10.0.0.7:3000");
        assert_eq!(base("pi.local:8080", ""), "", "the main door is not known");
        assert_eq!(base("a b<script>", "0.0.0.0:3000"), "");
    }

    #[test]
    fn links_are_whole_and_encoded() {
        let mut c = correlation(5);
        c.ids = vec![(IdKind::Circuit, "C/1 &x".to_owned()), (IdKind::Request, "r".to_owned())];
        let links = Links::default().of(&c);
        assert_eq!(links["self"], "/api/correlations/0af7651916cd43dd8448eb211c80319c-5");
        assert_eq!(links["page"], "/#/correlations/0af7651916cd43dd8448eb211c80319c-5");
        assert_eq!(links["stories"], json!(["/api/stories?circuit_id=C%2F1+%26x", "/api/stories?request_id=r"]));
        let logs = links["logs"].as_str().unwrap();
        let (path, query) = logs.split_once('?').unwrap();
        assert_eq!(path, "/loki/loki/api/v1/query_range");
        let params = crate::params::Params::parse(query);
        let asked = params.get("query").unwrap();
        assert_eq!(asked, r#"{service_name=~".+"} | trace_id="0af7651916cd43dd8448eb211c80319c""#);
        assert!(bramble_query_logql::parse(asked).is_ok());
        assert!(params.get("start").unwrap().parse::<i64>().unwrap() < c.start_ns);
        assert!(params.get("end").unwrap().parse::<i64>().unwrap() > c.end_ns);
    }
}
