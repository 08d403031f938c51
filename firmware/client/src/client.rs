//! The client: requests in, answers or errors out.

use crate::auth::{Authenticator, basic};
use crate::body::BodyStream;
use crate::config::HttpConfig;
use crate::dial::{Dialer, Route};
use crate::error::{ClientError, from_hyper};
use crate::file::Stamp;
use crate::proxy::{Proxies, endpoint};
use crate::redirect::{Next, REDIRECTS_MAX, may_see_credentials};
use crate::tls::Tls;
use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST, HeaderValue, PROXY_AUTHORIZATION, USER_AGENT};
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use parking_lot::Mutex;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Connections kept open per host: a scrape, and one that overlaps it.
const IDLE_PER_HOST_MAX: usize = 2;
/// Longer than any usual scrape interval, as in Prometheus.
const IDLE_TIMEOUT: Duration = Duration::from_secs(300);
/// Bounds the head of an answer, and what is read ahead of a slow reader.
const HTTP1_BUFFER_BYTES: usize = 64 * 1024;
const HTTP2_STREAM_WINDOW_BYTES: u32 = 128 * 1024;
const HTTP2_CONNECTION_WINDOW_BYTES: u32 = 256 * 1024;
const AGENT: &str = concat!("bramble/", env!("CARGO_PKG_VERSION"));

type Pool = legacy::Client<Dialer, Full<Bytes>>;

/// How much one request may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// From the start to the last byte of the body, redirects included.
    pub timeout: Duration,
    /// Longest body, as it comes over the wire.
    pub body_bytes_max: usize,
}

/// Sends requests; keeps connections. Clones share everything.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    route: Arc<Route>,
    authenticator: Authenticator,
    follow_redirects: bool,
    /// Made anew when a certificate file changed, so that no connection of the old identity is used on.
    pool: Mutex<(Vec<Option<Stamp>>, Pool)>,
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Client").field("authenticator", &self.0.authenticator).finish_non_exhaustive()
    }
}

impl Client {
    /// A client for servers on the network. Opens no connection and no file.
    ///
    /// # Errors
    /// [`ClientError::Config`] as [`HttpConfig::validate`], and for a proxy or header that cannot be.
    pub fn new(config: &HttpConfig) -> Result<Client, ClientError> {
        config.validate()?;
        let route = Route::Network {
            proxies: Box::new(Proxies::new(config)?),
            tls: Box::new(Tls::new(&config.tls_config, config.enable_http2)),
        };
        Ok(Self::with(route, Authenticator::new(config)?, config.follow_redirects))
    }

    /// A client for the server behind a Unix socket. URIs are `http://localhost/…`: the host is only a header.
    pub fn unix(path: impl Into<PathBuf>) -> Client {
        Self::with(Route::Unix(path.into()), Authenticator::none(), false)
    }

    fn with(route: Route, authenticator: Authenticator, follow_redirects: bool) -> Client {
        let route = Arc::new(route);
        let pool = Mutex::new((stamps(&route), build(&route)));
        Client(Arc::new(Inner { route, authenticator, follow_redirects, pool }))
    }

    /// Sends a request and gathers the answer's body. Any status is an answer.
    ///
    /// # Errors
    /// Any of [`ClientError`]. A request may have reached the server even so.
    pub async fn send(&self, request: Request<Bytes>, limits: Limits) -> Result<Response<Bytes>, ClientError> {
        let work = async {
            let (head, body) = self.start(request).await?.into_parts();
            let body = body.gather(limits.body_bytes_max).await?;
            Ok(Response::from_parts(head, body))
        };
        tokio::time::timeout(limits.timeout, work).await.unwrap_or(Err(ClientError::Timeout))
    }

    /// Sends a request; the body is the caller's to read. `timeout` covers everything up to the answer's head.
    ///
    /// # Errors
    /// As [`send`](Self::send), but for [`TooLarge`](ClientError::TooLarge).
    pub async fn open(&self, request: Request<Bytes>, timeout: Duration) -> Result<Response<BodyStream>, ClientError> {
        tokio::time::timeout(timeout, self.start(request)).await.unwrap_or(Err(ClientError::Timeout))
    }

    async fn start(&self, request: Request<Bytes>) -> Result<Response<BodyStream>, ClientError> {
        let (head, body) = request.into_parts();
        let first = head.uri.clone();
        let mut next = Next { method: head.method, uri: head.uri, headers: head.headers, body };
        for _ in 0..=REDIRECTS_MAX {
            let same_host = may_see_credentials(&first, &next.uri);
            let answer = self.once(&mut next, same_host).await?;
            if answer.status() == StatusCode::UNAUTHORIZED {
                self.0.authenticator.refused().await;
            }
            if !self.0.follow_redirects || !next.follow(answer.status(), answer.headers())? {
                return Ok(answer);
            }
            if !may_see_credentials(&first, &next.uri) {
                next.headers.remove(AUTHORIZATION);
            }
            next.headers.remove(HOST);
        }
        Err(ClientError::Redirects(format!("stopped after {REDIRECTS_MAX} redirects")))
    }

    async fn once(&self, next: &mut Next, same_host: bool) -> Result<Response<BodyStream>, ClientError> {
        take_user(next)?;
        let mut headers = next.headers.clone();
        self.0.authenticator.apply(&mut headers, same_host).await?;
        headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(AGENT));
        self.0.proxy_authorization(&next.uri, &mut headers)?;
        let mut request = Request::new(Full::new(next.body.clone()));
        *request.method_mut() = next.method.clone();
        *request.uri_mut() = next.uri.clone();
        *request.headers_mut() = headers;
        let pool = self.0.current_pool();
        let answer = pool.request(request).await.map_err(|error| from_hyper(&error))?;
        Ok(answer.map(BodyStream::new))
    }
}

impl Inner {
    fn current_pool(&self) -> Pool {
        let stamps = stamps(&self.route);
        let mut pool = self.pool.lock();
        if pool.0 != stamps {
            *pool = (stamps, build(&self.route));
        }
        pool.1.clone()
    }

    /// A proxy that forwards plain requests sees its credentials in each of them.
    fn proxy_authorization(&self, uri: &Uri, headers: &mut HeaderMap) -> Result<(), ClientError> {
        if let Route::Network { proxies, .. } = &*self.route {
            let (host, port, tls) = endpoint(uri)?;
            if let Some(proxy) = proxies.of(tls, &host, port)
                && let Some(authorization) = &proxy.authorization
                && !tls
            {
                headers.insert(PROXY_AUTHORIZATION, authorization.clone());
            }
        }
        Ok(())
    }
}

fn stamps(route: &Route) -> Vec<Option<Stamp>> {
    match route {
        Route::Network { tls, .. } => tls.stamps(),
        Route::Unix(_) => Vec::new(),
    }
}

fn build(route: &Arc<Route>) -> Pool {
    legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
        .http1_max_buf_size(HTTP1_BUFFER_BYTES)
        .http2_initial_stream_window_size(HTTP2_STREAM_WINDOW_BYTES)
        .http2_initial_connection_window_size(HTTP2_CONNECTION_WINDOW_BYTES)
        .http2_keep_alive_interval(Duration::from_secs(30))
        .http2_keep_alive_timeout(Duration::from_secs(15))
        .build(Dialer(Arc::clone(route)))
}

/// `http://user:password@host/` is basic authentication; the user is no part of what is asked.
fn take_user(next: &mut Next) -> Result<(), ClientError> {
    let Some((user, host)) = next.uri.authority().and_then(|authority| authority.as_str().rsplit_once('@')) else {
        return Ok(());
    };
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    let decode = |text: &str| {
        let escaped = format!("x={}", text.replace('+', "%2B"));
        form_urlencoded::parse(escaped.as_bytes()).next().map(|(_, value)| value.into_owned()).unwrap_or_default()
    };
    let wrong = || ClientError::Config("the URL's user or host cannot be".to_owned());
    let value = HeaderValue::from_str(&basic(&decode(name), &decode(password))).map_err(|_| wrong())?;
    let mut parts = next.uri.clone().into_parts();
    parts.authority = Some(host.parse().map_err(|_| wrong())?);
    next.uri = Uri::from_parts(parts).map_err(|_| wrong())?;
    next.headers.entry(AUTHORIZATION).or_insert(value);
    Ok(())
}
