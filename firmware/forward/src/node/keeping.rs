//! Writing down how far sources were read, for starts without a hub.

use super::Shared;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How often positions are written down: each time they are all rewritten.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(300);
/// How soon those of a source are that are not yet.
const FIRST_CHECKPOINT_AFTER: Duration = Duration::from_secs(10);

impl Shared {
    /// Writes positions down now and then, for as long as it runs.
    pub(super) async fn keep_positions(self: Arc<Self>) {
        let (mut kept, mut at) = (self.checkpoint.clone(), Instant::now());
        loop {
            tokio::time::sleep(FIRST_CHECKPOINT_AFTER).await;
            let durable = self.sources.durable();
            let is_new = durable.keys().any(|source| !kept.contains_key(source));
            if is_new
                || (at.elapsed() >= CHECKPOINT_EVERY && durable.iter().any(|(source, at)| kept.get(source) != Some(at)))
            {
                let this = self.clone();
                _ = tokio::task::spawn_blocking(move || this.keep_positions_now()).await;
                kept.extend(durable);
                at = Instant::now();
            }
        }
    }

    /// Writes them down now.
    pub(super) fn keep_positions_now(&self) {
        // Sources that were not asked for yet are still where they were.
        let mut checkpoint = self.checkpoint.clone();
        checkpoint.extend(self.sources.durable());
        if let Err(error) = self.files.keep_checkpoint(&checkpoint) {
            tracing::warn!("positions cannot be kept: {error}");
        }
    }
}
