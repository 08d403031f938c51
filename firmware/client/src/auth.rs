//! Credentials of requests.

use crate::config::{HttpConfig, Secret};
use crate::error::ClientError;
use crate::file::WatchedText;
use crate::oauth2::TokenSource;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use std::path::{Path, PathBuf};

/// A text given in the configuration or in a file.
#[derive(Debug)]
pub(crate) enum Text {
    Inline(String),
    File(WatchedText),
}

impl Text {
    pub(crate) fn new(inline: &str, file: Option<&PathBuf>) -> Text {
        match file {
            Some(path) if path.as_path() != Path::new("") => Text::File(WatchedText::new(path)),
            _ => Text::Inline(inline.to_owned()),
        }
    }

    /// `what` names the text in an error.
    pub(crate) fn get(&self, what: &str) -> Result<String, ClientError> {
        match self {
            Text::Inline(text) => Ok(text.clone()),
            Text::File(file) => {
                file.get().map_err(|reason| ClientError::Auth(format!("unable to read {what}: {reason}")))
            }
        }
    }
}

/// What is put in the `Authorization` header.
#[derive(Debug)]
enum Scheme {
    None,
    Basic { username: Text, password: Text },
    Typed { kind: String, credentials: Text },
    OAuth2(Box<TokenSource>),
}

/// Puts credentials and configured headers on requests.
#[derive(Debug)]
pub(crate) struct Authenticator {
    scheme: Scheme,
    headers: Vec<(HeaderName, Text)>,
}

impl Authenticator {
    /// Neither credentials nor headers.
    pub(crate) fn none() -> Self {
        Authenticator { scheme: Scheme::None, headers: Vec::new() }
    }

    pub(crate) fn new(config: &HttpConfig) -> Result<Self, ClientError> {
        let mut headers = Vec::new();
        for (name, header) in &config.http_headers {
            let parsed = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| ClientError::Config(format!("http_headers: \"{name}\" is not a header name")))?;
            let inline = header.values.iter().map(String::as_str).chain(header.secrets.iter().map(Secret::expose));
            headers.extend(inline.map(|value| (parsed.clone(), Text::Inline(value.to_owned()))));
            headers.extend(header.files.iter().map(|file| (parsed.clone(), Text::new("", Some(file)))));
        }
        Ok(Authenticator { scheme: Scheme::new(config)?, headers })
    }

    /// Adds headers. A request that carries its own `Authorization` keeps it. `same_host`: false after a redirect to
    /// another host, which must not see credentials.
    pub(crate) async fn apply(&self, headers: &mut HeaderMap, same_host: bool) -> Result<(), ClientError> {
        for (name, text) in self.headers.iter().filter(|_| same_host) {
            headers.append(name, value(&text.get("header file")?)?);
        }
        if !same_host || headers.contains_key(AUTHORIZATION) {
            return Ok(());
        }
        let text = match &self.scheme {
            Scheme::None => return Ok(()),
            Scheme::Basic { username, password } => {
                basic(&username.get("basic auth username file")?, &password.get("basic auth password file")?)
            }
            Scheme::Typed { kind, credentials } => {
                format!("{kind} {}", credentials.get("authorization credentials file")?)
            }
            Scheme::OAuth2(source) => format!("Bearer {}", source.token().await?),
        };
        headers.insert(AUTHORIZATION, value(&text)?);
        Ok(())
    }

    /// Told that the server refused the credentials: a token that was kept is not used again.
    pub(crate) async fn refused(&self) {
        if let Scheme::OAuth2(source) = &self.scheme {
            source.forget().await;
        }
    }
}

impl Scheme {
    fn new(config: &HttpConfig) -> Result<Scheme, ClientError> {
        if let Some(basic) = &config.basic_auth {
            let username = Text::new(&basic.username, basic.username_file.as_ref());
            let password = Text::new(basic.password.expose(), basic.password_file.as_ref());
            return Ok(Scheme::Basic { username, password });
        }
        if let Some(authorization) = &config.authorization {
            let kind = match authorization.kind.trim() {
                "" => "Bearer".to_owned(),
                kind => kind.to_owned(),
            };
            let credentials = Text::new(authorization.credentials.expose(), authorization.credentials_file.as_ref());
            if let Text::Inline(text) = &credentials
                && text.is_empty()
            {
                return Ok(Scheme::None);
            }
            return Ok(Scheme::Typed { kind, credentials });
        }
        if let Some(oauth2) = &config.oauth2 {
            return Ok(Scheme::OAuth2(Box::new(TokenSource::new(oauth2)?)));
        }
        if !config.bearer_token.is_empty() || config.bearer_token_file.is_some() {
            let credentials = Text::new(config.bearer_token.expose(), config.bearer_token_file.as_ref());
            return Ok(Scheme::Typed { kind: "Bearer".to_owned(), credentials });
        }
        Ok(Scheme::None)
    }
}

/// The header's value for a user and a password.
pub(crate) fn basic(username: &str, password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{username}:{password}")))
}

fn value(text: &str) -> Result<HeaderValue, ClientError> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| ClientError::Auth("credentials contain a character that no header may have".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}
