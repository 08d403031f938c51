//! Type, unit and help of metric families, by name.

use bramble_signal::MetricMetadata;
use std::collections::BTreeMap;

/// Most families kept; a Pi cluster has one or two thousand.
const FAMILIES_MAX: usize = 20_000;
/// Longest help text kept, in bytes.
const HELP_BYTES_MAX: usize = 512;

/// Families, and which of them were heard of since the last flush: those are written beside its samples, so that
/// they survive the journal.
#[derive(Default)]
pub(crate) struct MetadataMap {
    families: BTreeMap<String, (MetricMetadata, bool)>,
}

impl MetadataMap {
    /// Enters one; `false` when there are too many.
    pub(crate) fn put(&mut self, family: &MetricMetadata, fresh: bool) -> bool {
        if let Some((known, heard)) = self.families.get_mut(&family.name) {
            *heard |= fresh;
            if known != family {
                *known = shortened(family);
            }
            return true;
        }
        if family.name.len() > HELP_BYTES_MAX || self.families.len() >= FAMILIES_MAX {
            return false;
        }
        self.families.insert(family.name.clone(), (shortened(family), fresh));
        true
    }

    /// Everything, ascending.
    pub(crate) fn all(&self) -> Vec<MetricMetadata> {
        self.families.values().map(|(family, _)| family.clone()).collect()
    }

    /// What was heard of since it was last written.
    pub(crate) fn heard(&self) -> Vec<MetricMetadata> {
        self.families.values().filter(|(_, heard)| *heard).map(|(family, _)| family.clone()).collect()
    }

    /// Marks those as written.
    pub(crate) fn written(&mut self, families: &[MetricMetadata]) {
        for family in families {
            if let Some((_, heard)) = self.families.get_mut(&family.name) {
                *heard = false;
            }
        }
    }
}

fn shortened(family: &MetricMetadata) -> MetricMetadata {
    let mut family = family.clone();
    for text in [&mut family.help, &mut family.unit] {
        if text.len() > HELP_BYTES_MAX {
            text.truncate(text.floor_char_boundary(HELP_BYTES_MAX));
        }
    }
    family
}
