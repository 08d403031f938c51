//! A target that is being scraped: what it does, how it is, what it remembers.

use super::config::ScrapeConfig;
use super::families::Families;
use super::target::Target;
use bramble_client::Client;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::{Notify, watch};

/// A scrape configuration and the client made of it.
pub(super) struct Job {
    pub(super) config: Arc<ScrapeConfig>,
    pub(super) client: Client,
}

/// How a target is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Health {
    /// Not scraped yet.
    #[default]
    Unknown,
    /// The last scrape went well.
    Up,
    /// It did not.
    Down,
}

impl Health {
    /// Prometheus' word.
    pub fn as_str(self) -> &'static str {
        match self {
            Health::Unknown => "unknown",
            Health::Up => "up",
            Health::Down => "down",
        }
    }
}

/// The last scrape of a target.
#[derive(Clone, Debug, Default)]
pub struct ScrapeStatus {
    /// How it went.
    pub health: Health,
    /// Why it did not go well; empty when it did.
    pub last_error: String,
    /// When it began, nanoseconds since the Unix epoch.
    pub last_scrape_ns: Option<i64>,
    /// How long it took, in seconds.
    pub last_duration_seconds: f64,
    /// Samples on its page.
    pub samples: u64,
    /// Bytes of its page.
    pub body_bytes: usize,
}

/// Why a target is no longer scraped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stop {
    /// It goes on.
    No,
    /// It is gone: its series end.
    Lost,
    /// The process stops: somebody scrapes on later.
    Shutdown,
}

/// What a target does now.
#[derive(Clone)]
pub(super) struct Work {
    pub(super) job: Arc<Job>,
    pub(super) target: Arc<Target>,
    /// Why no scrape of it goes well, whatever it answers.
    pub(super) forced_error: Option<String>,
}

/// A target and its task.
pub(super) struct LiveTarget {
    work: Mutex<Work>,
    pub(super) changed: Notify,
    pub(super) status: Mutex<ScrapeStatus>,
    pub(super) families: Mutex<Families>,
    pub(super) stop: watch::Sender<Stop>,
}

impl LiveTarget {
    pub(super) fn new(work: Work) -> Self {
        LiveTarget {
            work: Mutex::new(work),
            changed: Notify::new(),
            status: Mutex::default(),
            families: Mutex::default(),
            stop: watch::Sender::new(Stop::No),
        }
    }

    pub(super) fn work(&self) -> Work {
        self.work.lock().clone()
    }

    /// Gives it other work; a change of interval holds at once.
    pub(super) fn set_work(&self, work: Work) {
        *self.work.lock() = work;
        self.changed.notify_one();
    }
}
