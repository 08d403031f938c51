//! Who may do what: the owner, sessions of people, tokens of programs, and the guard in front of every door.
//!
//! * One [`Auth`] per process. [`Auth::guard`] wraps what is behind a door; [`Auth::admits`] answers for doors whose
//!   protocol cannot carry a token (syslog, packets of Jaeger's agent).
//! * What a route needs stands in one table (`table.rs`); what is not in it needs an administrator.
//! * There is no default password. The owner is set with a code of six digits that only somebody at the machine sees
//!   (`bramble owner code`, the console, the LED); until then, where an owner is required, nothing but the set-up and
//!   health answers to other machines.
//!
//! How a request is judged (`guard.rs`): where it comes from (`address.rs`), what it offers (`caller.rs`), what its route
//! needs, and then one pure function, `judge`:
//!
//! | | this machine | private network | elsewhere |
//! | --- | --- | --- | --- |
//! | no owner, none required | all | all | all |
//! | no owner, one required | all | public | public |
//! | owner | public, ingest | public, ingest if the owner chose so | public |
//!
//! and with an owner, whoever has a session or a token may besides do what its scopes allow. *Knows no file and no
//! SQLite: [`AuthStore`] does.*

mod address;
mod caller;
mod counters;
mod guard;
mod owner;
mod password;
mod records;
mod refusal;
mod scope;
mod secret;
mod sessions;
mod setup;
mod table;
#[cfg(test)]
mod tests;
mod throttle;
mod tokens;

pub(crate) use caller::COOKIE;
pub use caller::{Caller, Who};
pub(crate) use guard::Asker;
pub use owner::{OwnerChange, OwnerError};
pub use records::{AuthStore, IngestRule};
pub use scope::{Need, Scope, Scopes};
pub use secret::new_secret;
pub use sessions::NewSession;
pub use tokens::{NewToken, TokenError, TokenView};

use address::Place;
use bramble_runtime::{Budget, Clock};
use counters::Counters;
use ipnet::IpNet;
use parking_lot::{Mutex, RwLock};
use password::Passwords;
use prometheus::Registry;
use records::{OwnerRecord, SessionRecord};
use refusal::Reason;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use throttle::Throttle;
use tokens::Token;
use tokio::sync::watch;

/// What this machine is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// It stores and answers, and may have an owner.
    Hub,
    /// It sends on to a hub, whose owner is its owner: it takes in from private networks, and is administrated from itself.
    Node,
}

/// How it is guarded.
pub struct AuthOptions {
    /// What this machine is.
    pub role: Role,
    /// Whether other machines are refused until there is an owner.
    pub require_owner: bool,
    /// A set-up code that was given beforehand; empty for a random one.
    pub setup_code: String,
    /// Proxies whose word on where requests come from is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The secret of this machine's command line; empty for none.
    pub local_secret: String,
}

/// Entries as they are in memory.
#[derive(Default)]
struct Known {
    owner: Option<OwnerRecord>,
    sessions: HashMap<String, SessionRecord>,
    tokens: HashMap<String, Token>,
}

/// Who may do what.
pub struct Auth {
    store: Arc<dyn AuthStore>,
    clock: Arc<dyn Clock>,
    options: AuthOptions,
    local_sha256: String,
    known: RwLock<Known>,
    /// Held while entries change, so that file and memory change alike.
    changing: tokio::sync::Mutex<()>,
    code: watch::Sender<Option<String>>,
    wrong_codes: Mutex<u32>,
    throttle: Mutex<Throttle>,
    passwords: Passwords,
    counters: Counters,
}

impl Auth {
    /// Reads what is kept, and makes a set-up code when there is no owner. `memory` is what hashing passwords counts against.
    ///
    /// # Errors
    /// What is wrong with the files; a set-up code that is none.
    pub fn open(
        store: Arc<dyn AuthStore>,
        options: AuthOptions,
        clock: Arc<dyn Clock>,
        memory: Budget,
        registry: &Registry,
    ) -> Result<Arc<Self>, String> {
        let known = match options.role {
            Role::Hub => load(store.as_ref())?,
            Role::Node => Known::default(),
        };
        let local_sha256 = match options.local_secret.as_str() {
            "" => String::new(),
            local => secret::hash(local),
        };
        let counters = Counters::new(registry).map_err(|error| error.to_string())?;
        let auth = Auth {
            store,
            clock,
            options,
            local_sha256,
            known: RwLock::new(known),
            changing: tokio::sync::Mutex::new(()),
            code: watch::channel(None).0,
            wrong_codes: Mutex::new(0),
            throttle: Mutex::default(),
            passwords: Passwords::new(memory),
            counters,
        };
        auth.begin_setup()?;
        auth.count();
        Ok(Arc::new(auth))
    }

    /// Whether there is an owner.
    pub fn is_owned(&self) -> bool {
        self.known.read().owner.is_some()
    }

    /// Whether other machines are refused until there is one.
    pub fn requires_owner(&self) -> bool {
        self.options.require_owner
    }

    /// Whether a door whose protocol has no place for a token takes what comes from `address`.
    pub fn admits(&self, address: IpAddr) -> bool {
        let asked = guard::Asked { need: Need::Scope(Scope::Ingest), place: Place::of(address), scopes: Scopes::NONE };
        match guard::judge(self.rule(), &asked) {
            Ok(()) => true,
            Err(reason) => {
                self.count_refusal(reason);
                false
            }
        }
    }

    /// Which rules hold now.
    fn rule(&self) -> guard::Rule {
        match (&self.known.read().owner, self.options.require_owner, self.options.role) {
            (Some(owner), _, _) => guard::Rule::Owned(owner.ingest),
            (None, false, _) => guard::Rule::Open,
            (None, true, Role::Hub) => guard::Rule::Unowned,
            (None, true, Role::Node) => guard::Rule::Node,
        }
    }

    fn count_refusal(&self, reason: Reason) {
        self.counters.refusals.with_label_values(&[reason.as_str()]).inc();
    }

    fn count(&self) {
        let known = self.known.read();
        self.counters.owner.set(i64::from(known.owner.is_some()));
        self.counters.sessions.set(known.sessions.len() as i64);
        self.counters.tokens.set(known.tokens.len() as i64);
    }

    fn now_ms(&self) -> i64 {
        self.clock.wall_ms()
    }

    fn monotonic_ms(&self) -> i64 {
        (self.clock.monotonic_ns() / 1_000_000) as i64
    }

    /// Runs what may block on a file.
    async fn stored<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn AuthStore) -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        let store = self.store.clone();
        let outcome = tokio::task::spawn_blocking(move || work(store.as_ref())).await;
        outcome.unwrap_or_else(|_| Err("shutting down".to_owned()))
    }
}

/// Reads all entries. One that cannot be read is left out and told: it must not keep the owner of a damaged file from
/// signing in, but the owner's own may not be missing silently, since anybody with the code could take its place.
fn load(store: &dyn AuthStore) -> Result<Known, String> {
    let mut known = Known::default();
    for (key, value) in store.load(records::ALL)? {
        let read = if key == records::OWNER {
            let owner = serde_json::from_slice(&value).map_err(|error| format!("entry {key} of state.db: {error}"))?;
            known.owner = Some(owner);
            Ok(())
        } else if let Some(id) = key.strip_prefix(records::SESSION) {
            serde_json::from_slice(&value).map(|session| drop(known.sessions.insert(id.to_owned(), session)))
        } else if let Some(id) = key.strip_prefix(records::TOKEN) {
            let used_ms = store.noted(&format!("{}{id}", records::USED)).unwrap_or_default().unwrap_or(0);
            serde_json::from_slice(&value)
                .map(|record| drop(known.tokens.insert(id.to_owned(), Token::new(record, used_ms as i64))))
        } else {
            Ok(())
        };
        if let Err(error) = read {
            tracing::error!(%key, %error, "an entry of state.db cannot be read");
        }
    }
    Ok(known)
}
