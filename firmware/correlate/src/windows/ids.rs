//! The business ids of an item as one text: items of one request mostly have the same.

use bramble_line::ids::IdKind;

/// Ids of a kind that a correlation tells.
const OF_KIND_MAX: usize = 16;

/// Number of request ids among [`IdKind::BUSINESS`].
pub(crate) fn request_of<'a>(ids: &[&'a str; IdKind::BUSINESS.len()]) -> &'a str {
    let at = IdKind::BUSINESS.iter().position(|&kind| kind == IdKind::Request);
    at.map_or("", |at| ids[at])
}

/// Each id that there is: number of its kind, length, bytes.
pub(crate) fn put_ids(ids: &[&str; IdKind::BUSINESS.len()], out: &mut Vec<u8>) {
    out.clear();
    for (kind, id) in (0u8..).zip(ids).filter(|(_, id)| !id.is_empty()) {
        let id = super::texts::cut(id.as_bytes(), 128);
        out.extend_from_slice(&[kind, id.len() as u8]);
        out.extend_from_slice(id);
    }
}

/// What [`put_ids`] put.
pub(crate) fn ids_of(mut text: &[u8]) -> impl Iterator<Item = (IdKind, &[u8])> {
    std::iter::from_fn(move || {
        let (&[kind, len], rest) = text.split_first_chunk()?;
        let (id, rest) = rest.split_at_checked(usize::from(len))?;
        text = rest;
        Some((*IdKind::BUSINESS.get(usize::from(kind))?, id))
    })
}

/// All ids of these texts: ascending, each once, at most 16 of each kind.
pub(crate) fn all_ids<'a>(texts: impl Iterator<Item = &'a [u8]>) -> Vec<(IdKind, String)> {
    let mut found: Vec<(IdKind, &[u8])> = texts.flat_map(ids_of).collect();
    found.sort_unstable();
    found.dedup();
    let mut ids: Vec<(IdKind, String)> = Vec::with_capacity(found.len().min(OF_KIND_MAX));
    let mut of_kind = 0;
    for (kind, id) in found {
        of_kind = if ids.last().is_some_and(|(last, _)| *last == kind) { of_kind + 1 } else { 1 };
        if of_kind <= OF_KIND_MAX {
            ids.push((kind, String::from_utf8_lossy(id).into_owned()));
        }
    }
    ids
}
