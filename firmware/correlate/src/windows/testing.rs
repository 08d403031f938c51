//! Items made by hand, and a small world in which they come, are told of, and are shown again after a restart.

use super::{Windows, content_hash};
use crate::correlation::Correlation;
use crate::item::{Item, ItemSink, Level, What};
use crate::options::CorrelatorOptions;
use crate::publish::Published;
use crate::span::SpanWritten;
use bramble_runtime::{Budget, BudgetName};
use bramble_signal::{SpanId, SpanKind, TraceId};
use bramble_storage::Sequence;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) const SECOND_NS: i64 = 1_000_000_000;
/// When worlds begin.
pub(crate) const START_NS: i64 = 1_700_000_000 * SECOND_NS;

/// An item, by what matters here. Numbers of spans are those of ids; 0 is none.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Made {
    pub(crate) trace: u8,
    pub(crate) service: &'static str,
    pub(crate) node: &'static str,
    pub(crate) env: &'static str,
    pub(crate) time_ns: i64,
    pub(crate) span: u32,
    pub(crate) request: String,
    pub(crate) circuit: String,
    pub(crate) is: Is,
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Is {
    Span { parent: u32, duration_ns: u64, kind: SpanKind, failed: bool, name: String },
    Log { level: Level, line: String },
    Exemplar { series: &'static str },
}

pub(crate) fn span(service: &'static str, (span, parent): (u32, u32), from_ms: i64, for_ms: u64) -> Made {
    let (kind, name) = (SpanKind::Internal, "work".to_owned());
    let is = Is::Span { parent, duration_ns: for_ms * 1_000_000, kind, failed: false, name };
    Made { is, span, ..log(service, from_ms, Level::Info, "") }
}

pub(crate) fn log(service: &'static str, at_ms: i64, level: Level, line: &str) -> Made {
    Made {
        trace: 1,
        service,
        node: "",
        env: "",
        time_ns: START_NS + at_ms * 1_000_000,
        span: 0,
        request: String::new(),
        circuit: String::new(),
        is: Is::Log { level, line: line.to_owned() },
    }
}

impl Made {
    pub(crate) fn of_kind(mut self, wanted: SpanKind) -> Self {
        if let Is::Span { kind, .. } = &mut self.is {
            *kind = wanted;
        }
        self
    }

    pub(crate) fn fails(mut self) -> Self {
        if let Is::Span { failed, .. } = &mut self.is {
            *failed = true;
        }
        self
    }

    pub(crate) fn of_trace(self, trace: u8) -> Self {
        Made { trace, ..self }
    }

    pub(crate) fn on(self, node: &'static str) -> Self {
        Made { node, ..self }
    }

    pub(crate) fn of_request(self, request: &str) -> Self {
        Made { request: request.to_owned(), ..self }
    }

    pub(crate) fn enter(&self, windows: &mut Windows) {
        self.enter_as(u128::from_be_bytes([self.trace; 16]), windows);
    }

    /// As an item of any trace.
    pub(crate) fn enter_as(&self, trace: u128, windows: &mut Windows) {
        let Made { service, node, env, .. } = *self;
        windows.origin(&crate::Origin { service, node, env, ..crate::Origin::default() });
        let id = |number: u32| SpanId(u64::from(number).to_be_bytes());
        let what = match &self.is {
            Is::Span { parent, duration_ns, kind, failed, name } => What::Span {
                parent_span_id: id(*parent),
                duration_ns: *duration_ns,
                kind: *kind,
                failed: *failed,
                name,
                message: if *failed { "it broke" } else { "" },
            },
            Is::Log { level, line } => {
                let Made { request, circuit, span, .. } = self;
                let said = format!("{service} {node} {level:?} {line} {request} {circuit} {span}");
                let identity = super::texts::hash(said.as_bytes());
                What::Log { level: *level, line: line.as_bytes(), identity }
            }
            Is::Exemplar { series } => What::Exemplar { series, value: 1.5 },
        };
        let mut ids = [""; 5];
        (ids[0], ids[1]) = (&self.request, &self.circuit);
        let (trace_id, span_id) = (TraceId(trace.to_be_bytes()), id(self.span));
        windows.item(&Item { time_ns: self.time_ns, trace_id, span_id, ids, what });
    }
}

/// A record of the journal.
enum Record {
    Item(Made),
    Rows(Vec<Arc<Correlation>>),
}

pub(crate) struct World {
    pub(crate) windows: Windows,
    pub(crate) options: CorrelatorOptions,
    budget: Budget,
    /// Sequences are from 1.
    journal: Vec<Record>,
    pub(crate) durable: Sequence,
    /// What the last marker says.
    pub(crate) low: Sequence,
    pub(crate) wall_ns: i64,
    pub(crate) mono_ns: u64,
    /// Rows that were written, in order.
    pub(crate) rows: Vec<Arc<Correlation>>,
    pub(crate) spans: Vec<(Arc<Correlation>, SpanWritten)>,
}

pub(crate) fn options() -> CorrelatorOptions {
    CorrelatorOptions {
        windows_max: 1000,
        items_max: 100,
        reread_ns: 300 * SECOND_NS as u64,
        ..CorrelatorOptions::default()
    }
}

impl World {
    pub(crate) fn new(options: CorrelatorOptions) -> Self {
        let budget = Budget::standalone(BudgetName::Correlate, 8 << 20);
        World {
            windows: Windows::new(options.clone(), &budget).unwrap(),
            options,
            budget,
            journal: Vec::new(),
            durable: 0,
            low: 0,
            wall_ns: START_NS,
            mono_ns: 3600 * SECOND_NS as u64,
            rows: Vec::new(),
            spans: Vec::new(),
        }
    }

    pub(crate) fn advance(&mut self, ns: i64) {
        self.wall_ns += ns;
        self.mono_ns += ns as u64;
    }

    fn show(&mut self, sequence: Sequence, item: &Made) {
        self.windows.set_observed(sequence);
        self.windows.set_now(self.wall_ns, self.mono_ns);
        item.enter(&mut self.windows);
        self.windows.end_batch(self.wall_ns, self.mono_ns);
    }

    pub(crate) fn observe(&mut self, item: &Made) {
        self.journal.push(Record::Item(item.clone()));
        self.show(self.journal.len() as Sequence, item);
    }

    /// What there is to publish now.
    pub(crate) fn publish(&mut self) -> Vec<Published> {
        self.windows.set_now(self.wall_ns, self.mono_ns);
        let (mut all, mut more) = self.windows.publish();
        while more {
            let (next, again) = self.windows.publish();
            all.extend(next);
            more = again;
        }
        all
    }

    /// Writes what was published.
    pub(crate) fn write(&mut self, published: Vec<Published>) {
        let rows: Vec<_> = published.iter().filter(|p| p.write_row).map(|p| p.correlation.clone()).collect();
        self.rows.extend(rows.iter().cloned());
        self.spans.extend(published.into_iter().filter_map(|p| Some((p.correlation, p.span?))));
        if !rows.is_empty() {
            self.journal.push(Record::Rows(rows));
            self.windows.set_observed(self.journal.len() as Sequence);
        }
        self.low = self.low.max(self.windows.low());
        self.durable = self.durable.max(self.windows.needed(self.low));
    }

    /// Time passes; what is due is written.
    pub(crate) fn pass(&mut self, seconds: i64) -> usize {
        let before = self.rows.len();
        for _ in 0..seconds * 2 {
            self.advance(SECOND_NS / 2);
            let published = self.publish();
            self.write(published);
        }
        self.rows.len() - before
    }

    /// Another process starts with the journal that this one left.
    pub(crate) fn restart(&mut self) {
        self.windows = Windows::new(self.options.clone(), &self.budget).unwrap_or_else(|_| {
            Windows::new(self.options.clone(), &Budget::standalone(BudgetName::Correlate, 8 << 20)).unwrap()
        });
        self.mono_ns += 1_000_000;
        self.windows.set_gone_through(self.low);
        let (journal, durable) = (std::mem::take(&mut self.journal), self.durable);
        for (sequence, record) in (1..).zip(&journal).filter(|(sequence, _)| *sequence > durable) {
            match record {
                Record::Item(item) if !matches!(item.is, Is::Exemplar { .. }) => self.show(sequence, item),
                Record::Item(_) => {}
                Record::Rows(rows) => {
                    self.windows.set_observed(sequence);
                    rows.iter().for_each(|row| self.windows.restore(row, content_hash(row)));
                }
            }
        }
        self.journal = journal;
    }

    /// The newest revision of each correlation, by name.
    pub(crate) fn newest(&self) -> BTreeMap<String, Arc<Correlation>> {
        let mut newest = BTreeMap::<String, Arc<Correlation>>::new();
        for row in &self.rows {
            let name = row.id.to_string();
            let known = newest.get(&name).map_or(0, |known| known.revision);
            assert_eq!(row.revision, known + 1, "{name}: revisions follow one another, each once");
            newest.insert(name, row.clone());
        }
        newest
    }

    pub(crate) fn used_bytes(&self) -> usize {
        self.budget.used_bytes()
    }

    pub(crate) fn last(&self) -> Correlation {
        (**self.rows.last().unwrap()).clone()
    }
}
