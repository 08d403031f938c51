//! Target groups told by an HTTP server.

use super::config::{HttpSdConfig, StaticConfig};
use super::group::TargetGroup;
use super::poll::Sink;
use bramble_client::{Client, Limits};
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method, Request, StatusCode, Uri};

const BODY_BYTES_MAX: usize = 16 << 20;

/// Asks one server.
pub(super) struct Asker {
    config: HttpSdConfig,
    client: Client,
    uri: Uri,
}

impl Asker {
    pub(super) fn new(config: &HttpSdConfig) -> Result<Self, String> {
        let client = Client::new(&config.http).map_err(|error| error.to_string())?;
        let uri = config.url.parse().map_err(|error| format!("parse \"{}\": {error}", config.url))?;
        Ok(Asker { config: config.clone(), client, uri })
    }

    pub(super) async fn run(self, sink: Sink) {
        let interval = self.config.refresh_interval.0.max(std::time::Duration::from_millis(100));
        loop {
            match self.ask().await {
                Ok(groups) => sink.replace(groups),
                Err(error) => sink.failed(&error),
            }
            tokio::time::sleep(interval).await;
        }
    }

    async fn ask(&self) -> Result<Vec<TargetGroup>, String> {
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = self.uri.clone();
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        let seconds = self.config.refresh_interval.0.as_secs_f64().to_string();
        if let Ok(value) = HeaderValue::from_str(&seconds) {
            request.headers_mut().insert("x-prometheus-refresh-interval-seconds", value);
        }
        let limits = Limits { timeout: self.config.refresh_interval.0, body_bytes_max: BODY_BYTES_MAX };
        let answer = self.client.send(request, limits).await;
        let answer = answer.map_err(|error| error.at(&Method::GET, &self.uri))?;
        if answer.status() != StatusCode::OK {
            return Err(format!("server returned HTTP status {}", answer.status()));
        }
        check_type(answer.headers())?;
        let parsed: Vec<Option<StaticConfig>> = serde_json::from_slice(answer.body()).map_err(|e| e.to_string())?;
        let mut groups = Vec::with_capacity(parsed.len());
        for (index, one) in parsed.iter().enumerate() {
            let one = one.as_ref().ok_or("nil target group item found")?;
            groups.push(one.group(format!("{}:{index}", self.config.url), Some(("__meta_url", &self.config.url))));
        }
        Ok(groups)
    }
}

fn check_type(headers: &HeaderMap) -> Result<(), String> {
    let text = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default().trim();
    let (kind, parameter) = text.split_once(';').unwrap_or((text, ""));
    let parameter = parameter.trim().to_ascii_lowercase().replace('"', "");
    let fits = kind.eq_ignore_ascii_case("application/json") && matches!(parameter.as_str(), "" | "charset=utf-8");
    if fits { Ok(()) } else { Err(format!("unsupported content type \"{text}\"")) }
}
