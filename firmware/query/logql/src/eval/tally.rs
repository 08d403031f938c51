//! Counts and sizes from what the store knows without rebuilding lines.

use super::QueryError;
use super::range::{Ask, Gather, fails, run_labels};
use bramble_storage::{LogSource, MetadataWanted, ReadError, TallyRun};

/// What the last run was, so that the next of the same labels needs no look at them.
#[derive(Default)]
struct Last {
    labels: Vec<u8>,
    metadata: Vec<u8>,
    /// `None`: rejected.
    series: Option<usize>,
    known: bool,
}

impl Last {
    fn is(&self, run: &TallyRun<'_>) -> bool {
        self.known && self.metadata == run.metadata.as_bytes() && self.labels == run.labels.as_bytes()
    }

    fn set(&mut self, run: &TallyRun<'_>, series: Option<usize>) {
        self.labels.clear();
        self.labels.extend_from_slice(run.labels.as_bytes());
        self.metadata.clear();
        self.metadata.extend_from_slice(run.metadata.as_bytes());
        (self.series, self.known) = (series, true);
    }
}

/// Gathers the amounts of a pipeline that looks at labels alone. `false`: a row has an error, and what was gathered is
/// worth nothing.
pub(super) fn tally(source: &dyn LogSource, ask: &Ask<'_>, gather: &mut Gather<'_>) -> Result<bool, QueryError> {
    let mut scratch = ask.pipeline.scratch(ask.fields());
    let names = scratch.fields.wanted_names();
    let names: Option<Vec<&str>> = names.as_ref().map(|names| names.names().collect());
    let wanted = match &names {
        None => MetadataWanted::All,
        Some(names) if names.is_empty() => MetadataWanted::None,
        Some(names) => MetadataWanted::Only(names),
    };
    let (mut last, mut failed) = (Last::default(), None);
    let outcome = source.tally(&ask.select(), wanted, ask.of_bytes(), ask.context, &mut |run| {
        if !last.is(run) {
            let mut series = None;
            if run_labels(ask.pipeline, run.labels, run.metadata, &mut scratch).is_some() {
                if fails(&scratch.fields) {
                    failed = Some(None);
                    return Err(ReadError::Cancelled);
                }
                series = Some(gather.series_of(&mut scratch.fields).map_err(|e| stop(&mut failed, e))?);
            }
            last.set(run, series);
        }
        if let Some(series) = last.series {
            gather.amounts(series, run.timestamps_ns, run.line_bytes).map_err(|e| stop(&mut failed, e))?;
        }
        Ok(())
    });
    match failed {
        Some(Some(error)) => Err(error),
        Some(None) => Ok(false),
        None => outcome.map(|()| true).map_err(QueryError::from),
    }
}

/// Ends the reading, and keeps why.
fn stop(failed: &mut Option<Option<QueryError>>, error: QueryError) -> ReadError {
    *failed = Some(Some(error));
    ReadError::Cancelled
}
