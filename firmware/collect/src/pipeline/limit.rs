//! The memory limiter: refuses, to be sent again, before memory is gone.

use super::config::LimiterConfig;
use bramble_runtime::{Budget, OverBudget};
use bramble_storage::WriteError;

/// A bound below a budget's own.
#[derive(Clone, Debug)]
pub(super) struct Limiter {
    share: f64,
}

impl Limiter {
    /// # Errors
    /// A share that is none.
    pub(super) fn compile(config: &LimiterConfig) -> Result<Limiter, String> {
        if config.share > 0.0 && config.share <= 1.0 {
            return Ok(Limiter { share: config.share });
        }
        Err(format!(".share: {} is not above 0 and up to 1", config.share))
    }

    /// Whether a batch of so many bytes, reserved already, may go on.
    ///
    /// # Errors
    /// [`WriteError::OverBudget`].
    pub(super) fn check(&self, budget: &Budget, wanted_bytes: usize) -> Result<(), WriteError> {
        let limit_bytes = (budget.limit_bytes() as f64 * self.share) as usize;
        if budget.used_bytes() <= limit_bytes {
            return Ok(());
        }
        Err(OverBudget { budget: budget.name(), wanted_bytes, limit_bytes }.into())
    }
}
