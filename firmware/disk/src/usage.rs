//! Space accounting: what lies in a data directory, by kind.

use std::collections::BTreeMap;

use prometheus::core::{Collector, Desc};
use prometheus::{IntGaugeVec, Opts, proto};

use crate::disk::{Disk, Space};
use crate::error::DiskError;

/// Files of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Number of files.
    pub files: u64,
    /// Their lengths together, in bytes.
    pub bytes: u64,
}

impl Usage {
    fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }
}

/// What lies in a data directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DataUsage {
    /// Extents of the journal, used or not.
    pub journal: Usage,
    /// Published segments by (signal code, class code).
    pub segments: BTreeMap<(u8, u8), Usage>,
    /// Databases: `*.db` in the data directory itself, with their logs and copies (`*.db-…`, `*.db.…`).
    pub catalog: Usage,
    /// Segments and extents being written.
    pub temporary: Usage,
    /// Everything else, files set aside included.
    pub other: Usage,
}

impl DataUsage {
    /// Lists the directory. `segment_of` tells signal and class code of a segment from its name; `None` for files that are
    /// no segments. Costs a directory walk: for once a minute, not for each request.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn measure(disk: &dyn Disk, segment_of: impl Fn(&str) -> Option<(u8, u8)>) -> Result<Self, DiskError> {
        let mut usage = DataUsage::default();
        for entry in disk.list("")? {
            let kind = match entry.name.split_once('/') {
                Some(("journal", _)) => &mut usage.journal,
                Some(("tmp", _)) => &mut usage.temporary,
                None if is_database(&entry.name) => &mut usage.catalog,
                _ => match segment_of(&entry.name) {
                    Some(key) => usage.segments.entry(key).or_default(),
                    None => &mut usage.other,
                },
            };
            kind.add(entry.bytes);
        }
        Ok(usage)
    }

    /// Bytes of all segments.
    pub fn segment_bytes(&self) -> u64 {
        self.segments.values().map(|usage| usage.bytes).sum()
    }

    /// Bytes of everything.
    pub fn total_bytes(&self) -> u64 {
        let others = [self.journal, self.catalog, self.temporary, self.other];
        self.segment_bytes() + others.iter().map(|usage| usage.bytes).sum::<u64>()
    }
}

fn is_database(name: &str) -> bool {
    name.ends_with(".db") || name.contains(".db-") || name.contains(".db.")
}

/// Gauges of the latest measurement, for a `prometheus` registry. Clones share them.
#[derive(Clone)]
pub struct UsageGauges {
    used: IntGaugeVec,
    files: IntGaugeVec,
    space: IntGaugeVec,
}

impl Default for UsageGauges {
    fn default() -> Self {
        Self::new()
    }
}

impl UsageGauges {
    /// Gauges without values.
    pub fn new() -> Self {
        let gauge = |name: &str, help: &str, labels: &[&str]| {
            IntGaugeVec::new(Opts::new(name, help), labels).expect("the names below are valid metric names")
        };
        let kinds = ["kind", "signal", "class"];
        UsageGauges {
            used: gauge("bramble_data_bytes", "Bytes in the data directory, by kind.", &kinds),
            files: gauge("bramble_data_files", "Files in the data directory, by kind.", &kinds),
            space: gauge("bramble_disk_space_bytes", "Size and free space of the file system.", &["state"]),
        }
    }

    /// Shows a measurement. `name_of` gives signal and class their names.
    pub fn set(&self, usage: &DataUsage, space: Space, name_of: impl Fn(u8, u8) -> (String, String)) {
        self.used.reset();
        self.files.reset();
        let set = |labels: [&str; 3], usage: Usage| {
            self.used.with_label_values(&labels).set(usage.bytes as i64);
            self.files.with_label_values(&labels).set(usage.files as i64);
        };
        set(["journal", "", ""], usage.journal);
        set(["catalog", "", ""], usage.catalog);
        set(["temporary", "", ""], usage.temporary);
        set(["other", "", ""], usage.other);
        for (&(signal, class), &segments) in &usage.segments {
            let (signal, class) = name_of(signal, class);
            set(["segment", &signal, &class], segments);
        }
        self.space.with_label_values(&["total"]).set(space.total_bytes as i64);
        self.space.with_label_values(&["available"]).set(space.available_bytes as i64);
    }
}

impl Collector for UsageGauges {
    fn desc(&self) -> Vec<&Desc> {
        [&self.used, &self.files, &self.space].into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        [&self.used, &self.files, &self.space].into_iter().flat_map(Collector::collect).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AlignedBuffer, SimulatedDisk, SimulatedOptions};

    #[test]
    fn every_file_is_counted_once_under_its_kind() {
        let disk = SimulatedDisk::new(1, SimulatedOptions::default());
        let names = [
            "journal/000001",
            "journal/000002",
            "tmp/blocks_1",
            "blocks/1-0/a",
            "blocks/1-0/b",
            "blocks/2-1/c",
            "aside/d",
            "catalog.db",
            "state.db-wal",
            "state.db.good",
            "FORMAT",
        ];
        for name in names {
            let file = disk.create(name, 0).unwrap();
            disk.write_at(file, 0, AlignedBuffer::zeroed(4096)).0.unwrap();
        }
        let segment_of = |name: &str| {
            let code = name.strip_prefix("blocks/")?.as_bytes();
            Some((code[0] - b'0', code[2] - b'0'))
        };
        let usage = DataUsage::measure(&disk, segment_of).unwrap();
        let of = |files| Usage { files, bytes: files * 4096 };
        assert_eq!(
            usage,
            DataUsage {
                journal: of(2),
                segments: BTreeMap::from([((1, 0), of(2)), ((2, 1), of(1))]),
                catalog: of(3),
                temporary: of(1),
                other: of(2),
            }
        );
        assert_eq!(usage.total_bytes(), names.len() as u64 * 4096);

        let gauges = UsageGauges::new();
        let registry = prometheus::Registry::new();
        registry.register(Box::new(gauges.clone())).unwrap();
        gauges.set(&usage, disk.space().unwrap(), |signal, class| (signal.to_string(), class.to_string()));
        let families = registry.gather();
        let samples: usize = families.iter().map(|family| family.get_metric().len()).sum();
        assert_eq!((families.len(), samples), (3, 6 + 6 + 2));
    }
}
