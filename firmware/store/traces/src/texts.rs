//! Columns of byte strings.
//!
//! A column is a list of distinct strings in the order of first use, and a number per value; or per trace, when each trace
//! has one value only, as request and customer ids do. Numbers are plain when there are few distinct strings; else each
//! value says whether it repeats the one before, is the next new one, or refers to an older one. Where strings are a
//! prefix and a number and hardly repeat, the column is those numbers and there is no list.

use crate::bytes::{put_bytes, put_varint, take_array, take_bytes, take_count};
use crate::interner::Interner;
pub(crate) use crate::lists::{TextList, put_list};
use crate::lists::{number_of, numbered};
use crate::numbers::{put_codes, put_u64s, take_codes, take_u64s};

/// Most distinct strings for which each value's number is stored plainly.
const FEW: usize = 256;

/// How the numbers of values are stored, second byte of a column: which list entry is the same as the one before, new or
/// older; plainly; or not at all, where the strings are numbers themselves that hardly repeat.
const STEPS: u8 = 0;
pub(crate) const CODES: u8 = 1;
pub(crate) const DIRECT: u8 = 2;

const SAME: u32 = 0;
const NEW: u32 = 1;
const REFERENCE: u32 = 2;

/// A column of byte strings being built.
#[derive(Default)]
pub(crate) struct TextColumn {
    list: Interner,
    /// One per value.
    ids: Vec<u32>,
    /// One per trace that has the column, while `one_per_trace`.
    trace_ids: Vec<u32>,
    last_trace: Option<u32>,
    varies: bool,
}

impl TextColumn {
    /// Appends a value of the span's trace (ordinal in the group, ascending). Returns by how many bytes it grew.
    pub(crate) fn push(&mut self, trace: u32, bytes: &[u8]) -> usize {
        let before = self.list.text_bytes();
        let id = match self.ids.last() {
            Some(&last) if self.list.get(last) == bytes => last,
            _ => self.list.intern(bytes).0,
        };
        self.ids.push(id);
        let grown = self.list.text_bytes() - before + 8;
        if self.varies {
            return grown;
        }
        if self.last_trace != Some(trace) {
            self.last_trace = Some(trace);
            self.trace_ids.push(id);
        } else if self.trace_ids.last() != Some(&id) {
            self.varies = true;
            self.trace_ids = Vec::new();
        }
        grown
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Text held, for bounding a group.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.list.memory_bytes() + (self.ids.capacity() + self.trace_ids.capacity()) * 4
    }

    /// The prefix' length, width and number of each string, when numbers by value take less than a list and references.
    fn direct(&self, ids: &[u32]) -> Option<(usize, usize, Vec<u64>)> {
        if self.list.len() < 8 || self.list.len() < ids.len() / 16 {
            return None;
        }
        let (prefix, width) = numbered(&self.list)?;
        let numbers: Vec<u64> = self.list.iter().map(|s| number_of(s, prefix)).collect();
        let (low, high) = (numbers.iter().min()?, numbers.iter().max()?);
        let each = ((high - low) as f64 + 1.0).log2();
        let (values, distinct) = (ids.len() as f64, self.list.len() as f64);
        let references = if self.list.len() <= FEW {
            values * distinct.log2()
        } else {
            let (mut last, mut same) = (u32::MAX, 0.0);
            for &id in ids {
                same += f64::from(u8::from(id == last));
                last = id;
            }
            let older = (values - same - distinct).max(0.0);
            // A bit says which of the three each value is, about.
            let bits = |n: f64| if n > 0.0 { n * (values / n).log2() } else { 0.0 };
            older * distinct.log2() + bits(same) + bits(older) + bits(distinct)
        };
        (values * each < distinct * each + references).then_some((prefix, width, numbers))
    }

    /// What the column takes when it is read.
    pub(crate) fn decoded_bytes(&self) -> usize {
        let ids = if self.varies { &self.ids } else { &self.trace_ids };
        self.list.text_bytes() + (self.list.len() + ids.len()) * 4
    }

    /// Appends the column.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        let per_trace = !self.varies;
        out.push(u8::from(per_trace));
        let ids = if per_trace { &self.trace_ids } else { &self.ids };
        let few = self.list.len() <= FEW;
        if let Some((prefix, width, numbers)) = self.direct(ids) {
            out.push(DIRECT);
            put_bytes(out, self.list.get(0).get(..prefix).unwrap_or(&[]));
            put_varint(out, width as u64);
            let numbers = ids.iter().map(|id| numbers.get(*id as usize).copied().unwrap_or(0));
            put_u64s(out, &numbers.collect::<Vec<_>>());
            return;
        }
        out.push(if few { CODES } else { STEPS });
        if few {
            put_codes(out, ids);
        } else {
            let (mut operations, mut references) = (Vec::with_capacity(ids.len()), Vec::new());
            let (mut last, mut next) = (u32::MAX, 0);
            for &id in ids {
                operations.push(if id == last {
                    SAME
                } else if id == next {
                    next += 1;
                    NEW
                } else {
                    references.push(id);
                    REFERENCE
                });
                last = id;
            }
            put_codes(out, &operations);
            put_codes(out, &references);
        }
        put_list(out, &self.list);
    }
}

/// A column of byte strings, read.
#[derive(Debug)]
pub(crate) struct Texts {
    /// There is one number per trace instead of one per value.
    pub(crate) per_trace: bool,
    /// Numbers into the list.
    pub(crate) ids: Vec<u32>,
    /// The distinct strings.
    pub(crate) list: TextList,
}

impl Texts {
    /// Reads what [`TextColumn::put`] wrote; `None` when damaged.
    pub(crate) fn take(bytes: &mut &[u8]) -> Option<Self> {
        let [per_trace, form] = take_array(bytes)?;
        if form == DIRECT {
            let (ids, list) = take_direct(bytes)?;
            return Some(Texts { per_trace: per_trace != 0, ids, list });
        }
        let ids = if form == CODES {
            take_codes(bytes)?
        } else {
            let (operations, references) = (take_codes(bytes)?, take_codes(bytes)?);
            let mut references = references.into_iter();
            let (mut last, mut next) = (0, 0);
            let mut ids = Vec::with_capacity(operations.len());
            for operation in operations {
                last = match operation {
                    SAME => last,
                    NEW => {
                        next += 1;
                        next - 1
                    }
                    _ => references.next()?,
                };
                ids.push(last);
            }
            ids
        };
        Some(Texts { per_trace: per_trace != 0, ids, list: TextList::take(bytes)? })
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.ids.capacity() * 4 + self.list.memory_bytes()
    }
}

/// Numbers by value become a list of distinct ones, ascending, and references again.
fn take_direct(bytes: &mut &[u8]) -> Option<(Vec<u32>, TextList)> {
    let prefix = take_bytes(bytes)?;
    let width = take_count(bytes, 18)?;
    let values = take_u64s(bytes)?;
    let mut order: Vec<(u64, u32)> = values.iter().copied().zip(0..).collect();
    order.sort_unstable();
    let (mut ids, mut distinct) = (vec![0; values.len()], Vec::new());
    for (value, at) in order {
        if distinct.last() != Some(&value) {
            distinct.push(value);
        }
        *ids.get_mut(at as usize)? = distinct.len() as u32 - 1;
    }
    let mut list = TextList::default();
    list.push_numbered(prefix, width, distinct)?;
    Some((ids, list))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn columns_round_trip(values in prop::collection::vec((0u32..3, 0u32..600), 0..800), odd in any::<bool>()) {
            let mut column = TextColumn::default();
            let mut trace = 0;
            let mut expected = Vec::new();
            for (step, value) in values {
                trace += step;
                let text = if odd && value % 7 == 0 { "other".to_owned() } else { format!("value {value}") };
                column.push(trace, text.as_bytes());
                expected.push((trace, text));
            }
            let mut out = Vec::new();
            column.put(&mut out);
            let back = Texts::take(&mut out.as_slice()).unwrap();
            if back.per_trace {
                expected.dedup();
            }
            let texts: Vec<&[u8]> = back.ids.iter().map(|&id| back.list.get(id)).collect();
            let expected: Vec<&[u8]> = expected.iter().map(|(_, t)| t.as_bytes()).collect();
            prop_assert_eq!(texts, expected);
        }
    }
}
