//! Who asks: told by the connection and by what clients say of themselves.

use crate::gate::Client;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::HeaderMap;
use std::net::IpAddr;

/// Where a connection comes from; the binary puts it into each request's extensions.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// Longest purpose that is told apart.
const PURPOSE_BYTES_MAX: usize = 128;

/// What Grafana says of the origin of a query: alert rules and each dashboard are told apart, although all come from
/// one address.
const PURPOSE_HEADERS: [&str; 4] = ["fromalert", "x-rule-uid", "x-dashboard-uid", "x-scope-orgid"];

tokio::task_local! {
    static CLIENT: Client;
}

/// Who asks in this task.
pub(crate) fn current() -> Client {
    CLIENT.try_with(Clone::clone).unwrap_or_default()
}

/// Runs `work` as `client`: for parts of this process that ask on their own account.
pub async fn as_client<F: Future>(client: Client, work: F) -> F::Output {
    CLIENT.scope(client, work).await
}

/// A layer that remembers who asks while the request is handled.
pub async fn remember_client(request: Request, next: Next) -> Response {
    let client = match request.extensions().get::<Peer>() {
        Some(Peer(address)) => Client::Remote { address: *address, purpose: purpose(request.headers()) },
        None => Client::Unknown,
    };
    CLIENT.scope(client, next.run(request)).await
}

fn purpose(headers: &HeaderMap) -> String {
    let mut purpose = String::new();
    for name in PURPOSE_HEADERS {
        if let Some(value) = headers.get(name).and_then(|v| v.to_str().ok()) {
            purpose.push_str(name);
            purpose.push('=');
            purpose.push_str(value);
            purpose.push(';');
        }
    }
    if purpose.len() > PURPOSE_BYTES_MAX {
        let end = (0..=PURPOSE_BYTES_MAX).rev().find(|at| purpose.is_char_boundary(*at)).unwrap_or(0);
        purpose.truncate(end);
    }
    purpose
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_alert_is_not_a_dashboard() {
        let mut headers = HeaderMap::new();
        headers.insert("X-Dashboard-Uid", "abc".parse().unwrap());
        assert_eq!(purpose(&headers), "x-dashboard-uid=abc;");
        headers.insert("FromAlert", "true".parse().unwrap());
        assert_eq!(purpose(&headers), "fromalert=true;x-dashboard-uid=abc;");
        assert_eq!(current(), Client::Unknown);
        assert_eq!(as_client(Client::Internal("rules"), async { current() }).await, Client::Internal("rules"));
    }
}
