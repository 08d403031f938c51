//! Who is asked for what does not work at present, and what they say.

use bramble_collect::discovery::MechanismStatus;
use bramble_collect::promtail::JobStatus;
use bramble_collect::receivers::NodeRegistry;
use bramble_collect::sources::files::FileStatus;
use bramble_forward::{DestinationStatus, HubState};
use bramble_serve::{Door, Problem, Problems};
use parking_lot::Mutex;
use std::sync::Arc;

/// Problems that are told one by one.
const TOLD: usize = 200;

/// Collects problems, the first of them at length.
#[derive(Default)]
pub(crate) struct Found(Problems);

impl Found {
    /// One more.
    pub(crate) fn add(&mut self, part: &str, what: impl Into<String>, why: impl Into<String>, hint: &str) {
        if self.0.problems.len() >= TOLD {
            self.0.omitted += 1;
            return;
        }
        let problem = Problem { part: part.to_owned(), what: what.into(), why: why.into(), hint: hint.to_owned() };
        self.0.problems.push(problem);
    }

    /// What a job's discovery says.
    pub(crate) fn add_mechanisms(&mut self, job: &str, mechanisms: &[MechanismStatus]) {
        for mechanism in mechanisms {
            let Some(why) = &mechanism.last_error else { continue };
            let detail = if mechanism.detail.is_empty() { "" } else { " " };
            let what = format!("{job}: {}{detail}{}", mechanism.mechanism, mechanism.detail);
            self.add("discovery", what, why, "what was found before stays in use; it is tried again by itself");
        }
    }

    /// What tailing says.
    pub(crate) fn add_files(&mut self, files: &[FileStatus]) {
        for file in files {
            let Some(why) = &file.last_error else { continue };
            let hint = if why.contains("denied") {
                "let the service's user read it: its group (often adm), or setfacl -m u:bramble:r"
            } else {
                "it is tried again every 10 s"
            };
            self.add("files", file.path.display().to_string(), why, hint);
        }
    }

    /// What the jobs of promtail.yaml say.
    pub(crate) fn add_promtail(&mut self, jobs: &[JobStatus]) {
        for job in jobs {
            if let Some(why) = &job.problem {
                self.add("promtail", format!("{} ({})", job.name, job.kind), why, "the other jobs run");
            }
            self.add_mechanisms(&job.name, &job.mechanisms);
        }
    }

    /// Destinations that do not take what they are sent, or have lost some.
    pub(crate) fn add_destinations(&mut self, destinations: &[DestinationStatus]) {
        for destination in destinations {
            if let (false, Some((_, why))) = (destination.connected, &destination.last_error) {
                let lasts = destination.forecast_seconds.map_or(String::new(), |s| format!("; room for {}", span(s)));
                let waits = format!("{why}; {} MiB wait on disk{lasts}", destination.disk_bytes >> 20);
                self.add(
                    "forwarding",
                    &destination.name,
                    waits,
                    "it is tried again by itself, and what waits is sent then",
                );
            }
            if destination.dropped_items > 0 {
                let why = format!("{} items were given up since the start", destination.dropped_items);
                let hint = "refused for good (the log says why), or the queue was full or too old: make it larger";
                self.add("forwarding", &destination.name, why, hint);
            }
        }
    }

    /// Hubs that a node cannot reach.
    pub(crate) fn add_hubs(&mut self, hubs: &[HubState]) {
        if hubs.iter().all(|hub| hub.address.is_empty()) {
            let why = "none is named and none was found in the local network; everything waits on disk";
            self.add("hub", "no hub", why, "name it in node.hubs");
        }
        for hub in hubs.iter().filter(|hub| !hub.connected && !hub.address.is_empty()) {
            let lasts = hub.forecast_seconds.map_or(String::new(), |s| format!("; room for {}", span(s)));
            let why = if hub.last_error.is_empty() { "it did not answer yet" } else { &hub.last_error };
            let hint =
                "what comes in waits on disk; is the hub on, and its OTLP/gRPC door open? A token is needed once";
            self.add("hub", &hub.address, format!("{why}{lasts}"), hint);
        }
    }

    /// Nodes that fell silent or have problems of their own.
    pub(crate) fn add_nodes(&mut self, nodes: &NodeRegistry) {
        for node in nodes.nodes() {
            let what = node.name.clone();
            if !node.is_up {
                self.add(
                    "nodes",
                    what,
                    "silent",
                    "is it on, and its network there? What it collects waits on its disk",
                );
            } else if !node.status.problem.is_empty() {
                self.add("nodes", what, &node.status.problem, "bramble doctor on that machine tells more");
            }
        }
    }

    /// Doors that could not be opened.
    pub(crate) fn add_doors(&mut self, doors: &[Door]) {
        for door in doors.iter().filter(|door| !matches!(door.state.as_str(), "open" | "off")) {
            let what = format!("{} {}", door.name, door.address);
            self.add("door", what, &door.state, "stop what has the port, give the door another, or switch it off");
        }
    }
}

/// A time as people say it.
fn span(seconds: f64) -> String {
    match seconds {
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.0} h", s / 3600.0),
        s => format!("{:.0} days", s / 86_400.0),
    }
}

type Look = Box<dyn Fn(&mut Found) + Send + Sync>;

/// Whom to ask; parts are added as they start. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Watched(Arc<Mutex<Vec<Look>>>);

impl Watched {
    /// From now on `look` is asked too.
    pub(crate) fn add(&self, look: impl Fn(&mut Found) + Send + Sync + 'static) {
        self.0.lock().push(Box::new(look));
    }

    /// What everybody says now.
    pub(crate) fn problems(&self) -> Problems {
        let mut found = Found::default();
        self.0.lock().iter().for_each(|look| look(&mut found));
        found.0
    }

    /// All in one line, for a node's hub; empty when all is well.
    pub(crate) fn line(&self) -> String {
        let Problems { problems, omitted } = self.problems();
        let others = problems.len() + omitted;
        // The hub that hears this is no problem for it.
        let Some(first) = problems.iter().find(|problem| problem.part != "hub") else { return String::new() };
        let more = if others > 1 { format!(" (and {} more)", others - 1) } else { String::new() };
        format!("{}: {}: {}{more}", first.part, first.what, first.why)
    }
}
