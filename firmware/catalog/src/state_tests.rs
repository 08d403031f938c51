use super::*;
use crate::testing::MemoryFiles;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn filled() -> BTreeMap<String, Vec<u8>> {
    let files = Arc::new(MemoryFiles::default());
    let (state, report) = State::open(&Place::Files(files.clone())).unwrap();
    assert_eq!(report, OpenReport::Fresh);
    state.put("dashboard.home", b"rows of panels").unwrap();
    state.put("gone", b"").unwrap();
    state.delete("gone").unwrap();
    drop(state);
    files.contents()
}

fn open(contents: BTreeMap<String, Vec<u8>>) -> (Arc<MemoryFiles>, State, OpenReport) {
    let files = Arc::new(MemoryFiles::holding(contents));
    let (state, report) = State::open(&Place::Files(files.clone())).unwrap();
    (files, state, report)
}

#[test]
fn values_come_back() {
    let (_, state, report) = open(filled());
    assert_eq!(report, OpenReport::Opened);
    assert_eq!(state.get("dashboard.home").unwrap().as_deref(), Some(b"rows of panels".as_slice()));
    assert_eq!(state.get("gone").unwrap(), None);
    state.checkpoint("tap.forward", 12).unwrap();
    state.checkpoint("tap.forward", 13).unwrap();
    assert_eq!((state.position("tap.forward").unwrap(), state.position("tap.x").unwrap()), (Some(13), None));
    assert!(matches!(state.position("dashboard.home"), Err(CatalogError::Damaged(_))));
    assert_eq!(state.keys("tap.").unwrap(), ["tap.forward"]);
    assert_eq!(state.keys("").unwrap().len(), 2);
}

#[test]
fn the_copy_takes_the_place_of_a_damaged_or_missing_original() {
    for damage in ["noise", "missing", "empty", "value"] {
        let mut contents = filled();
        match damage {
            "noise" => contents.get_mut(SCHEMA.file).unwrap().fill(0x5a),
            "missing" => drop(contents.remove(SCHEMA.file)),
            "empty" => contents.get_mut(SCHEMA.file).unwrap().clear(),
            _ => {
                let file = contents.get_mut(SCHEMA.file).unwrap();
                let at = file.windows(4).position(|w| w == b"rows").unwrap();
                file[at] ^= 1;
            }
        }
        let (files, state, report) = open(contents);
        assert!(matches!(&report, OpenReport::Restored { .. }), "{damage}: {report:?}");
        assert_eq!(state.get("dashboard.home").unwrap().as_deref(), Some(b"rows of panels".as_slice()), "{damage}");
        state.put("more", b"1").unwrap();
        drop(state);
        let (state, report) = State::open(&Place::Files(files)).unwrap();
        assert_eq!((state.get("more").unwrap(), report), (Some(b"1".to_vec()), OpenReport::Opened));
    }
}

#[test]
fn both_damaged_is_said() {
    let mut contents = filled();
    contents.values_mut().for_each(|file| file.fill(1));
    let (_, state, report) = open(contents);
    assert!(matches!(report, OpenReport::Damaged { .. }), "{report:?}");
    assert_eq!(state.get("dashboard.home").unwrap(), None);
    state.put("dashboard.home", b"again").unwrap();
}

#[test]
fn a_damaged_original_does_not_reach_the_copy() {
    let (files, state, _) = open(filled());
    let damage = "UPDATE entries SET value = x'00' WHERE key = 'dashboard.home'";
    state.inner.lock().database.connection.execute(damage, []).unwrap();
    assert!(matches!(state.put("other", b"x"), Err(CatalogError::Damaged(_))));
    drop(state);
    let (state, report) = State::open(&Place::Files(files)).unwrap();
    assert!(matches!(report, OpenReport::Restored { .. }));
    assert_eq!(state.get("dashboard.home").unwrap().as_deref(), Some(b"rows of panels".as_slice()));
}

#[test]
fn a_damaged_copy_is_replaced() {
    let mut contents = filled();
    contents.get_mut(COPY).unwrap().fill(9);
    let (files, state, report) = open(contents);
    assert_eq!(report, OpenReport::Opened);
    state.put("a", b"b").unwrap();
    drop(state);
    let mut contents = files.contents();
    contents.remove(SCHEMA.file);
    let (_, state, report) = open(contents);
    assert!(matches!(report, OpenReport::Restored { .. }));
    assert_eq!(state.get("a").unwrap(), Some(b"b".to_vec()));
}

#[test]
fn checkpoints_reach_the_copy_in_time() {
    let (files, state, _) = open(filled());
    for position in 0..u64::from(CHECKPOINTS_PER_COPY) {
        state.checkpoint("tap", position).unwrap();
    }
    drop(state);
    let mut contents = files.contents();
    contents.remove(SCHEMA.file);
    let (_, state, _) = open(contents);
    assert_eq!(state.position("tap").unwrap(), Some(u64::from(CHECKPOINTS_PER_COPY) - 1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn power_cuts_lose_no_acknowledged_value(seed: u64, cut_after in 1u64..250) {
        let mut rng = seed;
        let mut random = move || {
            rng = rng.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            rng >> 33
        };
        let files = Arc::new(MemoryFiles::default());
        files.cut_after(cut_after);
        let mut acknowledged = 0u64;
        if let Ok((state, _)) = State::open(&Place::Files(files.clone())) {
            while state.put("n", &(acknowledged + 1).to_le_bytes()).is_ok() {
                acknowledged += 1;
            }
        }
        let (state, report) = State::open(&Place::Files(Arc::new(files.after_cut(&mut random)))).unwrap();
        let found = state.position("n").unwrap().unwrap_or(0);
        prop_assert!(!matches!(report, OpenReport::Damaged { .. }), "{:?}", report);
        prop_assert!(found == acknowledged || found == acknowledged + 1, "{} of {}: {:?}", found, acknowledged, report);
    }
}
