//! The messages of OTLP as tables: JSON key, field number, type. Only what the decoders read is listed; other
//! keys are ignored as unknown.

/// A message type.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) fields: &'static [Field],
}

/// A field of a message.
#[derive(Debug)]
pub(super) struct Field {
    /// The lowerCamelCase key.
    pub(super) key: &'static str,
    pub(super) number: u32,
    pub(super) kind: Kind,
    pub(super) repeated: bool,
}

/// How a field's value is written in JSON and in protobuf.
#[derive(Debug)]
pub(super) enum Kind {
    Bool,
    /// `int64`, `uint32`: number or decimal text; a varint.
    Int,
    /// `uint64` as a varint: number or decimal text.
    Unsigned,
    /// `sint32`: number or decimal text; a varint with its sign in the lowest bit.
    SignedInt,
    /// `fixed64`: number or decimal text.
    Fixed64,
    /// `sfixed64`: number or decimal text.
    SignedFixed64,
    Fixed32,
    /// Number, decimal text, `NaN`, `Infinity`, `-Infinity`.
    Double,
    Text,
    /// Base64 text.
    Bytes,
    /// Hexadecimal text: trace and span ids.
    Id,
    /// Number, or one of the names, each with its number.
    Enum(&'static [(&'static str, u64)]),
    Message(&'static Message),
}

const fn one(key: &'static str, number: u32, kind: Kind) -> Field {
    Field { key, number, kind, repeated: false }
}

const fn many(key: &'static str, number: u32, kind: Kind) -> Field {
    Field { key, number, kind, repeated: true }
}

static ANY_VALUE: Message = Message {
    fields: &[
        one("stringValue", 1, Kind::Text),
        one("boolValue", 2, Kind::Bool),
        one("intValue", 3, Kind::Int),
        one("doubleValue", 4, Kind::Double),
        one("arrayValue", 5, Kind::Message(&ARRAY_VALUE)),
        one("kvlistValue", 6, Kind::Message(&KEY_VALUE_LIST)),
        one("bytesValue", 7, Kind::Bytes),
    ],
};
static ARRAY_VALUE: Message = Message { fields: &[many("values", 1, Kind::Message(&ANY_VALUE))] };
static KEY_VALUE_LIST: Message = Message { fields: &[many("values", 1, Kind::Message(&KEY_VALUE))] };
static KEY_VALUE: Message =
    Message { fields: &[one("key", 1, Kind::Text), one("value", 2, Kind::Message(&ANY_VALUE))] };

static RESOURCE: Message = Message {
    fields: &[many("attributes", 1, Kind::Message(&KEY_VALUE)), one("droppedAttributesCount", 2, Kind::Int)],
};
static SCOPE: Message = Message {
    fields: &[
        one("name", 1, Kind::Text),
        one("version", 2, Kind::Text),
        many("attributes", 3, Kind::Message(&KEY_VALUE)),
        one("droppedAttributesCount", 4, Kind::Int),
    ],
};

/// `ExportLogsServiceRequest`.
pub(super) static LOGS_REQUEST: Message = Message { fields: &[many("resourceLogs", 1, Kind::Message(&RESOURCE_LOGS))] };
static RESOURCE_LOGS: Message = Message {
    fields: &[
        one("resource", 1, Kind::Message(&RESOURCE)),
        many("scopeLogs", 2, Kind::Message(&SCOPE_LOGS)),
        one("schemaUrl", 3, Kind::Text),
    ],
};
static SCOPE_LOGS: Message = Message {
    fields: &[
        one("scope", 1, Kind::Message(&SCOPE)),
        many("logRecords", 2, Kind::Message(&LOG_RECORD)),
        one("schemaUrl", 3, Kind::Text),
    ],
};
static LOG_RECORD: Message = Message {
    fields: &[
        one("timeUnixNano", 1, Kind::Fixed64),
        one("observedTimeUnixNano", 11, Kind::Fixed64),
        one("severityNumber", 2, Kind::Enum(SEVERITIES)),
        one("severityText", 3, Kind::Text),
        one("body", 5, Kind::Message(&ANY_VALUE)),
        many("attributes", 6, Kind::Message(&KEY_VALUE)),
        one("droppedAttributesCount", 7, Kind::Int),
        one("flags", 8, Kind::Fixed32),
        one("traceId", 9, Kind::Id),
        one("spanId", 10, Kind::Id),
        one("eventName", 12, Kind::Text),
    ],
};
const SEVERITIES: &[(&str, u64)] = &[
    ("SEVERITY_NUMBER_UNSPECIFIED", 0),
    ("SEVERITY_NUMBER_TRACE", 1),
    ("SEVERITY_NUMBER_TRACE2", 2),
    ("SEVERITY_NUMBER_TRACE3", 3),
    ("SEVERITY_NUMBER_TRACE4", 4),
    ("SEVERITY_NUMBER_DEBUG", 5),
    ("SEVERITY_NUMBER_DEBUG2", 6),
    ("SEVERITY_NUMBER_DEBUG3", 7),
    ("SEVERITY_NUMBER_DEBUG4", 8),
    ("SEVERITY_NUMBER_INFO", 9),
    ("SEVERITY_NUMBER_INFO2", 10),
    ("SEVERITY_NUMBER_INFO3", 11),
    ("SEVERITY_NUMBER_INFO4", 12),
    ("SEVERITY_NUMBER_WARN", 13),
    ("SEVERITY_NUMBER_WARN2", 14),
    ("SEVERITY_NUMBER_WARN3", 15),
    ("SEVERITY_NUMBER_WARN4", 16),
    ("SEVERITY_NUMBER_ERROR", 17),
    ("SEVERITY_NUMBER_ERROR2", 18),
    ("SEVERITY_NUMBER_ERROR3", 19),
    ("SEVERITY_NUMBER_ERROR4", 20),
    ("SEVERITY_NUMBER_FATAL", 21),
    ("SEVERITY_NUMBER_FATAL2", 22),
    ("SEVERITY_NUMBER_FATAL3", 23),
    ("SEVERITY_NUMBER_FATAL4", 24),
];

/// `ExportTraceServiceRequest`.
pub(super) static TRACES_REQUEST: Message =
    Message { fields: &[many("resourceSpans", 1, Kind::Message(&RESOURCE_SPANS))] };
static RESOURCE_SPANS: Message = Message {
    fields: &[
        one("resource", 1, Kind::Message(&RESOURCE)),
        many("scopeSpans", 2, Kind::Message(&SCOPE_SPANS)),
        one("schemaUrl", 3, Kind::Text),
    ],
};
static SCOPE_SPANS: Message = Message {
    fields: &[
        one("scope", 1, Kind::Message(&SCOPE)),
        many("spans", 2, Kind::Message(&SPAN)),
        one("schemaUrl", 3, Kind::Text),
    ],
};
static SPAN: Message = Message {
    fields: &[
        one("traceId", 1, Kind::Id),
        one("spanId", 2, Kind::Id),
        one("traceState", 3, Kind::Text),
        one("parentSpanId", 4, Kind::Id),
        one("name", 5, Kind::Text),
        one("kind", 6, Kind::Enum(SPAN_KINDS)),
        one("startTimeUnixNano", 7, Kind::Fixed64),
        one("endTimeUnixNano", 8, Kind::Fixed64),
        many("attributes", 9, Kind::Message(&KEY_VALUE)),
        one("droppedAttributesCount", 10, Kind::Int),
        many("events", 11, Kind::Message(&EVENT)),
        one("droppedEventsCount", 12, Kind::Int),
        many("links", 13, Kind::Message(&LINK)),
        one("droppedLinksCount", 14, Kind::Int),
        one("status", 15, Kind::Message(&STATUS)),
        one("flags", 16, Kind::Fixed32),
    ],
};
/// `Span.SpanKind`, by number.
pub(super) const SPAN_KINDS: &[(&str, u64)] = &[
    ("SPAN_KIND_UNSPECIFIED", 0),
    ("SPAN_KIND_INTERNAL", 1),
    ("SPAN_KIND_SERVER", 2),
    ("SPAN_KIND_CLIENT", 3),
    ("SPAN_KIND_PRODUCER", 4),
    ("SPAN_KIND_CONSUMER", 5),
];
static EVENT: Message = Message {
    fields: &[
        one("timeUnixNano", 1, Kind::Fixed64),
        one("name", 2, Kind::Text),
        many("attributes", 3, Kind::Message(&KEY_VALUE)),
        one("droppedAttributesCount", 4, Kind::Int),
    ],
};
static LINK: Message = Message {
    fields: &[
        one("traceId", 1, Kind::Id),
        one("spanId", 2, Kind::Id),
        one("traceState", 3, Kind::Text),
        many("attributes", 4, Kind::Message(&KEY_VALUE)),
        one("droppedAttributesCount", 5, Kind::Int),
        one("flags", 6, Kind::Fixed32),
    ],
};
static STATUS: Message = Message { fields: &[one("message", 2, Kind::Text), one("code", 3, Kind::Enum(STATUS_CODES))] };
/// `Status.StatusCode`, by number.
pub(super) const STATUS_CODES: &[(&str, u64)] =
    &[("STATUS_CODE_UNSET", 0), ("STATUS_CODE_OK", 1), ("STATUS_CODE_ERROR", 2)];

/// `ExportMetricsServiceRequest`.
pub(super) static METRICS_REQUEST: Message =
    Message { fields: &[many("resourceMetrics", 1, Kind::Message(&RESOURCE_METRICS))] };
static RESOURCE_METRICS: Message = Message {
    fields: &[
        one("resource", 1, Kind::Message(&RESOURCE)),
        many("scopeMetrics", 2, Kind::Message(&SCOPE_METRICS)),
        one("schemaUrl", 3, Kind::Text),
    ],
};
static SCOPE_METRICS: Message = Message {
    fields: &[
        one("scope", 1, Kind::Message(&SCOPE)),
        many("metrics", 2, Kind::Message(&METRIC)),
        one("schemaUrl", 3, Kind::Text),
    ],
};
static METRIC: Message = Message {
    fields: &[
        one("name", 1, Kind::Text),
        one("description", 2, Kind::Text),
        one("unit", 3, Kind::Text),
        one("gauge", 5, Kind::Message(&GAUGE)),
        one("sum", 7, Kind::Message(&SUM)),
        one("histogram", 9, Kind::Message(&HISTOGRAM)),
        one("exponentialHistogram", 10, Kind::Message(&EXPONENTIAL_HISTOGRAM)),
        one("summary", 11, Kind::Message(&SUMMARY)),
    ],
};
static GAUGE: Message = Message { fields: &[many("dataPoints", 1, Kind::Message(&NUMBER_POINT))] };
static SUM: Message = Message {
    fields: &[
        many("dataPoints", 1, Kind::Message(&NUMBER_POINT)),
        one("aggregationTemporality", 2, Kind::Enum(TEMPORALITIES)),
        one("isMonotonic", 3, Kind::Bool),
    ],
};
static HISTOGRAM: Message = Message {
    fields: &[
        many("dataPoints", 1, Kind::Message(&HISTOGRAM_POINT)),
        one("aggregationTemporality", 2, Kind::Enum(TEMPORALITIES)),
    ],
};
static EXPONENTIAL_HISTOGRAM: Message = Message {
    fields: &[
        many("dataPoints", 1, Kind::Message(&EXPONENTIAL_POINT)),
        one("aggregationTemporality", 2, Kind::Enum(TEMPORALITIES)),
    ],
};
static SUMMARY: Message = Message { fields: &[many("dataPoints", 1, Kind::Message(&SUMMARY_POINT))] };
const TEMPORALITIES: &[(&str, u64)] = &[
    ("AGGREGATION_TEMPORALITY_UNSPECIFIED", 0),
    ("AGGREGATION_TEMPORALITY_DELTA", 1),
    ("AGGREGATION_TEMPORALITY_CUMULATIVE", 2),
];
static NUMBER_POINT: Message = Message {
    fields: &[
        many("attributes", 7, Kind::Message(&KEY_VALUE)),
        one("startTimeUnixNano", 2, Kind::Fixed64),
        one("timeUnixNano", 3, Kind::Fixed64),
        one("asDouble", 4, Kind::Double),
        one("asInt", 6, Kind::SignedFixed64),
        many("exemplars", 5, Kind::Message(&EXEMPLAR)),
        one("flags", 8, Kind::Int),
    ],
};
static HISTOGRAM_POINT: Message = Message {
    fields: &[
        many("attributes", 9, Kind::Message(&KEY_VALUE)),
        one("startTimeUnixNano", 2, Kind::Fixed64),
        one("timeUnixNano", 3, Kind::Fixed64),
        one("count", 4, Kind::Fixed64),
        one("sum", 5, Kind::Double),
        many("bucketCounts", 6, Kind::Fixed64),
        many("explicitBounds", 7, Kind::Double),
        many("exemplars", 8, Kind::Message(&EXEMPLAR)),
        one("flags", 10, Kind::Int),
    ],
};
static EXPONENTIAL_POINT: Message = Message {
    fields: &[
        many("attributes", 1, Kind::Message(&KEY_VALUE)),
        one("startTimeUnixNano", 2, Kind::Fixed64),
        one("timeUnixNano", 3, Kind::Fixed64),
        one("count", 4, Kind::Fixed64),
        one("sum", 5, Kind::Double),
        one("scale", 6, Kind::SignedInt),
        one("zeroCount", 7, Kind::Fixed64),
        one("positive", 8, Kind::Message(&BUCKETS)),
        one("negative", 9, Kind::Message(&BUCKETS)),
        one("flags", 10, Kind::Int),
        many("exemplars", 11, Kind::Message(&EXEMPLAR)),
        one("zeroThreshold", 14, Kind::Double),
    ],
};
static BUCKETS: Message =
    Message { fields: &[one("offset", 1, Kind::SignedInt), many("bucketCounts", 2, Kind::Unsigned)] };
static EXEMPLAR: Message = Message {
    fields: &[
        many("filteredAttributes", 7, Kind::Message(&KEY_VALUE)),
        one("timeUnixNano", 2, Kind::Fixed64),
        one("asDouble", 3, Kind::Double),
        one("asInt", 6, Kind::SignedFixed64),
        one("spanId", 4, Kind::Id),
        one("traceId", 5, Kind::Id),
    ],
};
static SUMMARY_POINT: Message = Message {
    fields: &[
        many("attributes", 7, Kind::Message(&KEY_VALUE)),
        one("startTimeUnixNano", 2, Kind::Fixed64),
        one("timeUnixNano", 3, Kind::Fixed64),
        one("count", 4, Kind::Fixed64),
        one("sum", 5, Kind::Double),
        many("quantileValues", 6, Kind::Message(&QUANTILE)),
        one("flags", 8, Kind::Int),
    ],
};
static QUANTILE: Message = Message { fields: &[one("quantile", 1, Kind::Double), one("value", 2, Kind::Double)] };
