use super::*;

fn delivery(source: &str, sequence: u64, positions: &[(&str, &str)]) -> Delivery {
    let positions = positions.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    Delivery { source: source.into(), sequence, positions }
}

#[test]
fn records_give_back_the_table() {
    let mut table = Deliveries::default();
    let mut replayed = Deliveries::default();
    for delivery in [
        delivery("files", 1, &[("a", "1"), ("b", "2")]),
        delivery("n1/live", 7, &[]),
        delivery("files", 2, &[("a", "9"), ("b", "")]),
    ] {
        let mut record = Vec::new();
        encode_delivery(&delivery, &mut record);
        assert_eq!(replayed.replay(5, &record), Ok(true));
        table.apply(delivery);
    }
    assert_eq!(replayed, table);
    assert_eq!(table.sources["files"].positions, BTreeMap::from([("a".into(), "9".into())]));
    let mut record = Vec::new();
    table.encode(&mut record);
    let mut again = Deliveries::default();
    again.apply(delivery("gone", 1, &[("x", "y")]));
    assert_eq!(again.replay(9, &record), Ok(true));
    table.tabled(9);
    assert_eq!(again, table, "a table stands for all before it");
    for length in 1..record.len() {
        let before = format!("{again:?}");
        assert!(again.replay(10, &record[..length]).is_err(), "cut at {length}");
        assert_eq!(format!("{again:?}"), before);
    }
    assert_eq!(again.replay(10, &[0x11, 1]), Ok(false));
}

#[test]
fn the_journal_is_kept_from_the_newest_table_on() {
    let mut table = Deliveries::default();
    assert_eq!(table.position(50), 50);
    table.apply(delivery("files", 1, &[]));
    assert_eq!(table.position(50), 0, "its records are in the journal alone");
    table.tabled(40);
    assert_eq!(table.position(50), 39);
}

#[test]
fn bytes_are_those_of_what_is_there() {
    let mut table = Deliveries::default();
    for round in 0..100 {
        table.apply(delivery("files", round, &[("a", &"x".repeat(round as usize + 1)), ("b", "1")]));
    }
    table.apply(delivery("files", 200, &[("a", ""), ("b", "")]));
    assert_eq!(table.bytes, "files".len() + ENTRY_BYTES);
    let most = "x".repeat(TABLE_BYTES_MAX);
    assert!(!table.has_room_for(&delivery("files", 201, &[("a", &most)])));
    assert!(table.has_room_for(&delivery("files", 201, &[("a", "1")])));
}
