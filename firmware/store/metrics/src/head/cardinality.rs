//! Whose labels fill the head: counted from the index, series by series only where a pair's list says how many.

use super::SeriesIndex;
use bramble_signal::METRIC_NAME;
use bramble_storage::Cardinality;
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// The largest of many, with texts in two parts that are only joined when they are kept.
struct Largest {
    limit: usize,
    /// The smallest on top.
    kept: BinaryHeap<Reverse<(u64, Reverse<String>)>>,
}

impl Largest {
    fn new(limit: usize) -> Self {
        Largest { limit, kept: BinaryHeap::new() }
    }

    fn push(&mut self, number: u64, name: &[u8], value: Option<&[u8]>) {
        if self.kept.len() >= self.limit {
            let Some(Reverse((least, Reverse(text)))) = self.kept.peek() else { return };
            let own = || name.iter().chain(value.map(|_| &b'=')).chain(value.unwrap_or_default());
            let before = match number.cmp(least) {
                Ordering::Equal => own().cmp(text.as_bytes()) == Ordering::Less,
                order => order == Ordering::Greater,
            };
            if !before {
                return;
            }
            self.kept.pop();
        }
        let mut text = String::from_utf8_lossy(name).into_owned();
        if let Some(value) = value {
            text.push('=');
            text.push_str(&String::from_utf8_lossy(value));
        }
        self.kept.push(Reverse((number, Reverse(text))));
    }

    /// Descending by number, then ascending by text.
    fn finish(self) -> Vec<(String, u64)> {
        self.kept.into_sorted_vec().into_iter().map(|Reverse((number, Reverse(text)))| (text, number)).collect()
    }
}

impl SeriesIndex {
    /// What the index says of the head; samples and times are left to the caller.
    pub(crate) fn cardinality(&self, limit: usize) -> Cardinality {
        let mut out = Cardinality { series: self.len() as u64, ..Cardinality::default() };
        let [mut metrics, mut values, mut bytes, mut by_pair] = std::array::from_fn(|_| Largest::new(limit));
        for (name, ids) in self.pairs.names() {
            let is_metric = name == METRIC_NAME.as_bytes();
            let mut all_bytes = 0;
            for id in ids {
                let value = self.pairs.name_value(id).1;
                let series = self.pairs.postings(id).map_or(0, |postings| postings.len()) as u64;
                all_bytes += series * value.len() as u64;
                by_pair.push(series, name, Some(value));
                if is_metric {
                    metrics.push(series, value, None);
                }
            }
            out.label_pairs += ids.len();
            values.push(ids.len(), name, None);
            bytes.push(all_bytes, name, None);
        }
        out.series_by_metric = metrics.finish();
        out.values_by_label = values.finish();
        out.bytes_by_label = bytes.finish();
        out.series_by_pair = by_pair.finish();
        out
    }
}
