//! What is read of events (core/v1) and of pods.

use crate::discovery::kubernetes::{Metadata, Object};
use serde::Deserialize;

#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Event {
    pub(super) metadata: Metadata,
    pub(super) involved_object: Involved,
    pub(super) reason: String,
    pub(super) message: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) count: Option<u64>,
    pub(super) series: Option<Series>,
    pub(super) source: Source,
    pub(super) reporting_component: String,
    pub(super) reporting_instance: String,
    pub(super) first_timestamp: Option<String>,
    pub(super) last_timestamp: Option<String>,
    pub(super) event_time: Option<String>,
}

impl Object for Event {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

impl Event {
    /// Names it among what was delivered.
    pub(super) fn key(&self) -> String {
        format!("e/{}", self.metadata.uid)
    }
}

#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Involved {
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) api_version: String,
    pub(super) field_path: String,
}

#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Series {
    pub(super) count: u64,
    pub(super) last_observed_time: Option<String>,
}

#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(super) struct Source {
    pub(super) component: String,
    pub(super) host: String,
}

/// A pod, as far as its containers ended.
#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(super) struct PodState {
    pub(super) metadata: Metadata,
    pub(super) spec: Spec,
    pub(super) status: Status,
}

impl Object for PodState {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Spec {
    pub(super) node_name: String,
}

#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Status {
    pub(super) container_statuses: Option<Vec<Container>>,
    pub(super) init_container_statuses: Option<Vec<Container>>,
}

#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) restart_count: u64,
    pub(super) state: State,
    pub(super) last_state: State,
}

#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(super) struct State {
    pub(super) terminated: Option<Terminated>,
}

#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Terminated {
    pub(super) exit_code: i64,
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) finished_at: Option<String>,
    #[serde(rename = "containerID")]
    pub(super) container_id: String,
}
