//! Where Promtail pushed to: this machine, or others.

use super::config::ClientConfig;
use bramble_client::HttpConfig;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A Loki elsewhere that Promtail pushed to: to become a forward destination of kind `loki`.
#[derive(Clone, PartialEq, Debug)]
pub struct RemoteLoki {
    /// Line of the client, from 1.
    pub line: u64,
    /// Its name, or one made of its host.
    pub name: String,
    /// Address of its push API.
    pub url: String,
    /// `X-Scope-OrgID`.
    pub tenant_id: Option<String>,
    /// Headers of each request.
    pub headers: BTreeMap<String, String>,
    /// Authentication, TLS and proxy.
    pub http: HttpConfig,
}

/// The host of an address.
pub(super) fn host_of(url: &str) -> Option<String> {
    let uri: http::Uri = url.parse().ok()?;
    uri.host().map(|host| host.trim_matches(['[', ']']).to_ascii_lowercase())
}

/// Whether a host is the machine that this runs at, as far as its name says.
pub(super) fn is_local(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// What a client says of another machine.
pub(super) fn remote(config: &ClientConfig, line: u64, host: String) -> RemoteLoki {
    let http = HttpConfig {
        basic_auth: config.basic_auth.clone(),
        oauth2: config.oauth2.clone(),
        bearer_token: config.bearer_token.clone().unwrap_or_default(),
        bearer_token_file: config.bearer_token_file.as_ref().map(PathBuf::from),
        tls_config: config.tls_config.clone().unwrap_or_default(),
        proxy_url: config.proxy_url.clone().map(bramble_client::Secret),
        follow_redirects: config.follow_redirects.unwrap_or(true),
        ..HttpConfig::default()
    };
    RemoteLoki {
        line,
        name: config.name.clone().unwrap_or(host),
        url: config.url.clone(),
        tenant_id: config.tenant_id.clone().filter(|tenant| !tenant.is_empty()),
        headers: config.headers.clone(),
        http,
    }
}
