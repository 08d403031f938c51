//! `promtail.yaml`: read, and its jobs started.

use crate::config::Loaded;
use bramble_collect::pipeline::logs::Redaction;
use bramble_collect::promtail::{self, Environment, Plan, Started};

/// What the file says.
pub(crate) struct PromtailPlan {
    plan: Plan,
    path: String,
    /// The file as it was read.
    pub(crate) text: String,
}

impl PromtailPlan {
    /// Reads the file of the setting `promtail.config`; `None` without one.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub(crate) fn load(loaded: &Loaded, redaction: &Redaction) -> anyhow::Result<Option<PromtailPlan>> {
        let settings = &loaded.config.promtail;
        let Some(path) = settings.config.0.clone() else { return Ok(None) };
        // What is unreadable is told by whoever reads it next.
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let plan = Plan::load(path.as_ref(), settings.expand_env, redaction.current())?;
        Ok(Some(PromtailPlan { plan, path, text }))
    }

    /// Starts its jobs, inside a tokio runtime, and says what of it is not done here.
    pub(crate) async fn start(self, environment: &Environment) -> Started {
        let PromtailPlan { plan, path, .. } = self;
        for warning in &plan.warnings {
            tracing::warn!(file = %path, line = warning.line, what = %warning.what, "promtail's configuration");
        }
        for remote in &plan.remotes {
            tracing::warn!(
                file = %path,
                line = remote.line,
                url = %remote.url,
                "lines are stored here and not sent to this Loki; a [[forward]] of kind \"loki\" sends them there too"
            );
        }
        promtail::start(plan, environment).await
    }
}
