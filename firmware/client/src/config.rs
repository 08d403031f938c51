//! `http_config` as Prometheus' users write it.

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// A text that is never printed.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Secret(pub String);

impl Secret {
    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.0.is_empty() { "\"\"" } else { "<secret>" })
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text(deserializer).map(Secret)
    }
}

/// A scalar as text: YAML's `password: 1234` is a text for Prometheus.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    struct Text;
    impl Visitor<'_> for Text {
        type Value = String;
        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a string")
        }
        fn visit_str<E: Error>(self, value: &str) -> Result<String, E> {
            Ok(value.to_owned())
        }
        fn visit_u64<E: Error>(self, value: u64) -> Result<String, E> {
            Ok(value.to_string())
        }
        fn visit_i64<E: Error>(self, value: i64) -> Result<String, E> {
            Ok(value.to_string())
        }
        fn visit_f64<E: Error>(self, value: f64) -> Result<String, E> {
            Ok(value.to_string())
        }
        fn visit_bool<E: Error>(self, value: bool) -> Result<String, E> {
            Ok(value.to_string())
        }
        fn visit_unit<E: Error>(self) -> Result<String, E> {
            Ok(String::new())
        }
    }
    deserializer.deserialize_any(Text)
}

/// User and password.
#[derive(Clone, Default, PartialEq, Eq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BasicAuth {
    /// The user.
    #[serde(deserialize_with = "text")]
    pub username: String,
    /// A file with the user.
    pub username_file: Option<PathBuf>,
    /// The password.
    pub password: Secret,
    /// A file with the password, read again when it changes.
    pub password_file: Option<PathBuf>,
}

/// The `Authorization` header.
#[derive(Clone, Default, PartialEq, Eq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Authorization {
    /// The scheme; empty is `Bearer`.
    #[serde(rename = "type", deserialize_with = "text")]
    pub kind: String,
    /// What follows the scheme.
    pub credentials: Secret,
    /// A file with it, read again when it changes.
    pub credentials_file: Option<PathBuf>,
}

/// OAuth 2 client credentials (RFC 6749 §4.4).
#[derive(Clone, Default, PartialEq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OAuth2 {
    /// Who asks.
    #[serde(deserialize_with = "text")]
    pub client_id: String,
    /// Its secret.
    pub client_secret: Secret,
    /// A file with the secret, read again when it changes.
    pub client_secret_file: Option<PathBuf>,
    /// What is asked for.
    pub scopes: Vec<String>,
    /// Where tokens are given.
    pub token_url: String,
    /// Further form fields of the request.
    pub endpoint_params: BTreeMap<String, String>,
    /// TLS towards the token server.
    pub tls_config: TlsConfig,
    /// Proxy towards the token server.
    pub proxy_url: Option<Secret>,
    /// Hosts that are asked directly.
    pub no_proxy: String,
    /// Whether `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` are looked at.
    pub proxy_from_environment: bool,
    /// Headers for the proxy's `CONNECT`.
    pub proxy_connect_header: BTreeMap<String, Vec<Secret>>,
}

/// A version of TLS by Prometheus' name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Deserialize)]
pub enum TlsVersion {
    /// Not spoken any more; as a minimum it means 1.2.
    #[serde(rename = "TLS10")]
    Tls10,
    /// Not spoken any more; as a minimum it means 1.2.
    #[serde(rename = "TLS11")]
    Tls11,
    /// TLS 1.2.
    #[serde(rename = "TLS12")]
    Tls12,
    /// TLS 1.3.
    #[serde(rename = "TLS13")]
    Tls13,
}

/// Whom to trust and who we are.
#[derive(Clone, Default, PartialEq, Eq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    /// Certificates (PEM) of the authorities to trust instead of the system's.
    pub ca: Option<String>,
    /// A file with them, read again when it changes.
    pub ca_file: Option<PathBuf>,
    /// Our certificate chain (PEM).
    pub cert: Option<String>,
    /// A file with it.
    pub cert_file: Option<PathBuf>,
    /// Its key (PEM).
    pub key: Secret,
    /// A file with it.
    pub key_file: Option<PathBuf>,
    /// The name expected in the server's certificate, instead of the host asked.
    #[serde(deserialize_with = "text")]
    pub server_name: String,
    /// Whether any certificate is accepted.
    pub insecure_skip_verify: bool,
    /// Oldest version spoken.
    pub min_version: Option<TlsVersion>,
    /// Newest version spoken.
    pub max_version: Option<TlsVersion>,
}

/// Values of one header of `http_headers`; all of them are sent.
#[derive(Clone, Default, PartialEq, Eq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Header {
    /// Values.
    pub values: Vec<String>,
    /// Values that are not shown.
    pub secrets: Vec<Secret>,
    /// Files with values, read again when they change.
    pub files: Vec<PathBuf>,
}

/// How to talk to a server, with Prometheus' names. Flatten it into a larger structure or use it as a field.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    /// User and password.
    pub basic_auth: Option<BasicAuth>,
    /// Any other scheme.
    pub authorization: Option<Authorization>,
    /// Tokens from a token server.
    pub oauth2: Option<OAuth2>,
    /// Old form of `authorization`.
    pub bearer_token: Secret,
    /// Old form of `authorization` with a file.
    pub bearer_token_file: Option<PathBuf>,
    /// TLS.
    pub tls_config: TlsConfig,
    /// `http://[user:password@]host:port`.
    pub proxy_url: Option<Secret>,
    /// Hosts, domains, addresses and networks that are asked directly, separated by commas.
    pub no_proxy: String,
    /// Whether `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` are looked at.
    pub proxy_from_environment: bool,
    /// Headers for the proxy's `CONNECT`.
    pub proxy_connect_header: BTreeMap<String, Vec<Secret>>,
    /// Whether redirects are followed.
    pub follow_redirects: bool,
    /// Whether HTTP/2 is offered to TLS servers.
    pub enable_http2: bool,
    /// Headers of every request.
    pub http_headers: BTreeMap<String, Header>,
}

impl Default for HttpConfig {
    fn default() -> Self {
        HttpConfig {
            basic_auth: None,
            authorization: None,
            oauth2: None,
            bearer_token: Secret::default(),
            bearer_token_file: None,
            tls_config: TlsConfig::default(),
            proxy_url: None,
            no_proxy: String::new(),
            proxy_from_environment: false,
            proxy_connect_header: BTreeMap::new(),
            follow_redirects: true,
            enable_http2: true,
            http_headers: BTreeMap::new(),
        }
    }
}

impl HttpConfig {
    /// Makes relative file names relative to `directory`, where the configuration file is.
    pub fn set_directory(&mut self, directory: &Path) {
        if let Some(basic) = &mut self.basic_auth {
            join(directory, &mut basic.username_file);
            join(directory, &mut basic.password_file);
        }
        if let Some(authorization) = &mut self.authorization {
            join(directory, &mut authorization.credentials_file);
        }
        if let Some(oauth2) = &mut self.oauth2 {
            join(directory, &mut oauth2.client_secret_file);
            oauth2.tls_config.set_directory(directory);
        }
        join(directory, &mut self.bearer_token_file);
        self.tls_config.set_directory(directory);
        for path in self.http_headers.values_mut().flat_map(|header| &mut header.files) {
            *path = directory.join(&*path);
        }
    }
}

impl TlsConfig {
    fn set_directory(&mut self, directory: &Path) {
        join(directory, &mut self.ca_file);
        join(directory, &mut self.cert_file);
        join(directory, &mut self.key_file);
    }
}

fn join(directory: &Path, path: &mut Option<PathBuf>) {
    if let Some(path) = path
        && !path.as_os_str().is_empty()
    {
        *path = directory.join(&*path);
    }
}
