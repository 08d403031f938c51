//! Tokens by client credentials (RFC 6749 §4.4), kept until shortly before they expire.

use crate::auth::{Text, basic};
use crate::client::{Client, Limits};
use crate::config::{HttpConfig, OAuth2};
use crate::error::ClientError;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Request, StatusCode};
use serde::Deserialize;
use std::fmt;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// A token is renewed this long before its end, so that it does not expire on the way.
const RENEWED_BEFORE: Duration = Duration::from_secs(10);
const LIMITS: Limits = Limits { timeout: Duration::from_secs(10), body_bytes_max: 1 << 20 };

/// Asks for tokens.
pub(crate) struct TokenSource {
    config: OAuth2,
    secret: Text,
    client: Client,
    last: Mutex<Option<Token>>,
}

struct Token {
    text: String,
    until: Option<Instant>,
    /// With which secret it was had: another secret means another token.
    secret: String,
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    #[serde(default)]
    expires_in: Option<serde_json::Value>,
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TokenSource").field("token_url", &self.config.token_url).finish_non_exhaustive()
    }
}

impl TokenSource {
    pub(crate) fn new(config: &OAuth2) -> Result<Self, ClientError> {
        let http = HttpConfig {
            tls_config: config.tls_config.clone(),
            proxy_url: config.proxy_url.clone(),
            no_proxy: config.no_proxy.clone(),
            proxy_from_environment: config.proxy_from_environment,
            proxy_connect_header: config.proxy_connect_header.clone(),
            ..HttpConfig::default()
        };
        let secret = Text::new(config.client_secret.expose(), config.client_secret_file.as_ref());
        Ok(TokenSource { config: config.clone(), secret, client: Client::new(&http)?, last: Mutex::new(None) })
    }

    /// The current token, asked for if there is none. One request at a time; others wait for its answer.
    pub(crate) async fn token(&self) -> Result<String, ClientError> {
        let mut last = self.last.lock().await;
        let secret = self.secret.get("oauth2 client secret file")?;
        if let Some(token) = &*last
            && token.secret == secret
            && token.until.is_none_or(|until| until > Instant::now())
        {
            return Ok(token.text.clone());
        }
        *last = None;
        // Servers differ in where they look for the secret; the header is what the standard asks them to support.
        let answer = match self.ask(&secret, true).await {
            Err(Refusal::Status(_)) => self.ask(&secret, false).await,
            other => other,
        };
        let answer = answer.map_err(|refusal| match refusal {
            Refusal::Status(text) => ClientError::Auth(format!("oauth2: cannot fetch token: {text}")),
            Refusal::Client(error) => ClientError::Auth(format!("oauth2: cannot fetch token: {error}")),
        })?;
        let seconds = answer.expires_in.as_ref().and_then(|value| match value {
            serde_json::Value::String(text) => text.parse().ok(),
            other => other.as_f64(),
        });
        let lifetime = seconds.filter(|seconds| *seconds > 0.0).and_then(|s| Duration::try_from_secs_f64(s).ok());
        let until = lifetime.and_then(|lifetime| Instant::now().checked_add(lifetime.saturating_sub(RENEWED_BEFORE)));
        *last = Some(Token { text: answer.access_token.clone(), until, secret });
        Ok(answer.access_token)
    }

    /// Lets go of the token, because a server refused it.
    pub(crate) async fn forget(&self) {
        *self.last.lock().await = None;
    }

    fn request(&self, secret: &str, in_header: bool) -> Result<Request<Bytes>, Refusal> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        if !self.config.scopes.is_empty() {
            form.append_pair("scope", &self.config.scopes.join(" "));
        }
        for (name, value) in &self.config.endpoint_params {
            form.append_pair(name, value);
        }
        let mut request =
            Request::post(&self.config.token_url).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        if in_header {
            let escape = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            request = request.header(AUTHORIZATION, basic(&escape(&self.config.client_id), &escape(secret)));
        } else {
            form.append_pair("client_id", &self.config.client_id);
            form.append_pair("client_secret", secret);
        }
        request
            .body(Bytes::from(form.finish()))
            .map_err(|error| Refusal::Client(ClientError::Config(format!("token_url: {error}"))))
    }

    async fn ask(&self, secret: &str, in_header: bool) -> Result<Answer, Refusal> {
        let request = self.request(secret, in_header)?;
        // The client may itself ask for a token by type, though this one never does: the future needs a known size.
        let answer = Box::pin(self.client.send(request, LIMITS)).await.map_err(Refusal::Client)?;
        if answer.status() != StatusCode::OK && answer.status() != StatusCode::CREATED {
            let text: String = String::from_utf8_lossy(answer.body()).chars().take(200).collect();
            return Err(Refusal::Status(format!("{} Response: {text}", answer.status())));
        }
        serde_json::from_slice(answer.body())
            .map_err(|error| Refusal::Client(ClientError::Protocol(format!("answer without access_token: {error}"))))
    }
}

enum Refusal {
    Status(String),
    Client(ClientError),
}
