//! Ids in lines: of traces, spans, requests and of the things that requests are about, under any of their usual spellings.
//!
//! ```text
//! {"traceId":"4bf92f3577b34da6a3ce929d0e0e4736","circuit_id":"c-7"}      trace, circuit
//! level=info dd.trace_id=1234567890123456789 msg="…"                     trace (as 16 hex digits)
//! traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01   trace, span
//! [beorn,4bf92f3577b34da6a3ce929d0e0e4736,00f067aa0ba902b7] GET /        trace, span
//! ```
//!
//! [`name`] says what a field of a name holds, [`value`] what may be an id, [`find`] looks for pairs of both in a line,
//! [`bare`] for the few forms that are known by their shape alone. What is malformed (a trace id that is no id, `null`)
//! is passed over as if it were not there. Nothing allocates, and each byte is looked at a bounded number of times.

mod bare;
mod find;
mod name;
#[cfg(test)]
mod tests;
mod value;

pub use find::{find_ids, find_in_field};

/// What an id names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum IdKind {
    /// A trace: 32 (or 16) hex digits.
    Trace,
    /// A span: 16 hex digits.
    Span,
    /// A request.
    Request,
    /// A circuit.
    Circuit,
    /// A product.
    Product,
    /// A resource.
    Resource,
    /// A type of resources.
    ResourceType,
}

impl IdKind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [IdKind; 7] = [
        IdKind::Trace,
        IdKind::Span,
        IdKind::Request,
        IdKind::Circuit,
        IdKind::Product,
        IdKind::Resource,
        IdKind::ResourceType,
    ];
    /// Those that outlive a trace, in the order of [`IdKind::ALL`].
    pub const BUSINESS: [IdKind; 5] =
        [IdKind::Request, IdKind::Circuit, IdKind::Product, IdKind::Resource, IdKind::ResourceType];

    /// The name that we use: `circuit_id`.
    pub fn as_str(self) -> &'static str {
        match self {
            IdKind::Trace => "trace_id",
            IdKind::Span => "span_id",
            IdKind::Request => "request_id",
            IdKind::Circuit => "circuit_id",
            IdKind::Product => "product_id",
            IdKind::Resource => "resource_id",
            IdKind::ResourceType => "resource_type_id",
        }
    }

    /// The kind that a field of this name has, however it is spelt: `circuit_id`, `circuitId`, `CircuitID`, `circuit-id`,
    /// `circuit.id`, `circuitid`, `mdc.circuit_id`, `X-Circuit-Id`. Correlation ids (`correlation_id`,
    /// `X-Correlation-Id`) are those of requests. Headers that hold several ids (`traceparent`, `b3`) have no kind.
    pub fn of_name(name: &[u8]) -> Option<IdKind> {
        match name::form_of(name)? {
            name::Form::Id(kind) | name::Form::Datadog(kind) => Some(kind),
            _ => None,
        }
    }
}
