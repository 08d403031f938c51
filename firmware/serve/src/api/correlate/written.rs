//! Answers of correlations and events, written one by one.

use super::answer;
use super::event;
use super::links::Links;
use crate::api::stream::{Parts, streamed};
use axum::response::Response;
use bramble_correlate::Correlation;
use bramble_correlate::view::Event;
use bramble_storage::QueryContext;
use serde_json::Value;
use std::collections::VecDeque;

/// A part of an answer.
enum Section {
    /// Text as it is.
    Text(String),
    /// Elements of a list.
    Correlations(std::vec::IntoIter<Correlation>),
    /// Likewise.
    Events(std::vec::IntoIter<Event>),
}

/// An answer in the making.
pub(super) struct Written {
    links: Links,
    sections: VecDeque<Section>,
    /// Whether an element of the list at hand was written.
    began: bool,
}

impl Written {
    /// An answer that begins with this text.
    pub(super) fn new(links: Links, text: impl Into<String>) -> Self {
        Written { links, sections: VecDeque::from([Section::Text(text.into())]), began: false }
    }

    /// Goes on with text.
    pub(super) fn text(mut self, text: impl Into<String>) -> Self {
        self.sections.push_back(Section::Text(text.into()));
        self
    }

    /// Goes on with the elements of a list, commas between them.
    pub(super) fn correlations(mut self, correlations: Vec<Correlation>) -> Self {
        self.sections.push_back(Section::Correlations(correlations.into_iter()));
        self
    }

    /// Likewise.
    pub(super) fn events(mut self, events: Vec<Event>) -> Self {
        self.sections.push_back(Section::Events(events.into_iter()));
        self
    }

    /// The answer; `held` is what it was charged to.
    pub(super) fn send(self, held: QueryContext) -> Response {
        streamed(self, held)
    }

    fn element(&mut self) -> Option<Value> {
        match self.sections.front_mut()? {
            Section::Text(_) => None,
            Section::Correlations(rest) => rest.next().map(|c| answer::correlation(&c, &self.links).into()),
            Section::Events(rest) => rest.next().map(|e| event::json(&e)),
        }
    }
}

impl Parts for Written {
    fn write_next(&mut self, out: &mut Vec<u8>) -> bool {
        if let Some(element) = self.element() {
            if std::mem::replace(&mut self.began, true) {
                out.push(b',');
            }
            out.extend_from_slice(element.to_string().as_bytes());
            return true;
        }
        self.began = false;
        if let Some(Section::Text(text)) = self.sections.pop_front() {
            out.extend_from_slice(text.as_bytes());
        }
        !self.sections.is_empty()
    }
}
