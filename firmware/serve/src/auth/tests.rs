//! The whole of it over a store in memory: set-up, sessions, tokens, and the guard in front of a router.

use super::*;
use crate::Peer;
use axum::Router;
use axum::body::Body;
use axum::routing::{any, get};
use bramble_runtime::{BudgetName, ManualClock};
use http::{Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tower::ServiceExt;

#[derive(Default)]
struct Memory {
    entries: Mutex<BTreeMap<String, Vec<u8>>>,
    code: Mutex<Option<String>>,
}

impl AuthStore for Memory {
    fn load(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, String> {
        let entries = self.entries.lock();
        Ok(entries.iter().filter(|(key, _)| key.starts_with(prefix)).map(|(k, v)| (k.clone(), v.clone())).collect())
    }
    fn put(&self, key: &str, value: &[u8]) -> Result<(), String> {
        self.entries.lock().insert(key.to_owned(), value.to_vec());
        Ok(())
    }
    fn delete(&self, key: &str) -> Result<(), String> {
        self.entries.lock().remove(key);
        Ok(())
    }
    fn note(&self, key: &str, number: u64) -> Result<(), String> {
        self.put(key, &number.to_le_bytes())
    }
    fn noted(&self, key: &str) -> Result<Option<u64>, String> {
        Ok(self.entries.lock().get(key).and_then(|value| Some(u64::from_le_bytes(value.as_slice().try_into().ok()?))))
    }
    fn code(&self) -> Result<Option<String>, String> {
        Ok(self.code.lock().clone())
    }
    fn keep_code(&self, code: Option<&str>) -> Result<(), String> {
        *self.code.lock() = code.map(str::to_owned);
        Ok(())
    }
}

const LAN: &str = "192.168.1.20";
const HERE: &str = "127.0.0.1";
const FAR: &str = "203.0.113.9";
const PASSWORD: &str = "correct horse battery";

struct World {
    auth: Arc<Auth>,
    store: Arc<Memory>,
    clock: Arc<ManualClock>,
}

impl World {
    fn new(require_owner: bool) -> World {
        Self::over(Arc::default(), require_owner, Role::Hub)
    }

    fn over(store: Arc<Memory>, require_owner: bool, role: Role) -> World {
        let clock = Arc::new(ManualClock::new(1_795_000_000_000_000_000));
        let options = AuthOptions {
            role,
            require_owner,
            setup_code: String::new(),
            trusted_proxies: Vec::new(),
            local_secret: "machine".to_owned(),
        };
        let memory = Budget::standalone(BudgetName::Query, 4 << 20);
        let auth = Auth::open(store.clone(), options, clock.clone(), memory, &Registry::new()).unwrap();
        World { auth, store, clock }
    }

    fn code(&self) -> String {
        self.auth.setup_code().borrow().clone().unwrap()
    }

    /// The answer of a door behind which everything answers 200.
    async fn ask(&self, door: &'static str, from: &str, request: http::request::Builder, body: &str) -> Response<Body> {
        let told = |caller: axum::Extension<Caller>| async move { format!("{:?}", caller.0.who) };
        let router = Router::new().route("/metrics", get(told)).fallback(any(|| async { "behind" }));
        let router = router.merge(crate::api::bramble::owner::router(self.auth.clone()));
        let request = request.header("content-type", "application/json").body(Body::from(body.to_owned()));
        let mut request: Request<Body> = request.unwrap();
        request.extensions_mut().insert(Peer(from.parse().unwrap()));
        self.auth.guard(router, door).oneshot(request).await.unwrap()
    }

    async fn status(&self, door: &'static str, from: &str, method: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.ask(door, from, request, "").await.status().as_u16()
    }

    async fn post(&self, from: &str, path: &str, body: Value, headers: &[(&str, &str)]) -> Response<Body> {
        let mut request = Request::post(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.ask("main", from, request, &body.to_string()).await
    }

    /// Sets the owner; the cookie.
    async fn own(&self, ingest: &str) -> String {
        let body = json!({"code": self.code(), "name": "Ada", "password": PASSWORD, "ingest": ingest});
        let answer = self.post(LAN, "/api/v1/owner", body, &[]).await;
        assert_eq!(answer.status(), StatusCode::CREATED);
        cookie(&answer)
    }

    async fn token(&self, cookie: &str, scopes: Value) -> Value {
        let headers = [("cookie", cookie), ("sec-fetch-site", "same-origin")];
        let answer = self.post(LAN, "/api/v1/tokens", json!({"name": "a", "scopes": scopes}), &headers).await;
        assert_eq!(answer.status(), StatusCode::CREATED);
        body(answer).await
    }
}

fn cookie(answer: &Response<Body>) -> String {
    let set = answer.headers()[header::SET_COOKIE].to_str().unwrap();
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Strict") && !set.contains("Secure"), "{set}");
    set.split(';').next().unwrap().to_owned()
}

async fn body(answer: Response<Body>) -> Value {
    serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap()
}

#[tokio::test]
async fn without_an_owner_that_is_required_others_get_the_set_up_only() {
    let world = World::new(true);
    for (method, path, here, lan) in [
        ("GET", "/-/healthy", 200, 200),
        ("GET", "/api/health", 200, 200),
        ("GET", "/setup", 200, 200),
        ("GET", "/api/v1/owner", 200, 200),
        ("GET", "/metrics", 200, 403),
        ("POST", "/api/v1/write", 200, 403),
        ("GET", "/prometheus/api/v1/query", 200, 403),
        ("POST", "/bramble.node.v1.Node/Hello", 200, 403),
        ("GET", "/anything", 200, 403),
        ("POST", "/api/v1/system/reboot", 200, 403),
    ] {
        assert_eq!(world.status("main", HERE, method, path, &[]).await, here, "{method} {path}");
        assert_eq!(world.status("main", LAN, method, path, &[]).await, lan, "{method} {path}");
    }
    assert!(world.auth.admits(HERE.parse().unwrap()) && !world.auth.admits(LAN.parse().unwrap()));
    assert_eq!(world.status("health", LAN, "GET", "/", &[]).await, 200);
    assert_eq!(world.status("jaeger", LAN, "GET", "/", &[]).await, 403);
    // A proxy on the machine does not make others local.
    assert_eq!(world.status("main", HERE, "GET", "/metrics", &[("x-forwarded-for", "127.0.0.1")]).await, 403);
    let page = Request::get("/").header("accept", "text/html,*/*");
    let answer = world.ask("main", LAN, page, "").await;
    assert_eq!(
        (answer.status(), &answer.headers()[header::LOCATION]),
        (StatusCode::SEE_OTHER, &"/setup".parse().unwrap())
    );
}

#[tokio::test]
async fn without_an_owner_that_is_not_required_all_is_open() {
    let world = World::new(false);
    for from in [HERE, LAN, FAR] {
        assert_eq!(world.status("main", from, "POST", "/api/v1/write", &[]).await, 200);
        assert_eq!(world.status("main", from, "GET", "/anything", &[("authorization", "Bearer x")]).await, 200);
        assert_eq!(world.status("main", from, "GET", "/", &[("accept", "text/html")]).await, 200);
        assert!(world.auth.admits(from.parse().unwrap()));
    }
    let made = world.post(HERE, "/api/v1/tokens", json!({"name": "a", "scopes": ["read"]}), &[]).await;
    assert_eq!(made.status(), StatusCode::CONFLICT, "a token would mean nothing");
}

#[tokio::test]
async fn the_code_sets_an_owner_once() {
    let world = World::new(true);
    let code = world.code();
    let asked = |code: &str, password: &str| json!({"code": code, "name": " Ada ", "password": password});
    let wrong = if code == "000000" { "000001" } else { "000000" };
    let path = "/api/v1/owner";
    assert_eq!(world.post(LAN, path, asked(&code, "short"), &[]).await.status(), StatusCode::BAD_REQUEST);
    assert_eq!(world.post(LAN, path, asked(wrong, PASSWORD), &[]).await.status(), StatusCode::FORBIDDEN);
    let long = json!({"code": code, "name": "x".repeat(5000), "password": PASSWORD});
    assert_eq!(world.post(LAN, path, long, &[]).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let foreign = [("origin", "http://evil.example"), ("host", "bramble.local:3000")];
    assert_eq!(world.post(LAN, path, asked(&code, PASSWORD), &foreign).await.status(), StatusCode::FORBIDDEN);
    let answer = world.post(LAN, path, asked(&code, PASSWORD), &[]).await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    let cookie = cookie(&answer);
    assert_eq!(world.post(LAN, path, asked(&code, PASSWORD), &[]).await.status(), StatusCode::CONFLICT);
    assert_eq!((world.auth.setup_code().borrow().clone(), world.store.code.lock().clone()), (None, None));
    assert_eq!(world.status("main", LAN, "GET", "/metrics", &[("cookie", &cookie)]).await, 200);
    assert_eq!(world.status("main", LAN, "GET", "/metrics", &[]).await, 401);
    assert!(world.store.entries.lock().values().all(|value| !String::from_utf8_lossy(value).contains("horse")));
    // After a restart all is as it was.
    let again = World::over(world.store.clone(), true, Role::Hub);
    assert_eq!(again.status("main", LAN, "GET", "/metrics", &[("cookie", &cookie)]).await, 200);
    assert_eq!(again.auth.owner(), Some(("Ada".to_owned(), IngestRule::Private)));
}

#[tokio::test]
async fn wrong_codes_slow_down_and_change_the_code() {
    let world = World::new(true);
    let code = world.code();
    let wrong = json!({"code": "x", "name": "Eve", "password": PASSWORD});
    for _ in 0..5 {
        assert_eq!(world.post(LAN, "/api/v1/owner", wrong.clone(), &[]).await.status(), StatusCode::FORBIDDEN);
    }
    let answer = world.post(LAN, "/api/v1/owner", wrong.clone(), &[]).await;
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.headers()[header::RETRY_AFTER], "20");
    for _ in 0..5 {
        assert_eq!(world.post(FAR, "/api/v1/owner", wrong.clone(), &[]).await.status(), StatusCode::FORBIDDEN);
    }
    let renewed = world.code();
    assert_ne!(renewed, code, "another one after ten (once in a million runs it is the same)");
    assert_eq!(world.store.code.lock().as_deref(), Some(renewed.as_str()));
    let refusals = &world.auth.counters.refusals;
    assert_eq!(
        (refusals.with_label_values(&["code"]).get(), refusals.with_label_values(&["throttled"]).get()),
        (10, 1)
    );
}

#[tokio::test]
async fn an_owner_signs_in_and_out() {
    let world = World::new(true);
    let first = world.own("private").await;
    let sign_in = |name: &str, password: &str| json!({"name": name, "password": password});
    let path = "/api/v1/session";
    assert_eq!(world.post(LAN, path, sign_in("ada", "wrong password"), &[]).await.status(), StatusCode::FORBIDDEN);
    assert_eq!(world.post(LAN, path, sign_in("bob", PASSWORD), &[]).await.status(), StatusCode::FORBIDDEN);
    let answer = world.post(LAN, path, sign_in("ada", PASSWORD), &[]).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let second = cookie(&answer);
    let delete = Request::delete(path).header("cookie", &second).header("sec-fetch-site", "same-origin");
    assert_eq!(world.ask("main", LAN, delete, "").await.status(), StatusCode::OK);
    assert_eq!(world.status("main", LAN, "GET", "/metrics", &[("cookie", &second)]).await, 401);
    assert_eq!(world.status("main", LAN, "GET", "/metrics", &[("cookie", &first)]).await, 200);
    // Changing something with the cookie needs a page of ours.
    let change =
        |site: &'static str| Request::patch("/api/v1/owner").header("cookie", &first).header("sec-fetch-site", site);
    let new = json!({"password": "another password", "current_password": PASSWORD}).to_string();
    assert_eq!(world.ask("main", LAN, change("cross-site"), &new).await.status(), StatusCode::FORBIDDEN);
    let bare = Request::patch("/api/v1/owner").header("cookie", &first);
    assert_eq!(world.ask("main", LAN, bare, &new).await.status(), StatusCode::FORBIDDEN);
    assert_eq!(world.ask("main", LAN, change("same-origin"), &new).await.status(), StatusCode::OK);
    assert_eq!(world.post(HERE, path, sign_in("Ada", PASSWORD), &[]).await.status(), StatusCode::FORBIDDEN);
    // Sessions end by themselves.
    world.clock.advance_ns(sessions::LIFETIME_MS as u64 * 1_000_000);
    assert_eq!(world.status("main", LAN, "GET", "/metrics", &[("cookie", &first)]).await, 401);
}

#[tokio::test]
async fn tokens_do_what_they_may() {
    let world = World::new(true);
    let cookie = world.own("token").await;
    let ingest = world.token(&cookie, json!(["ingest"])).await;
    let read = world.token(&cookie, json!(["read"])).await;
    let admin = world.token(&cookie, json!(["admin"])).await;
    let bearer = |made: &Value| format!("Bearer {}", made["token"].as_str().unwrap());
    let (ingest_bearer, read_bearer, admin_bearer) = (bearer(&ingest), bearer(&read), bearer(&admin));
    for (header, write, query, delete) in [
        ("", 401, 401, 401),
        ("Bearer brt_00000000_00", 401, 401, 401),
        (ingest_bearer.as_str(), 200, 403, 403),
        (read_bearer.as_str(), 403, 200, 403),
        (admin_bearer.as_str(), 200, 200, 200),
        ("Bearer machine", 200, 200, 200),
    ] {
        let headers: &[(&str, &str)] = if header.is_empty() { &[] } else { &[("authorization", header)] };
        for (method, path, expected) in [
            ("POST", "/prometheus/api/v1/write", write),
            ("GET", "/prometheus/api/v1/query", query),
            ("DELETE", "/loki/loki/api/v1/delete", delete),
        ] {
            assert_eq!(world.status("main", LAN, method, path, headers).await, expected, "{header} {method} {path}");
        }
    }
    assert_eq!(world.status("main", HERE, "POST", "/api/v1/write", &[]).await, 200, "this machine sends without");
    assert!(!world.auth.admits(LAN.parse().unwrap()) && world.auth.admits(HERE.parse().unwrap()));
    let listed = world.auth.tokens();
    assert_eq!(listed.len(), 3);
    assert!(listed.iter().all(|token| token.last_used_ms.is_some()));
    let id = ingest["id"].as_str().unwrap();
    let revoke = Request::delete(format!("/api/v1/tokens/{id}")).header("authorization", &admin_bearer);
    assert_eq!(world.ask("main", LAN, revoke, "").await.status(), StatusCode::OK);
    assert_eq!(world.status("main", LAN, "POST", "/v1/logs", &[("authorization", &ingest_bearer)]).await, 401);
    let again = World::over(world.store.clone(), true, Role::Hub);
    assert_eq!(again.status("main", LAN, "POST", "/v1/logs", &[("authorization", &ingest_bearer)]).await, 401);
    assert_eq!(again.status("main", LAN, "GET", "/metrics", &[("authorization", &read_bearer)]).await, 200);
}

#[tokio::test]
async fn private_networks_send_without_a_token_where_the_owner_says_so() {
    let world = World::new(true);
    world.own("private").await;
    for (from, expected) in [(HERE, 200), (LAN, 200), (FAR, 401)] {
        assert_eq!(world.status("prometheus", from, "POST", "/api/v1/write", &[]).await, expected, "{from}");
        // What was meant for the system before is not looked at where nothing is needed.
        let basic = [("authorization", "Basic MTIzOnRlbmFudA==")];
        assert_eq!(world.status("prometheus", from, "POST", "/api/v1/write", &basic).await, expected, "{from}");
        assert_eq!(world.status("prometheus", from, "GET", "/api/v1/query", &[]).await, 401, "{from}");
        assert_eq!(world.auth.admits(from.parse().unwrap()), expected == 200);
    }
    assert_eq!(
        world.status("otlp_grpc", FAR, "POST", "/bramble.node.v1.Node/Deliver", &[]).await,
        200,
        "it asks itself"
    );
}

#[tokio::test]
async fn the_machine_forgets_its_owner_and_nobody_else_does() {
    let world = World::new(true);
    let cookie = world.own("private").await;
    let made = world.token(&cookie, json!(["admin"])).await;
    let admin = format!("Bearer {}", made["token"].as_str().unwrap());
    let delete = |secret: &str| Request::delete("/api/v1/owner").header("authorization", secret);
    assert_eq!(world.ask("main", LAN, delete(&admin), "").await.status(), StatusCode::FORBIDDEN);
    assert_eq!(world.ask("main", HERE, delete("Bearer machine"), "").await.status(), StatusCode::OK);
    assert!(world.store.load("auth/").unwrap().is_empty());
    assert_eq!(world.status("main", LAN, "GET", "/metrics", &[("authorization", &admin)]).await, 403);
    assert_eq!(world.code().len(), 6);
    assert!(World::over(world.store.clone(), true, Role::Hub).auth.tokens().is_empty());
}

#[tokio::test]
async fn a_guarded_node_takes_in_from_private_networks() {
    let world = World::over(Arc::default(), true, Role::Node);
    for (from, write, metrics, reload) in [(HERE, 200, 200, 200), (LAN, 200, 200, 403), (FAR, 403, 403, 403)] {
        assert_eq!(world.status("main", from, "POST", "/api/v1/write", &[]).await, write);
        assert_eq!(world.status("main", from, "GET", "/metrics", &[]).await, metrics);
        assert_eq!(world.status("main", from, "GET", "/", &[]).await, metrics, "a node has no page");
        assert_eq!(world.status("main", from, "POST", "/-/reload", &[]).await, reload);
    }
    assert_eq!(world.auth.setup_code().borrow().clone(), None);
}

#[tokio::test]
async fn refusals_are_in_the_words_of_the_protocol() {
    let world = World::new(true);
    world.own("token").await;
    let ask = async |door: &'static str, path: &str, content_type: &str| {
        let request = Request::post(path).header("content-type", content_type);
        let mut request = request.body(Body::empty()).unwrap();
        request.extensions_mut().insert(Peer(LAN.parse().unwrap()));
        let answer = world.auth.guard(Router::new(), door).oneshot(request).await.unwrap();
        let (head, body) = answer.into_parts();
        (head, body.collect().await.unwrap().to_bytes())
    };
    let export = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    let (head, bytes) = ask("otlp_grpc", export, "application/grpc").await;
    assert_eq!((head.status, &head.headers["grpc-status"], bytes.len()), (StatusCode::OK, &"16".parse().unwrap(), 0));
    assert!(!head.headers["grpc-message"].is_empty());
    let (head, bytes) = ask("otlp_http", "/v1/traces", "application/x-protobuf").await;
    assert_eq!((head.status, &bytes[..3]), (StatusCode::UNAUTHORIZED, &[8, 16, 18][..]));
    let (_, bytes) = ask("otlp_http", "/v1/traces", "application/json").await;
    assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap()["code"], 16);
    let (head, bytes) = ask("prometheus", "/api/v1/query", "").await;
    assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap()["errorType"], "unauthorized");
    let challenges: Vec<_> = head.headers.get_all("www-authenticate").iter().map(|v| v.to_str().unwrap()).collect();
    assert_eq!(challenges.len(), 2, "{challenges:?}");
    let (head, bytes) = ask("main", "/api/v1/tokens", "").await;
    assert!(serde_json::from_slice::<Value>(&bytes).unwrap()["error"].as_str().unwrap().contains("token"));
    assert_eq!(head.headers["www-authenticate"], "Bearer realm=\"bramble\"", "browsers must not ask");
    let (_, bytes) = ask("loki", "/loki/api/v1/push", "application/json").await;
    assert!(bytes.starts_with(b"a token is needed"));
    let (_, bytes) = ask("jaeger", "/api/transform", "").await;
    assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap()["errors"][0]["code"], 401);
}
