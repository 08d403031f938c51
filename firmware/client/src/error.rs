//! What can go wrong with an outgoing request.

use http::{Method, Uri};
use std::io;

/// Why a request has no answer. The texts are those of Prometheus and Go's HTTP client where there is one for the
/// case, since people search for them.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ClientError {
    /// The configuration or the request itself cannot work; trying again does not help.
    #[error("{0}")]
    Config(String),
    /// No connection: name not found, refused, unreachable, proxy said no.
    #[error("{0}")]
    Connect(String),
    /// The TLS handshake failed.
    #[error("tls: {0}")]
    Tls(String),
    /// The time limit passed.
    #[error("context deadline exceeded")]
    Timeout,
    /// The body is longer than allowed.
    #[error("body size limit exceeded")]
    TooLarge,
    /// Redirected too often, or to where no request can go.
    #[error("{0}")]
    Redirects(String),
    /// The credentials cannot be had: a file cannot be read, the token server refused.
    #[error("{0}")]
    Auth(String),
    /// The connection broke, or what came is not HTTP.
    #[error("{0}")]
    Protocol(String),
}

impl ClientError {
    /// The error with what was asked, as Go's client prints it: `Get "http://host/path": dial tcp …`.
    pub fn at(&self, method: &Method, uri: &Uri) -> String {
        let verb = method.as_str();
        let (first, rest) = verb.split_at_checked(1).unwrap_or((verb, ""));
        format!("{first}{} \"{uri}\": {self}", rest.to_ascii_lowercase())
    }

    /// Whether the same request may succeed later without anybody changing a configuration.
    pub fn is_transient(&self) -> bool {
        !matches!(self, ClientError::Config(_) | ClientError::TooLarge | ClientError::Redirects(_))
    }
}

/// What Go says for an error of a connection attempt.
pub(crate) fn io_text(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset => "connection reset by peer".to_owned(),
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::HostUnreachable => "no route to host".to_owned(),
        io::ErrorKind::NetworkUnreachable => "network is unreachable".to_owned(),
        io::ErrorKind::TimedOut => "i/o timeout".to_owned(),
        io::ErrorKind::UnexpectedEof => "unexpected EOF".to_owned(),
        _ => error.to_string(),
    }
}

/// Looks for our own error, then for one of the system, below what hyper returns.
pub(crate) fn from_hyper(error: &(dyn std::error::Error + 'static)) -> ClientError {
    let mut cause = Some(error);
    let mut deepest = error.to_string();
    while let Some(current) = cause {
        if let Some(ours) = current.downcast_ref::<ClientError>() {
            return ours.clone();
        }
        if let Some(system) = current.downcast_ref::<io::Error>() {
            if let Some(ours) = system.get_ref().and_then(|inner| inner.downcast_ref::<ClientError>()) {
                return ours.clone();
            }
            return ClientError::Protocol(io_text(system));
        }
        if let Some(hyper) = current.downcast_ref::<hyper::Error>()
            && (hyper.is_incomplete_message() || hyper.is_closed())
        {
            return ClientError::Protocol("EOF".to_owned());
        }
        deepest = current.to_string();
        cause = current.source();
    }
    ClientError::Protocol(deepest)
}
