//! What administrators may do, and where deletions of logs meet the language that says which: stores and the write path
//! know no LogQL.

use crate::config::{Config, DeletionMode};
use bramble_catalog::{Place, State};
use bramble_ingest::{Admin, LogDeletions, Maintenance};
use bramble_query_logql::eval::EntryTest;
use bramble_query_logql::{Expr, parse};
use bramble_signal::{LabelsRef, LogEntry};
use bramble_storage::{EntryFilter, EntryQuery, LogAdmin, MetricAdmin};
use bramble_store_logs::LogStore;
use bramble_store_metrics::MetricStore;
use std::sync::Arc;

/// What administrators may do, where that is switched on.
#[derive(Default)]
pub(crate) struct Admins {
    pub(crate) metrics: Option<Arc<dyn MetricAdmin>>,
    pub(crate) logs: Option<Arc<dyn LogAdmin>>,
    /// To be stepped, also where nobody may delete: what was asked for earlier is carried out.
    pub(crate) log_deletions: Option<Arc<LogDeletions>>,
    /// `state.db`, where it is open: nobody else can open it then.
    pub(crate) state: Option<Arc<State>>,
}

impl Admins {
    /// Puts what was deleted into effect. To be called before the journal is replayed.
    pub(crate) fn open(
        config: &Config,
        place: Place,
        (metrics, logs): (&Arc<MetricStore>, &Arc<LogStore>),
        maintenance: &Arc<Maintenance>,
    ) -> anyhow::Result<Admins> {
        let deletes_metrics = config.prometheus.enable_admin_api;
        let deletes_logs = config.loki.deletion_mode == DeletionMode::FilterAndDelete;
        if !deletes_metrics && !deletes_logs && !Admin::is_needed(&place) {
            return Ok(Admins::default());
        }
        let admin = Admin::open(maintenance.clone(), metrics.clone(), place)?;
        let cancel_period_ms = config.loki.delete_request_cancel_period.ms();
        let log_deletions = Arc::new(admin.log_deletions(logs.clone(), Arc::new(read_query), cancel_period_ms)?);
        Ok(Admins {
            state: Some(admin.state()),
            metrics: deletes_metrics.then(|| Arc::new(admin) as Arc<dyn MetricAdmin>),
            logs: deletes_logs.then(|| log_deletions.clone() as Arc<dyn LogAdmin>),
            log_deletions: Some(log_deletions),
        })
    }
}

struct Stages(EntryTest);

impl EntryFilter for Stages {
    fn accepts(&self, labels: LabelsRef<'_>, entry: &LogEntry<'_>) -> bool {
        self.0.accepts(labels, entry)
    }
}

/// Reads the query of a deletion.
fn read_query(text: &str) -> Result<EntryQuery, String> {
    let Expr::Log(log) = parse(text).map_err(|error| error.to_string())? else {
        return Err("it asks for numbers, not for entries".to_owned());
    };
    let test = EntryTest::new(&log).map_err(|error| error.to_string())?;
    let filter = test.looks_at_entries().then(|| Arc::new(Stages(test)) as Arc<dyn EntryFilter>);
    Ok(EntryQuery { matchers: log.matchers, filter })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_signal::LogBatch;

    #[test]
    fn a_query_says_which_entries() {
        let query = read_query(r#"{service="a"} |= "x" | logfmt | n > 1"#).unwrap();
        assert_eq!(query.matchers.len(), 1);
        let mut batch = LogBatch::new();
        batch.start_stream(&mut [("service", "a")]).unwrap();
        for line in ["x n=1", "x n=2", "n=3"] {
            batch.push_entry(1, line.as_bytes(), &mut []).unwrap();
        }
        let (stream, filter) = (batch.stream(0), query.filter.unwrap());
        let accepted: Vec<bool> = stream.entries().map(|e| filter.accepts(stream.labels(), &e)).collect();
        assert_eq!(accepted, [false, true, false]);
        assert!(read_query(r#"{service="a"}"#).unwrap().filter.is_none());
        assert!(read_query(r#"rate({service="a"}[1m])"#).is_err() && read_query("{").is_err());
    }
}
