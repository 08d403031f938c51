//! What Prometheus refuses, in its words.

use crate::config::{HttpConfig, OAuth2, Secret, TlsConfig};
use crate::error::ClientError;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Headers that the client sets itself; `http_headers` must not.
const RESERVED_HEADERS: [&str; 17] = [
    "authorization",
    "host",
    "content-encoding",
    "content-length",
    "content-type",
    "user-agent",
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "www-authenticate",
    "accept-encoding",
    "x-prometheus-remote-write-version",
    "x-prometheus-remote-read-version",
    "x-prometheus-scrape-timeout-seconds",
    "x-amz-date",
    "x-amz-security-token",
];

impl HttpConfig {
    /// Whether this can work, as far as can be told without opening a file or a connection.
    ///
    /// # Errors
    /// [`ClientError::Config`] with Prometheus' text.
    pub fn validate(&self) -> Result<(), ClientError> {
        self.check().map_err(ClientError::Config)
    }

    fn check(&self) -> Result<(), String> {
        let bearer = !self.bearer_token.is_empty();
        let bearer_file = is_set(&self.bearer_token_file);
        refuse(bearer && bearer_file, "at most one of bearer_token & bearer_token_file must be configured")?;
        refuse(
            (self.basic_auth.is_some() || self.oauth2.is_some()) && (bearer || bearer_file),
            "at most one of basic_auth, oauth2, bearer_token & bearer_token_file must be configured",
        )?;
        if let Some(basic) = &self.basic_auth {
            refuse(
                !basic.username.is_empty() && is_set(&basic.username_file),
                "at most one of basic_auth username & username_file must be configured",
            )?;
            refuse(
                !basic.password.is_empty() && is_set(&basic.password_file),
                "at most one of basic_auth password & password_file must be configured",
            )?;
        }
        if let Some(authorization) = &self.authorization {
            refuse(bearer || bearer_file, "authorization is not compatible with bearer_token & bearer_token_file")?;
            refuse(
                !authorization.credentials.is_empty() && is_set(&authorization.credentials_file),
                "at most one of authorization credentials & credentials_file must be configured",
            )?;
            refuse(
                authorization.kind.trim().eq_ignore_ascii_case("basic"),
                "authorization type cannot be set to \"basic\", use \"basic_auth\" instead",
            )?;
            refuse(
                self.basic_auth.is_some() || self.oauth2.is_some(),
                "at most one of basic_auth, oauth2 & authorization must be configured",
            )?;
        }
        if let Some(oauth2) = &self.oauth2 {
            refuse(self.basic_auth.is_some(), "at most one of basic_auth, oauth2 & authorization must be configured")?;
            check_oauth2(oauth2)?;
        }
        for name in self.http_headers.keys() {
            refuse(
                RESERVED_HEADERS.contains(&name.to_ascii_lowercase().as_str()),
                &format!("setting header \"{name}\" is not allowed"),
            )?;
        }
        check_proxy(&self.proxy_url, &self.no_proxy, self.proxy_from_environment, &self.proxy_connect_header)?;
        check_tls(&self.tls_config)
    }
}

fn check_oauth2(oauth2: &OAuth2) -> Result<(), String> {
    refuse(oauth2.client_id.is_empty(), "oauth2 client_id must be configured")?;
    refuse(oauth2.token_url.is_empty(), "oauth2 token_url must be configured")?;
    refuse(
        !oauth2.client_secret.is_empty() && is_set(&oauth2.client_secret_file),
        "at most one of oauth2 client_secret & client_secret_file must be configured",
    )?;
    check_proxy(&oauth2.proxy_url, &oauth2.no_proxy, oauth2.proxy_from_environment, &oauth2.proxy_connect_header)?;
    check_tls(&oauth2.tls_config)
}

fn check_proxy(
    proxy_url: &Option<Secret>,
    no_proxy: &str,
    from_environment: bool,
    connect_header: &BTreeMap<String, Vec<Secret>>,
) -> Result<(), String> {
    let proxy = proxy_url.as_ref().is_some_and(|url| !url.is_empty());
    refuse(
        !connect_header.is_empty() && !proxy && !from_environment,
        "if proxy_connect_header is configured, proxy_url or proxy_from_environment must also be configured",
    )?;
    refuse(from_environment && proxy, "if proxy_from_environment is configured, proxy_url must not be configured")?;
    refuse(
        from_environment && !no_proxy.is_empty(),
        "if proxy_from_environment is configured, no_proxy must not be configured",
    )?;
    refuse(!proxy && !no_proxy.is_empty(), "if no_proxy is configured, proxy_url must also be configured")
}

fn check_tls(tls: &TlsConfig) -> Result<(), String> {
    let ca_text = tls.ca.as_ref().is_some_and(|text| !text.is_empty());
    let cert_text = tls.cert.as_ref().is_some_and(|text| !text.is_empty());
    refuse(ca_text && is_set(&tls.ca_file), "at most one of ca and ca_file must be configured")?;
    refuse(cert_text && is_set(&tls.cert_file), "at most one of cert and cert_file must be configured")?;
    refuse(!tls.key.is_empty() && is_set(&tls.key_file), "at most one of key and key_file must be configured")?;
    let cert = cert_text || is_set(&tls.cert_file);
    let key = !tls.key.is_empty() || is_set(&tls.key_file);
    refuse(key && !cert, "exactly one of cert or cert_file must be configured when a client key is configured")?;
    refuse(cert && !key, "exactly one of key or key_file must be configured when a client certificate is configured")?;
    if let (Some(min), Some(max)) = (tls.min_version, tls.max_version) {
        refuse(
            max < min,
            "tls_config.max_version must be greater than or equal to tls_config.min_version if both are specified",
        )?;
    }
    Ok(())
}

fn is_set(path: &Option<PathBuf>) -> bool {
    path.as_ref().is_some_and(|path| !path.as_os_str().is_empty())
}

fn refuse(condition: bool, reason: &str) -> Result<(), String> {
    if condition { Err(reason.to_owned()) } else { Ok(()) }
}
