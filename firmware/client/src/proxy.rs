//! Which proxy, if any, leads to a host.

use crate::auth::basic;
use crate::config::{HttpConfig, Secret};
use crate::error::ClientError;
use http::Uri;
use http::header::{HeaderName, HeaderValue};
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// One proxy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Proxy {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The value of `Proxy-Authorization`.
    pub(crate) authorization: Option<HeaderValue>,
}

/// The choice between proxies and none.
#[derive(Debug, Default)]
pub(crate) struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    exceptions: Vec<Exception>,
    /// Headers of `CONNECT`.
    pub(crate) connect_headers: Vec<(HeaderName, HeaderValue)>,
}

#[derive(Debug)]
enum Exception {
    All,
    Network(IpNet, Option<u16>),
    /// A domain; with a leading dot only what is below it.
    Domain(String, Option<u16>),
}

impl Proxies {
    pub(crate) fn new(config: &HttpConfig) -> Result<Self, ClientError> {
        let mut proxies =
            Proxies { connect_headers: connect_headers(&config.proxy_connect_header)?, ..Proxies::default() };
        if config.proxy_from_environment {
            let variable = |name: &str| {
                let lower = std::env::var(name.to_ascii_lowercase());
                std::env::var(name).or(lower).ok().filter(|value| !value.is_empty())
            };
            proxies.http = variable("HTTP_PROXY").map(|url| parse(&url)).transpose()?;
            proxies.https = variable("HTTPS_PROXY").map(|url| parse(&url)).transpose()?;
            proxies.exceptions = exceptions(&variable("NO_PROXY").unwrap_or_default());
        } else if let Some(url) = config.proxy_url.as_ref().filter(|url| !url.is_empty()) {
            let proxy = parse(url.expose())?;
            proxies.http = Some(proxy.clone());
            proxies.https = Some(proxy);
            proxies.exceptions = exceptions(&config.no_proxy);
        }
        Ok(proxies)
    }

    /// The proxy for a request to `host`, without brackets, and `port`.
    pub(crate) fn of(&self, tls: bool, host: &str, port: u16) -> Option<&Proxy> {
        let proxy = if tls { self.https.as_ref() } else { self.http.as_ref() }?;
        let excepted = self.exceptions.iter().any(|exception| exception.covers(host, port));
        (!excepted).then_some(proxy)
    }
}

impl Exception {
    fn covers(&self, host: &str, port: u16) -> bool {
        match self {
            Exception::All => true,
            Exception::Network(network, only) => {
                only.is_none_or(|only| only == port)
                    && host.parse::<IpAddr>().is_ok_and(|address| network.contains(&address))
            }
            Exception::Domain(domain, only) => {
                let host = host.to_ascii_lowercase();
                let bare = domain.trim_start_matches('.');
                let below = host.strip_suffix(bare).is_some_and(|rest| rest.ends_with('.'));
                only.is_none_or(|only| only == port) && (below || (host == *bare && !domain.starts_with('.')))
            }
        }
    }
}

fn exceptions(list: &str) -> Vec<Exception> {
    let mut exceptions = Vec::new();
    for part in list.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let part = part.to_ascii_lowercase();
        if part == "*" {
            return vec![Exception::All];
        }
        if let Ok(network) = part.parse::<IpNet>() {
            exceptions.push(Exception::Network(network, None));
        } else if let Ok(address) = part.trim_matches(['[', ']']).parse::<IpAddr>() {
            exceptions.push(Exception::Network(IpNet::from(address), None));
        } else {
            let (name, port) = match part.rsplit_once(':').map(|(name, port)| (name, port.parse().ok())) {
                Some((name, Some(port))) => (name, Some(port)),
                _ => (part.as_str(), None),
            };
            match name.trim_matches(['[', ']']).parse::<IpAddr>() {
                Ok(address) => exceptions.push(Exception::Network(IpNet::from(address), port)),
                Err(_) => exceptions.push(Exception::Domain(name.trim_start_matches('*').to_owned(), port)),
            }
        }
    }
    exceptions
}

fn parse(url: &str) -> Result<Proxy, ClientError> {
    let wrong = |reason: &str| ClientError::Config(format!("invalid proxy_url: {reason}"));
    let url = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    let parsed = url::Url::parse(&url).map_err(|error| wrong(&error.to_string()))?;
    if parsed.scheme() != "http" {
        return Err(wrong(&format!("scheme \"{}\" is not supported, use http", parsed.scheme())));
    }
    let host = parsed.host_str().ok_or_else(|| wrong("no host"))?.trim_matches(['[', ']']).to_owned();
    let decode = |text: &str| {
        // The query decoder is the one at hand; a plus sign is no space in a password.
        let escaped = format!("x={}", text.replace('+', "%2B"));
        form_urlencoded::parse(escaped.as_bytes()).next().map(|(_, value)| value.into_owned()).unwrap_or_default()
    };
    let authorization = if parsed.username().is_empty() {
        None
    } else {
        let text = basic(&decode(parsed.username()), &decode(parsed.password().unwrap_or_default()));
        let mut value = HeaderValue::from_str(&text).map_err(|_| wrong("user or password"))?;
        value.set_sensitive(true);
        Some(value)
    };
    Ok(Proxy { host, port: parsed.port_or_known_default().unwrap_or(80), authorization })
}

fn connect_headers(configured: &BTreeMap<String, Vec<Secret>>) -> Result<Vec<(HeaderName, HeaderValue)>, ClientError> {
    let mut headers = Vec::new();
    for (name, values) in configured {
        let wrong = || ClientError::Config(format!("proxy_connect_header: \"{name}\" cannot be a header"));
        let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
        for value in values {
            headers.push((parsed.clone(), HeaderValue::from_str(value.expose()).map_err(|_| wrong())?));
        }
    }
    Ok(headers)
}

/// Host without brackets, port, and whether TLS is wanted.
pub(crate) fn endpoint(uri: &Uri) -> Result<(String, u16, bool), ClientError> {
    let tls = match uri.scheme_str() {
        Some("http") => false,
        Some("https") => true,
        other => {
            let scheme = other.unwrap_or_default();
            return Err(ClientError::Config(format!("unsupported protocol scheme \"{scheme}\"")));
        }
    };
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    if host.is_empty() {
        return Err(ClientError::Config("no Host in request URL".to_owned()));
    }
    Ok((host.to_owned(), uri.port_u16().unwrap_or(if tls { 443 } else { 80 }), tls))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excepted(list: &str, host: &str, port: u16) -> bool {
        exceptions(list).iter().any(|exception| exception.covers(host, port))
    }

    #[test]
    fn exceptions_are_domains_addresses_networks_and_ports() {
        assert!(excepted("example.com", "example.com", 80));
        assert!(excepted("example.com", "www.example.com", 80));
        assert!(!excepted("example.com", "notexample.com", 80));
        assert!(!excepted(".example.com", "example.com", 80));
        assert!(excepted(".example.com", "www.example.com", 80));
        assert!(excepted("a, 10.0.0.0/8", "10.1.2.3", 80));
        assert!(!excepted("10.0.0.0/8", "11.1.2.3", 80));
        assert!(excepted("::1", "::1", 80));
        assert!(excepted("host:8080", "host", 8080));
        assert!(!excepted("host:8080", "host", 80));
        assert!(excepted("*", "anything", 1));
        assert!(!excepted("", "anything", 1));
    }

    #[test]
    fn proxies_have_credentials_and_one_scheme() {
        let proxy = parse("http://u%40x:p+w@proxy:3128").unwrap();
        assert_eq!((proxy.host.as_str(), proxy.port), ("proxy", 3128));
        assert_eq!(proxy.authorization.unwrap().to_str().unwrap(), basic("u@x", "p+w"));
        assert!(parse("socks5://proxy:1080").unwrap_err().to_string().contains("socks5"));
    }
}
