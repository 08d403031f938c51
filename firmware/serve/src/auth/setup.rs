//! The set-up code: what proves that somebody is at the machine.
//!
//! Six digits, shown by the console, the LED and `bramble owner code`, kept in a file that only Bramble and root read. After
//! [`WRONG_MAX`] wrong tries there is another; how fast tries may come is the throttle's.

use super::secret::{is_equal, new_code};
use super::{Auth, Role};
use tokio::sync::watch;

/// Wrong tries until the code changes: 1 in 100,000 to guess it in these.
const WRONG_MAX: u32 = 10;

impl Auth {
    /// The code while there is no owner, for what shows it; `None` once there is one, and on nodes.
    pub fn setup_code(&self) -> watch::Receiver<Option<String>> {
        self.code.subscribe()
    }

    /// Shows the code of before, the one that was given, or a new one, when there is no owner.
    ///
    /// # Errors
    /// What is wrong with the file; a code that is none.
    pub(super) fn begin_setup(&self) -> Result<(), String> {
        if self.options.role == Role::Node {
            return Ok(());
        }
        if self.is_owned() {
            return self.show_code(None);
        }
        let given = self.options.setup_code.as_str();
        let code = match self.store.code()? {
            _ if !given.is_empty() && !is_code(given) => {
                return Err("security.setup_code is not six digits".to_owned());
            }
            _ if !given.is_empty() => given.to_owned(),
            Some(kept) if is_code(&kept) => kept,
            _ => new_code()?,
        };
        self.show_code(Some(code))
    }

    /// Whether `code` is the one that is shown. A wrong one counts.
    pub(super) async fn is_code(&self, code: &str) -> bool {
        let shown = self.code.borrow().clone();
        if shown.is_some_and(|shown| is_equal(&shown, code.trim())) {
            return true;
        }
        let is_worn_out = {
            let mut wrong = self.wrong_codes.lock();
            *wrong += 1;
            *wrong >= WRONG_MAX
        };
        if is_worn_out {
            self.renew_code().await;
        }
        false
    }

    async fn renew_code(&self) {
        *self.wrong_codes.lock() = 0;
        let Ok(code) = new_code() else { return };
        let kept = code.clone();
        if let Err(error) = self.stored(move |store| store.keep_code(Some(&kept))).await {
            tracing::error!(error, "the new set-up code cannot be kept; it is shown all the same");
        }
        self.code.send_replace(Some(code));
        tracing::warn!(
            tries = WRONG_MAX,
            "the set-up code was tried wrongly too often and is another one now: bramble owner code"
        );
    }

    /// Keeps and shows a code, or none.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub(super) fn show_code(&self, code: Option<String>) -> Result<(), String> {
        self.store.keep_code(code.as_deref())?;
        self.code.send_replace(code);
        Ok(())
    }
}

fn is_code(text: &str) -> bool {
    text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_digit())
}
