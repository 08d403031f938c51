//! Signing in and out.
//!
//! | call | what |
//! | --- | --- |
//! | `GET /api/v1/session` | who is signed in |
//! | `POST /api/v1/session` | `{"name", "password"}` signs in: a cookie |
//! | `DELETE /api/v1/session` | signs out; with `?all=true` everywhere |

use super::owner::is_signed_in;
use crate::api::json;
use crate::auth::{Auth, COOKIE, NewSession, OwnerError, Who};
use crate::params::Params;
use axum::extract::{Extension, State};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

type Shared = State<Arc<Auth>>;
type Asker = Extension<crate::auth::Asker>;

pub(super) fn router(auth: Arc<Auth>) -> Router {
    let session = get(shown).post(sign_in).delete(sign_out);
    Router::new().route("/api/v1/session", session).with_state(auth)
}

async fn shown(Extension(asker): Asker) -> Response {
    let caller = &asker.caller;
    json(StatusCode::OK, &json!({"signed_in": is_signed_in(caller), "name": caller.name()}))
}

#[derive(Deserialize)]
struct Credentials {
    name: String,
    password: String,
}

async fn sign_in(State(auth): Shared, Extension(asker): Asker, Json(asked): Json<Credentials>) -> Response {
    match auth.sign_in(asker.from, &asked.name, &asked.password).await {
        Ok(session) => signed_in(StatusCode::OK, session, asker.is_secure),
        Err(error) => refused(&error),
    }
}

async fn sign_out(State(auth): Shared, Extension(asker): Asker, params: Params) -> Response {
    if let Who::Session { id, .. } = &asker.caller.who
        && let Err(error) = auth.sign_out(id, params.get("all") == Some("true")).await
    {
        return refused(&error);
    }
    with_cookie(json(StatusCode::OK, &json!({})), "", 0, asker.is_secure)
}

/// The answer to who is signed in now.
pub(super) fn signed_in(status: StatusCode, session: NewSession, is_secure: bool) -> Response {
    let answer = json(status, &json!({"signed_in": true, "name": session.name}));
    with_cookie(answer, &session.cookie, session.lifetime_seconds, is_secure)
}

/// Strict: the page is a file that needs no session and asks from its own site, so that links from elsewhere work all the same.
fn with_cookie(mut answer: Response, value: &str, seconds: i64, is_secure: bool) -> Response {
    let secure = if is_secure { "; Secure" } else { "" };
    let cookie = format!("{COOKIE}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        answer.headers_mut().append(header::SET_COOKIE, cookie);
    }
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// What went wrong, as an answer.
pub(super) fn refused(error: &OwnerError) -> Response {
    let status = match error {
        OwnerError::Owned | OwnerError::Unowned => StatusCode::CONFLICT,
        // Not 401: that would mean that the session is gone.
        OwnerError::Code | OwnerError::Password => StatusCode::FORBIDDEN,
        OwnerError::Unfit(_) => StatusCode::BAD_REQUEST,
        OwnerError::Throttled(_) => StatusCode::TOO_MANY_REQUESTS,
        OwnerError::Busy | OwnerError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    let mut answer = json(status, &json!({"error": error.to_string()}));
    let after = match error {
        OwnerError::Throttled(seconds) => Some(*seconds),
        OwnerError::Busy => Some(2),
        _ => None,
    };
    if let Some(seconds) = after {
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    answer
}
