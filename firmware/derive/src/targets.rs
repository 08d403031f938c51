//! `traces_target_info`: attributes of what emits, beside its job and instance.

use crate::emit::{Out, encode_lenient};
use crate::sets::Life;
use crate::sources::{label_name, parts_of, put_text};
use crate::texts::{TextId, Texts};
use bramble_runtime::Reservation;
use bramble_signal::attributes::AttributesRef;
use bramble_signal::{LabelsRef, METRIC_NAME, stale_marker};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::hash::BuildHasher;

const NAME: &str = "traces_target_info";

/// Attributes of a resource that are looked at, and the longest value.
const ATTRIBUTES_MAX: usize = 64;
const VALUE_BYTES_MAX: usize = 512;

struct Target {
    /// Of the attributes as they came.
    hash: u64,
    /// Labels made of attributes, encoded.
    labels: Box<[u8]>,
    life: Life,
}

/// Targets by identity.
pub(crate) struct Targets {
    known: HashMap<TextId, Target, FixedState>,
    /// Labels that another resource of the same job and instance has replaced: their series end.
    replaced: Vec<(TextId, Box<[u8]>)>,
    most: usize,
    space: Reservation,
}

const ENTRY_BYTES: usize = size_of::<(TextId, Target)>() + 32;

impl Targets {
    pub(crate) fn new(most: usize, space: Reservation) -> Self {
        Targets { known: HashMap::default(), replaced: Vec::new(), most, space }
    }

    /// Hears of a resource.
    pub(crate) fn see(&mut self, identity: TextId, attributes: AttributesRef<'_>, life: Life) {
        let hash = FixedState::default().hash_one(attributes.as_bytes());
        if let Some(target) = self.known.get_mut(&identity).filter(|target| target.hash == hash) {
            target.life.changed_ns = life.changed_ns;
            return;
        }
        let labels = labels_of(attributes);
        let room = self.known.len() < self.most && self.replaced.len() < self.most;
        if !room || self.space.grow(ENTRY_BYTES + labels.len()).is_err() {
            return;
        }
        if let Some(old) = self.known.insert(identity, Target { hash, labels, life }) {
            self.replaced.push((identity, old.labels));
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = TextId> {
        self.known.keys().copied()
    }

    /// Ends what did not show itself since `before_ns`.
    pub(crate) fn end_idle(&mut self, before_ns: u64, texts: &Texts, out: &mut Out) {
        let mut freed_bytes = 0;
        self.known.retain(|identity, target| {
            let goes = target.life.changed_ns <= before_ns;
            if goes {
                freed_bytes += ENTRY_BYTES + target.labels.len();
                put(*identity, &target.labels, texts, stale_marker(), out);
            }
            !goes
        });
        drop(self.space.split(freed_bytes));
    }

    /// All of them.
    pub(crate) fn emit(&mut self, texts: &Texts, out: &mut Out) {
        let mut freed_bytes = 0;
        for (identity, labels) in self.replaced.drain(..) {
            freed_bytes += ENTRY_BYTES + labels.len();
            if self.known.get(&identity).is_none_or(|now| now.labels != labels) {
                put(identity, &labels, texts, stale_marker(), out);
            }
        }
        drop(self.space.split(freed_bytes));
        for (identity, target) in &self.known {
            put(*identity, &target.labels, texts, 1.0, out);
        }
    }
}

fn put(identity: TextId, labels: &[u8], texts: &Texts, value: f64, out: &mut Out) {
    let (_, job, instance) = parts_of(texts.get(identity));
    let mut pairs = vec![(METRIC_NAME, NAME), ("job", job), ("instance", instance)];
    pairs.extend(LabelsRef::from_encoded(labels).iter());
    out.gauge(&mut pairs, value);
}

/// All attributes but those that job and instance are made of.
fn labels_of(attributes: AttributesRef<'_>) -> Box<[u8]> {
    let identifying = ["service.name", "service.namespace", "service.instance.id"];
    let others = attributes.iter().filter(|(key, _)| !identifying.contains(key)).take(ATTRIBUTES_MAX);
    let text = |value| {
        let mut text = Vec::new();
        put_text(&value, VALUE_BYTES_MAX, &mut text).then(|| String::from_utf8_lossy(&text).into_owned())
    };
    let taken = ["job", "instance", METRIC_NAME];
    let owned: Vec<(String, String)> =
        others.filter_map(|(key, value)| Some((label_name(key, &taken), text(value)?))).collect();
    let mut encoded = Vec::new();
    encode_lenient(owned.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(), &mut encoded);
    encoded.into()
}
