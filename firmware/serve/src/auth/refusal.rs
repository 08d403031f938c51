//! Refusals, in the form of the protocol that was refused.

use super::scope::Scope;
use super::table::without_prefix;
use crate::api::{json, text};
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::json;

/// Why something was refused. The names are the values of a metric's label.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reason {
    /// There is no owner yet.
    NoOwner,
    /// Nothing was offered, and something is needed.
    NoCredential,
    /// What was offered is not good.
    WrongCredential,
    /// It is good, but not for this.
    Scope(Scope),
    /// A page of another site asked.
    OtherSite,
    /// Only from the machine itself.
    NotHere,
    /// A wrong set-up code.
    Code,
    /// A wrong name or password.
    Password,
    /// Too many wrong tries.
    Throttled,
}

impl Reason {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Reason::NoOwner => "no_owner",
            Reason::NoCredential => "no_credential",
            Reason::WrongCredential => "wrong_credential",
            Reason::Scope(_) => "scope",
            Reason::OtherSite => "other_site",
            Reason::NotHere => "not_here",
            Reason::Code => "code",
            Reason::Password => "password",
            Reason::Throttled => "throttled",
        }
    }

    fn is_unauthenticated(self) -> bool {
        matches!(self, Reason::NoCredential | Reason::WrongCredential)
    }

    fn status(self) -> StatusCode {
        if self.is_unauthenticated() { StatusCode::UNAUTHORIZED } else { StatusCode::FORBIDDEN }
    }

    fn message(self) -> String {
        match self {
            Reason::NoOwner => "this Bramble has no owner yet: open its page, /setup, and set one with the code \
                that the machine shows (its screen, its LED, or bramble owner code)"
                .to_owned(),
            Reason::NoCredential => "a token is needed: Authorization: Bearer <token>, or Basic with the token as \
                password; the owner makes tokens on the page, under Access"
                .to_owned(),
            Reason::WrongCredential => "this token or session is not good (any more)".to_owned(),
            Reason::Scope(scope) => format!("this token may not do that: it lacks the scope {}", scope.as_str()),
            Reason::OtherSite => "a page of another site may not do this".to_owned(),
            Reason::NotHere => {
                "this node is administrated from itself, and takes in from private networks only".to_owned()
            }
            Reason::Code | Reason::Password | Reason::Throttled => "refused".to_owned(),
        }
    }
}

/// The words of a protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    Grpc,
    Otlp { is_json: bool },
    Prometheus,
    Jaeger,
    Bramble,
    Text,
}

/// The answer to a request that was refused.
pub(super) fn refuse(reason: Reason, door: &str, request: &Request) -> Response {
    let (status, message) = (reason.status(), reason.message());
    let form = form(door, request);
    let mut response = match form {
        Form::Grpc => return grpc(reason, &message),
        Form::Otlp { is_json } => otlp(reason, is_json, &message),
        Form::Prometheus => {
            let kind = if reason.is_unauthenticated() { "unauthorized" } else { "forbidden" };
            json(status, &json!({"status": "error", "errorType": kind, "error": message}))
        }
        Form::Jaeger => {
            let errors = json!([{"code": status.as_u16(), "msg": message}]);
            json(status, &json!({"data": null, "total": 0, "limit": 0, "offset": 0, "errors": errors}))
        }
        Form::Bramble => json(status, &json!({"error": message})),
        Form::Text => text(status, format!("{message}\n")),
    };
    if reason.is_unauthenticated() {
        // The page signs in by itself; a challenge that browsers know would make them ask for a password over it.
        let basic = (door != "main").then_some("Basic realm=\"bramble\", charset=\"UTF-8\"");
        for challenge in basic.into_iter().chain(["Bearer realm=\"bramble\""]) {
            response.headers_mut().append(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
    }
    response
}

fn form(door: &str, request: &Request) -> Form {
    let content_type = request.headers().get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    if content_type.starts_with(b"application/grpc") {
        return Form::Grpc;
    }
    let path = request.uri().path();
    let rest = without_prefix(path).unwrap_or(path);
    let has = |prefix: &str| path.starts_with(prefix);
    match door {
        _ if rest.starts_with("/v1/") || rest.contains("/otlp/") || rest.starts_with("/opentelemetry/") => {
            Form::Otlp { is_json: content_type.starts_with(b"application/json") || *request.method() == Method::GET }
        }
        _ if has("/loki/") || has("/tempo/") || has("/zipkin/") => Form::Text,
        _ if has("/jaeger/") => Form::Jaeger,
        "jaeger" if has("/api/") => Form::Jaeger,
        "prometheus" | "victoria_metrics" if rest.starts_with("/api/") => Form::Prometheus,
        _ if has("/prometheus/api/") => Form::Prometheus,
        "main" | "correlation" if has("/api/") => Form::Bramble,
        _ => Form::Text,
    }
}

/// Codes of gRPC: UNAUTHENTICATED, PERMISSION_DENIED.
fn code(reason: Reason) -> u8 {
    if reason.is_unauthenticated() { 16 } else { 7 }
}

/// A status without a message, as gRPC calls a refusal before anything was sent: all in the head.
fn grpc(reason: Reason, message: &str) -> Response {
    let head = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/grpc")),
        (header::HeaderName::from_static("grpc-status"), HeaderValue::from(u16::from(code(reason)))),
        (
            header::HeaderName::from_static("grpc-message"),
            // Printable ASCII but for the percent sign is sent as it is; our messages have nothing else.
            HeaderValue::from_str(message).unwrap_or(HeaderValue::from_static("refused")),
        ),
    ];
    (StatusCode::OK, head).into_response()
}

/// `google.rpc.Status` {code = 1, message = 2}, as OTLP over HTTP tells what went wrong.
fn otlp(reason: Reason, is_json: bool, message: &str) -> Response {
    let status = reason.status();
    if is_json {
        return json(status, &json!({"code": code(reason), "message": message}));
    }
    let mut body = vec![0x08, code(reason), 0x12];
    let mut length = message.len();
    while length >= 0x80 {
        body.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    body.push(length as u8);
    body.extend_from_slice(message.as_bytes());
    (status, [(header::CONTENT_TYPE, "application/x-protobuf")], body).into_response()
}
