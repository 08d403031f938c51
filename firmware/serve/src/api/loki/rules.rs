//! The calls of Loki's ruler. Nothing is evaluated yet: there are no groups to list, and none can be stored.

use crate::api::{json, text};
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use http::{StatusCode, header};
use serde_json::json;
use std::sync::Arc;

use crate::state::ApiState;

/// `…/rules`
pub(super) fn all() -> MethodRouter<Arc<ApiState>> {
    get(list)
}

/// `…/rules/<namespace>`
pub(super) fn namespace() -> MethodRouter<Arc<ApiState>> {
    get(no_groups).post(store).delete(no_groups)
}

/// `…/rules/<namespace>/<group>`
pub(super) fn group() -> MethodRouter<Arc<ApiState>> {
    get(no_group).delete(no_group)
}

async fn list() -> Response {
    ([(header::CONTENT_TYPE, "application/yaml")], "{}\n").into_response()
}

async fn no_groups(Path(_): Path<String>) -> Response {
    text(StatusCode::NOT_FOUND, "no rule groups found\n")
}

async fn no_group(Path(_): Path<(String, String)>) -> Response {
    text(StatusCode::NOT_FOUND, "group does not exist\n")
}

/// Taking a rule that nobody evaluates would be a promise not kept.
async fn store(Path(_): Path<String>) -> Response {
    text(StatusCode::NOT_IMPLEMENTED, "rules are not evaluated by this version of Bramble, and are not stored\n")
}

/// `/prometheus/api/v1/rules`
pub(super) async fn prometheus_rules() -> Response {
    json(StatusCode::OK, &json!({"status": "success", "data": {"groups": []}, "errorType": "", "error": ""}))
}

/// `/prometheus/api/v1/alerts`
pub(super) async fn prometheus_alerts() -> Response {
    json(StatusCode::OK, &json!({"status": "success", "data": {"alerts": []}, "errorType": "", "error": ""}))
}
