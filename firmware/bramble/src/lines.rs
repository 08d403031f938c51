//! Pipelines of lines and of pushed batches, from what is declared.

use crate::config::Loaded;
use anyhow::Context;
use bramble_collect::pipeline::logs::{LogPipeline, RedactConfig, Redactor, StageConfig};
use bramble_collect::pipeline::{PipelineConfig, PipelineOptions, StepConfig};
use prometheus::Registry;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Takes secrets out, if that is wanted, and counts them.
///
/// # Errors
/// A kind that is none.
pub(crate) fn redactor(loaded: &Loaded, registry: &Registry) -> anyhow::Result<Option<Arc<Redactor>>> {
    let settings = &loaded.config.redaction;
    if !settings.enabled {
        return Ok(None);
    }
    let config = RedactConfig { also: settings.also.0.clone(), not: settings.not.0.clone() };
    let redactor = Redactor::new(&config).map_err(|why| anyhow::anyhow!("redaction: {why}"))?;
    redactor.register(registry)?;
    Ok(Some(Arc::new(redactor)))
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
    redactor: Option<Arc<Redactor>>,
}

impl LinePipelines {
    /// Compiles those that sources name.
    ///
    /// # Errors
    /// What is wrong with one, or that it has steps that are not for lines.
    pub(crate) fn new(
        loaded: &Loaded,
        redactor: Option<Arc<Redactor>>,
        registry: &Registry,
    ) -> anyhow::Result<LinePipelines> {
        let compile = |stages: &[StageConfig]| -> anyhow::Result<LogPipeline> {
            Ok(LogPipeline::compile(stages)?.redacting(redactor.clone()))
        };
        let mut named = BTreeMap::new();
        for pipeline in &loaded.lists.pipeline {
            if of_sources(loaded).all(|name| name != pipeline.name) {
                continue;
            }
            let compiled = compile(&stages(pipeline)?).with_context(|| format!("pipeline {:?}", pipeline.name))?;
            registry.register(compiled.collector(&pipeline.name))?;
            named.insert(pipeline.name.clone(), compiled);
        }
        Ok(LinePipelines { plain: compile(&[])?, named, redactor })
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

    /// What takes secrets out.
    pub(crate) fn redactor(&self) -> Option<Arc<Redactor>> {
        self.redactor.clone()
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
