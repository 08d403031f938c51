//! The owner of this machine, sessions and tokens: where they are kept, and the guard that asks for them.
//!
//! Beside `state.db` two files of the data directory, which nobody but Bramble and root reads: `setup-code` while there is no
//! owner, and `local-secret`, made anew at each start, with which the command line proves that it is this machine's.

use crate::config::Config;
use crate::serving::data_dir;
use anyhow::Context;
use bramble_catalog::{Place, State};
use bramble_collect::receivers::ReceiverState;
use bramble_runtime::{Budget, BudgetName, Budgets, Clock};
use bramble_serve::auth::{Auth, AuthOptions, AuthStore, Role, new_secret};
use prometheus::Registry;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Holds the set-up code while there is no owner.
pub(crate) const CODE_FILE: &str = "setup-code";

/// Holds the secret of the command line.
const SECRET_FILE: &str = "local-secret";

/// `state.db` and the files beside it.
struct Kept {
    state: Arc<State>,
    directory: PathBuf,
}

impl AuthStore for Kept {
    fn load(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, String> {
        let mut loaded = Vec::new();
        for key in self.state.keys(prefix).map_err(|error| error.to_string())? {
            if let Some(value) = self.state.get(&key).map_err(|error| error.to_string())? {
                loaded.push((key, value));
            }
        }
        Ok(loaded)
    }

    fn put(&self, key: &str, value: &[u8]) -> Result<(), String> {
        self.state.put(key, value).map_err(|error| error.to_string())
    }

    fn delete(&self, key: &str) -> Result<(), String> {
        self.state.delete(key).map_err(|error| error.to_string())
    }

    fn note(&self, key: &str, number: u64) -> Result<(), String> {
        self.state.checkpoint(key, number).map_err(|error| error.to_string())
    }

    fn noted(&self, key: &str) -> Result<Option<u64>, String> {
        self.state.position(key).map_err(|error| error.to_string())
    }

    fn code(&self) -> Result<Option<String>, String> {
        let file = self.directory.join(CODE_FILE);
        match std::fs::read_to_string(&file) {
            Ok(text) => Ok(Some(text.trim().to_owned())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("{}: {error}", file.display())),
        }
    }

    fn keep_code(&self, code: Option<&str>) -> Result<(), String> {
        let file = self.directory.join(CODE_FILE);
        let kept = match code {
            Some(code) => write_private(&file, &format!("{code}\n")),
            None => match std::fs::remove_file(&file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
        };
        kept.map_err(|error| format!("{}: {error}", file.display()))
    }
}

/// What a node keeps: nothing.
struct Nothing;

impl AuthStore for Nothing {
    fn load(&self, _: &str) -> Result<Vec<(String, Vec<u8>)>, String> {
        Ok(Vec::new())
    }
    fn put(&self, _: &str, _: &[u8]) -> Result<(), String> {
        Err("a node has no owner of its own".to_owned())
    }
    fn delete(&self, _: &str) -> Result<(), String> {
        Ok(())
    }
    fn note(&self, _: &str, _: u64) -> Result<(), String> {
        Ok(())
    }
    fn noted(&self, _: &str) -> Result<Option<u64>, String> {
        Ok(None)
    }
    fn code(&self) -> Result<Option<String>, String> {
        Ok(None)
    }
    fn keep_code(&self, _: Option<&str>) -> Result<(), String> {
        Ok(())
    }
}

/// Opens who may do what on a hub. `state` is `state.db` where it is open already; it is given back for who else needs it.
///
/// # Errors
/// What is wrong with the settings or the files.
pub(crate) fn open(
    config: &Config,
    state: Option<Arc<State>>,
    clock: &Arc<dyn Clock>,
    budgets: &Budgets,
    registry: &Registry,
) -> anyhow::Result<(Arc<Auth>, Arc<State>)> {
    let directory = data_dir(config)?;
    let state = match state {
        Some(state) => state,
        None => Arc::new(State::open(&Place::Directory(directory.clone())).context("state.db")?.0),
    };
    let secret = new_secret().map_err(anyhow::Error::msg)?;
    let file = directory.join(SECRET_FILE);
    write_private(&file, &secret).with_context(|| file.display().to_string())?;
    let options = options(config, Role::Hub, secret)?;
    let store = Arc::new(Kept { state: state.clone(), directory });
    // Who signs in waits for queries, and they for it.
    let memory = budgets.get(BudgetName::Query);
    let auth = Auth::open(store, options, clock.clone(), memory, registry).map_err(anyhow::Error::msg)?;
    match (auth.is_owned(), auth.requires_owner()) {
        (true, _) => tracing::info!("there is an owner: other machines need a session or a token"),
        (false, true) => {
            tracing::warn!("no owner yet: other machines get the set-up only; its code: bramble owner code")
        }
        (false, false) => tracing::debug!("no owner, and none is required"),
    }
    Ok((auth, state))
}

/// Lets the guard say whose packets and connections are taken where they cannot carry a token.
pub(crate) fn admit(auth: &Arc<Auth>, receivers: &ReceiverState) {
    let auth = auth.clone();
    receivers.set_admission(move |address| auth.admits(address));
}

/// The guard of a node, which has no owner but its hub's.
///
/// # Errors
/// What is wrong with the settings.
pub(crate) fn open_node(config: &Config, clock: Arc<dyn Clock>, registry: &Registry) -> anyhow::Result<Arc<Auth>> {
    let options = options(config, Role::Node, String::new())?;
    let memory = Budget::standalone(BudgetName::Query, 0);
    Auth::open(Arc::new(Nothing), options, clock, memory, registry).map_err(anyhow::Error::msg)
}

fn options(config: &Config, role: Role, local_secret: String) -> anyhow::Result<AuthOptions> {
    let security = &config.security;
    let network = |text: &String| {
        let parsed = text.parse().or_else(|_| text.parse::<std::net::IpAddr>().map(Into::into));
        parsed.map_err(|_| anyhow::anyhow!("security.trusted_proxies: {text:?} is no address and no network"))
    };
    Ok(AuthOptions {
        role,
        require_owner: security.require_owner,
        setup_code: security.setup_code.0.clone(),
        trusted_proxies: security.trusted_proxies.0.iter().map(network).collect::<anyhow::Result<_>>()?,
        local_secret,
    })
}

/// The secret of this machine's Bramble; empty when there is none, or when we may not read it.
pub(crate) fn local_secret(config: &Config) -> String {
    let text = data_dir(config).ok().and_then(|directory| std::fs::read_to_string(directory.join(SECRET_FILE)).ok());
    text.map(|text| text.trim().to_owned()).unwrap_or_default()
}

/// Replaces a file by one that only its owner reads, in one step.
fn write_private(file: &Path, text: &str) -> std::io::Result<()> {
    let new = file.with_extension("new");
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut opened = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    opened.write_all(text.as_bytes())?;
    opened.sync_all()?;
    std::fs::rename(&new, file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Names;
    use bramble_runtime::SystemClock;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_code_and_the_secret_are_files_that_only_we_read() {
        let directory = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.storage.data_dir.0 = Some(directory.path().display().to_string());
        let again = |config: &Config| {
            let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
            open(config, None, &clock, &Budgets::new(64 << 20), &Registry::new()).map(|(auth, _)| auth)
        };
        let auth = again(&config).unwrap();
        let code = auth.setup_code().borrow().clone().unwrap();
        for name in [CODE_FILE, SECRET_FILE] {
            let mode = std::fs::metadata(directory.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        assert_eq!(std::fs::read_to_string(directory.path().join(CODE_FILE)).unwrap(), format!("{code}\n"));
        let secret = local_secret(&config);
        assert_eq!(secret.len(), 64);
        drop(auth);
        let auth = again(&config).unwrap();
        assert_eq!(auth.setup_code().borrow().clone(), Some(code), "a restart shows the same code");
        assert_ne!(local_secret(&config), secret, "and makes another secret");
        drop(auth);
        config.security.setup_code.0 = "123456".to_owned();
        assert_eq!(again(&config).unwrap().setup_code().borrow().as_deref(), Some("123456"));
        config.security.setup_code.0 = "12345".to_owned();
        assert!(again(&config).is_err());
        config.security.setup_code.0.clear();
        config.security.trusted_proxies = Names(vec!["10.0.0.1".into(), "10.0.0.0/8".into()]);
        assert_eq!(options(&config, Role::Hub, String::new()).unwrap().trusted_proxies.len(), 2);
        config.security.trusted_proxies = Names(vec!["proxy".into()]);
        assert!(again(&config).is_err());
    }
}
