//! A filter over the long ids of a page group: 16 and more letters and digits with a digit among them, and UUIDs, in
//! lines and in values of metadata. They are what people paste into a search, and what templates cannot answer for.
//! Of a run longer than a trace id, but not than [`WINDOWED_MAX`], every piece of a trace id's length is in it too: a trace id
//! that is pasted alone could be a part of it, and would otherwise have to be looked for wherever such a run is.
//! Floating labels, and metadata whose name says that it is an id, are in it as (name, value), however short.
//!
//! ```text
//! filter := varint longest run, varint n, n × 8 bytes of hash          few ids
//!         | varint longest run, 0, descriptor, fingerprints            binary fuse, 8 bits
//! ```

use crate::template::{ID_BYTES_MIN, Id, UUID_BYTES, is_uuid};
use crate::varint::{put, take, take_count};
use bramble_signal::{FLOATING_MARK, LabelsRef};
use foldhash::fast::FixedState;
use std::hash::BuildHasher;
use xorf::{BinaryFuse8, BinaryFuse8Ref, DmaSerializable, Filter, FilterRef};

/// Length of a trace id in hexadecimal digits.
const WINDOW_BYTES: usize = 32;
/// Longest run whose pieces are in filters: digests have 40 or 64 digits, what is longer is no id. Part of the format.
const WINDOWED_MAX: usize = 64;
/// So many hashes back an id is looked for before it is entered again.
const LATEST: usize = 8;
/// Up to this many ids are kept as hashes.
const LISTED_MAX: usize = 24;
/// Hashes are on disk: seed and function are part of the format.
const SEED: u64 = 0x6272_616d_626c_6531;

fn hash(id: &[u8]) -> u64 {
    hash_from(SEED, id)
}

fn mix(state: u64, eight: [u8; 8]) -> u64 {
    let product = u128::from(state ^ u64::from_le_bytes(eight)) * u128::from(0xA076_1D64_78BD_642F_u64);
    (product as u64) ^ ((product >> 64) as u64) ^ 0xE703_7ED1_A0B4_28DB
}

fn hash_from(seed: u64, id: &[u8]) -> u64 {
    // Eight bytes at a time: a fixed function of ours, since a library's hasher may change between versions.
    let mut state = seed ^ (id.len() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let (eights, rest) = id.as_chunks::<8>();
    for &eight in eights {
        state = mix(state, eight);
    }
    if !rest.is_empty() {
        let mut eight = [0u8; 8];
        eight.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        state = mix(state, eight);
    }
    state ^ (state >> 29)
}

/// Calls `found(start, end, is_uuid)` for every id of `text`.
fn ids(text: &[u8], mut found: impl FnMut(usize, usize, bool)) {
    // Wherever a UUID's first hyphen is, whatever surrounds it.
    for at in memchr::memchr_iter(b'-', text).filter(|&at| at >= 8) {
        if is_uuid(text, at - 8) {
            found(at - 8, at - 8 + UUID_BYTES, true);
        }
    }
    // Whatever ends a window's run early moves the window past it, so most bytes are never looked at.
    let mut start = 0;
    while let Some(window) = text.get(start..start + ID_BYTES_MIN) {
        if let Some(gap) = window.iter().rposition(|b| !b.is_ascii_alphanumeric()) {
            start += gap + 1;
            continue;
        }
        let more = text[start + ID_BYTES_MIN..].iter().take_while(|b| b.is_ascii_alphanumeric()).count();
        let end = start + ID_BYTES_MIN + more;
        if text[start..end].iter().any(u8::is_ascii_digit) {
            found(start, end, false);
        }
        start = end + 1;
    }
}

/// The hash of a value under a name: its own when all of it is an id, so that an id that is both in lines and in
/// metadata takes no more room.
fn field_hash(name: &str, value: &str) -> u64 {
    let mut whole = false;
    ids(value.as_bytes(), |start, end, _| whole |= start == 0 && end == value.len());
    if whole { hash(value.as_bytes()) } else { named_hash(name.as_bytes(), value.as_bytes()) }
}

fn named_hash(name: &[u8], value: &[u8]) -> u64 {
    hash_from(hash(name), value)
}

/// The hash of a name, the same for ever: part of formats.
pub(crate) fn name_hash(name: &str) -> u64 {
    hash(name.as_bytes())
}

/// Whether metadata of this name is in filters by its value, however short: `trace_id`, `requestId`, `span.id`, `id`.
/// Part of the format.
pub(crate) fn is_id_name(name: impl AsRef<[u8]>) -> bool {
    let name = name.as_ref();
    let Some((stem, b"id" | b"ID" | b"Id")) = name.split_last_chunk::<2>() else {
        return false;
    };
    let apart = matches!(stem.last(), None | Some(b'_' | b'.' | b'-'));
    apart || !name.ends_with(b"id") || matches!(name, b"traceid" | b"spanid" | b"requestid")
}

/// Gathers the ids of a group.
#[derive(Default)]
pub(crate) struct FilterBuilder {
    hashes: Vec<u64>,
    longest: usize,
}

impl FilterBuilder {
    /// Adds a line, or a value. Returns whether all of it is one id.
    pub(crate) fn add(&mut self, line: &[u8]) -> bool {
        let mut whole = false;
        ids(line, |start, end, uuid| {
            whole |= start == 0 && end == line.len();
            self.add_run(&line[start..end], uuid);
        });
        whole
    }

    /// Adds a hash, unless it was among the last ones: an id that is both in a line and in its metadata is sorted once.
    fn put(&mut self, hash: u64) {
        if !self.hashes.iter().rev().take(LATEST).any(|&known| known == hash) {
            self.hashes.push(hash);
        }
    }

    fn add_run(&mut self, run: &[u8], uuid: bool) {
        self.put(hash(run));
        if !uuid {
            self.longest = self.longest.max(run.len());
            if (WINDOW_BYTES + 1..=WINDOWED_MAX).contains(&run.len()) {
                self.hashes.extend(run.windows(WINDOW_BYTES).map(hash));
            }
        }
    }

    /// Adds an id of `line`.
    pub(crate) fn add_id(&mut self, line: &[u8], id: Id) {
        self.add_run(line.get(id.start as usize..id.end as usize).unwrap_or_default(), id.uuid);
    }

    /// Adds the metadata of an entry: ids in values, floating labels, and what is named as an id.
    pub(crate) fn add_metadata(&mut self, metadata: LabelsRef<'_>) {
        for (name, value) in metadata.iter_bytes() {
            let whole = value.len() >= ID_BYTES_MIN && self.add(value);
            // A value that is an id is there already.
            if whole {
                continue;
            }
            let floating = name.strip_prefix(&[FLOATING_MARK as u8]);
            if let Some(name) = floating.or_else(|| is_id_name(name).then_some(name)) {
                self.put(named_hash(name, value));
            }
        }
    }

    /// Appends the filter and starts anew.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        self.hashes.sort_unstable();
        self.hashes.dedup();
        put(out, self.longest as u64);
        let fuse = if self.hashes.len() > LISTED_MAX { BinaryFuse8::try_from(&self.hashes).ok() } else { None };
        match fuse {
            Some(fuse) => {
                put(out, 0);
                let mut descriptor = vec![0; BinaryFuse8::DESCRIPTOR_LEN];
                fuse.dma_copy_descriptor_to(&mut descriptor);
                out.extend_from_slice(&descriptor);
                out.extend_from_slice(fuse.dma_fingerprints());
            }
            None => {
                // One more than there are, so that zero means the other form.
                put(out, self.hashes.len() as u64 + 1);
                out.extend(self.hashes.iter().flat_map(|h| h.to_le_bytes()));
            }
        }
        self.hashes.clear();
        self.longest = 0;
    }
}

/// A text that must be in a line, as far as filters can answer for it.
#[derive(Clone, Debug)]
pub(crate) struct Needle {
    hashes: Vec<Wanted>,
}

/// The hash of an id that must be there in groups whose longest run has at most so many bytes.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    hash: u64,
    longest_max: usize,
}

impl Needle {
    /// What filters can say of `text`; `None` when it has no id.
    pub(crate) fn new(text: &[u8]) -> Option<Needle> {
        let mut hashes = Vec::new();
        ids(text, |start, end, uuid| {
            // At an end of the text the line's own run may go on.
            let whole = uuid || (start > 0 && end < text.len());
            let longest_max = if whole { usize::MAX } else { end - start };
            hashes.push(Wanted { hash: hash(&text[start..end]), longest_max });
            // Whatever run this is a part of, its first piece is there as that run itself or as a piece of it.
            if !whole && let Some(window) = text[start..end].get(..WINDOW_BYTES) {
                hashes.push(Wanted { hash: hash(window), longest_max: WINDOWED_MAX });
            }
        });
        (!hashes.is_empty()).then_some(Needle { hashes })
    }

    /// An entry's floating label `name` (without the mark), or its metadata of that name, is `value`. Filters know
    /// all floating labels, but metadata only of names that [`is_id_name`] accepts.
    pub(crate) fn field(name: &str, value: &str) -> Needle {
        Needle { hashes: vec![Wanted { hash: field_hash(name, value), longest_max: usize::MAX }] }
    }

    /// Whether an entry of the group whose filter this is may contain the text, or have the field. A damaged filter
    /// says yes.
    pub(crate) fn may_be_in(&self, filter: &[u8]) -> bool {
        may_be_in(&self.hashes, filter).unwrap_or(true)
    }
}

fn may_be_in(wanted: &[Wanted], mut filter: &[u8]) -> Option<bool> {
    let longest = take_count(&mut filter, 1 << 30)?;
    let listed = take(&mut filter)?;
    // A run that could be part of a longer one is not in the filter by itself.
    let mut certain = wanted.iter().filter(|wanted| wanted.longest_max >= longest).map(|wanted| wanted.hash);
    if listed > 0 {
        let hashes: Vec<u64> =
            filter.chunks_exact(8).filter_map(|c| c.try_into().ok().map(u64::from_le_bytes)).collect();
        return (hashes.len() as u64 + 1 == listed).then(|| certain.all(|hash| hashes.binary_search(&hash).is_ok()));
    }
    let (descriptor, fingerprints) = filter.split_at_checked(BinaryFuse8::DESCRIPTOR_LEN)?;
    if !sane(descriptor, fingerprints.len()) {
        return None;
    }
    let fuse = BinaryFuse8Ref::from_dma(descriptor, fingerprints);
    Some(certain.all(|hash| fuse.contains(&hash)))
}

/// Whether every index that the descriptor can produce is below `fingerprints`: seed, segment length, its mask,
/// length of all segments but the last two.
fn sane(descriptor: &[u8], fingerprints: usize) -> bool {
    let word = |at: usize| {
        descriptor
            .get(at..at + 4)
            .and_then(|b| b.try_into().ok())
            .map_or(u64::MAX, |b| u64::from(u32::from_le_bytes(b)))
    };
    let (length, mask, count_length) = (word(8), word(12), word(16));
    length.is_power_of_two() && mask == length - 1 && count_length + 2 * length <= fingerprints as u64
}

/// A hash of this process only, for dictionaries and deduplication.
pub(crate) fn local_hash(bytes: &[u8], seed: u64) -> u64 {
    FixedState::with_seed(seed).hash_one(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn filter_of(lines: &[Vec<u8>]) -> Vec<u8> {
        let mut builder = FilterBuilder::default();
        lines.iter().for_each(|line| _ = builder.add(line));
        let mut out = Vec::new();
        builder.finish(&mut out);
        out
    }

    #[test]
    fn hashes_on_disk_stay_what_they_are() {
        for (id, expected) in [
            ("", 0x6272616e71ff6e5a),
            ("hello", 0x23df672087bbad78),
            ("0123456789abcdef", 0xa3b36bbe4d684ea4),
            ("0af7651916cd43dd8448eb211c80319c", 0x2310d22af68b64f6),
            ("f81d4fae-7dec-11d0-a765-00a0c91e6bf6", 0xb33010bb04a05873),
        ] {
            assert_eq!(hash(id.as_bytes()), expected, "{id}");
        }
    }

    #[test]
    fn absent_ids_are_skipped_and_present_ones_found() {
        let id = |n: u64| format!("{:032x}", u128::from(n).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835));
        for count in [3, 3000] {
            let lines: Vec<Vec<u8>> =
                (1..=count).map(|n| format!(r#"{{"trace_id":"{}"}}"#, id(n)).into_bytes()).collect();
            let filter = filter_of(&lines);
            let skipped =
                (1..=count).filter(|n| !Needle::new(id(n + count).as_bytes()).unwrap().may_be_in(&filter)).count();
            assert!(skipped as u64 >= count * 98 / 100, "{skipped} of {count}");
            assert!((1..=count).all(|n| Needle::new(id(n).as_bytes()).unwrap().may_be_in(&filter)));
        }
        assert!(Needle::new(b"error").is_none());
    }

    #[test]
    fn fields_are_found_by_name_and_value() {
        let id = "0af7651916cd43dd8448eb211c80319c";
        let mut metadata = Vec::new();
        let pairs = [("\u{1}order", "7"), ("note", "x1"), ("request_id", "r-1"), ("trace_id", id)];
        bramble_signal::labels::encode_sorted(pairs, &mut metadata);
        let mut builder = FilterBuilder::default();
        builder.add_metadata(LabelsRef::parse(&metadata).unwrap());
        let mut filter = Vec::new();
        builder.finish(&mut filter);
        let may_have = |name: &str, value: &str| Needle::field(name, value).may_be_in(&filter);
        assert!(may_have("order", "7") && may_have("request_id", "r-1") && may_have("trace_id", id));
        assert!(!may_have("order", "8") && !may_have("request_id", "7") && !may_have("trace_id", "r-1"));
        assert!(Needle::new(id.as_bytes()).unwrap().may_be_in(&filter), "a line may name it too");
        assert!(["id", "span.id", "requestId", "traceID", "traceid"].into_iter().all(is_id_name));
        assert!(!["valid", "paid", "level", "ids"].into_iter().any(is_id_name));
    }

    proptest! {
        #[test]
        fn no_part_of_a_line_is_ever_missed(
            lines in prop::collection::vec("[a-f0-9]{0,75}[ -]?(f81d4fae-7dec-11d0-a765-00a0c91e6bf6)?[a-f0-9]{0,20}", 1..40),
            from in 0usize..90, len in 0usize..70, which in 0usize..40
        ) {
            let lines: Vec<Vec<u8>> = lines.into_iter().map(String::into_bytes).collect();
            let filter = filter_of(&lines);
            let line = &lines[which % lines.len()];
            let from = from.min(line.len());
            let needle = &line[from..(from + len).min(line.len())];
            if let Some(needle) = Needle::new(needle) {
                prop_assert!(needle.may_be_in(&filter));
            }
        }

        #[test]
        fn splitting_finds_the_same_ids(
            line in r#"(\{"a":")?([0-9a-g]{0,20}[- :"]?|f81d4fae-7dec-11d0-a765-00a0c91e6bf6|aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee|2026-11-19T00:00:00Z|":"){0,6}"#
        ) {
            let line = line.as_bytes();
            let (mut template, mut tokens, mut found) = (Vec::new(), Vec::new(), Vec::new());
            prop_assert!(crate::template::split_with_ids(line, &mut template, &mut tokens, &mut found));
            let (mut split, mut searched) = (FilterBuilder::default(), FilterBuilder::default());
            found.iter().for_each(|&id| split.add_id(line, id));
            searched.add(line);
            for hashes in [&mut split.hashes, &mut searched.hashes] {
                hashes.sort_unstable();
                hashes.dedup();
            }
            prop_assert_eq!(split.hashes, searched.hashes);
            prop_assert_eq!(split.longest, searched.longest);
        }

        #[test]
        fn damage_is_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            Needle::new(b"0123456789abcdef0").unwrap().may_be_in(&bytes);
        }
    }
}
