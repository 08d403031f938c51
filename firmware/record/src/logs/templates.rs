//! Skeletons of an epoch, and which of them an entry has.
//!
//! Streams keep to few of the skeletons, and to some more than to others: each group of streams (a stream's
//! reference, modulo the number of groups) numbers those it uses by first use and learns how often each
//! comes.

use super::super::RecordError;
use super::super::coder::Coder;
use super::super::range_coder::Probability;
use super::slots::Slot;
use hashbrown::HashMap;

/// Skeletons, their slots and their bytes that an epoch may define; entries with others go in as they are.
pub(super) const TEMPLATES_MAX: usize = (1 << TEMPLATE_BITS) - 1;
const TEMPLATE_BITS: u32 = 14;
const SLOTS_MAX: usize = 48 << 10;
const SKELETON_BYTES_MAX: usize = 2 << 20;
/// In the place of a template's number: the entry goes in as it is.
pub(super) const NO_TEMPLATE: usize = TEMPLATES_MAX;

const GROUPS: usize = 64;
const LOCAL: usize = 1024;
/// In the place of a group's number: the template's own follows.
const OTHER: usize = LOCAL - 1;

/// How often the streams of a group use which template.
struct Group {
    tree: Box<[Probability; LOCAL]>,
    templates: Vec<u16>,
    /// Only of the writing side.
    numbers: HashMap<u16, u16>,
}

/// Templates by number, and their slots.
#[derive(Default)]
pub(super) struct Templates {
    first_slots: Vec<u32>,
    pub(super) slots: Vec<Slot>,
    skeleton_bytes: usize,
    groups: HashMap<usize, Group>,
}

impl Templates {
    pub(super) fn len(&self) -> usize {
        self.first_slots.len()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let group = LOCAL * (size_of::<Probability>() + 2 + 6);
        self.slots.capacity() * size_of::<Slot>() + self.first_slots.capacity() * 4 + self.groups.len() * group
    }

    pub(super) fn skeleton_bytes(&self) -> usize {
        self.skeleton_bytes
    }

    /// Takes a new template with so many slots; false when the epoch has no room for it.
    pub(super) fn define(&mut self, skeleton_bytes: usize, slots: usize) -> bool {
        let fits = self.len() < TEMPLATES_MAX
            && self.slots.len() + slots <= SLOTS_MAX
            && self.skeleton_bytes + skeleton_bytes <= SKELETON_BYTES_MAX;
        if fits {
            self.first_slots.push(self.slots.len() as u32);
            self.slots.resize(self.slots.len() + slots, Slot::new());
            self.skeleton_bytes += skeleton_bytes;
        }
        fits
    }

    /// The first of a template's slots.
    pub(super) fn first_slot(&self, template: usize) -> usize {
        self.first_slots.get(template).map_or(0, |&first| first as usize)
    }

    /// Says which template an entry of a stream has. What comes out of reading may be the number after the last one: a
    /// definition follows.
    pub(super) fn code<C: Coder>(
        &mut self,
        stream: usize,
        template: usize,
        coder: &mut C,
    ) -> Result<usize, RecordError> {
        let group = self.groups.entry(stream % GROUPS).or_insert_with(|| Group {
            tree: Box::new([Probability::default(); LOCAL]),
            templates: Vec::new(),
            numbers: HashMap::new(),
        });
        let number = group.numbers.get(&(template as u16)).map_or(OTHER, |&number| usize::from(number));
        let number = coder.symbol(&mut group.tree, number);
        if number != OTHER {
            let known = group.templates.get(number).ok_or(RecordError("unknown template"))?;
            return Ok(usize::from(*known));
        }
        let template = coder.plain(template as u64, TEMPLATE_BITS) as usize;
        if group.templates.len() < OTHER {
            group.numbers.insert(template as u16, group.templates.len() as u16);
            group.templates.push(template as u16);
        }
        Ok(template)
    }
}
