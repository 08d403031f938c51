//! Nodes of this hub, and the tokens that enrol them.
//!
//! | call | what | from |
//! | --- | --- | --- |
//! | `GET /api/nodes` | the hub and its nodes | anywhere |
//! | `DELETE /api/nodes/{id}` | takes a node's credential away | administrators |
//! | `GET /api/nodes/tokens` | tokens that wait to be used, without their secrets | administrators |
//! | `POST /api/nodes/tokens` | makes one, `{"hours": 24}` | administrators |
//! | `DELETE /api/nodes/tokens/{id}` | takes one back | administrators |
//!
//! Who changes something must be on the hub itself, or be signed in, and not be a web page of somebody else that a browser there
//! shows.

use crate::Peer;
use crate::api::json;
use crate::auth::{Caller, Scope};
use axum::Router;
use axum::extract::{Path, Request, State};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::{delete, get};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// Longest life of a token: a year.
const HOURS_MAX: f64 = 365.0 * 24.0;
/// Life of a token of which nothing is said.
const HOURS_DEFAULT: f64 = 24.0;

/// The hub, for its nodes' page.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct HubView {
    /// Made once at random.
    pub id: String,
    /// For people.
    pub name: String,
    /// Of this software.
    pub version: String,
    /// Port of the door that nodes use; 0 when it is closed.
    pub port: u16,
    /// Whether the hub announces itself in the local network.
    pub announced: bool,
    /// How often nodes say that they are there, seconds.
    pub heartbeat_seconds: f64,
}

/// A node. The field names are the API's.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct NodeView {
    /// Made once at random.
    pub id: String,
    /// As it calls itself.
    pub name: String,
    /// "node".
    pub role: &'static str,
    /// Of its software.
    pub version: String,
    /// Where it came from last.
    pub address: String,
    /// "up", "problem" or "silent".
    pub health: &'static str,
    /// What it says is wrong with it; empty when nothing is.
    pub problem: String,
    /// Milliseconds since the Unix epoch.
    pub enrolled_ms: i64,
    /// Milliseconds since the Unix epoch; `null` for never.
    pub last_seen_ms: Option<i64>,
    /// Seconds since then.
    pub silent_seconds: Option<f64>,
    /// What waits on it.
    pub queue: QueueView,
    /// How far its clock is ahead of the hub's, milliseconds.
    pub clock_skew_ms: Option<f64>,
    /// Round trip of its heartbeats, milliseconds.
    pub round_trip_ms: Option<u64>,
    /// Resident memory, bytes.
    pub rss_bytes: Option<u64>,
    /// Of its processor.
    pub temperature_celsius: Option<f64>,
    /// When its process started, milliseconds since the Unix epoch by its clock.
    pub started_ms: Option<i64>,
    /// Samples, entries and spans taken since the hub's start.
    pub items_accepted: u64,
    /// Those refused for good.
    pub items_rejected: u64,
}

/// A node's queue.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct QueueView {
    /// Waiting.
    pub bytes: u64,
    /// Most that may wait.
    pub bytes_max: u64,
    /// Samples, entries and spans waiting.
    pub items: u64,
    /// How old the oldest is, seconds.
    pub age_seconds: f64,
    /// Bytes a second that would be queued if the hub did not answer.
    pub rate_bytes_per_second: u64,
    /// How long the queue lasts at that rate until the oldest is dropped, seconds; `null` when nothing is known of the rate.
    pub lasts_seconds: Option<f64>,
    /// Samples, entries and spans dropped since the node's start.
    pub dropped_items: u64,
}

/// A token that was made just now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NewTokenView {
    /// To take it back.
    pub id: String,
    /// What a node is given: told this once.
    pub token: String,
    /// Milliseconds since the Unix epoch.
    pub expires_ms: i64,
}

/// A token that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TokenView {
    /// To take it back.
    pub id: String,
    /// Milliseconds since the Unix epoch.
    pub created_ms: i64,
    /// Milliseconds since the Unix epoch.
    pub expires_ms: i64,
    /// The node that it enrolled and that has not come back since.
    pub used_by: Option<String>,
}

/// What the API does, implemented by the binary. Everything but lists may block on a file.
pub trait NodeAdmin: Send + Sync + 'static {
    /// The hub.
    fn hub(&self) -> HubView;
    /// Its nodes.
    fn nodes(&self) -> Vec<NodeView>;
    /// Takes a node's credential away; whether there was such a node.
    ///
    /// # Errors
    /// What is wrong with the file.
    fn remove(&self, id: &str) -> Result<bool, String>;
    /// Tokens that wait.
    fn tokens(&self) -> Vec<TokenView>;
    /// Makes a token.
    ///
    /// # Errors
    /// Too many, or what is wrong with the file.
    fn create_token(&self, lifetime: Duration) -> Result<NewTokenView, String>;
    /// Takes a token back; whether there was such a token.
    ///
    /// # Errors
    /// What is wrong with the file.
    fn revoke_token(&self, id: &str) -> Result<bool, String>;
}

type Admin = State<Arc<dyn NodeAdmin>>;

/// The routes, for the main port.
pub fn router(admin: Arc<dyn NodeAdmin>) -> Router {
    let here = Router::new()
        .route("/api/nodes/{id}", delete(remove))
        .route("/api/nodes/tokens", get(tokens).post(create))
        .route("/api/nodes/tokens/{id}", delete(revoke))
        .layer(from_fn(only_here));
    Router::new().route("/api/nodes", get(nodes)).merge(here).with_state(admin)
}

/// Lets through what comes from this machine, and not from a page of another site.
async fn only_here(request: Request, next: Next) -> Response {
    let is_here = request.extensions().get::<Peer>().is_some_and(|Peer(address)| address.to_canonical().is_loopback());
    // Where there is an owner, the guard in front of us has asked for an administrator.
    let is_admin = request.extensions().get::<Caller>().is_some_and(|caller| caller.may(Scope::Admin));
    if !is_here && !is_admin {
        return refused("nodes are enrolled and removed on the hub itself: bramble token create");
    }
    if is_foreign(request.headers()) {
        return refused("a page of another site may not do this");
    }
    next.run(request).await
}

/// Whether a browser says that a page of another site asks.
fn is_foreign(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(header::HOST).unwrap_or_default();
    match headers.get(header::ORIGIN) {
        None => false,
        Some(_) => {
            let origin = text(header::ORIGIN).and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
            origin != Some(host) || host.is_empty()
        }
    }
}

#[derive(Serialize)]
struct Problem<'a> {
    error: &'a str,
}

fn refused(error: &str) -> Response {
    json(StatusCode::FORBIDDEN, &Problem { error })
}

fn failed(error: &str) -> Response {
    json(StatusCode::SERVICE_UNAVAILABLE, &Problem { error })
}

async fn nodes(State(admin): Admin) -> Response {
    #[derive(Serialize)]
    struct Nodes {
        hub: HubView,
        nodes: Vec<NodeView>,
    }
    json(StatusCode::OK, &Nodes { hub: admin.hub(), nodes: admin.nodes() })
}

/// Runs what may block.
async fn blocking<T: Send + 'static>(
    admin: Arc<dyn NodeAdmin>,
    work: impl FnOnce(&dyn NodeAdmin) -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let outcome = tokio::task::spawn_blocking(move || work(admin.as_ref())).await;
    outcome.unwrap_or_else(|_| Err("shutting down".to_owned()))
}

fn gone(outcome: Result<bool, String>, what: &str) -> Response {
    match outcome {
        Ok(true) => json(StatusCode::OK, &serde_json::json!({})),
        Ok(false) => json(StatusCode::NOT_FOUND, &Problem { error: &format!("no such {what}") }),
        Err(error) => failed(&error),
    }
}

async fn remove(State(admin): Admin, Path(id): Path<String>) -> Response {
    gone(blocking(admin, move |admin| admin.remove(&id)).await, "node")
}

async fn tokens(State(admin): Admin) -> Response {
    json(StatusCode::OK, &serde_json::json!({"tokens": admin.tokens()}))
}

async fn revoke(State(admin): Admin, Path(id): Path<String>) -> Response {
    gone(blocking(admin, move |admin| admin.revoke_token(&id)).await, "token")
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Wanted {
    hours: Option<f64>,
}

async fn create(State(admin): Admin, body: Bytes) -> Response {
    let wanted = if body.is_empty() { Ok(Wanted::default()) } else { serde_json::from_slice(&body) };
    let hours = match wanted.map(|wanted: Wanted| wanted.hours.unwrap_or(HOURS_DEFAULT)) {
        Ok(hours) if hours > 0.0 && hours <= HOURS_MAX => hours,
        Ok(_) => return json(StatusCode::BAD_REQUEST, &Problem { error: "hours must be above 0 and at most 8760" }),
        Err(error) => return json(StatusCode::BAD_REQUEST, &Problem { error: &error.to_string() }),
    };
    let lifetime = Duration::from_secs_f64(hours * 3600.0);
    match blocking(admin, move |admin| admin.create_token(lifetime)).await {
        Ok(token) => json(StatusCode::OK, &token),
        Err(error) => failed(&error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use http_body_util::BodyExt;
    use std::net::IpAddr;
    use tower::ServiceExt;

    struct Fixed;

    impl NodeAdmin for Fixed {
        fn hub(&self) -> HubView {
            HubView { name: "attic".to_owned(), ..HubView::default() }
        }
        fn nodes(&self) -> Vec<NodeView> {
            vec![NodeView { id: "a".to_owned(), role: "node", health: "up", ..NodeView::default() }]
        }
        fn remove(&self, id: &str) -> Result<bool, String> {
            Ok(id == "a")
        }
        fn tokens(&self) -> Vec<TokenView> {
            Vec::new()
        }
        fn create_token(&self, lifetime: Duration) -> Result<NewTokenView, String> {
            let expires_ms = lifetime.as_millis() as i64;
            Ok(NewTokenView { id: "t".to_owned(), token: "t.secret".to_owned(), expires_ms })
        }
        fn revoke_token(&self, _: &str) -> Result<bool, String> {
            Err("disk".to_owned())
        }
    }

    async fn ask(method: &str, path: &str, from: &str, origin: &str, body: &'static str) -> (u16, String) {
        let mut request = Request::builder().method(method).uri(path).header("host", "hub:3000");
        if !origin.is_empty() {
            request = request.header("origin", origin);
        }
        let mut request = request.body(Body::from(body)).unwrap();
        request.extensions_mut().insert(Peer(from.parse::<IpAddr>().unwrap()));
        let response = router(Arc::new(Fixed)).oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8_lossy(&bytes).into_owned())
    }

    #[tokio::test]
    async fn lists_are_for_all_and_changes_for_this_machine() {
        let (far, near) = ("192.168.1.9", "127.0.0.1");
        let (status, text) = ask("GET", "/api/nodes", far, "", "").await;
        assert!(status == 200 && text.contains(r#""name":"attic""#) && text.contains(r#""role":"node""#), "{text}");
        for (method, path) in [
            ("DELETE", "/api/nodes/a"),
            ("GET", "/api/nodes/tokens"),
            ("POST", "/api/nodes/tokens"),
            ("DELETE", "/api/nodes/tokens/t"),
        ] {
            assert_eq!(ask(method, path, far, "", "").await.0, 403, "{method} {path}");
        }
        assert_eq!(ask("POST", "/api/nodes/tokens", near, "http://evil.example", "").await.0, 403);
        assert_eq!(ask("POST", "/api/nodes/tokens", near, "null", "").await.0, 403);
        assert_eq!(ask("POST", "/api/nodes/tokens", "::ffff:127.0.0.1", "http://hub:3000", "").await.0, 200);
        assert_eq!(ask("DELETE", "/api/nodes/a", near, "", "").await.0, 200);
        assert_eq!(ask("DELETE", "/api/nodes/b", near, "", "").await, (404, r#"{"error":"no such node"}"#.to_owned()));
        assert_eq!(ask("DELETE", "/api/nodes/tokens/t", near, "", "").await.0, 503);
    }

    #[tokio::test]
    async fn a_token_lives_as_long_as_it_is_told() {
        let create = |body| ask("POST", "/api/nodes/tokens", "127.0.0.1", "", body);
        assert_eq!(create("").await.1, r#"{"id":"t","token":"t.secret","expires_ms":86400000}"#);
        assert_eq!(create(r#"{"hours":0.5}"#).await.1, r#"{"id":"t","token":"t.secret","expires_ms":1800000}"#);
        for bad in [r#"{"hours":0}"#, r#"{"hours":1e9}"#, r#"{"days":1}"#, "x"] {
            assert_eq!(create(bad).await.0, 400, "{bad}");
        }
    }
}
