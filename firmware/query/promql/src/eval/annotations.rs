//! Warnings and infos, with the place in the query they are about.

use crate::syntax::{Span, position_text};
use std::cell::RefCell;
use std::collections::BTreeSet;

/// More than this are counted, not shown, as Prometheus' API does.
const SHOWN_MAX: usize = 10;
/// More than this are not even kept.
const KEPT_MAX: usize = 1000;

/// What a query has to say beside its result.
#[derive(Default)]
pub(crate) struct Annotations {
    warnings: RefCell<BTreeSet<String>>,
    infos: RefCell<BTreeSet<String>>,
}

fn add(to: &RefCell<BTreeSet<String>>, text: String) {
    let mut set = to.borrow_mut();
    if set.len() < KEPT_MAX {
        set.insert(text);
    }
}

fn shown(set: BTreeSet<String>, kind: &str) -> Vec<String> {
    let more = set.len().saturating_sub(SHOWN_MAX);
    let mut list: Vec<String> = set.into_iter().take(SHOWN_MAX).collect();
    if more > 0 {
        list.push(format!("{more} more {kind} annotations omitted"));
    }
    list
}

/// ` for metric name "x"`, or nothing without a name.
pub(crate) fn for_metric(name: &str) -> String {
    if name.is_empty() { String::new() } else { format!(" for metric name {name:?}") }
}

impl Annotations {
    pub(crate) fn warn(&self, query: &str, span: Span, text: impl AsRef<str>) {
        add(&self.warnings, format!("PromQL warning: {} ({})", text.as_ref(), position_text(query, span.start)));
    }

    pub(crate) fn info(&self, query: &str, span: Span, text: impl AsRef<str>) {
        add(&self.infos, format!("PromQL info: {} ({})", text.as_ref(), position_text(query, span.start)));
    }

    /// An info about the answer as a whole.
    pub(crate) fn info_anywhere(&self, text: impl AsRef<str>) {
        add(&self.infos, format!("PromQL info: {}", text.as_ref()));
    }

    /// Warnings and infos, ascending.
    pub(crate) fn finish(self) -> (Vec<String>, Vec<String>) {
        (shown(self.warnings.into_inner(), "warning"), shown(self.infos.into_inner(), "info"))
    }
}
