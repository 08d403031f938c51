//! What a parser's filter asks: that a line mentions a text, or that the entry has it under a name.
//!
//! Templates answer for lines at once, and are wrong only for groups with metadata of that name. Which these are, the index
//! says by name ([`Names`]), and for floating labels and ids the groups' filters say by value. Elsewhere the tests on lines
//! alone decide, without a group being read for it.

use super::examine::{Asked, CHECK_EVERY, Hits};
use super::outlook::Outlook;
use super::selection::{Selection, Test};
use crate::block::index::Names;
use crate::chunk::Chunk;
use crate::dictionary::Dictionary;
use crate::filter::{self, Needle};
use crate::group::Group;
use bramble_signal::{FLOATING_MARK, LabelsRef, floating_label};
use bramble_storage::{Mention, QueryContext, ReadError};
use std::ops::Range;

/// A text that lines mention or entries have under a name.
pub(crate) struct Mentioned {
    name: String,
    /// The name of the floating label.
    marked: String,
    text: String,
    /// What lines say.
    pub(super) test: Test,
}

impl Mentioned {
    /// What `mention` asks.
    pub(super) fn new(mention: &Mention<'_>) -> Mentioned {
        let Mention { name, text } = *mention;
        let marked = format!("{FLOATING_MARK}{name}");
        Mentioned { name: name.to_owned(), marked, text: text.to_owned(), test: Test::mentions(text.as_bytes()) }
    }

    /// Whether the stream has it.
    pub(super) fn is_of(&self, labels: LabelsRef<'_>) -> bool {
        labels.get(&self.name) == Some(&self.text)
    }

    /// Whether metadata of this name may have it.
    pub(super) fn reads(&self, name: &str) -> bool {
        floating_label(name).unwrap_or(name) == self.name
    }

    /// Whether an entry passes.
    pub(super) fn accepts(&self, line: &[u8], metadata: LabelsRef<'_>) -> bool {
        self.test.accepts(line) || self.is_in(metadata)
    }

    fn is_in(&self, metadata: LabelsRef<'_>) -> bool {
        metadata.iter().any(|(name, value)| value == self.text && self.reads(name))
    }
}

/// What can be told of the groups of a stream before they are read.
pub(crate) struct Sought {
    /// What the filter of every group that has a passing entry knows.
    pub(super) needles: Vec<Needle>,
    mentions: Vec<SoughtMention>,
    /// Whether the stream has one of the texts, so that no line decides about that.
    settled: bool,
}

/// A mention that the stream leaves to its entries.
struct SoughtMention {
    name: String,
    marked: String,
    needle: Needle,
    /// Whether filters know metadata of this name.
    is_id: bool,
}

impl Sought {
    /// `mentions`: those of the selection that a stream leaves to its entries; `settled`: whether there were others.
    pub(super) fn new(needles: Vec<Needle>, mentions: &[&Mentioned], settled: bool) -> Sought {
        let mentions = mentions.iter().map(|mention| SoughtMention {
            name: mention.name.clone(),
            marked: mention.marked.clone(),
            needle: Needle::field(&mention.name, &mention.text),
            is_id: filter::is_id_name(&mention.name),
        });
        Sought { needles, mentions: mentions.collect(), settled }
    }

    /// Whether entries of some group may pass by what they have.
    pub(super) fn is_apart_somewhere(&self) -> bool {
        self.settled || !self.mentions.is_empty()
    }

    /// Whether entries of a group with these names may pass by what they have, whatever their lines.
    pub(super) fn is_apart(&self, names: Names) -> bool {
        self.settled || self.named(names).next().is_some()
    }

    /// The same, when its filter is known too.
    pub(super) fn is_apart_by(&self, names: Names, filter: &[u8]) -> bool {
        let may_have = |mention: &SoughtMention| {
            // Filters know all floating labels.
            let known = mention.is_id || !names.may_have(&mention.name);
            !known || mention.needle.may_be_in(filter)
        };
        self.settled || self.named(names).any(may_have)
    }

    /// Whether a group that was read has no metadata by which an entry could pass.
    pub(super) fn is_not_in(&self, group: &Group) -> bool {
        let reads = |name: &str| self.mentions.iter().any(|m| name == m.name || name == m.marked);
        !self.settled && !group.has_metadata_of(&reads)
    }

    /// Whether the filter of a group with these names has something to say.
    pub(super) fn asks_filter(&self, names: Names) -> bool {
        !self.needles.is_empty() || (!self.settled && self.named(names).next().is_some())
    }

    fn named(&self, names: Names) -> impl Iterator<Item = &SoughtMention> {
        self.mentions.iter().filter(move |m| names.may_have(&m.name) || names.may_have(&m.marked))
    }
}

/// What a stream's dictionary says of each mention by itself, for groups whose entries may have what lines do not mention.
pub(crate) struct Apart {
    /// Of the tests on lines; `None`: there are none.
    pub(super) lines: Option<Outlook>,
    /// Of the mentions that the stream leaves to its entries.
    mentions: Vec<Outlook>,
}

impl Apart {
    /// Asks `dictionary`.
    pub(super) fn new(selection: &Selection, mentions: &[&Mentioned], dictionary: &Dictionary) -> Apart {
        let lines = selection.lines();
        Apart {
            lines: (!lines.is_empty()).then(|| Outlook::new(lines.iter(), dictionary)),
            mentions: mentions.iter().map(|m| Outlook::new(std::iter::once(&m.test), dictionary)).collect(),
        }
    }

    /// Memory held, about, in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        self.lines.iter().chain(&self.mentions).map(Outlook::memory_bytes).sum()
    }
}

impl Asked<'_> {
    /// The entries of a group that pass, some of which may do so by what they have.
    ///
    /// # Errors
    /// When the query is cancelled or timed out.
    pub(super) fn of_apart(&self, chunk: &Chunk, times: (i64, i64), apart: &Apart) -> Result<Hits, ReadError> {
        let Chunk::Group(group) = chunk else { return self.of(chunk, times, None) };
        let range = self.range(chunk, times);
        let mut hits = match &apart.lines {
            Some(outlook) => {
                self.by_template(group, range, outlook, &self.selection.lines().iter().collect::<Vec<_>>())?
            }
            None => Hits::All(range),
        };
        for (mention, outlook) in self.entries.mentions().iter().zip(&apart.mentions) {
            let Some(range) = hull(&hits) else { break };
            let in_lines = self.by_template(group, range, outlook, &[&mention.test])?;
            hits = self.mentioned_or_had(group, mention, hits, &in_lines)?;
        }
        self.by_metadata(chunk, hits)
    }

    /// Which of `hits` are among `in_lines`, or have what is asked for.
    fn mentioned_or_had(
        &self,
        group: &Group,
        mention: &Mentioned,
        hits: Hits,
        in_lines: &Hits,
    ) -> Result<Hits, ReadError> {
        let columns = [group.values_of(&mention.marked), group.values_of(&mention.name)];
        let (mut list, mut scratch, mut mentioned) = (Vec::new(), Vec::new(), in_lines.iter().peekable());
        for (nth, at) in hits.iter().enumerate() {
            if nth % CHECK_EVERY == 0 {
                self.context.map_or(Ok(()), QueryContext::check)?;
            }
            while mentioned.next_if(|&before| before < at).is_some() {}
            let passes = mentioned.peek() == Some(&at)
                || match &columns {
                    [Ok(marked), Ok(own)] => [marked, own]
                        .into_iter()
                        .flatten()
                        .any(|values| values.get(at, &mut scratch) == Some(mention.text.as_bytes())),
                    _ => {
                        scratch.clear();
                        group.put_metadata_of(at, &|name| mention.reads(name), &mut scratch);
                        mention.is_in(LabelsRef::from_encoded(&scratch))
                    }
                };
            if passes {
                list.push(at as u32);
            }
        }
        Ok(Hits::Some(list))
    }
}

/// From the first to the last of them; `None` when there are none.
fn hull(hits: &Hits) -> Option<Range<usize>> {
    let last = hits.len().checked_sub(1)?;
    Some(hits.get(0)..hits.get(last) + 1)
}
