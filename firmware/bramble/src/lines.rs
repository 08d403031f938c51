//! Pipelines of lines and of pushed batches, from what is declared.

use crate::config::Loaded;
use anyhow::Context;
use bramble_collect::pipeline::logs::{LogPipeline, RedactConfig, Redaction, Redactor, StageConfig};
use bramble_collect::pipeline::{PipelineConfig, PipelineOptions, StepConfig};
use prometheus::Registry;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Takes secrets out, if that is wanted, and counts them with `redaction`, where it is to be put into force.
///
/// # Errors
/// A kind that is none.
pub(crate) fn redactor(loaded: &Loaded, redaction: &Redaction) -> anyhow::Result<Option<Arc<Redactor>>> {
    let settings = &loaded.config.redaction;
    if !settings.enabled {
        return Ok(None);
    }
    let config = RedactConfig { also: settings.also.0.clone(), not: settings.not.0.clone() };
    redaction.compile(&config).map(Some).map_err(|why| anyhow::anyhow!("redaction: {why}"))
}

/// Names of the pipelines that sources run their lines through by themselves.
fn of_sources(loaded: &Loaded) -> impl Iterator<Item = &str> {
    loaded.lists.files.iter().filter_map(|files| files.pipeline.as_deref())
}

/// What everything that is taken in goes through; pipelines that a source names are the source's.
pub(crate) fn pipeline_options(loaded: &Loaded, redactor: Option<Arc<Redactor>>) -> PipelineOptions {
    let is_general = |pipeline: &&PipelineConfig| of_sources(loaded).all(|name| name != pipeline.name);
    let pipelines = loaded.lists.pipeline.iter().filter(is_general).cloned().collect();
    PipelineOptions { pipelines, redactor }
}

/// Pipelines that sources run lines through.
pub(crate) struct LinePipelines {
    plain: LogPipeline,
    named: BTreeMap<String, LogPipeline>,
}

impl LinePipelines {
    /// Compiles those that sources name; behind them all, secrets are taken out as `redaction` says.
    ///
    /// # Errors
    /// What is wrong with one, or that it has steps that are not for lines.
    pub(crate) fn new(loaded: &Loaded, redaction: &Arc<Redaction>) -> anyhow::Result<LinePipelines> {
        let compile = |stages: &[StageConfig]| -> anyhow::Result<LogPipeline> {
            Ok(LogPipeline::compile(stages)?.following(redaction))
        };
        let mut named = BTreeMap::new();
        for pipeline in &loaded.lists.pipeline {
            if of_sources(loaded).all(|name| name != pipeline.name) {
                continue;
            }
            let compiled = compile(&stages(pipeline)?).with_context(|| format!("pipeline {:?}", pipeline.name))?;
            named.insert(pipeline.name.clone(), compiled);
        }
        Ok(LinePipelines { plain: compile(&[])?, named })
    }

    /// Shows what their stages count.
    ///
    /// # Errors
    /// The first of what cannot be shown: a stage `metrics` has a name that something else has.
    pub(crate) fn register(&self, registry: &Registry) -> anyhow::Result<()> {
        for (name, pipeline) in &self.named {
            registry.register(pipeline.collector(name)).with_context(|| format!("pipeline {name:?}"))?;
        }
        Ok(())
    }

    /// Shows it no more.
    pub(crate) fn unregister(&self, registry: &Registry) {
        for (name, pipeline) in &self.named {
            // What was not registered, because something else had its name, is not there.
            _ = registry.unregister(pipeline.collector(name));
        }
    }

    /// Lines as they are, but for secrets.
    pub(crate) fn plain(&self) -> LogPipeline {
        self.plain.fork()
    }

    /// The pipeline of this name.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn named(&self, name: &str) -> anyhow::Result<LogPipeline> {
        self.named.get(name).map(LogPipeline::fork).with_context(|| format!("there is no [[pipeline]] named {name:?}"))
    }
}

/// The stages of a pipeline that a source names.
fn stages(pipeline: &PipelineConfig) -> anyhow::Result<Vec<StageConfig>> {
    let mut stages = Vec::new();
    for step in &pipeline.steps {
        match step {
            StepConfig::Stages(more) => stages.extend(more.iter().cloned()),
            _ => anyhow::bail!(
                "pipeline {:?}: a source names it, so it may have steps of stages alone; declare others in a pipeline of their own",
                pipeline.name
            ),
        }
    }
    Ok(stages)
}
