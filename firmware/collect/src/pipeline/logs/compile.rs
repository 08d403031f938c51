//! Stages as they are written become stages that run.

use super::chain::{Chain, Stage};
use super::config::StageConfig;
use super::counts::Told;
use super::error::{Fault, StageError};
use super::stages::{self, metrics::Family};
use super::values::{Names, Slot};
use bramble_query_logql::syntax::{parse_bytes, parse_duration};
use regex::bytes::Regex;
use std::sync::Arc;

/// Stages of a pipeline, nested ones included.
const STAGES_MAX: usize = 512;
/// Deepest nesting of `match`.
const DEPTH_MAX: usize = 16;

/// What all instances of a pipeline share.
pub(super) struct Compiled {
    pub(super) names: Arc<[String]>,
    pub(super) told: Vec<Arc<Told>>,
    pub(super) series: Vec<Arc<Family>>,
}

/// What grows while a pipeline is compiled.
#[derive(Default)]
pub(super) struct Build {
    names: Names,
    told: Vec<Arc<Told>>,
    pub(super) series: Vec<Arc<Family>>,
    depth: usize,
    path: String,
    place: String,
}

pub(super) fn compile(stages: &[StageConfig]) -> Result<(Chain, Compiled), StageError> {
    let mut build = Build { path: "pipeline_stages".to_owned(), ..Build::default() };
    let chain = build.chain(stages)?;
    let Build { names, told, series, .. } = build;
    Ok((chain, Compiled { names: names.finish(), told, series }))
}

impl Build {
    /// The slot of a value's name.
    pub(super) fn slot(&mut self, field: &'static str, name: &str) -> Result<Slot, Fault> {
        if name.is_empty() {
            return Err(Fault::of(field, "is empty"));
        }
        self.names.slot(name).map_err(|reason| Fault::of(field, reason))
    }

    /// The slot of a `source` that may be left out for the line.
    pub(super) fn source(&mut self, source: Option<&String>) -> Result<Option<Slot>, Fault> {
        source.filter(|s| !s.is_empty()).map(|s| self.slot("source", s)).transpose()
    }

    /// The chain of a `match`.
    pub(super) fn nested(&mut self, stages: &[StageConfig]) -> Result<Chain, Fault> {
        if self.depth >= DEPTH_MAX {
            return Err(Fault::of("stages", format!("nested deeper than {DEPTH_MAX}")));
        }
        self.depth += 1;
        let path = self.path.clone();
        self.path.push_str(".match.stages");
        let chain = self.chain(stages).map_err(|e| Fault { nested: Some(Box::new(e)), ..Fault::whole("") });
        self.path = path;
        self.depth -= 1;
        chain
    }

    fn chain(&mut self, stages: &[StageConfig]) -> Result<Chain, StageError> {
        let mut chain = Chain::default();
        for (at, config) in stages.iter().enumerate() {
            let (path, place) = (self.path.clone(), self.place.clone());
            self.path = format!("{path}[{at}]");
            self.place = if place.is_empty() { at.to_string() } else { format!("{place}.{at}") };
            let told = Arc::new(Told::new(self.place.clone(), config.name(), &reason(config)));
            self.told.push(told.clone());
            let made = if self.told.len() > STAGES_MAX {
                Err(Fault::whole(format!("more than {STAGES_MAX} stages")))
            } else {
                self.stage(config)
            };
            let stage = made.map_err(|fault| match fault.nested {
                Some(error) => *error,
                None => StageError {
                    path: self.path.clone(),
                    stage: config.name(),
                    field: fault.field,
                    reason: fault.reason,
                },
            })?;
            chain.push(stage, told);
            (self.path, self.place) = (path, place);
        }
        Ok(chain)
    }

    fn stage(&mut self, config: &StageConfig) -> Result<Box<dyn Stage>, Fault> {
        if let Some(reason) = config.refusal() {
            return Err(Fault::whole(reason));
        }
        Ok(match config {
            StageConfig::Json(config) => Box::new(stages::json::Json::new(config, self)?),
            StageConfig::Logfmt(config) => Box::new(stages::fields::Logfmt::new(config, self)?),
            StageConfig::Regex(config) => Box::new(stages::fields::RegexStage::new(config, self)?),
            StageConfig::Pattern(config) => Box::new(stages::fields::PatternStage::new(config, self)?),
            StageConfig::Timestamp(config) => Box::new(stages::timestamp::Timestamp::new(config, self)?),
            StageConfig::Labels(names) => Box::new(stages::labels::Labels::new(names, false, self)?),
            StageConfig::StructuredMetadata(names) => Box::new(stages::labels::Labels::new(names, true, self)?),
            StageConfig::Labeldrop(names) => Box::new(stages::labels::Labeldrop::new(names)),
            StageConfig::Labelallow(names) => Box::new(stages::labels::Labelallow::new(names)),
            StageConfig::StaticLabels(labels) => Box::new(stages::labels::StaticLabels::new(labels)?),
            StageConfig::Drop(config) => Box::new(stages::drop::Drop::new(config, self)?),
            StageConfig::Limit(config) => Box::new(stages::limit::Limit::new(config)?),
            StageConfig::Multiline(config) => Box::new(stages::multiline::Multiline::new(config)?),
            StageConfig::Pack(config) => {
                let config = config.clone().unwrap_or_default();
                Box::new(stages::line::Pack::new(&config, self)?)
            }
            StageConfig::Template(config) => Box::new(stages::template::TemplateStage::new(config, self)?),
            StageConfig::Output(config) => Box::new(stages::line::Output::new(config, self)?),
            StageConfig::Replace(config) => Box::new(stages::replace::Replace::new(config, self)?),
            StageConfig::Match(config) => Box::new(stages::matching::Match::new(config, self)?),
            StageConfig::Cri(config) => {
                let config = config.clone().unwrap_or_default();
                Box::new(stages::runtime::Runtime::cri(&config, self)?)
            }
            StageConfig::Docker(_) => Box::new(stages::runtime::Runtime::docker(self)?),
            StageConfig::Tenant(config) => Box::new(stages::labels::Tenant::new(config, self)?),
            StageConfig::Sampling(config) => Box::new(stages::limit::Sampling::new(config)?),
            StageConfig::Metrics(config) => Box::new(stages::metrics::Metrics::new(config, self)?),
            StageConfig::Decolorize(_) => Box::new(stages::line::Decolorize),
            _ => return Err(Fault::whole("not served")),
        })
    }
}

/// Why a stage drops lines.
fn reason(config: &StageConfig) -> String {
    let given = |reason: &Option<String>, otherwise: &str| {
        reason.clone().filter(|r| !r.is_empty()).unwrap_or_else(|| otherwise.to_owned())
    };
    match config {
        StageConfig::Json(config) if config.drop_malformed => "malformed_json".to_owned(),
        StageConfig::Drop(config) => given(&config.drop_counter_reason, "drop_stage"),
        StageConfig::Limit(config) if config.drop => given(&config.drop_counter_reason, "limit"),
        StageConfig::Match(config) => given(&config.drop_counter_reason, "match_stage"),
        StageConfig::Sampling(config) => given(&config.drop_counter_reason, "sampling_stage"),
        _ => String::new(),
    }
}

/// An RE2 expression over the bytes of lines.
pub(super) fn regex(field: &'static str, text: &str) -> Result<Regex, Fault> {
    if text.is_empty() {
        return Err(Fault::of(field, "is empty"));
    }
    bramble_line::regexp::compile(text).map_err(|reason| Fault::of(field, reason))
}

/// A duration, nanoseconds, positive.
pub(super) fn duration(field: &'static str, text: &str) -> Result<i64, Fault> {
    parse_duration(text, true)
        .ok()
        .filter(|ns| *ns > 0)
        .ok_or_else(|| Fault::of(field, format!("not a positive duration (as 3s or 24h): {text}")))
}

/// A size, bytes.
pub(super) fn bytes(field: &'static str, text: &str) -> Result<usize, Fault> {
    let plain = text.parse::<usize>().ok();
    plain
        .or_else(|| parse_bytes(text).ok().and_then(|n| usize::try_from(n).ok()))
        .ok_or_else(|| Fault::of(field, format!("not a size (as 8kb): {text}")))
}
