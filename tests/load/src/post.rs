//! Sending requests and counting what became of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What one signal's sender did.
#[derive(Default)]
pub(crate) struct Tally {
    items: AtomicU64,
    requests: AtomicU64,
    retries: AtomicU64,
    rejected: AtomicU64,
    slowest_ms: AtomicU64,
    busy_us: AtomicU64,
}

impl Tally {
    pub(crate) fn report(&self) -> serde_json::Value {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let requests = get(&self.requests);
        serde_json::json!({
            "items": get(&self.items), "requests": requests, "retries": get(&self.retries), "rejected_requests": get(&self.rejected),
            "slowest_ms": get(&self.slowest_ms), "mean_ms": get(&self.busy_us) as f64 / 1000.0 / requests.max(1) as f64,
        })
    }
}

/// One keep-alive connection.
pub(crate) struct Poster {
    agent: ureq::Agent,
    url: String,
    tally: Arc<Tally>,
}

impl Poster {
    pub(crate) fn new(url: String, tally: Arc<Tally>) -> Self {
        let config =
            ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(60)));
        Poster { agent: config.build().new_agent(), url, tally }
    }

    /// Sends until it is taken or refused for good.
    pub(crate) fn post(&self, headers: &[(&str, &str)], body: &[u8], items: u64) {
        let began = Instant::now();
        loop {
            let request = headers.iter().fold(self.agent.post(&self.url), |r, (name, value)| r.header(*name, *value));
            let status = match request.send(body) {
                Ok(mut response) => {
                    let _ = response.body_mut().read_to_string();
                    response.status().as_u16()
                }
                Err(_) => 0,
            };
            match status {
                200..300 => break,
                400..=428 | 430..=499 => {
                    self.tally.rejected.fetch_add(1, Ordering::Relaxed);
                    return;
                }
                _ => {
                    self.tally.retries.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(200));
                }
            }
        }
        let took = began.elapsed();
        self.tally.items.fetch_add(items, Ordering::Relaxed);
        self.tally.requests.fetch_add(1, Ordering::Relaxed);
        self.tally.busy_us.fetch_add(took.as_micros() as u64, Ordering::Relaxed);
        self.tally.slowest_ms.fetch_max(took.as_millis() as u64, Ordering::Relaxed);
    }
}
