//! How rows are found by their ids.
//!
//! The first id of each kind is metadata under the kind's name, which page groups have in their filters however short it
//! is. Further ones of the same kind stand in the line, each with a key of 16 hexadecimal digits: of lines, filters know
//! only ids of that length.

use bramble_line::ids::IdKind;

/// The first id of each kind.
pub(super) fn first_ids(ids: &[(IdKind, String)]) -> impl Iterator<Item = (IdKind, &str)> {
    split(ids, true)
}

/// The others.
pub(super) fn more_ids(ids: &[(IdKind, String)]) -> impl Iterator<Item = (IdKind, &str)> {
    split(ids, false)
}

fn split(ids: &[(IdKind, String)], first: bool) -> impl Iterator<Item = (IdKind, &str)> {
    let is_first = move |at: usize| !ids.get(..at).unwrap_or_default().iter().any(|before| before.0 == ids[at].0);
    ids.iter()
        .enumerate()
        .filter(move |(at, _)| is_first(*at) == first)
        .map(|(_, (kind, value))| (*kind, value.as_str()))
}

/// The key of an id that is not the first of its kind: on disk, so this function is part of the format (FNV-1a, with a digit
/// in front so that it is an id to filters).
pub(crate) fn key(kind: IdKind, value: &str) -> String {
    let bytes = kind.as_str().bytes().chain([0]).chain(value.bytes());
    let hash = bytes
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    format!("0{:015x}", hash >> 4)
}
