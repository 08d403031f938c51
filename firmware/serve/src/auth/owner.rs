//! The owner: set once with the code, changed by the owner, forgotten by who administrates the machine.

use super::password::{BYTES_MAX, CHARACTERS_MIN, Unchecked};
use super::records::{self, IngestRule, OwnerRecord};
use super::refusal::Reason;
use super::{Auth, NewSession};
use std::net::IpAddr;

/// Longest name.
const NAME_BYTES_MAX: usize = 64;

/// Why it could not be done. The text is for people.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OwnerError {
    /// There is an owner already.
    #[error("there is an owner already; to begin anew: bramble owner reset, on the machine")]
    Owned,
    /// There is none.
    #[error("there is no owner yet")]
    Unowned,
    /// The code is not the one that is shown.
    #[error("this is not the code that the machine shows (its screen, its LED, or bramble owner code)")]
    Code,
    /// Name or password are wrong.
    #[error("name or password are wrong")]
    Password,
    /// A new name or password that cannot be taken.
    #[error("{0}")]
    Unfit(String),
    /// Too many wrong tries.
    #[error("too many wrong tries; again in {0} s")]
    Throttled(u64),
    /// Others are signing in, or memory is short.
    #[error("busy; try again in a moment")]
    Busy,
    /// It cannot be stored.
    #[error("it cannot be stored: {0}")]
    Store(String),
}

impl From<Unchecked> for OwnerError {
    fn from(unchecked: Unchecked) -> Self {
        match unchecked {
            Unchecked::Busy => OwnerError::Busy,
            Unchecked::Broken => OwnerError::Store("the password's entry is damaged".to_owned()),
        }
    }
}

/// What the owner changes; what is absent stays.
#[derive(Clone, Default, Debug)]
pub struct OwnerChange {
    /// The name.
    pub name: Option<String>,
    /// The new password, and the one before.
    pub password: Option<(String, String)>,
    /// Who may send without a token.
    pub ingest: Option<IngestRule>,
}

impl Auth {
    /// The owner's name and choice; `None` when there is no owner.
    pub fn owner(&self) -> Option<(String, IngestRule)> {
        self.known.read().owner.as_ref().map(|owner| (owner.name.clone(), owner.ingest))
    }

    /// Sets the owner, who is signed in with that.
    ///
    /// # Errors
    /// [`OwnerError`]; nothing has changed then, but a wrong code counts.
    pub async fn set_owner(
        &self,
        from: IpAddr,
        code: &str,
        (name, password): (&str, &str),
        ingest: IngestRule,
    ) -> Result<NewSession, OwnerError> {
        if self.is_owned() {
            return Err(OwnerError::Owned);
        }
        // Before the code is looked at, so that a password that is too short costs no try.
        let name = checked_name(name)?;
        check_password(password)?;
        let _changing = self.changing.lock().await;
        if self.is_owned() {
            return Err(OwnerError::Owned);
        }
        self.check_throttle(from)?;
        if !self.is_code(code).await {
            self.failed(from, Reason::Code);
            return Err(OwnerError::Code);
        }
        let password = self.passwords.record(password).await?;
        let owner = OwnerRecord { name, password, ingest, created_ms: self.now_ms() };
        self.keep_owner(owner).await?;
        if let Err(error) = self.show_no_code().await {
            tracing::warn!(error, "the set-up code's file cannot be removed; it is no longer good all the same");
        }
        tracing::info!(%from, "the owner is set");
        self.new_session().await
    }

    /// Signs the owner in.
    ///
    /// # Errors
    /// [`OwnerError`].
    pub async fn sign_in(&self, from: IpAddr, name: &str, password: &str) -> Result<NewSession, OwnerError> {
        let owner = self.known.read().owner.clone().ok_or(OwnerError::Unowned)?;
        self.check_throttle(from)?;
        if password.len() > BYTES_MAX {
            return Err(OwnerError::Password);
        }
        // The password is hashed whether or not the name is right, so that time does not tell which was wrong.
        let is_password = self.passwords.is_password(password, &owner.password).await?;
        if !is_password || owner.name.to_lowercase() != name.trim().to_lowercase() {
            self.failed(from, Reason::Password);
            return Err(OwnerError::Password);
        }
        let _changing = self.changing.lock().await;
        self.new_session().await
    }

    /// Changes name, password or choice. With a new password all sessions but `session` end.
    ///
    /// # Errors
    /// [`OwnerError`]; nothing has changed then.
    pub async fn change_owner(&self, from: IpAddr, change: OwnerChange, session: &str) -> Result<(), OwnerError> {
        let _changing = self.changing.lock().await;
        let mut owner = self.known.read().owner.clone().ok_or(OwnerError::Unowned)?;
        if let Some(name) = &change.name {
            owner.name = checked_name(name)?;
        }
        owner.ingest = change.ingest.unwrap_or(owner.ingest);
        let is_new_password = change.password.is_some();
        if let Some((new, before)) = change.password {
            check_password(&new)?;
            self.check_throttle(from)?;
            if !self.passwords.is_password(&before, &owner.password).await? {
                self.failed(from, Reason::Password);
                return Err(OwnerError::Password);
            }
            owner.password = self.passwords.record(&new).await?;
        }
        self.keep_owner(owner).await?;
        if is_new_password {
            tracing::info!(%from, "the owner's password is another one");
            self.end_sessions(|id| id != session).await?;
        }
        Ok(())
    }

    /// Forgets the owner, all sessions and all tokens, and begins the set-up anew.
    ///
    /// # Errors
    /// [`OwnerError::Store`].
    pub async fn forget_owner(&self) -> Result<(), OwnerError> {
        let _changing = self.changing.lock().await;
        let forget = |store: &dyn super::AuthStore| {
            // The owner last: a power cut in between leaves an owner without sessions rather than tokens without an owner.
            let keys: Vec<String> = store.load(records::ALL)?.into_iter().map(|(key, _)| key).collect();
            let others = keys.iter().filter(|key| *key != records::OWNER);
            others.chain([&records::OWNER.to_owned()]).try_for_each(|key| store.delete(key))
        };
        self.stored(forget).await.map_err(OwnerError::Store)?;
        *self.known.write() = super::Known::default();
        self.count();
        tracing::warn!("the owner, all sessions and all tokens are forgotten");
        let code = super::secret::new_code().map_err(OwnerError::Store)?;
        let kept = code.clone();
        self.stored(move |store| store.keep_code(Some(&kept))).await.map_err(OwnerError::Store)?;
        self.code.send_replace(Some(code));
        Ok(())
    }

    async fn keep_owner(&self, owner: OwnerRecord) -> Result<(), OwnerError> {
        let value = serde_json::to_vec(&owner).map_err(|error| OwnerError::Store(error.to_string()))?;
        self.stored(move |store| store.put(records::OWNER, &value)).await.map_err(OwnerError::Store)?;
        self.known.write().owner = Some(owner);
        self.count();
        Ok(())
    }

    async fn show_no_code(&self) -> Result<(), String> {
        self.code.send_replace(None);
        self.stored(|store| store.keep_code(None)).await
    }

    fn check_throttle(&self, from: IpAddr) -> Result<(), OwnerError> {
        let checked = self.throttle.lock().check(from, self.monotonic_ms());
        checked.map_err(|seconds| {
            self.count_refusal(Reason::Throttled);
            OwnerError::Throttled(seconds)
        })
    }

    fn failed(&self, from: IpAddr, reason: Reason) {
        self.throttle.lock().fail(from, self.monotonic_ms());
        self.count_refusal(reason);
        tracing::warn!(%from, what = reason.as_str(), "a wrong try");
    }
}

fn checked_name(name: &str) -> Result<String, OwnerError> {
    let name = name.trim();
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(OwnerError::Unfit(format!(
            "a name has 1 to {NAME_BYTES_MAX} bytes, none of them control characters"
        )));
    }
    Ok(name.to_owned())
}

fn check_password(password: &str) -> Result<(), OwnerError> {
    if password.chars().count() < CHARACTERS_MIN {
        return Err(OwnerError::Unfit(format!("a password has at least {CHARACTERS_MIN} characters")));
    }
    if password.len() > BYTES_MAX {
        return Err(OwnerError::Unfit(format!("a password has at most {BYTES_MAX} bytes")));
    }
    Ok(())
}
