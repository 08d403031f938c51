//! Who asks, as far as a request proves it.

use super::scope::{Scope, Scopes};
use base64::Engine;
use http::{HeaderMap, header};

/// The cookie of sessions.
pub(crate) const COOKIE: &str = "bramble_session";

/// What a token begins with, so that scanners of secrets, and people, know it.
pub(super) const TOKEN_MARK: &str = "brt_";

/// How somebody was recognised.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Who {
    /// Not at all.
    Nobody,
    /// By the cookie of a session.
    Session {
        /// Of the session.
        id: String,
        /// The owner's name.
        name: String,
    },
    /// By a token.
    Token {
        /// Of the token.
        id: String,
        /// As its maker called it.
        name: String,
    },
    /// By the secret of this machine, as its command line is.
    Machine,
}

/// Who asks. The guard puts it into each request's extensions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Caller {
    /// How it was recognised.
    pub who: Who,
    pub(super) scopes: Scopes,
}

impl Caller {
    /// Somebody unknown.
    pub(super) fn nobody() -> Self {
        Caller { who: Who::Nobody, scopes: Scopes::NONE }
    }

    /// Whether who asks was recognised and may do this. Rules about where a request comes from are not asked.
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.allow(scope)
    }

    /// The name of a person or token; empty when there is none.
    pub fn name(&self) -> &str {
        match &self.who {
            Who::Session { name, .. } | Who::Token { name, .. } => name,
            Who::Nobody | Who::Machine => "",
        }
    }

    /// Whether it is a browser's session, whose requests other sites may try to make.
    pub(super) fn is_session(&self) -> bool {
        matches!(self.who, Who::Session { .. })
    }
}

/// What a request offers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Offered {
    /// Nothing.
    Nothing,
    /// A secret of a program: a bearer's, or either half of a user and password.
    Secret(String),
    /// A session's cookie.
    Cookie { id: String, secret: String },
}

/// What a request offers; a header of its own goes before a cookie.
pub(super) fn offered(headers: &HeaderMap) -> Offered {
    let secret = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(secret);
    if let Some(secret) = secret {
        return Offered::Secret(secret);
    }
    match cookie(headers) {
        Some((id, secret)) => Offered::Cookie { id, secret },
        None => Offered::Nothing,
    }
}

/// The secret of an `Authorization` header. With Basic it is the password, and the name is for people; programs that
/// only know a name put it there.
fn secret(value: &str) -> Option<String> {
    let (scheme, rest) = value.trim().split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return (!rest.is_empty()).then(|| rest.to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let bytes = base64::engine::general_purpose::STANDARD.decode(rest).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (name, password) = text.split_once(':')?;
    let secret = if password.is_empty() { name } else { password };
    (!secret.is_empty()).then(|| secret.to_owned())
}

/// Id and secret of the session's cookie.
fn cookie(headers: &HeaderMap) -> Option<(String, String)> {
    let texts = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = texts.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(name, _)| *name == COOKIE)?;
    let (id, secret) = value.split_once('.')?;
    Some((id.to_owned(), secret.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn whatever_is_offered_is_read(auth in proptest::collection::vec(any::<u8>(), 0..80), cookie in ".{0,80}") {
            let mut headers = HeaderMap::new();
            for (name, value) in [(header::AUTHORIZATION, auth), (header::COOKIE, cookie.into_bytes())] {
                if let Ok(value) = HeaderValue::from_bytes(&value) {
                    headers.insert(name, value);
                }
            }
            prop_assert!(offered(&headers) != Offered::Secret(String::new()));
        }

        #[test]
        fn damaged_basic_is_no_secret_of_another(text in "[A-Za-z0-9+/=]{0,40}") {
            let found = secret(&format!("Basic {text}"));
            prop_assert!(found.is_none_or(|secret| !secret.is_empty()));
        }
    }

    fn of(name: &'static str, value: &str) -> Offered {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        offered(&headers)
    }

    #[test]
    fn credentials_are_found() {
        let secret = |text: &str| Offered::Secret(text.to_owned());
        assert_eq!(of("authorization", "Bearer brt_1_2"), secret("brt_1_2"));
        assert_eq!(of("authorization", "bearer  brt_1_2 "), secret("brt_1_2"));
        // "agent:brt_1_2", ":x" and "brt_1_2:".
        assert_eq!(of("authorization", "Basic YWdlbnQ6YnJ0XzFfMg=="), secret("brt_1_2"));
        assert_eq!(of("authorization", "Basic Ong="), secret("x"));
        assert_eq!(of("authorization", "Basic YnJ0XzFfMjo="), secret("brt_1_2"));
        for nothing in ["Basic %%%", "Bearer", "Bearer ", "Digest a", "", "Basic Og=="] {
            assert_eq!(of("authorization", nothing), Offered::Nothing, "{nothing}");
        }
        let cookie = Offered::Cookie { id: "ab".into(), secret: "cd".into() };
        assert_eq!(of("cookie", "a=b; bramble_session=ab.cd; c=d"), cookie);
        assert_eq!(of("cookie", "bramble_session=abcd"), Offered::Nothing);
    }
}
