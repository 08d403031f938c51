//! `labels`, `structured_metadata`, `static_labels`, `labeldrop`, `labelallow`, `tenant`.

use super::super::chain::{Context, Flow, Stage};
use super::super::compile::Build;
use super::super::config::{LabelsFrom, TenantConfig};
use super::super::entry::Entry;
use super::super::error::Fault;
use super::super::values::Slot;
use bramble_line::name::is_plain;
use std::collections::BTreeMap;
use std::sync::Arc;

fn label_name(field: Option<&'static str>, name: &str) -> Result<(), Fault> {
    if is_plain(name) {
        return Ok(());
    }
    Err(Fault { field, ..Fault::whole(format!("invalid label name: {name:?}")) })
}

/// `labels` and `structured_metadata`
#[derive(Clone)]
pub(in super::super) struct Labels {
    from: Arc<[(String, Slot)]>,
    metadata: bool,
}

impl Labels {
    pub(in super::super) fn new(names: &LabelsFrom, metadata: bool, build: &mut Build) -> Result<Self, Fault> {
        if names.is_empty() {
            return Err(Fault::whole("at least one name is needed"));
        }
        let mut from = Vec::new();
        for (name, source) in names {
            label_name(None, name)?;
            let source = source.as_deref().filter(|s| !s.is_empty()).unwrap_or(name);
            from.push((name.clone(), build.slot("source", source)?));
        }
        Ok(Labels { from: from.into(), metadata })
    }
}

impl Stage for Labels {
    fn run(&mut self, entry: &mut Entry, _: &mut Context<'_>) -> Flow {
        for (name, slot) in self.from.iter() {
            if self.metadata {
                entry.metadata_from(name, *slot);
            } else {
                entry.label_from(name, *slot);
            }
        }
        Flow::On
    }

    fn fork(&self) -> Box<dyn Stage> {
        Box::new(self.clone())
    }
}

/// `static_labels`
#[derive(Clone)]
pub(in super::super) struct StaticLabels(Arc<[(String, String)]>);

impl StaticLabels {
    pub(in super::super) fn new(labels: &BTreeMap<String, Option<String>>) -> Result<Self, Fault> {
        let mut out = Vec::new();
        for (name, value) in labels {
            label_name(None, name)?;
            out.push((name.clone(), value.clone().unwrap_or_default()));
        }
        Ok(StaticLabels(out.into()))
    }
}

impl Stage for StaticLabels {
    fn run(&mut self, entry: &mut Entry, _: &mut Context<'_>) -> Flow {
        // A label without a value is left alone.
        for (name, value) in self.0.iter().filter(|(_, value)| !value.is_empty()) {
            entry.labels.set(name, value);
        }
        Flow::On
    }

    fn fork(&self) -> Box<dyn Stage> {
        Box::new(self.clone())
    }
}

/// `labeldrop`
#[derive(Clone)]
pub(in super::super) struct Labeldrop(Arc<[String]>);

impl Labeldrop {
    pub(in super::super) fn new(names: &[String]) -> Self {
        Labeldrop(names.into())
    }
}

impl Stage for Labeldrop {
    fn run(&mut self, entry: &mut Entry, _: &mut Context<'_>) -> Flow {
        self.0.iter().for_each(|name| entry.labels.remove(name));
        Flow::On
    }

    fn fork(&self) -> Box<dyn Stage> {
        Box::new(self.clone())
    }
}

/// `labelallow`
#[derive(Clone)]
pub(in super::super) struct Labelallow(Arc<[String]>);

impl Labelallow {
    pub(in super::super) fn new(names: &[String]) -> Self {
        Labelallow(names.into())
    }
}

impl Stage for Labelallow {
    fn run(&mut self, entry: &mut Entry, _: &mut Context<'_>) -> Flow {
        entry.labels.retain(|name| self.0.iter().any(|n| n == name));
        Flow::On
    }

    fn fork(&self) -> Box<dyn Stage> {
        Box::new(self.clone())
    }
}

/// The label that stands for a tenant: Bramble has one store, so what was kept apart by tenants stays apart by label.
const TENANT: &str = "tenant";

#[derive(Clone)]
enum TenantFrom {
    Label(String),
    Source(Slot),
    Value(String),
}

/// `tenant`
#[derive(Clone)]
pub(in super::super) struct Tenant(TenantFrom);

impl Tenant {
    pub(in super::super) fn new(config: &TenantConfig, build: &mut Build) -> Result<Self, Fault> {
        Ok(Tenant(match (&config.label, &config.source, &config.value) {
            (Some(label), None, None) => TenantFrom::Label(label.clone()),
            (None, Some(source), None) => TenantFrom::Source(build.slot("source", source)?),
            (None, None, Some(value)) => TenantFrom::Value(value.clone()),
            _ => return Err(Fault::whole("exactly one of label, source and value is needed")),
        }))
    }
}

impl Stage for Tenant {
    fn run(&mut self, entry: &mut Entry, context: &mut Context<'_>) -> Flow {
        let tenant = match &self.0 {
            TenantFrom::Label(label) => entry.labels.get(label).map(str::to_owned),
            TenantFrom::Source(slot) => entry.value(*slot).map(str::to_owned),
            TenantFrom::Value(value) => Some(value.clone()),
        };
        match tenant {
            Some(tenant) => entry.labels.set(TENANT, &tenant),
            None => return context.fail(),
        }
        Flow::On
    }

    fn fork(&self) -> Box<dyn Stage> {
        Box::new(self.clone())
    }
}
