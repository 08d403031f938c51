//! Reading the configuration again while the process runs.
//!
//! What can change without a restart changes: the log level, what is scraped, pipelines, redaction, files and
//! `promtail.yaml`. Everything is checked before anything changes; what needs a restart is named if it differs from what
//! runs.

use crate::ConfigArguments;
use crate::checking::check_without_scraping;
use crate::config::{Config, Lists, Loaded, LogLevel, Raw, SettingValue};
use crate::renewing::{Renewal, take_over};
use crate::scraping::Scraping;
use bramble_serve::ConfigState;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::OnceLock;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::reload::{Error, Layer};

type SetLevel = Box<dyn Fn(EnvFilter) -> Result<(), Error> + Send + Sync>;

/// The filters of all log layers.
#[derive(Default)]
pub(crate) struct LogLevels(Vec<SetLevel>);

fn filter_of(config: &Config) -> EnvFilter {
    let level = config.log.level.0.as_str().to_lowercase();
    EnvFilter::new(format!("{level},hyper=warn,h2=warn,tower=warn"))
}

impl LogLevels {
    /// A filter that can be changed later.
    pub(crate) fn filter<S: 'static>(&mut self, config: &Config) -> Layer<EnvFilter, S> {
        let (layer, handle) = Layer::new(filter_of(config));
        self.0.push(Box::new(move |filter| handle.reload(filter)));
        layer
    }
}

/// The configuration that runs, and how to read it anew.
pub(crate) struct Reload {
    arguments: ConfigArguments,
    levels: LogLevels,
    now: Mutex<(Config, ConfigState)>,
    /// Held while it is read again; the lists that run.
    lists: Mutex<Lists>,
    /// Set once everything runs.
    parts: OnceLock<(Arc<Renewal>, Scraping)>,
}

impl Reload {
    /// `loaded` is what the process was started with, at `read_ms`.
    pub(crate) fn new(arguments: ConfigArguments, loaded: &Loaded, levels: LogLevels, read_ms: i64) -> Self {
        let now = Mutex::new((loaded.config.clone(), ConfigState { read_ms, ok: true }));
        Reload { arguments, levels, now, lists: Mutex::new(loaded.lists.clone()), parts: OnceLock::new() }
    }

    /// From now on it can be read again.
    pub(crate) fn set_parts(&self, renewal: Arc<Renewal>, scraping: Scraping) {
        _ = self.parts.set((renewal, scraping));
    }

    /// What runs.
    pub(crate) fn config(&self) -> Config {
        self.now.lock().0.clone()
    }

    /// When it was read, and whether the newest attempt succeeded.
    pub(crate) fn state(&self) -> ConfigState {
        self.now.lock().1
    }

    /// Reads it again and applies what can be applied. May block for seconds.
    ///
    /// # Errors
    /// What is wrong, and where; what runs stays as it is then.
    pub(crate) fn reload(&self, now_ms: i64) -> Result<(), String> {
        let mut lists = self.lists.lock();
        let outcome = self.read_again(&mut lists, now_ms);
        if let Err(error) = &outcome {
            self.now.lock().1.ok = false;
            tracing::error!(%error, "the configuration cannot be used; what runs stays as it is");
        }
        outcome
    }

    fn read_again(&self, lists: &mut Lists, now_ms: i64) -> Result<(), String> {
        let (renewal, scraping) = self.parts.get().ok_or("the process is still starting")?;
        let loaded = self.arguments.load().map_err(|error| error.to_string())?;
        check_without_scraping(&loaded).map_err(|error| format!("{error:#}"))?;
        scraping.reload()?;
        let running = self.config();
        renewal.apply((&running, lists), &loaded).map_err(|error| format!("{error:#}"))?;
        self.apply_level(&loaded.config)?;
        let mut now = self.now.lock();
        now.0.log = loaded.config.log.clone();
        take_over(&mut now.0, &loaded.config);
        for key in differences(&now.0, &loaded.config) {
            tracing::warn!(setting = key, "changed; takes effect with the next start");
        }
        if lists.forward != loaded.lists.forward {
            tracing::warn!(setting = "[[forward]]", "changed; takes effect with the next start");
        }
        (lists.pipeline, lists.files) = (loaded.lists.pipeline, loaded.lists.files);
        now.1 = ConfigState { read_ms: now_ms, ok: true };
        tracing::info!("configuration read again");
        Ok(())
    }

    /// The least severe level that is logged.
    pub(crate) fn log_level(&self) -> String {
        self.now.lock().0.log.level.0.as_str().to_lowercase()
    }

    /// Logs from `level` on, until the configuration is read again.
    pub(crate) fn set_log_level(&self, level: &str) -> Result<(), String> {
        let level = LogLevel::read(&Raw::Text(level.to_owned()))?;
        let mut now = self.now.lock();
        let mut config = now.0.clone();
        config.log.level = level;
        self.apply_level(&config)?;
        now.0.log = config.log;
        Ok(())
    }

    fn apply_level(&self, config: &Config) -> Result<(), String> {
        self.levels.0.iter().try_for_each(|set| set(filter_of(config)).map_err(|e| e.to_string()))
    }
}

/// Calls `reload` at each SIGHUP; ends with the process.
pub(crate) async fn at_each_hangup(reload: impl Fn() + Send + Sync + 'static) {
    let Ok(mut hangups) = signal(SignalKind::hangup()) else { return };
    let reload = Arc::new(reload);
    while hangups.recv().await.is_some() {
        let reload = reload.clone();
        _ = tokio::task::spawn_blocking(move || reload()).await;
    }
}

/// Names of settings that differ.
fn differences(a: &Config, b: &Config) -> Vec<String> {
    let pairs = a.entries().into_iter().zip(b.entries());
    pairs.filter(|(a, b)| a.value != b.value).map(|(a, _)| a.name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_a_restart_is_named() {
        let (before, mut after) = (Config::default(), Config::default());
        after.query.concurrency = 9;
        assert_eq!(differences(&before, &after), ["query.concurrency"]);
    }
}
