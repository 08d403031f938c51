//! Tokens of programs, for administrators.
//!
//! | call | what |
//! | --- | --- |
//! | `GET /api/v1/tokens` | all, without their secrets |
//! | `POST /api/v1/tokens` | `{"name", "scopes": ["read", "ingest", "admin"]}` makes one, and tells it once |
//! | `DELETE /api/v1/tokens/{id}` | takes one back |

use crate::api::json;
use crate::auth::{Auth, Scope, TokenError};
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{delete, get};
use axum::{Json, Router};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

type Shared = State<Arc<Auth>>;

pub(super) fn router(auth: Arc<Auth>) -> Router {
    Router::new()
        .route("/api/v1/tokens", get(list).post(create))
        .route("/api/v1/tokens/{id}", delete(revoke))
        .with_state(auth)
}

async fn list(State(auth): Shared) -> Response {
    json(StatusCode::OK, &json!({"tokens": auth.tokens()}))
}

#[derive(Deserialize)]
struct NewToken {
    name: String,
    scopes: Vec<Scope>,
}

async fn create(State(auth): Shared, Json(asked): Json<NewToken>) -> Response {
    match auth.create_token(&asked.name, &asked.scopes).await {
        Ok(made) => json(StatusCode::CREATED, &made),
        Err(error) => refused(&error),
    }
}

async fn revoke(State(auth): Shared, Path(id): Path<String>) -> Response {
    match auth.revoke_token(&id).await {
        Ok(true) => json(StatusCode::OK, &json!({})),
        Ok(false) => json(StatusCode::NOT_FOUND, &json!({"error": "no such token"})),
        Err(error) => refused(&error),
    }
}

fn refused(error: &TokenError) -> Response {
    let status = match error {
        TokenError::Unowned => StatusCode::CONFLICT,
        TokenError::Unfit(_) => StatusCode::BAD_REQUEST,
        TokenError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    json(status, &json!({"error": error.to_string()}))
}
