//! What goes on with another configuration while it runs: pipelines, redaction, files, `promtail.yaml`.

use crate::collecting::{Parts, Place, file_targets};
use crate::config::{Config, Lists, Loaded};
use crate::lines::{self, LinePipelines};
use crate::promtails::PromtailPlan;
use bramble_collect::pipeline::Pipelines;
use bramble_collect::pipeline::logs::Redaction;
use bramble_collect::promtail::Environment;
use bramble_storage::Writer;
use parking_lot::Mutex;
use prometheus::Registry;
use std::sync::Arc;
use tokio::runtime::Handle;

/// Handles on what can be changed.
pub(crate) struct Renewal {
    pipelines: Pipelines<Arc<dyn Writer>>,
    redaction: Arc<Redaction>,
    registry: Registry,
    environment: Environment,
    parts: Arc<Mutex<Option<Parts>>>,
    runtime: Handle,
    now: Mutex<Now>,
}

/// What runs.
struct Now {
    lines: LinePipelines,
    promtail_text: Option<String>,
}

/// Takes over the settings that [`Renewal::apply`] brings into force.
pub(crate) fn take_over(running: &mut Config, wanted: &Config) {
    running.redaction = wanted.redaction.clone();
    running.promtail = wanted.promtail.clone();
    running.collect.presets = wanted.collect.presets.clone();
}

impl Renewal {
    /// Inside a tokio runtime, which must outlive this.
    pub(crate) fn new(
        place: &Place<'_>,
        lines: LinePipelines,
        (environment, promtail_text): (Environment, Option<String>),
        parts: Arc<Mutex<Option<Parts>>>,
    ) -> Self {
        Renewal {
            pipelines: place.pipelines.clone(),
            redaction: place.redaction.clone(),
            registry: place.registry.clone(),
            environment,
            parts,
            runtime: Handle::current(),
            now: Mutex::new(Now { lines, promtail_text }),
        }
    }

    /// Goes on with what `wanted` says; `running` is what was in force. Blocks while jobs of `promtail.yaml` end, so it is
    /// for a thread that may.
    ///
    /// # Errors
    /// What is wrong, of which little is left to find: the configuration was checked. What was in force stays so then.
    pub(crate) fn apply(&self, (running, lists): (&Config, &Lists), wanted: &Loaded) -> anyhow::Result<()> {
        let mut now = self.now.lock();
        let redaction_changed = running.redaction != wanted.config.redaction;
        let pipelines_changed = lists.pipeline != wanted.lists.pipeline || lists.files != wanted.lists.files;
        let files_changed = pipelines_changed || running.collect.presets != wanted.config.collect.presets;
        let redactor = match redaction_changed {
            true => lines::redactor(wanted, &self.redaction)?,
            false => self.redaction.current(),
        };
        let line_pipelines = LinePipelines::new(wanted, &self.redaction)?;
        let targets = file_targets(wanted, &line_pipelines)?;
        if redaction_changed || pipelines_changed {
            self.pipelines.replace(&lines::pipeline_options(wanted, redactor.clone()))?;
        }
        if redaction_changed {
            self.redaction.set(redactor);
            tracing::info!(enabled = wanted.config.redaction.enabled, "redaction changed");
        }
        if files_changed {
            self.environment.files.set_targets("config", targets)?;
            now.lines.unregister(&self.registry);
            if let Err(error) = line_pipelines.register(&self.registry) {
                tracing::warn!(error = format!("{error:#}"), "counters of a pipeline are not shown");
            }
            now.lines = line_pipelines;
            let (pipelines, files) = (wanted.lists.pipeline.len(), wanted.lists.files.len());
            tracing::info!(pipelines, files, "pipelines and files changed");
        }
        let plan = PromtailPlan::load(wanted, &self.redaction)?;
        let text = plan.as_ref().map(|plan| plan.text.clone());
        if redaction_changed && plan.is_some()
            || running.promtail != wanted.config.promtail
            || text != now.promtail_text
        {
            self.runtime.block_on(self.restart_promtail(plan));
            now.promtail_text = text;
        }
        Ok(())
    }

    /// What its jobs have read is delivered; the others read on from there.
    async fn restart_promtail(&self, plan: Option<PromtailPlan>) {
        let old = self.parts.lock().as_mut().and_then(|parts| parts.promtail.take());
        if let Some(old) = old {
            old.stop().await;
        }
        let Some(plan) = plan else {
            tracing::info!("promtail.yaml is read no more");
            return;
        };
        let started = plan.start(&self.environment).await;
        tracing::info!(jobs = started.status().len(), "promtail.yaml read again");
        let left = match self.parts.lock().as_mut() {
            Some(parts) => parts.promtail.replace(started),
            // The process has stopped its sources meanwhile.
            None => Some(started),
        };
        if let Some(left) = left {
            left.stop().await;
        }
    }
}
