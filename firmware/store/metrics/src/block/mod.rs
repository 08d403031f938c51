//! Immutable blocks: what a flush or a merge writes, and how it is read back.
//!
//! One segment holds the samples of one UTC day (or a range of its series) in pages:
//! * data pages ([`page`]): values of many series that follow each other in label order;
//! * times pages ([`times`]): the distinct timestamp columns;
//! * series pages: the label sets, front-coded, in the same order;
//! * dictionary pages: label pairs ascending by name and value, front-coded, each with the runs of its series;
//! * rich pages ([`rich`]), where there is something to say: histograms, starts, exemplars;
//! * one metadata page, and a footer ([`footer`]) that says where all of them are.
//!
//! Layout: docs/formats.md, "Metric block".

mod footer;
mod metadata;
mod page;
mod reader;
mod rich;
mod times;
mod writer;

pub(crate) use footer::{BlockKind, DataPage, Footer};
#[cfg(test)]
pub(crate) use page::PageBuilder;
pub(crate) use page::{OpenPage, PAGE_VALUES};
pub(crate) use reader::{Block, BlockPairs, LabelReader, TimesReader};
pub(crate) use rich::RichReader;
pub(crate) use writer::{BlockWriter, NewBlock, WRITER_BYTES, store_error};
