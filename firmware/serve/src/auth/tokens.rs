//! Tokens: what programs prove themselves with.
//!
//! `brt_<id>_<secret>`: the id, 8 digits, is no secret; the secret has 256 bits.

use super::caller::TOKEN_MARK;
use super::records::{self, TokenRecord};
use super::scope::Scope;
use super::secret::{hash, is_secret, new_secret, random_hex};
use super::{Auth, Caller, Scopes, Who};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Tokens at once.
const TOKENS_MAX: usize = 256;

const NAME_BYTES_MAX: usize = 64;
const ID_BYTES: usize = 4;

/// When a token was used is written down at most so often, milliseconds: an hour, against card life.
const NOTE_EVERY_MS: i64 = 3_600_000;

/// Why there is no token.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TokenError {
    /// Without an owner nothing asks for tokens.
    #[error("there is no owner yet: set one first, then tokens mean something")]
    Unowned,
    /// Name or scopes cannot be taken, or there are too many tokens.
    #[error("{0}")]
    Unfit(String),
    /// It cannot be stored.
    #[error("it cannot be stored: {0}")]
    Store(String),
}

/// A token in memory.
pub(super) struct Token {
    pub(super) record: TokenRecord,
    /// Milliseconds since the epoch; 0 for never. Shared with the task that writes it down.
    used_ms: Arc<AtomicI64>,
    noted_ms: AtomicI64,
}

impl Token {
    pub(super) fn new(record: TokenRecord, used_ms: i64) -> Self {
        Token { record, used_ms: Arc::new(AtomicI64::new(used_ms)), noted_ms: AtomicI64::new(used_ms) }
    }
}

/// A token, for its owner.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct TokenView {
    /// To take it back.
    pub id: String,
    /// As its maker called it.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// Milliseconds since the epoch.
    pub created_ms: i64,
    /// Milliseconds since the epoch; `null` for never.
    pub last_used_ms: Option<i64>,
}

/// A token that was made just now.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct NewToken {
    /// To take it back.
    pub id: String,
    /// What the program is given: told this once.
    pub token: String,
}

impl Auth {
    /// All tokens, the newest first.
    pub fn tokens(&self) -> Vec<TokenView> {
        let known = self.known.read();
        let view = |(id, token): (&String, &Token)| {
            let used_ms = token.used_ms.load(Ordering::Relaxed);
            TokenView {
                id: id.clone(),
                name: token.record.name.clone(),
                scopes: token.record.scopes.clone(),
                created_ms: token.record.created_ms,
                last_used_ms: (used_ms > 0).then_some(used_ms),
            }
        };
        let mut tokens: Vec<TokenView> = known.tokens.iter().map(view).collect();
        tokens.sort_by(|a, b| (b.created_ms, &b.id).cmp(&(a.created_ms, &a.id)));
        tokens
    }

    /// Makes a token.
    ///
    /// # Errors
    /// [`TokenError`].
    pub async fn create_token(&self, name: &str, scopes: &[Scope]) -> Result<NewToken, TokenError> {
        let name = name.trim();
        if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
            return Err(TokenError::Unfit(format!("a token's name has 1 to {NAME_BYTES_MAX} bytes")));
        }
        let mut scopes = scopes.to_vec();
        scopes.sort_unstable();
        scopes.dedup();
        if scopes.is_empty() {
            return Err(TokenError::Unfit("a token has at least one of the scopes read, ingest, admin".to_owned()));
        }
        let _changing = self.changing.lock().await;
        if !self.is_owned() {
            return Err(TokenError::Unowned);
        }
        if self.known.read().tokens.len() >= TOKENS_MAX {
            return Err(TokenError::Unfit(format!("there are {TOKENS_MAX} tokens already: take some back")));
        }
        let (id, secret) = (random_hex::<ID_BYTES>(), new_secret());
        let (id, secret) = (id.map_err(TokenError::Store)?, secret.map_err(TokenError::Store)?);
        let secret_sha256 = hash(&secret);
        let record = TokenRecord { secret_sha256, name: name.to_owned(), scopes, created_ms: self.now_ms() };
        let value = serde_json::to_vec(&record).map_err(|error| TokenError::Store(error.to_string()))?;
        let key = format!("{}{id}", records::TOKEN);
        self.stored(move |store| store.put(&key, &value)).await.map_err(TokenError::Store)?;
        self.known.write().tokens.insert(id.clone(), Token::new(record, 0));
        self.count();
        let token = format!("{TOKEN_MARK}{id}_{secret}");
        Ok(NewToken { id, token })
    }

    /// Takes a token back; whether there was such a token.
    ///
    /// # Errors
    /// [`TokenError::Store`]: it is no longer good, but may be after a restart.
    pub async fn revoke_token(&self, id: &str) -> Result<bool, TokenError> {
        let _changing = self.changing.lock().await;
        if self.known.write().tokens.remove(id).is_none() {
            return Ok(false);
        }
        self.count();
        let (key, used) = (format!("{}{id}", records::TOKEN), format!("{}{id}", records::USED));
        let delete = move |store: &dyn super::AuthStore| store.delete(&key).and_then(|()| store.delete(&used));
        self.stored(delete).await.map_err(TokenError::Store)?;
        Ok(true)
    }

    /// Who has this secret: a token, or the machine itself.
    pub(super) fn by_secret(&self, secret: &str) -> Option<Caller> {
        if is_secret(secret, &self.local_sha256) {
            return Some(Caller { who: Who::Machine, scopes: Scopes::ALL });
        }
        let (id, rest) = secret.strip_prefix(TOKEN_MARK)?.split_once('_')?;
        let known = self.known.read();
        known.owner.as_ref()?;
        let token = known.tokens.get(id).filter(|token| is_secret(rest, &token.record.secret_sha256))?;
        self.note_use(id, token);
        let who = Who::Token { id: id.to_owned(), name: token.record.name.clone() };
        Some(Caller { who, scopes: Scopes::of(&token.record.scopes) })
    }

    /// Remembers when it was used, and now and then writes it down.
    fn note_use(&self, id: &str, token: &Token) {
        let now_ms = self.now_ms();
        token.used_ms.store(now_ms, Ordering::Relaxed);
        let noted_ms = token.noted_ms.load(Ordering::Relaxed);
        if now_ms.saturating_sub(noted_ms) < NOTE_EVERY_MS
            || token.noted_ms.compare_exchange(noted_ms, now_ms, Ordering::Relaxed, Ordering::Relaxed).is_err()
        {
            return;
        }
        let (store, key) = (self.store.clone(), format!("{}{id}", records::USED));
        // Nobody waits for it; what is lost is an hour of a time that people look at.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            drop(runtime.spawn_blocking(move || store.note(&key, now_ms.max(0) as u64)));
        }
    }
}
