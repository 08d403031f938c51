//! Pipelines as they run: compiled from what is declared, each signal in a module of its own.

use super::attributes::Actions;
use super::batch::BatchSettings;
use super::config::{FilterConfig, PipelineConfig, SignalName, StepConfig};
use super::counters::{PipelineCounters, StepCounters};
use super::enrich::detect;
use super::filter::Filter;
use super::limit::Limiter;
use super::logs::{LogPipeline, Redactor};
use super::selector::Selector;
use crate::relabel::RelabelConfig;
use bramble_runtime::Budget;
use bramble_signal::Signal;
use bramble_storage::WriteError;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;

/// Why a declared pipeline cannot run. The text names pipeline, step and field.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct PipelineError(String);

/// What went out of a batch, and whether anything of it is another than before.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Outcome {
    /// Items that were dropped, as a sender counts them.
    pub(super) items: u64,
    /// Histograms among them.
    pub(super) histograms: u64,
    /// Exemplars that went with them.
    pub(super) exemplars: u64,
    /// Whether the batch was changed in any way.
    pub(super) changed: bool,
}

/// One step.
pub(super) enum Step {
    Limit(Limiter, StepCounters),
    Attributes(Actions),
    /// Drops what meets the filter, or what does not.
    Filter {
        filter: Box<Filter>,
        keep: bool,
        counters: StepCounters,
    },
    Relabel(Vec<RelabelConfig>, StepCounters),
    /// Only ever forked: what a fork remembers is of one stream of one batch.
    Stages(Box<Mutex<LogPipeline>>, StepCounters),
}

/// One pipeline.
pub(super) struct Pipeline {
    signals: Vec<Signal>,
    pub(super) selector: Selector,
    pub(super) steps: Vec<Step>,
}

/// All pipelines in order, and redaction behind them.
#[derive(Default)]
pub(super) struct Compiled {
    pub(super) pipelines: Vec<Pipeline>,
    pub(super) redactor: Option<Arc<Redactor>>,
    /// What is gathered of each signal.
    batches: [Option<BatchSettings>; Signal::ALL.len()],
}

impl Compiled {
    /// Compiles what is declared.
    ///
    /// # Errors
    /// [`PipelineError`]: the first thing that is wrong, with its place.
    pub(super) fn new(
        configs: &[PipelineConfig],
        redactor: Option<Arc<Redactor>>,
        counters: &PipelineCounters,
    ) -> Result<Compiled, PipelineError> {
        let mut compiled = Compiled { redactor, ..Compiled::default() };
        let mut names = HashSet::new();
        for (at, config) in configs.iter().enumerate() {
            if config.name.is_empty() {
                return Err(PipelineError(format!("pipeline[{at}].name: every pipeline needs a name")));
            }
            if !names.insert(config.name.as_str()) {
                return Err(PipelineError(format!("pipeline[{at}].name: {:?} is there twice", config.name)));
            }
            let of_this = |error: String| PipelineError(format!("pipeline {:?}{error}", config.name));
            let pipeline = compiled.pipeline(config, counters).map_err(of_this)?;
            compiled.pipelines.push(pipeline);
        }
        Ok(compiled)
    }

    fn pipeline(&mut self, config: &PipelineConfig, counters: &PipelineCounters) -> Result<Pipeline, String> {
        let mut signals: Vec<Signal> = config.signals.iter().map(|name| SignalName::signal(*name)).collect();
        if signals.is_empty() {
            signals = Signal::ALL.to_vec();
        }
        let selector = Selector::parse(&config.matches).map_err(|error| format!(", match: {error}"))?;
        let mut steps = Vec::new();
        for (at, step) in config.steps.iter().enumerate() {
            let place = |error: String| format!(", steps[{at}].{}{error}", step.word());
            if let StepConfig::Batch(batch) = step {
                let is_last = at + 1 == config.steps.len();
                let settings = BatchSettings::compile(batch).map_err(place)?;
                self.gather(settings, &signals, config.matches.is_empty() && is_last).map_err(place)?;
                continue;
            }
            steps.push(compile_step(step, &config.name, &signals, counters).map_err(place)?);
        }
        Ok(Pipeline { signals, selector, steps })
    }

    /// What is gathered goes on behind all pipelines, so only the whole of a signal can be, and in one way.
    fn gather(&mut self, settings: BatchSettings, signals: &[Signal], is_whole: bool) -> Result<(), String> {
        if !is_whole {
            return Err(": it is the last step of a pipeline without match; give it a pipeline of its own".to_owned());
        }
        for &signal in signals {
            let slot = self.batches.get_mut(signal as usize);
            if slot.and_then(|slot| slot.replace(settings)).is_some() {
                return Err(format!(": {signal} are gathered already"));
            }
        }
        Ok(())
    }

    /// How much of a signal is gathered, if anything.
    pub(super) fn batch(&self, signal: Signal) -> Option<&BatchSettings> {
        self.batches.get(signal as usize)?.as_ref()
    }

    /// The pipelines of a signal.
    pub(super) fn of(&self, signal: Signal) -> impl Iterator<Item = &Pipeline> {
        self.pipelines.iter().filter(move |pipeline| pipeline.signals.contains(&signal))
    }

    /// Whether a limiter has nothing against another batch of the signal.
    pub(super) fn has_room(&self, signal: Signal, receive: &Budget) -> bool {
        self.of(signal).all(|pipeline| pipeline.check_limits(signal, receive, 0, false).is_ok())
    }
}

impl Pipeline {
    /// Asks the limiters, before anything is done.
    ///
    /// # Errors
    /// [`WriteError::OverBudget`].
    pub(super) fn check_limits(
        &self,
        signal: Signal,
        receive: &Budget,
        bytes: usize,
        count: bool,
    ) -> Result<(), WriteError> {
        for step in &self.steps {
            if let Step::Limit(limiter, counters) = step {
                limiter.check(receive, bytes).inspect_err(|_| {
                    if count {
                        counters.refused(signal);
                    }
                })?;
            }
        }
        Ok(())
    }
}

fn compile_step(
    step: &StepConfig,
    pipeline: &str,
    signals: &[Signal],
    counters: &PipelineCounters,
) -> Result<Step, String> {
    let never = |signal: Signal| match signals.contains(&signal) {
        true => Err(format!(": there is no such step for {signal}; name other signals for the pipeline")),
        false => Ok(()),
    };
    let filter = |config: &FilterConfig, keep: bool, word: &str| {
        let reason = config.reason.as_deref().unwrap_or(word);
        let (filter, counters) = (Box::new(Filter::compile(config, signals)?), counters.step(pipeline, reason));
        Ok(Step::Filter { filter, keep, counters })
    };
    match step {
        StepConfig::MemoryLimiter(config) => {
            Ok(Step::Limit(Limiter::compile(config)?, counters.step(pipeline, step.word())))
        }
        StepConfig::Enrich(config) => {
            let found = detect(&config.detect, |name| std::env::var(name).ok());
            Ok(Step::Attributes(Actions::enriching(config, &found)))
        }
        StepConfig::Attributes(actions) => Actions::compile(actions).map(Step::Attributes),
        StepConfig::Drop(config) => filter(config, false, "drop"),
        StepConfig::Keep(config) => filter(config, true, "keep"),
        StepConfig::Relabel(rules) => {
            never(Signal::Traces)?;
            Ok(Step::Relabel(rules.clone(), counters.step(pipeline, step.word())))
        }
        // Compiled by the caller: it is no step of batches.
        StepConfig::Batch(_) => Err(String::new()),
        StepConfig::Stages(stages) => {
            never(Signal::Traces)?;
            never(Signal::Metrics)?;
            let compiled = LogPipeline::compile(stages).map_err(|error| format!(": {error}"))?;
            Ok(Step::Stages(Box::new(Mutex::new(compiled)), counters.step(pipeline, step.word())))
        }
    }
}
