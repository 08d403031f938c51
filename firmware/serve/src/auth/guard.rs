//! The guard: one layer around everything that is behind a door.

use super::address::{Origin, Place, origin};
use super::caller::{Caller, Offered, offered};
use super::records::IngestRule;
use super::refusal::{Reason, refuse};
use super::scope::{Need, Scope, Scopes};
use super::{Auth, Role, table};
use crate::Peer;
use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderMap, Method, header};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// Which rules hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Rule {
    /// No owner, and none is required.
    Open,
    /// No owner yet, and one is required.
    Unowned,
    /// A node, guarded.
    Node,
    /// There is an owner.
    Owned(IngestRule),
}

/// What is judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) need: Need,
    pub(super) place: Place,
    pub(super) scopes: Scopes,
}

/// Whether it may pass. A reason says nothing of whether a credential was offered and wrong.
pub(super) fn judge(rule: Rule, asked: &Asked) -> Result<(), Reason> {
    let is_here = asked.place == Place::Loopback;
    let scope = match asked.need {
        Need::Public | Need::Page => return Ok(()),
        // A node's credential, which the route looks at, comes from an owner.
        Need::Own if matches!(rule, Rule::Owned(_) | Rule::Open) => return Ok(()),
        Need::Own => Scope::Ingest,
        Need::Scope(scope) => scope,
    };
    match rule {
        Rule::Open => Ok(()),
        Rule::Unowned if is_here => Ok(()),
        Rule::Unowned => Err(Reason::NoOwner),
        Rule::Node if is_here => Ok(()),
        Rule::Node if asked.place == Place::Private && scope != Scope::Admin => Ok(()),
        Rule::Node => Err(Reason::NotHere),
        Rule::Owned(_) if asked.scopes.allow(scope) => Ok(()),
        Rule::Owned(_) if scope == Scope::Ingest && is_here => Ok(()),
        Rule::Owned(IngestRule::Private) if scope == Scope::Ingest && asked.place == Place::Private => Ok(()),
        Rule::Owned(_) if asked.scopes == Scopes::NONE => Err(Reason::NoCredential),
        Rule::Owned(_) => Err(Reason::Scope(scope)),
    }
}

impl Auth {
    /// `router` with the guard around it. `door` is the name of its setting, by which the forms of answers are chosen.
    pub fn guard(self: &Arc<Self>, router: Router, door: &'static str) -> Router {
        let auth = self.clone();
        router.layer(from_fn(move |request: Request, next: Next| {
            let auth = auth.clone();
            async move { auth.pass(door, request, next).await }
        }))
    }

    async fn pass(&self, door: &'static str, mut request: Request, next: Next) -> Response {
        let peer = request.extensions().get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0);
        let from = origin(peer, request.headers(), &self.options.trusted_proxies);
        let need = need_at(self.options.role, door, request.method(), request.uri().path());
        let rule = self.rule();
        let (caller, is_wrong) = self.caller(rule, need, from, request.headers());
        let asked = Asked { need, place: from.place, scopes: caller.scopes };
        let judged = judge(rule, &asked).map_err(|reason| match reason {
            Reason::NoCredential if is_wrong => Reason::WrongCredential,
            other => other,
        });
        let judged = judged.and_then(|()| check_site(need, &caller, &request));
        if let Some(page) = page_instead(door, rule, &asked, judged.is_err(), &request) {
            return Redirect::to(page).into_response();
        }
        if let Err(reason) = judged {
            self.count_refusal(reason);
            tracing::debug!(door, from = %from.address, path = request.uri().path(), reason = reason.as_str(), "refused");
            return refuse(reason, door, &request);
        }
        request.extensions_mut().insert(Asker {
            caller: caller.clone(),
            from: from.address,
            is_secure: from.is_secure,
        });
        request.extensions_mut().insert(caller);
        next.run(request).await
    }

    /// Who asks, and whether a credential was offered that is not good. What needs none is not looked at, so that
    /// senders whose credentials were meant for what they sent to before are taken like those without.
    fn caller(&self, rule: Rule, need: Need, from: Origin, headers: &HeaderMap) -> (Caller, bool) {
        let is_free = need == Need::Scope(Scope::Ingest)
            && judge(rule, &Asked { need, place: from.place, scopes: Scopes::NONE }).is_ok();
        if is_free || matches!(rule, Rule::Open) && need != Need::Public {
            return (Caller::nobody(), false);
        }
        let known = match offered(headers) {
            Offered::Nothing => return (Caller::nobody(), false),
            Offered::Secret(secret) => self.by_secret(&secret),
            Offered::Cookie { id, secret } => self.by_cookie(&id, &secret),
        };
        match known {
            Some(caller) => (caller, false),
            None => (Caller::nobody(), true),
        }
    }
}

/// Who asks and from where, for the handlers of the owner, sessions and tokens.
#[derive(Clone)]
pub(crate) struct Asker {
    pub(crate) caller: Caller,
    pub(crate) from: IpAddr,
    /// Whether a cookie may be kept to encrypted connections.
    pub(crate) is_secure: bool,
}

/// What a request needs at a door.
fn need_at(role: Role, door: &str, method: &Method, path: &str) -> Need {
    match (door, table::need(method, path)) {
        // These have nothing else.
        ("health" | "jaeger_health", _) => Need::Public,
        ("main", need) if role == Role::Hub => need,
        // Other doors, and nodes, tell at their root what they are.
        (_, Need::Page) => Need::Scope(Scope::Read),
        (_, need) => need,
    }
}

/// What a browser does on behalf of another site's page is refused: where it changes something as an administrator or
/// signs somebody in. Browsers say so themselves; one that says nothing at all is believed only without a cookie.
fn check_site(need: Need, caller: &Caller, request: &Request) -> Result<(), Reason> {
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let is_sensitive = matches!(need, Need::Public | Need::Scope(Scope::Admin)) || caller.is_session();
    if !changes || !is_sensitive {
        return Ok(());
    }
    let text = |name| request.headers().get(name).map(|value: &header::HeaderValue| value.to_str().unwrap_or("?"));
    // HTTP/2 has it in the URI.
    let asked = || text("host").or_else(|| request.uri().authority().map(|host| host.as_str())).unwrap_or_default();
    let is_same = match (text("sec-fetch-site"), text("origin")) {
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => {
            let host = asked();
            !host.is_empty() && origin.split_once("://").is_some_and(|(_, origin)| origin == host)
        }
        (None, None) => !caller.is_session(),
    };
    if is_same { Ok(()) } else { Err(Reason::OtherSite) }
}

/// Where a person's browser is sent instead: to the set-up, or to sign in. The fragment, which is what the page shows, goes
/// along by itself.
fn page_instead(door: &str, rule: Rule, asked: &Asked, is_refused: bool, request: &Request) -> Option<&'static str> {
    let is_page = asked.need == Need::Page;
    if door != "main" || !(is_page || is_refused) || !is_navigation(request) {
        return None;
    }
    match rule {
        Rule::Unowned if asked.place != Place::Loopback => Some("/setup"),
        Rule::Owned(_) if asked.scopes == Scopes::NONE => Some("/login"),
        _ => None,
    }
}

/// Whether a person went there, rather than a script or program.
fn is_navigation(request: &Request) -> bool {
    let text = |name| request.headers().get(name).and_then(|value: &header::HeaderValue| value.to_str().ok());
    if *request.method() != Method::GET {
        return false;
    }
    match text("sec-fetch-mode") {
        Some(mode) => mode == "navigate",
        None => text("accept").is_some_and(|accept| accept.contains("text/html")),
    }
}
