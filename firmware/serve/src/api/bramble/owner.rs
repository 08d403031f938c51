//! The owner: whether there is one, setting it with the code, changing it.
//!
//! | call | what | who |
//! | --- | --- | --- |
//! | `GET /api/v1/owner` | whether there is an owner, and what is known to who is signed in | anybody |
//! | `POST /api/v1/owner` | `{"code", "name", "password", "ingest"}` sets it and signs in | who knows the code |
//! | `PATCH /api/v1/owner` | `{"name", "password", "current_password", "ingest"}`, what is absent stays | administrators |
//! | `DELETE /api/v1/owner` | forgets the owner, sessions and tokens | this machine's command line |

use super::session::{refused, signed_in};
use crate::api::json;
use crate::auth::{Auth, Caller, IngestRule, OwnerChange, OwnerError, Scope, Who};
use axum::extract::{DefaultBodyLimit, Extension, State};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

/// Largest body: anybody may send one, and nothing here is longer than a name and two passwords.
const BODY_BYTES_MAX: usize = 4 << 10;

type Shared = State<Arc<Auth>>;
type Asker = Extension<crate::auth::Asker>;

/// The routes, for the main port; the guard must be around them.
pub fn router(auth: Arc<Auth>) -> Router {
    let owner = get(shown).post(set).patch(change).delete(forget);
    Router::new()
        .route("/api/v1/owner", owner)
        .with_state(auth.clone())
        .merge(super::session::router(auth.clone()))
        .merge(super::tokens::router(auth))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}

async fn shown(State(auth): Shared, Extension(asker): Asker) -> Response {
    let owner = auth.owner();
    let mut told = json!({
        "set": owner.is_some(),
        "required": auth.requires_owner(),
        "signed_in": is_signed_in(&asker.caller),
    });
    if let (true, Some((name, ingest)), Some(told)) = (asker.caller.may(Scope::Read), owner, told.as_object_mut()) {
        told.insert("name".to_owned(), json!(name));
        told.insert("ingest".to_owned(), json!(ingest));
    }
    json(StatusCode::OK, &told)
}

pub(super) fn is_signed_in(caller: &Caller) -> bool {
    matches!(caller.who, Who::Session { .. })
}

#[derive(Deserialize)]
struct NewOwner {
    code: String,
    name: String,
    password: String,
    #[serde(default)]
    ingest: IngestRule,
}

async fn set(State(auth): Shared, Extension(asker): Asker, Json(asked): Json<NewOwner>) -> Response {
    let who = (asked.name.as_str(), asked.password.as_str());
    match auth.set_owner(asker.from, &asked.code, who, asked.ingest).await {
        Ok(session) => signed_in(StatusCode::CREATED, session, asker.is_secure),
        Err(error) => refused(&error),
    }
}

#[derive(Deserialize)]
struct Changed {
    name: Option<String>,
    password: Option<String>,
    #[serde(default)]
    current_password: String,
    ingest: Option<IngestRule>,
}

async fn change(State(auth): Shared, Extension(asker): Asker, Json(asked): Json<Changed>) -> Response {
    let password = asked.password.map(|new| (new, asked.current_password));
    let change = OwnerChange { name: asked.name, password, ingest: asked.ingest };
    let session = match &asker.caller.who {
        Who::Session { id, .. } => id.as_str(),
        _ => "",
    };
    match auth.change_owner(asker.from, change, session).await {
        Ok(()) => json(StatusCode::OK, &json!({})),
        Err(error) => refused(&error),
    }
}

/// By the machine's own command line only: who has stolen a session must not be able to take the machine over with the
/// code that is shown afterwards.
async fn forget(State(auth): Shared, Extension(asker): Asker) -> Response {
    if asker.caller.who != Who::Machine {
        return json(StatusCode::FORBIDDEN, &json!({"error": "this is done on the machine: bramble owner reset"}));
    }
    let forgotten = match auth.is_owned() {
        true => auth.forget_owner().await,
        false => Err(OwnerError::Unowned),
    };
    match forgotten {
        Ok(()) => json(StatusCode::OK, &json!({})),
        Err(error) => refused(&error),
    }
}
