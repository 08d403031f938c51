//! Starting what is planned, and following targets as they come and go.

use super::plan::{FileJob, JournalJob, Plan, SyslogJob};
use super::targets::{TargetFiles, target_files};
use crate::discovery::{Discovery, DiscoveryMetrics, MechanismStatus, TargetGroup};
use crate::receivers::{ReceiverState, SyslogOptions, syslog_tcp, syslog_udp};
use crate::sources::Feeds;
use crate::sources::files::{FileFormat, FileStart, FileTarget, Files, FilesConfig};
use crate::sources::journald::{JournalPlace, Journald, JournaldMetrics, JournaldOptions};
use bramble_runtime::{Cancel, Clock};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;

/// What jobs are started with.
#[derive(Clone)]
pub struct Environment {
    /// Tails files.
    pub files: Files,
    /// Feeds of journals.
    pub feeds: Feeds,
    /// Where what is received is handed over.
    pub receivers: ReceiverState,
    /// Counts what discovery does.
    pub discovery: DiscoveryMetrics,
    /// Counts what journals do.
    pub journald: JournaldMetrics,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The name of this host, which `__host__` is compared with.
    pub host: String,
}

/// How often a job looks whether it is to end.
const CANCEL_LOOK_EVERY: Duration = Duration::from_millis(500);

/// How a job stands.
#[derive(Clone, Debug, Default)]
pub struct JobStatus {
    /// `job_name`.
    pub name: String,
    /// `files`, `journal` or `syslog`.
    pub kind: &'static str,
    /// Targets with files.
    pub targets: usize,
    /// Targets that rules drop, that are of another host, or that say no `__path__`.
    pub without_files: usize,
    /// Each way of discovery.
    pub mechanisms: Vec<MechanismStatus>,
    /// Why the job does not run, or not all of it.
    pub problem: Option<String>,
}

/// Jobs that run until they are stopped.
pub struct Started {
    jobs: Vec<Arc<Job>>,
    journals: Vec<Journald>,
    cancel: Cancel,
    tasks: JoinSet<()>,
}

struct Job {
    status: Mutex<JobStatus>,
    discovery: Option<Discovery>,
}

impl Started {
    /// How the jobs stand.
    pub fn status(&self) -> Vec<JobStatus> {
        let of_job = |job: &Arc<Job>| {
            let mechanisms = job.discovery.as_ref().map(Discovery::status).unwrap_or_default();
            JobStatus { mechanisms, ..job.status.lock().clone() }
        };
        self.jobs.iter().map(of_job).collect()
    }

    /// Ends all jobs: files are no longer tailed for them, and what journals and listeners have read is handed over.
    pub async fn stop(mut self) {
        self.cancel.cancel();
        for journal in self.journals {
            journal.stop().await;
        }
        while self.tasks.join_next().await.is_some() {}
    }

    fn add(
        &mut self,
        name: &str,
        kind: &'static str,
        problem: Option<String>,
        discovery: Option<Discovery>,
    ) -> Arc<Job> {
        if let Some(problem) = &problem {
            tracing::warn!(job = name, kind, problem, "a job of promtail.yaml does not run");
        }
        let status = JobStatus { name: name.to_owned(), kind, problem, ..JobStatus::default() };
        let job = Arc::new(Job { status: Mutex::new(status), discovery });
        self.jobs.push(job.clone());
        job
    }
}

/// Starts all jobs, inside a tokio runtime. Files and journals that Promtail has read are read on from where it was, unless
/// there is a position of our own. A job that cannot start says so in its status, and the others run.
pub async fn start(plan: Plan, environment: &Environment) -> Started {
    let (cancel, tasks) = (Cancel::new(), JoinSet::new());
    let mut started = Started { jobs: Vec::new(), journals: Vec::new(), cancel, tasks };
    environment.files.set_initial_positions(plan.positions.files);
    for (at, job) in plan.files.into_iter().enumerate() {
        let mut problem = None;
        let discovery = match job.discovery.is_empty() {
            true => None,
            false => Discovery::start(&job.name, &job.discovery, &environment.discovery)
                .inspect_err(|error| problem = Some(error.clone()))
                .ok(),
        };
        let here = started.add(&job.name, "files", problem, discovery);
        // Of the targets of two owners, the first in the order of names has a file that both match.
        let owner = format!("promtail/{at:04}/{}", job.name);
        let (files, host, cancel) = (environment.files.clone(), environment.host.clone(), started.cancel.clone());
        started.tasks.spawn(follow(job, owner, here, files, host, cancel));
    }
    for job in plan.journals {
        start_journal(&mut started, job, environment);
    }
    for job in plan.syslogs {
        start_syslog(&mut started, job, environment).await;
    }
    started
}

fn start_journal(started: &mut Started, job: JournalJob, environment: &Environment) {
    let options = JournaldOptions {
        place: job.directory.map_or(JournalPlace::Local, JournalPlace::Directory),
        matches: job.matches,
        max_age: job.max_age,
        json: job.json,
        labels: job.labels,
        relabel: Some(job.relabel),
        cursor: job.cursor,
        ..JournaldOptions::default()
    };
    let feed = environment.feeds.open(&format!("journald/{}", source_name(&job.name)));
    let reading = Journald::start(options, job.pipeline, feed, environment.clock.clone(), environment.journald.clone());
    let problem = match reading {
        Ok(journal) => {
            started.journals.push(journal);
            None
        }
        Err(error) => Some(error.to_string()),
    };
    started.add(&job.name, "journal", problem, None);
}

/// A name as sources have it.
fn source_name(job: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' };
    let name: String = job.chars().take(40).map(plain).collect();
    if name.is_empty() { "promtail".to_owned() } else { name }
}

async fn start_syslog(started: &mut Started, job: SyslogJob, environment: &Environment) {
    let options = SyslogOptions {
        message_bytes_max: job.message_bytes_max,
        idle_max: job.idle_timeout,
        labels: job.labels,
        relabel: Some(job.relabel),
        label_structured_data: job.label_structured_data,
        use_incoming_timestamp: job.use_incoming_timestamp,
        whole_message: job.whole_message,
        pipeline: Some(Arc::new(Mutex::new(job.pipeline))),
        ..SyslogOptions::default()
    };
    let (state, cancel) = (environment.receivers.clone(), started.cancel.clone());
    let stop = async move {
        while !cancel.is_cancelled() {
            tokio::time::sleep(CANCEL_LOOK_EVERY).await;
        }
    };
    // Promtail takes ":1514" for all addresses of this host.
    let address = match job.listen_address.strip_prefix(':') {
        Some(port) => format!("[::]:{port}"),
        None => job.listen_address.clone(),
    };
    let bound = match job.udp {
        true => UdpSocket::bind(&address).await.map(|socket| {
            started.tasks.spawn(syslog_udp(state, options, socket, stop));
        }),
        false => TcpListener::bind(&address).await.map(|listener| {
            started.tasks.spawn(syslog_tcp(state, options, listener, stop));
        }),
    };
    let problem = bound.err().map(|error| format!("{}: {error}", job.listen_address));
    started.add(&job.name, "syslog", problem, None);
}

/// Keeps the files of a job current until the end.
async fn follow(job: FileJob, owner: String, here: Arc<Job>, files: Files, host: String, cancel: Cancel) {
    let mut groups = here.discovery.as_ref().map(Discovery::groups);
    let mut before: Option<Vec<TargetFiles>> = None;
    while !cancel.is_cancelled() {
        let current: Arc<Vec<Arc<TargetGroup>>> =
            groups.as_mut().map(|groups| groups.borrow_and_update().clone()).unwrap_or_default();
        let (found, without_files) = target_files(&job, &current, &host);
        {
            let mut status = here.status.lock();
            (status.targets, status.without_files) = (found.len(), without_files);
        }
        // Targets say the same again and again; files are not looked for anew because of it.
        if before.as_ref() != Some(&found) {
            let problem = set_targets(&files, &owner, &job, &found);
            if let Some(problem) = problem {
                here.status.lock().problem = Some(problem);
            }
            before = Some(found);
        }
        // Waiting on what has ended would end at once; discovery ends with this job only.
        let changed = async {
            let is_news = match &mut groups {
                Some(groups) => groups.changed().await.is_ok(),
                None => false,
            };
            if !is_news {
                std::future::pending::<()>().await;
            }
        };
        let _ = tokio::time::timeout(CANCEL_LOOK_EVERY, changed).await;
    }
    let _ = files.set_targets(&owner, Vec::new());
}

/// Hands the targets over; those that cannot be tailed (a label or glob that is none) are left out and told.
fn set_targets(files: &Files, owner: &str, job: &FileJob, found: &[TargetFiles]) -> Option<String> {
    let (mut targets, mut problem) = (Vec::new(), None);
    for one in found {
        let target = file_target(job, one);
        match target.config.validate() {
            Ok(()) => targets.push(target),
            Err(error) => problem = Some(format!("{}: {error}", one.include)),
        }
    }
    problem.or(files.set_targets(owner, targets).err().map(|error| error.to_string()))
}

/// What is tailed for a target.
fn file_target(job: &FileJob, files: &TargetFiles) -> FileTarget {
    let defaults = FilesConfig::default();
    let exclude = [files.exclude.as_str()].into_iter().filter(|glob| !glob.is_empty()).map(str::to_owned).collect();
    let config = FilesConfig {
        include: vec![files.include.clone()],
        exclude,
        labels: files.labels.clone(),
        // Stages take apart what a runtime wraps lines in, except of Docker, whose lines Promtail asks of its API.
        format: if files.docker { FileFormat::Docker } else { FileFormat::Plain },
        encoding: job.encoding.clone().unwrap_or(defaults.encoding),
        start: FileStart::Beginning,
        compressed: job.compressed,
        line_bytes_max: line_bytes_max(job.line_bytes_max),
        host: false,
        path_labels: false,
        filename: !files.docker,
        ..FilesConfig::default()
    };
    FileTarget { config, pipeline: job.pipeline.fork() }
}

/// Longest line that the file source takes whole.
const LINE_BYTES_MAX: u64 = 1 << 20;

fn line_bytes_max(cut: Option<u64>) -> usize {
    cut.unwrap_or(LINE_BYTES_MAX).clamp(256, LINE_BYTES_MAX) as usize
}
