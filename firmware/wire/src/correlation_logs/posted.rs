//! What a body is, and what it was found to hold.

use crate::Rejected;
use bramble_signal::LogBatch;

/// How a body is written, by its content type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BodyKind {
    /// JSON: one document, or one a line.
    Json,
    /// JSON, a document a line: a bad line spoils no other.
    JsonLines,
    /// Nobody says: JSON if it begins as an object or a list of objects, else text.
    Unknown,
}

impl BodyKind {
    /// From a `Content-Type`. Text may be JSON that a browser sends, and forms are what curl calls anything.
    pub fn of_media_type(header: &str) -> BodyKind {
        let essence = header.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/x-ndjson"
            | "application/ndjson"
            | "application/jsonl"
            | "application/jsonlines"
            | "application/json-lines"
            | "application/x-json-stream"
            | "application/stream+json" => BodyKind::JsonLines,
            other if other.ends_with("/json") || other.ends_with("+json") => BodyKind::Json,
            _ => BodyKind::Unknown,
        }
    }
}

/// Finds ids in a field: gets its name, its value, and what to call with the name that we use (`trace_id`) and the value of
/// each id in it. Says whether the whole field is an id, so that nothing else needs to be made of it.
pub type IdFinder = fn(&str, &str, &mut dyn FnMut(&'static str, &str)) -> bool;

/// A record that was left out, or has something that its sender should mend.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    /// Its number among all records of the body, from 0.
    pub index: u64,
    /// The field that is wrong; `record` for all of it.
    pub field: &'static str,
    /// Why, for people.
    pub reason: String,
}

/// A body that was read.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Posted {
    /// The good records.
    pub batch: LogBatch,
    /// How many records there were.
    pub records: u64,
    /// The bad ones, the first [`REFUSED_MAX`] of them.
    pub refused: Vec<Refused>,
    /// All bad ones, counted.
    pub rejected: Rejected,
    /// Good records with a trace or span id that is none, and so joins nothing; the first [`REFUSED_MAX`] of them.
    pub warnings: Vec<Refused>,
}

impl Posted {
    /// Memory held, in bytes.
    pub fn memory_bytes(&self) -> usize {
        let told = |all: &Vec<Refused>| {
            let reasons: usize = all.iter().map(|refused| refused.reason.capacity()).sum();
            all.capacity() * size_of::<Refused>() + reasons
        };
        self.batch.memory_bytes() + told(&self.refused) + told(&self.warnings)
    }
}

/// Most bad records that are reported one by one.
pub const REFUSED_MAX: usize = 10_000;
