//! What spans have: attributes by scope and key, and fixed fields.

/// Where an attribute is looked up.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Scope {
    /// `.x`: the span, then its resource, then its instrumentation scope.
    Any,
    /// `span.x`.
    Span,
    /// `resource.x`.
    Resource,
    /// `instrumentation.x`.
    Instrumentation,
    /// `event.x`: of any event.
    Event,
    /// `link.x`: of any link.
    Link,
}

impl Scope {
    /// The scope of a word; `None` for others.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "span" => Scope::Span,
            "resource" => Scope::Resource,
            "instrumentation" => Scope::Instrumentation,
            "event" => Scope::Event,
            "link" => Scope::Link,
            _ => return None,
        })
    }

    /// The word before the point; empty for any scope.
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Any => "",
            Scope::Span => "span",
            Scope::Resource => "resource",
            Scope::Instrumentation => "instrumentation",
            Scope::Event => "event",
            Scope::Link => "link",
        }
    }
}

/// A fixed field of spans and traces.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Intrinsic {
    /// Duration of the span.
    Duration,
    /// Operation.
    Name,
    /// Outcome.
    Status,
    /// Text of the outcome.
    StatusMessage,
    /// Role.
    Kind,
    /// Number of children.
    ChildCount,
    /// Id of the span.
    SpanId,
    /// Id of its parent.
    ParentId,
    /// From the first start to the last end in the trace.
    TraceDuration,
    /// Operation of the root.
    RootName,
    /// Service of the root.
    RootService,
    /// Id of the trace.
    TraceId,
    /// Number of the span when entering it, depth first.
    NestedSetLeft,
    /// Number of the span when leaving it.
    NestedSetRight,
    /// `NestedSetLeft` of the parent, -1 for a root.
    NestedSetParent,
    /// Name of any event.
    EventName,
    /// Time of any event since the span's start.
    EventTimeSinceStart,
    /// Trace of any link.
    LinkTraceId,
    /// Span of any link.
    LinkSpanId,
    /// Name of the instrumentation scope.
    InstrumentationName,
    /// Version of the instrumentation scope.
    InstrumentationVersion,
}

/// Every spelling, the one that results show first.
pub const INTRINSICS: [(Intrinsic, &[&str]); 21] = [
    (Intrinsic::Duration, &["duration", "span:duration"]),
    (Intrinsic::Name, &["name", "span:name"]),
    (Intrinsic::Status, &["status", "span:status"]),
    (Intrinsic::StatusMessage, &["statusMessage", "span:statusMessage"]),
    (Intrinsic::Kind, &["kind", "span:kind"]),
    (Intrinsic::ChildCount, &["span:childCount"]),
    (Intrinsic::SpanId, &["span:id"]),
    (Intrinsic::ParentId, &["span:parentID"]),
    (Intrinsic::TraceDuration, &["traceDuration", "trace:duration"]),
    (Intrinsic::RootName, &["rootName", "trace:rootName"]),
    (Intrinsic::RootService, &["rootServiceName", "trace:rootService"]),
    (Intrinsic::TraceId, &["trace:id"]),
    (Intrinsic::NestedSetLeft, &["nestedSetLeft"]),
    (Intrinsic::NestedSetRight, &["nestedSetRight"]),
    (Intrinsic::NestedSetParent, &["nestedSetParent"]),
    (Intrinsic::EventName, &["event:name"]),
    (Intrinsic::EventTimeSinceStart, &["event:timeSinceStart"]),
    (Intrinsic::LinkTraceId, &["link:traceID"]),
    (Intrinsic::LinkSpanId, &["link:spanID"]),
    (Intrinsic::InstrumentationName, &["instrumentation:name"]),
    (Intrinsic::InstrumentationVersion, &["instrumentation:version"]),
];

impl Intrinsic {
    pub(super) fn parse(word: &str) -> Option<Self> {
        INTRINSICS.iter().find(|(_, words)| words.contains(&word)).map(|(i, _)| *i)
    }

    /// The name that results show.
    pub fn as_str(self) -> &'static str {
        INTRINSICS.iter().find(|(i, _)| *i == self).and_then(|(_, words)| words.first()).copied().unwrap_or("")
    }
}

/// Something a span has.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Field {
    /// An attribute by scope and key.
    Attribute(Scope, String),
    /// A fixed field.
    Intrinsic(Intrinsic),
}
