//! Copies of a data directory, below its own `snapshots`: blocks as hard links, catalog and state written anew.
//!
//! A block's file never changes, so a second name for it is a copy that takes no space until the first is removed;
//! where the file system has no hard links it is copied. The copy has no journal: what the heads held was written
//! out before, or is left out. Its catalog says that all of it was, so that a process that opens it goes on from there.

use crate::catalog_rows::row_of;
use crate::deletions::Admin;
use bramble_catalog::{Catalog, Change, Place, State};
use bramble_signal::Signal;
use bramble_storage::{BlockMeta, StoreError};
use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Folder of all copies, in the data directory.
const FOLDER: &str = "snapshots";
/// Files that are copied as they are.
const PLAIN_FILES: [&str; 1] = ["FORMAT"];

fn failed(what: &str) -> impl FnOnce(io::Error) -> StoreError + '_ {
    move |error| match error.kind() {
        io::ErrorKind::StorageFull => StoreError::Full(format!("{what}: {error}")),
        _ => StoreError::Disk(format!("{what}: {error}")),
    }
}

fn not_written(error: bramble_catalog::CatalogError) -> StoreError {
    StoreError::Disk(error.to_string())
}

impl Admin {
    /// As [`MetricAdmin::snapshot`](bramble_storage::MetricAdmin::snapshot), of all signals.
    pub(crate) fn copy(&self, skip_head: bool) -> Result<String, StoreError> {
        let Place::Directory(data_dir) = &self.place else {
            return Err(StoreError::Disk("only a data directory of the operating system can be copied".to_owned()));
        };
        let flushed: &[Signal] = if skip_head { &[] } else { &Signal::ALL };
        self.maintenance.at_rest(flushed, |blocks| {
            let name = name_of(self.maintenance.path.shared.clock.wall_ns());
            let target = data_dir.join(FOLDER).join(&name);
            let copied = self.fill(data_dir, &target, blocks);
            if copied.is_err() {
                let _ = fs::remove_dir_all(&target);
            }
            copied?;
            tracing::info!(%name, blocks = blocks.len(), skip_head, "snapshot made");
            Ok(name)
        })
    }

    fn fill(&self, data_dir: &Path, target: &Path, blocks: &[BlockMeta]) -> Result<(), StoreError> {
        fs::create_dir_all(target).map_err(failed("snapshot"))?;
        for file in PLAIN_FILES {
            fs::copy(data_dir.join(file), target.join(file)).map_err(failed(file))?;
        }
        for block in blocks {
            let name = block.file_name();
            link(&data_dir.join(&name), &target.join(&name)).map_err(failed(&name))?;
        }
        let shared = &self.maintenance.path.shared;
        let mut flushed: Vec<(u8, u64)> = shared.catalog.flushed().map_err(not_written)?;
        // Without a journal there is nothing below the highest that anybody could still wait for; and a journal that begins
        // at a lower one would give numbers anew that count as written.
        let newest = flushed.iter().map(|(_, sequence)| *sequence).max().unwrap_or(0);
        flushed.iter_mut().for_each(|(_, sequence)| *sequence = newest);
        let place = Place::Directory(target.to_owned());
        let (catalog, _) = Catalog::open(&place).map_err(not_written)?;
        let rows: Vec<_> = blocks.iter().map(row_of).collect();
        catalog.skip_block_ids(shared.catalog.next_block_id());
        catalog.commit(&Change { add: &rows, remove: &[], flushed: &flushed }).map_err(not_written)?;
        let (state, _) = State::open(&place).map_err(not_written)?;
        for key in self.state.keys("").map_err(not_written)? {
            if let Some(value) = self.state.get(&key).map_err(not_written)? {
                state.put(&key, &value).map_err(not_written)?;
            }
        }
        sync_folders(target).map_err(failed("snapshot"))
    }
}

/// A second name for a file, or a copy of it.
fn link(from: &Path, to: &Path) -> io::Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    match fs::hard_link(from, to) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(error),
        Err(_) => {
            fs::copy(from, to)?;
            File::open(to)?.sync_all()
        }
    }
}

/// Makes names durable, the deepest first.
fn sync_folders(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_folders(&entry.path())?;
        }
    }
    File::open(folder)?.sync_all()
}

/// `20261121T093000Z-` and 16 hexadecimal digits that no other copy of this clock has.
fn name_of(wall_ns: i64) -> String {
    let seconds = wall_ns.div_euclid(1_000_000_000);
    let (day, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, date) = date_of(day);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}{month:02}{date:02}T{hour:02}{minute:02}{second:02}Z-{:016x}", wall_ns as u64)
}

/// Year, month and day of a day since the epoch, in the proleptic Gregorian calendar: counted from 1 March 0000, since
/// then the leap day is the last of its year.
fn date_of(day: i64) -> (i64, i64, i64) {
    let shifted = day + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let date = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_times() {
        assert_eq!(name_of(0), "19700101T000000Z-0000000000000000");
        assert!(name_of(1_794_960_000_000_000_000).starts_with("20261118T000000Z-"));
        assert_eq!(date_of(11_016), (2000, 2, 29));
        assert_eq!(date_of(-1), (1969, 12, 31));
    }
}
