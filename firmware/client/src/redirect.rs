//! Where a redirect leads.

use crate::error::ClientError;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, Method, StatusCode, Uri};

/// As Go's client.
pub(crate) const REDIRECTS_MAX: usize = 10;

/// The parts of a request that a redirect changes.
pub(crate) struct Next {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Next {
    /// Turns to where the answer leads; false if it leads nowhere, so that it is the final one.
    pub(crate) fn follow(&mut self, status: StatusCode, headers: &HeaderMap) -> Result<bool, ClientError> {
        let keeps_method = matches!(status.as_u16(), 307 | 308);
        if !keeps_method && !matches!(status.as_u16(), 301..=303) {
            return Ok(false);
        }
        let Some(location) = headers.get(LOCATION) else { return Ok(false) };
        let failed = |reason: &str| {
            let text = String::from_utf8_lossy(location.as_bytes());
            ClientError::Redirects(format!("failed to parse Location header \"{text}\": {reason}"))
        };
        let text = location.to_str().map_err(|_| failed("not a URL"))?;
        let base = url::Url::parse(&self.uri.to_string()).map_err(|error| failed(&error.to_string()))?;
        let mut joined = base.join(text).map_err(|error| failed(&error.to_string()))?;
        joined.set_fragment(None);
        self.uri = joined.as_str().parse().map_err(|_| failed("not a URL"))?;
        if !keeps_method && self.method != Method::HEAD {
            self.method = Method::GET;
            self.body = Bytes::new();
            self.headers.remove(CONTENT_LENGTH);
            self.headers.remove(CONTENT_TYPE);
        }
        Ok(true)
    }
}

/// Whether credentials for `first` may be shown to `next`: the same host, or one below it.
pub(crate) fn may_see_credentials(first: &Uri, next: &Uri) -> bool {
    let (Some(first), Some(next)) = (first.host(), next.host()) else { return false };
    let (first, next) = (first.to_ascii_lowercase(), next.to_ascii_lowercase());
    let below = next.strip_suffix(&first).is_some_and(|rest| rest.ends_with('.'));
    first == next || (below && first.parse::<std::net::IpAddr>().is_err())
}
