//! Ids in lines: of traces, spans, requests and of the things that requests are about, under any of their usual spellings.

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
    /// Those that outlive a trace, in the order of [`ShownIds`](crate::ids)' places.
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
    /// `circuit.id`, `circuitid`.
    pub fn of_name(name: &[u8]) -> Option<IdKind> {
        let plain: Vec<u8> = name.iter().filter(|b| b.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase).collect();
        IdKind::ALL.into_iter().find(|kind| kind.as_str().bytes().filter(|&b| b != b'_').eq(plain.iter().copied()))
    }
}
