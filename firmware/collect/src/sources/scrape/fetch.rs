//! Asking a target for its page: headers, type, and a body that is reserved from the budget as it arrives.

use super::config::ScrapeConfig;
use super::target::Target;
use bramble_client::{BodyStream, Client};
use bramble_runtime::{Budget, Reservation};
use bramble_wire::exposition::ExpositionFormat;
use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method, Request, StatusCode};
use std::io::{self, Write};
use tokio::time::Instant;

/// Memory is reserved in steps of this, bytes.
const STEP_BYTES: usize = 64 << 10;

/// One page takes at most this part of the budget, so that one target does not keep all others out.
const BUDGET_PART: usize = 2;

/// A page in memory.
pub(super) struct Page {
    pub(super) bytes: Vec<u8>,
    pub(super) held: Reservation,
    pub(super) format: ExpositionFormat,
}

/// Why there is no page, and how many bytes of it came (0 when that says nothing).
pub(super) struct NoPage {
    pub(super) why: String,
    pub(super) is_too_large: bool,
}

impl From<String> for NoPage {
    fn from(why: String) -> Self {
        NoPage { why, is_too_large: false }
    }
}

/// Asks for a page; all of it within the target's timeout.
///
/// # Errors
/// [`NoPage`], in Prometheus' words. The connection of a body that is not read to its end is closed.
pub(super) async fn fetch(
    client: &Client,
    config: &ScrapeConfig,
    target: &Target,
    receive: &Budget,
) -> Result<Page, NoPage> {
    let timeout = target.timeout.to_std();
    let deadline = Instant::now() + timeout;
    let request = request(config, target)?;
    let answer = client.open(request, timeout).await.map_err(|error| error.at(&Method::GET, &target.uri))?;
    let (head, mut body) = answer.into_parts();
    if head.status != StatusCode::OK {
        // What little is left of the body is read, so that the connection can be used again.
        let _ = tokio::time::timeout_at(deadline, body.next()).await;
        let reason = head.status.canonical_reason().unwrap_or_default();
        return Err(format!("server returned HTTP status {} {reason}", head.status.as_u16())
            .trim_end()
            .to_owned()
            .into());
    }
    let format = format_of(&head.headers, config)?;
    let is_gzip =
        head.headers.get(CONTENT_ENCODING).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"gzip"));
    let sink = Sink::new(config.limits.body_bytes, receive)?;
    let read = read_body(&mut body, is_gzip, sink);
    let sink = tokio::time::timeout_at(deadline, read)
        .await
        .unwrap_or_else(|_| Err("context deadline exceeded".to_owned().into()))?;
    Ok(Page { bytes: sink.bytes, held: sink.held, format })
}

fn request(config: &ScrapeConfig, target: &Target) -> Result<Request<Bytes>, NoPage> {
    let text = |value: &str| HeaderValue::from_str(value).map_err(|error| NoPage::from(error.to_string()));
    let mut request = Request::new(Bytes::new());
    *request.uri_mut() = target.uri.clone();
    let headers = request.headers_mut();
    headers.insert(ACCEPT, text(&config.accept)?);
    let encoding = if config.compression { "gzip" } else { "identity" };
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(encoding));
    let seconds = target.timeout.ms() as f64 / 1000.0;
    headers.insert("x-prometheus-scrape-timeout-seconds", text(&seconds.to_string())?);
    Ok(request)
}

fn format_of(headers: &HeaderMap, config: &ScrapeConfig) -> Result<ExpositionFormat, String> {
    let said = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    if let Some(format) = ExpositionFormat::from_content_type(said) {
        return Ok(format);
    }
    let no_fallback = "and no fallback_scrape_protocol specified for target";
    match config.fallback_protocol {
        Some(protocol) => Ok(protocol.format()),
        None if said.is_empty() => Err(format!("non-compliant scrape target sending blank Content-Type {no_fallback}")),
        None => Err(format!("received unsupported Content-Type {said:?} {no_fallback}")),
    }
}

async fn read_body(body: &mut BodyStream, is_gzip: bool, sink: Sink) -> Result<Sink, NoPage> {
    if !is_gzip {
        let mut sink = sink;
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(|error| error.to_string())?;
            sink.take(&piece)?;
        }
        return Ok(sink);
    }
    let mut decoder = MultiGzDecoder::new(sink);
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|error| error.to_string())?;
        if let Err(error) = decoder.write_all(&piece) {
            return Err(decoder.get_mut().refused.take().unwrap_or_else(|| format!("gzip: {error}").into()));
        }
    }
    if let Err(error) = decoder.try_finish() {
        return Err(decoder.get_mut().refused.take().unwrap_or_else(|| format!("gzip: {error}").into()));
    }
    decoder.finish().map_err(|error| format!("gzip: {error}").into())
}

/// Gathers a body within its limit and the budget.
struct Sink {
    bytes: Vec<u8>,
    held: Reservation,
    /// What the configuration allows; 0 for no limit.
    limit_bytes: u64,
    /// What memory allows.
    bytes_max: usize,
    refused: Option<NoPage>,
}

impl Sink {
    fn new(limit_bytes: u64, receive: &Budget) -> Result<Self, NoPage> {
        let held = receive.reserve(STEP_BYTES).map_err(|error| error.to_string())?;
        let bytes_max = receive.limit_bytes() / BUDGET_PART;
        Ok(Sink { bytes: Vec::new(), held, limit_bytes, bytes_max, refused: None })
    }

    fn take(&mut self, piece: &[u8]) -> Result<(), NoPage> {
        let total = self.bytes.len() + piece.len();
        if self.limit_bytes > 0 && total as u64 > self.limit_bytes {
            return Err(NoPage { why: "body size limit exceeded".to_owned(), is_too_large: true });
        }
        if total > self.bytes_max {
            let why =
                format!("the page is longer than the {} bytes that memory allows; see memory.cap", self.bytes_max);
            return Err(NoPage { why, is_too_large: true });
        }
        if total > self.bytes.capacity() {
            // Grown by half, so that copies stay few; reserved before it is taken.
            let wanted = total.max(self.bytes.capacity() * 3 / 2).next_multiple_of(STEP_BYTES);
            self.held.resize(wanted.max(STEP_BYTES)).map_err(|error| error.to_string())?;
            self.bytes.reserve_exact(wanted - self.bytes.len());
        }
        self.bytes.extend_from_slice(piece);
        Ok(())
    }
}

impl Write for Sink {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        match self.take(piece) {
            Ok(()) => Ok(piece.len()),
            Err(refused) => {
                let why = refused.why.clone();
                self.refused = Some(refused);
                Err(io::Error::other(why))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_runtime::BudgetName;

    #[test]
    fn a_body_stays_within_limit_and_budget() {
        let receive = Budget::standalone(BudgetName::Receive, 1 << 20);
        let mut limited = Sink::new(100, &receive).unwrap_or_else(|e| panic!("{}", e.why));
        assert!(limited.take(&[0; 100]).is_ok());
        let refused = limited.take(&[0]).err().unwrap();
        assert!(refused.is_too_large && refused.why == "body size limit exceeded");
        let mut endless = Sink::new(0, &receive).unwrap_or_else(|e| panic!("{}", e.why));
        let mut taken = 0;
        while endless.take(&[0; 1000]).is_ok() {
            taken += 1000;
        }
        assert!(taken > 400_000 && receive.used_bytes() <= 1 << 20, "{taken}");
        drop((limited, endless));
        assert_eq!(receive.used_bytes(), 0);
    }

    #[test]
    fn a_bomb_is_not_unfolded() {
        let receive = Budget::standalone(BudgetName::Receive, 1 << 20);
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(&vec![b'a'; 64 << 20]).unwrap();
        let bomb = encoder.finish().unwrap();
        let mut decoder = MultiGzDecoder::new(Sink::new(0, &receive).unwrap_or_else(|e| panic!("{}", e.why)));
        assert!(decoder.write_all(&bomb).is_err());
        let sink = decoder.get_mut();
        assert!(sink.refused.take().is_some_and(|refused| refused.is_too_large) && sink.bytes.capacity() <= 1 << 20);
    }
}
