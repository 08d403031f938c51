//! What a caller may do, and what a route needs.

use serde::{Deserialize, Serialize};

/// One thing that a token may do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Ask: queries, lists, status, metrics.
    Read,
    /// Send: metrics, logs, traces.
    Ingest,
    /// Everything, also to change settings and to delete.
    Admin,
}

impl Scope {
    /// The word of the API, the page and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Ingest => "ingest",
            Scope::Admin => "admin",
        }
    }
}

/// What a route needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Need {
    /// Nothing: health, the page's files, signing in and the set-up itself.
    Public,
    /// The page: its files are public, but a person without a session is sent to sign in first.
    Page,
    /// A scope, or to be somewhere where it is not asked for.
    Scope(Scope),
    /// The route looks at credentials of its own: deliveries of nodes, which enrol with a token of theirs.
    Own,
}

/// Scopes of a caller: a small set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Scopes(u8);

impl Scopes {
    /// None.
    pub const NONE: Scopes = Scopes(0);
    /// All.
    pub const ALL: Scopes = Scopes(0b111);

    /// Those that are listed.
    pub fn of(scopes: &[Scope]) -> Self {
        Scopes(scopes.iter().fold(0, |bits, scope| bits | Self::bit(*scope)))
    }

    /// Whether `scope` is allowed; whoever administrates may do anything.
    pub fn allow(self, scope: Scope) -> bool {
        self.0 & (Self::bit(scope) | Self::bit(Scope::Admin)) != 0
    }

    fn bit(scope: Scope) -> u8 {
        match scope {
            Scope::Read => 1,
            Scope::Ingest => 2,
            Scope::Admin => 4,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_administrator_may_do_anything_and_others_what_they_may() {
        let ingest = Scopes::of(&[Scope::Ingest]);
        assert!(ingest.allow(Scope::Ingest) && !ingest.allow(Scope::Read) && !ingest.allow(Scope::Admin));
        let admin = Scopes::of(&[Scope::Admin]);
        assert!(admin.allow(Scope::Ingest) && admin.allow(Scope::Read) && admin.allow(Scope::Admin));
        assert!(!Scopes::NONE.allow(Scope::Read) && Scopes::ALL.allow(Scope::Admin));
        assert_eq!(serde_json::to_string(&Scope::Ingest).unwrap(), "\"ingest\"");
    }
}
