//! Sessions: people who are signed in.

use super::records::{self, SessionRecord};
use super::secret::{self, hash, is_secret, random_hex};
use super::{Auth, Caller, OwnerError, Scopes, Who};

/// How long a session lasts, milliseconds: 30 days.
pub(super) const LIFETIME_MS: i64 = 30 * 86_400_000;

/// Sessions at once; with one more the oldest ends.
const SESSIONS_MAX: usize = 32;

const ID_BYTES: usize = 8;

/// A session that was begun just now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewSession {
    /// What the cookie says: `id.secret`.
    pub cookie: String,
    /// How long it lasts, seconds.
    pub lifetime_seconds: i64,
    /// The owner's name.
    pub name: String,
}

impl Auth {
    /// Begins a session. The caller holds `changing`.
    pub(super) async fn new_session(&self) -> Result<NewSession, OwnerError> {
        let store = |error: String| OwnerError::Store(error);
        let (id, secret) = (random_hex::<ID_BYTES>().map_err(store)?, secret::new_secret().map_err(store)?);
        let now_ms = self.now_ms();
        let expires_ms = now_ms.saturating_add(LIFETIME_MS);
        let record = SessionRecord { secret_sha256: hash(&secret), created_ms: now_ms, expires_ms };
        self.end_old_sessions(now_ms).await?;
        let (key, value) = (format!("{}{id}", records::SESSION), serde_json::to_vec(&record));
        let value = value.map_err(|error| OwnerError::Store(error.to_string()))?;
        self.stored(move |store| store.put(&key, &value)).await.map_err(store)?;
        let name = {
            let mut known = self.known.write();
            known.sessions.insert(id.clone(), record);
            known.owner.as_ref().map(|owner| owner.name.clone()).unwrap_or_default()
        };
        self.count();
        Ok(NewSession { cookie: format!("{id}.{secret}"), lifetime_seconds: LIFETIME_MS / 1000, name })
    }

    /// Who has this cookie.
    pub(super) fn by_cookie(&self, id: &str, secret: &str) -> Option<Caller> {
        let known = self.known.read();
        let session = known.sessions.get(id)?;
        let name = known.owner.as_ref()?.name.clone();
        let is_good = is_secret(secret, &session.secret_sha256) && self.now_ms() < session.expires_ms;
        is_good.then(|| Caller { who: Who::Session { id: id.to_owned(), name }, scopes: Scopes::ALL })
    }

    /// Ends a session, or all.
    ///
    /// # Errors
    /// [`OwnerError::Store`].
    pub async fn sign_out(&self, session: &str, all: bool) -> Result<(), OwnerError> {
        let _changing = self.changing.lock().await;
        self.end_sessions(|id| all || id == session).await
    }

    /// Makes room for one more session. The caller holds `changing`.
    async fn end_old_sessions(&self, now_ms: i64) -> Result<(), OwnerError> {
        let mut ages: Vec<(i64, String)> = {
            let known = self.known.read();
            known.sessions.iter().map(|(id, session)| (session.created_ms, id.clone())).collect()
        };
        ages.sort();
        let excess = (ages.len() + 1).saturating_sub(SESSIONS_MAX);
        let oldest: Vec<String> = ages.into_iter().take(excess).map(|(_, id)| id).collect();
        let expired: Vec<String> = {
            let known = self.known.read();
            known.sessions.iter().filter(|(_, one)| one.expires_ms <= now_ms).map(|(id, _)| id.clone()).collect()
        };
        self.end_sessions(|id| oldest.iter().chain(&expired).any(|one| one == id)).await
    }

    /// Ends those that are chosen. The caller holds `changing`.
    pub(super) async fn end_sessions(&self, chosen: impl Fn(&str) -> bool) -> Result<(), OwnerError> {
        let ids: Vec<String> = self.known.read().sessions.keys().filter(|id| chosen(id)).cloned().collect();
        if ids.is_empty() {
            return Ok(());
        }
        // At once in memory: who is to be gone is gone even if the file fails.
        self.known.write().sessions.retain(|id, _| !ids.contains(id));
        self.count();
        let delete = move |store: &dyn super::AuthStore| {
            ids.iter().try_for_each(|id| store.delete(&format!("{}{id}", records::SESSION)))
        };
        self.stored(delete).await.map_err(OwnerError::Store)
    }
}
