use super::*;
use crate::testing::MemoryFiles;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::io::ErrorKind;

fn row(id: u64) -> BlockRow {
    BlockRow {
        id,
        signal: (id % 3) as u8,
        class: 1,
        day: 20_000 + id as i32,
        min_time_ns: -5,
        max_time_ns: i64::MAX,
        items: u64::MAX,
        file_bytes: id * 1000,
        journal_from: id,
        journal_to: id + 1,
        replaces: (0..id % 3).collect(),
    }
}

fn memory() -> (Arc<MemoryFiles>, Place) {
    let files = Arc::new(MemoryFiles::default());
    (files.clone(), Place::Files(files))
}

#[test]
fn what_is_committed_is_there_after_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let place = Place::Directory(directory.path().to_owned());
    let (catalog, report) = Catalog::open(&place).unwrap();
    assert_eq!(report, OpenReport::Fresh);
    let ids: Vec<u64> = (0..3).map(|_| catalog.next_block_id()).collect();
    assert_eq!(ids, [1, 2, 3]);
    catalog.commit(&Change { add: &[row(1), row(2)], flushed: &[(1, 70)], ..Change::default() }).unwrap();
    catalog.commit(&Change { add: &[row(3)], remove: &[1, 2, 99], flushed: &[(1, 60)] }).unwrap();
    catalog.commit(&Change { flushed: &[(0, u64::MAX)], ..Change::default() }).unwrap_or_default();
    assert!(catalog.file_stats().written_bytes > 0);
    drop(catalog);
    let (catalog, report) = Catalog::open(&place).unwrap();
    assert_eq!(report, OpenReport::Opened);
    assert_eq!(catalog.blocks().unwrap(), [row(3)]);
    assert_eq!(catalog.flushed().unwrap(), [(0, u64::MAX), (1, 70)], "a lower sequence does not go back");
    assert!(catalog.next_block_id() > 3);
    catalog.skip_block_ids(5000);
    assert_eq!(catalog.next_block_id(), 5001);
}

#[test]
fn the_same_block_twice_is_one_row() {
    let (files, place) = memory();
    let (catalog, _) = Catalog::open(&place).unwrap();
    let changed = BlockRow { items: 1, ..row(7) };
    catalog.commit(&Change { add: &[row(7), row(7), changed.clone()], ..Change::default() }).unwrap();
    catalog.commit(&Change { add: &[row(7), changed.clone()], ..Change::default() }).unwrap();
    drop(catalog);
    let (catalog, report) = Catalog::open(&Place::Files(files)).unwrap();
    assert_eq!((catalog.blocks().unwrap(), report), (vec![changed], OpenReport::Opened));
}

#[test]
fn numbers_handed_out_are_not_handed_out_again() {
    let (files, place) = memory();
    let (catalog, _) = Catalog::open(&place).unwrap();
    let mut last = 0;
    for _ in 0..50 {
        catalog.commit(&Change { add: &[row(catalog.next_block_id())], ..Change::default() }).unwrap();
        last = (0..ID_RESERVE / 2).map(|_| catalog.next_block_id()).last().unwrap();
    }
    let files = files.after_cut(|| 0);
    let (catalog, _) = Catalog::open(&Place::Files(Arc::new(files))).unwrap();
    assert!(catalog.next_block_id() > last, "numbers of files that were never committed");
}

#[test]
fn a_commit_costs_two_or_three_pages_and_one_sync() {
    let (files, place) = memory();
    let (catalog, _) = Catalog::open(&place).unwrap();
    let before = files.stats();
    let commits = 500;
    for sequence in 0..commits {
        let id = catalog.next_block_id();
        catalog.commit(&Change { add: &[row(id)], remove: &[], flushed: &[(1, sequence)] }).unwrap();
    }
    let after = files.stats();
    let bytes = (after.written_bytes - before.written_bytes) / commits;
    let syncs = (after.syncs - before.syncs) as f64 / commits as f64;
    println!("{bytes} bytes and {syncs} syncs per commit");
    assert!(bytes < 13_000, "{bytes} bytes per commit");
    assert!(syncs < 1.2, "{syncs} syncs per commit");
    let log = files.size("catalog.db-wal").unwrap();
    assert!(log < 400_000, "the log is bounded: {log} bytes");
}

#[test]
fn a_newer_version_is_refused_and_untouched() {
    let directory = tempfile::tempdir().unwrap();
    let place = Place::Directory(directory.path().to_owned());
    drop(Catalog::open(&place).unwrap());
    let path = directory.path().join("catalog.db");
    rusqlite::Connection::open(&path).unwrap().execute_batch("PRAGMA user_version=7").unwrap();
    let before = std::fs::read(&path).unwrap();
    let error = Catalog::open(&place).err().unwrap();
    assert_eq!(error, CatalogError::Newer { file: "catalog.db".into(), found: 7, supported: 1 });
    assert!(error.to_string().contains("version 7") && error.to_string().contains("up to 1"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn another_process_is_kept_out() {
    let directory = tempfile::tempdir().unwrap();
    let (_catalog, _) = Catalog::open(&Place::Directory(directory.path().to_owned())).unwrap();
    let Ok(python) = std::process::Command::new("python3")
        .args(["-c", "import sqlite3,sys; sqlite3.connect(sys.argv[1]).execute('select * from blocks')"])
        .arg(directory.path().join("catalog.db"))
        .output()
    else {
        return; // no Python here
    };
    let text = String::from_utf8_lossy(&python.stderr);
    assert!(text.contains("locked") || text.contains("No module"), "{text}");
}

fn damaged(contents: BTreeMap<String, Vec<u8>>) {
    let files = Arc::new(MemoryFiles::holding(contents));
    let (catalog, report) = Catalog::open(&Place::Files(files.clone())).unwrap();
    match report {
        OpenReport::Opened => assert_eq!(catalog.blocks().unwrap(), (1..=40).map(row).collect::<Vec<_>>()),
        OpenReport::Fresh => assert!(catalog.blocks().unwrap().is_empty()),
        OpenReport::Damaged { set_aside, .. } => {
            assert!(files.exists(&set_aside).unwrap());
            assert!(catalog.blocks().unwrap().is_empty() && catalog.flushed().unwrap().is_empty());
        }
        OpenReport::Restored { .. } => panic!("the catalog has no copy"),
    }
    catalog.commit(&Change { add: &[row(500)], ..Change::default() }).unwrap();
    drop(catalog);
    assert_eq!(Catalog::open(&Place::Files(files)).unwrap().1, OpenReport::Opened);
}

fn sound() -> BTreeMap<String, Vec<u8>> {
    let (files, place) = memory();
    let (catalog, _) = Catalog::open(&place).unwrap();
    let rows: Vec<BlockRow> = (1..=40).map(row).collect();
    catalog.commit(&Change { add: &rows, flushed: &[(2, 9)], ..Change::default() }).unwrap();
    drop(catalog);
    files.contents()
}

#[test]
fn a_changed_number_in_a_row_is_noticed() {
    let files = Arc::new(MemoryFiles::holding(sound()));
    let (catalog, _) = Catalog::open(&Place::Files(files.clone())).unwrap();
    catalog.database.lock().connection.execute("UPDATE blocks SET items = 5 WHERE id = 3", []).unwrap();
    assert!(matches!(catalog.blocks(), Err(CatalogError::Damaged(what)) if what.contains("block 3")));
    drop(catalog);
    assert!(matches!(Catalog::open(&Place::Files(files)).unwrap().1, OpenReport::Damaged { .. }));
}

#[test]
fn a_lost_row_is_noticed() {
    let files = Arc::new(MemoryFiles::holding(sound()));
    let (catalog, _) = Catalog::open(&Place::Files(files.clone())).unwrap();
    catalog.database.lock().connection.execute("DELETE FROM blocks WHERE id = 3", []).unwrap();
    drop(catalog);
    assert!(matches!(Catalog::open(&Place::Files(files)).unwrap().1, OpenReport::Damaged { .. }));
}

#[test]
fn every_operation_may_fail_once() {
    for kind in [ErrorKind::Other, ErrorKind::StorageFull] {
        for at in 1..60 {
            let (files, place) = memory();
            let (catalog, _) = Catalog::open(&place).unwrap();
            files.fail_after(at, kind);
            let mut model = BTreeMap::new();
            for id in 1..40 {
                match catalog.commit(&Change { add: &[row(id)], remove: &[id / 2], flushed: &[] }) {
                    Ok(()) => {
                        model.remove(&(id / 2));
                        model.insert(id, row(id));
                    }
                    Err(CatalogError::Full(_)) => assert_eq!(kind, ErrorKind::StorageFull),
                    Err(CatalogError::Disk(_)) => {}
                    Err(other) => panic!("{other}"),
                }
                let expected: Vec<BlockRow> = model.values().cloned().collect();
                assert_eq!(catalog.blocks().unwrap(), expected, "operation {at}, commit {id}");
            }
            assert!(model.len() >= 18, "one failure costs one commit");
            drop(catalog);
            let (catalog, report) = Catalog::open(&Place::Files(files)).unwrap();
            assert_eq!(report, OpenReport::Opened);
            assert_eq!(catalog.blocks().unwrap(), model.into_values().collect::<Vec<_>>());
        }
    }
}

type Rows = BTreeMap<u64, BlockRow>;

fn change(model: &Rows, add: &[u64], remove: &[u64]) -> Rows {
    let mut next = model.clone();
    remove.iter().for_each(|id| {
        next.remove(id);
    });
    next.extend(add.iter().map(|&id| (id, row(id))));
    next
}

/// Commits until the power goes; returns the states that may be found afterwards.
fn run_until_cut(files: &Arc<MemoryFiles>, from: &Rows, commits: &[(Vec<u64>, Vec<u64>)]) -> (Rows, Option<Rows>) {
    let Ok((catalog, _)) = Catalog::open(&Place::Files(files.clone())) else { return (from.clone(), None) };
    let mut acknowledged = from.clone();
    assert_eq!(catalog.blocks().unwrap(), acknowledged.values().cloned().collect::<Vec<_>>());
    for (add, remove) in commits {
        let rows: Vec<BlockRow> = add.iter().map(|&id| row(id)).collect();
        let next = change(&acknowledged, add, remove);
        if catalog.commit(&Change { add: &rows, remove, flushed: &[(1, 1)] }).is_err() {
            return (acknowledged, Some(next));
        }
        acknowledged = next;
    }
    (acknowledged, None)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn power_cuts_lose_nothing_acknowledged(
        seed: u64,
        rounds in prop::collection::vec(
            (1u64..120, prop::collection::vec((prop::collection::vec(1u64..30, 0..4),
                                               prop::collection::vec(1u64..30, 0..4)), 1..60)), 1..4),
    ) {
        let mut state = seed;
        let mut random = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 33
        };
        let mut files = Arc::new(MemoryFiles::default());
        let mut model = Rows::new();
        for (cut_after, commits) in rounds {
            files.cut_after(cut_after);
            let (acknowledged, in_flight) = run_until_cut(&files, &model, &commits);
            files = Arc::new(files.after_cut(&mut random));
            let (catalog, report) = Catalog::open(&Place::Files(files.clone())).unwrap();
            prop_assert!(matches!(report, OpenReport::Opened | OpenReport::Fresh), "{report:?}");
            let found: Rows = catalog.blocks().unwrap().into_iter().map(|row| (row.id, row)).collect();
            prop_assert!(found == acknowledged || Some(&found) == in_flight.as_ref(),
                "found {:?}, acknowledged {:?}", found.keys(), acknowledged.keys());
            model = found;
        }
    }

    #[test]
    fn flipped_bits_are_noticed(flips in prop::collection::vec((any::<prop::sample::Index>(), 1u8..=255), 1..4)) {
        let mut contents = sound();
        let file = contents.get_mut("catalog.db").unwrap();
        for (index, xor) in flips {
            let at = index.index(file.len());
            file[at] ^= xor;
        }
        // A flip may reach the version number, whose refusal is the right answer too.
        let version = i32::from_be_bytes(contents["catalog.db"][60..64].try_into().unwrap());
        if i64::from(version) <= SCHEMA.version {
            damaged(contents);
        }
    }

    #[test]
    fn truncated_files_are_noticed(index: prop::sample::Index) {
        let mut contents = sound();
        let file = contents.get_mut("catalog.db").unwrap();
        file.truncate(index.index(file.len()));
        damaged(contents);
    }

    #[test]
    fn noise_is_noticed(noise in prop::collection::vec(any::<u8>(), 1..20_000), log: bool) {
        let mut contents = sound();
        contents.insert(if log { "catalog.db-wal" } else { "catalog.db" }.to_owned(), noise);
        damaged(contents);
    }
}
