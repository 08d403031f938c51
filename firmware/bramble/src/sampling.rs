//! Sampling of traces: from settings to the writer around the writer.

use crate::config::Config;
use crate::derived::Derived;
use bramble_collect::pipeline::sampling::{Sampling, SamplingOptions, Share, TailOptions};
use bramble_ingest::WritePath;
use bramble_runtime::{Budget, Cancel, Clock};
use bramble_signal::SpanBatch;
use prometheus::Registry;
use std::sync::Arc;
use std::time::Duration;

/// How often what is due is decided.
const STEP: Duration = Duration::from_millis(200);

/// What is kept, by the settings.
fn options(config: &Config) -> SamplingOptions {
    let sampling = &config.sampling;
    // The setting's type is from 0 to 1.
    let share = |setting: &crate::config::Share| Share::new(setting.0).unwrap_or(Share::ALL);
    let time = |setting: &crate::config::Optional<crate::config::Interval>| setting.0.map(|interval| interval.0);
    let tail = TailOptions {
        wait: sampling.tail_wait.0,
        traces_max: sampling.tail_traces_max as usize,
        bytes_max: sampling.tail_memory.0 as usize,
        errors: sampling.keep_errors,
        slow_root: time(&sampling.keep_slow_root),
        slow_span: time(&sampling.keep_slow_span),
        attributes: sampling.keep_attributes.0.clone(),
        rest: share(&sampling.keep_rest),
        spans_per_second: sampling.tail_spans_per_second.0,
    };
    SamplingOptions {
        head_share: share(&sampling.head),
        head_spans_per_second: sampling.head_spans_per_second.0,
        tail: sampling.tail.then_some(tail),
        decisions_max: sampling.decisions_max as usize,
    }
}

/// The writer that receivers hand spans to when the settings want fewer of them kept; `None` when they want all.
/// `receive` is the budget of that name.
///
/// # Errors
/// When a metric of ours is registered already.
pub(crate) fn open(
    config: &Config,
    path: &WritePath,
    derived: Option<&Derived>,
    receive: Budget,
    clock: Arc<dyn Clock>,
    registry: &Registry,
) -> anyhow::Result<Option<Sampling<WritePath>>> {
    let options = options(config);
    if options.keeps_all() {
        return Ok(None);
    }
    let derive = derived.map(Derived::derive);
    let dropped = move |batch: &SpanBatch| {
        if let Some(derive) = &derive {
            derive.observe_dropped(batch);
        }
    };
    Ok(Some(Sampling::new(path.clone(), options, receive, clock, dropped, registry)?))
}

/// Decides what is due, until `cancel` is raised.
pub(crate) async fn run(sampling: Sampling<WritePath>, cancel: Cancel) {
    let mut ticks = tokio::time::interval(STEP);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while !cancel.is_cancelled() {
        ticks.tick().await;
        sampling.step();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_kept_unless_settings_say_otherwise() {
        let mut config = Config::default();
        assert!(options(&config).keeps_all());
        config.sampling.tail = true;
        let tail = options(&config).tail.unwrap();
        assert!(tail.rest.is_all() && tail.errors && tail.slow_span.is_none());
        assert_eq!((tail.slow_root, tail.bytes_max), (Some(Duration::from_secs(1)), 4 << 20));
        assert!(!options(&config).keeps_all());
    }
}
