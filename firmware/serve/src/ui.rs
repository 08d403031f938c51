//! The embedded web UI.
//!
//! `ui/dist` is built by `make ui` and goes into the binary. Files under `assets/` have their hash in their name and are
//! cached for ever; everything else is asked for anew. A path that is no file is a view of the single-page application,
//! unless it looks like an API: an unknown API path must be 404, never a page (apis.md, finding 2).

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, Uri, header};
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "../../ui/dist"]
#[allow_missing = true]
struct Files;

/// First path segments that belong to APIs.
const API_PREFIXES: [&str; 8] = ["api", "prometheus", "loki", "tempo", "jaeger", "alertmanager", "internal", "v1"];

/// The UI on every path that no other route takes.
pub fn router() -> Router {
    Router::new().fallback(get(file))
}

async fn file(uri: Uri) -> Response {
    let path = uri.path().trim_start_matches('/');
    let first = path.split('/').next().unwrap_or("");
    if API_PREFIXES.contains(&first) {
        return (StatusCode::NOT_FOUND, "404 page not found\n").into_response();
    }
    let found = if path.is_empty() { None } else { Files::get(path).map(|f| (path, f)) };
    match found.or_else(|| Files::get("index.html").map(|f| ("index.html", f))) {
        Some((name, file)) => {
            let caching = if name.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
            ([(header::CONTENT_TYPE, media_type(name)), (header::CACHE_CONTROL, caching)], file.data).into_response()
        }
        None => (StatusCode::OK, "Bramble runs; this binary was built without its web UI (make ui).\n").into_response(),
    }
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or("") {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "json" | "webmanifest" => "application/json",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        _ => "application/octet-stream",
    }
}
