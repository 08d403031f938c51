//! Promtail's own configuration, read as it is: promtail.yaml becomes a [`Plan`] of files, journals and syslog listeners,
//! with the labels and stages that Promtail would apply, and [`start`] starts it.
//!
//! What is taken: `static_configs`, `file_sd_configs`, `kubernetes_sd_configs`, `docker_sd_configs` (through Docker's own
//! files), `http_sd_configs` and `dns_sd_configs` with `relabel_configs`, `__path__`, `__path_exclude__` and `__host__`;
//! `pipeline_stages`; `encoding` and `decompression`; `journal`; `syslog`; `external_labels` of the first client;
//! `limits_config.max_line_size`; and the positions file, so that nothing is read twice. What is not taken is named with its
//! line in [`Plan::warnings`].
//!
//! Where Promtail pushed to another machine, [`Plan::remotes`] says so; this crate sends nothing itself.
//!
//! Written from Promtail's documentation alone.

mod clients;
mod config;
mod duration;
mod expand;
mod plan;
mod positions;
mod run;
mod targets;
#[cfg(test)]
mod tests;

pub use clients::RemoteLoki;
pub use plan::{FileJob, JournalJob, Plan, SyslogJob, Warning};
pub use positions::ImportedPositions;
pub use run::{Environment, JobStatus, Started, start};

/// A promtail.yaml that cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{}", self.shown())]
pub struct PromtailError {
    /// The file.
    pub file: String,
    /// Line, from 1; 0 when the fault has none.
    pub line: u64,
    /// What is wrong.
    pub reason: String,
}

impl PromtailError {
    fn shown(&self) -> String {
        match self.line {
            0 => format!("{}: {}", self.file, self.reason),
            line => format!("{}:{line}: {}", self.file, self.reason),
        }
    }
}

/// The line of an error of the reader's; 0 when it has none.
fn line(error: &serde_saphyr::Error) -> u64 {
    error.location().map_or(0, |location| location.line())
}

/// An error of the reader's in one line, without the place.
fn reason(error: &serde_saphyr::Error) -> String {
    let text = error.without_snippet().to_string();
    text.lines().next().unwrap_or("").trim().to_owned()
}
