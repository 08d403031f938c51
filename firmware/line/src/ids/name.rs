//! What a field of a name holds.
//!
//! A name is a stem (`trace id`, `request id`, …) in any spelling: its words may be joined by any punctuation, or by
//! nothing, in any case. Before the stem may stand
//!
//! * words that say where the field was taken from (`otel`, `mdc`, `http.request.header.x`): [`AROUND`];
//! * anything that ends in a dot or a slash, which is a namespace (`com.acme.circuit_id`), unless its last word says that
//!   another thing's id is meant (`parent.span_id`, `cloud.resource_id`): [`OTHERS`].
//!
//! Everything else is another id: `parent_span_id`, `subproduct_id`, `android_id`.

use super::IdKind;

/// How a field's value is to be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// It is the id.
    Id(IdKind),
    /// Datadog's: a trace or span as a decimal number, or 32 hex digits.
    Datadog(IdKind),
    /// Something of a trace: the id alone, or Google's `projects/…/traces/<id>`.
    Trace,
    /// W3C's header.
    TraceParent,
    /// Zipkin's single header.
    B3,
    /// Jaeger's header, `<trace>:<span>:<parent>:<flags>`, without leading zeros.
    Uber,
    /// Google's header, `<trace>/<span, decimal>;o=1`.
    CloudTrace,
    /// Amazon's header, `Root=1-<8>-<24>;Parent=<span>`.
    Amazon,
}

/// Longer names hold no ids.
pub(super) const NAME_BYTES_MAX: usize = 96;

/// Words that may stand before a stem, longest first where one ends in another.
const AROUND: [&[u8]; 70] = [
    b"opentelemetry",
    b"attributes",
    b"contextmap",
    b"properties",
    b"parameters",
    b"attribute",
    b"structured",
    b"metadata",
    b"datadog",
    b"context",
    b"baggage",
    b"elastic",
    b"headers",
    b"logging",
    b"message",
    b"payload",
    b"request",
    b"tracing",
    b"traefik",
    b"zipkin",
    b"common",
    b"fields",
    b"github",
    b"header",
    b"jaeger",
    b"labels",
    b"lambda",
    b"params",
    b"record",
    b"sentry",
    b"sleuth",
    b"attrs",
    b"entry",
    b"envoy",
    b"event",
    b"extra",
    b"field",
    b"label",
    b"nginx",
    b"param",
    b"props",
    b"query",
    b"trace",
    b"amzn",
    b"args",
    b"attr",
    b"body",
    b"data",
    b"http",
    b"json",
    b"kong",
    b"meta",
    b"otel",
    b"rest",
    b"span",
    b"tags",
    b"amz",
    b"apm",
    b"app",
    b"aws",
    b"ctx",
    b"ecs",
    b"log",
    b"mdc",
    b"msg",
    b"req",
    b"tag",
    b"b3",
    b"dd",
    b"x",
];

/// Words that are too short to be told from the end of another one: they must be all that is left.
const FIRST: [&[u8]; 3] = [b"cf", b"xms", b"sw"];

/// Namespaces whose ids are not those of the item itself.
const OTHERS: [&[u8]; 22] = [
    b"parent",
    b"root",
    b"link",
    b"links",
    b"linked",
    b"previous",
    b"prev",
    b"old",
    b"new",
    b"next",
    b"child",
    b"source",
    b"target",
    b"other",
    b"related",
    b"last",
    b"first",
    b"cloud",
    b"user",
    b"original",
    b"origin",
    b"remote",
];

/// Whether a name that ends in these two bytes may hold an id; nearly all names are told by this.
#[inline]
pub(super) fn may_end(before_last: u8, last: u8) -> bool {
    matches!(
        (before_last | 0x20, last | 0x20),
        (b'i', b'd') | (b'n', b't') | (b'x', b't') | (b'b', b'3') | (b'c', b'e') | (b't', b'r') | (b's', b'p')
    )
}

/// What nearly all of those are called that are ids. Of names of known length comparing costs next to nothing.
#[inline]
fn usual(name: &[u8]) -> Option<Form> {
    Some(match name.len() {
        // Serilog's compact form.
        3 if name == b"@tr" => Form::Id(IdKind::Trace),
        3 if name == b"@sp" => Form::Id(IdKind::Span),
        5 if name == b"trace" => Form::Trace,
        5 if name == b"reqId" => Form::Id(IdKind::Request),
        6 if name == b"spanId" || name == b"spanID" || name == b"SpanId" => Form::Id(IdKind::Span),
        6 if name == b"req_id" => Form::Id(IdKind::Request),
        7 if name == b"traceId" || name == b"traceID" || name == b"TraceId" => Form::Id(IdKind::Trace),
        7 if name == b"span_id" => Form::Id(IdKind::Span),
        8 if name == b"trace_id" => Form::Id(IdKind::Trace),
        9 if name == b"circuitId" => Form::Id(IdKind::Circuit),
        9 if name == b"requestId" || name == b"RequestId" => Form::Id(IdKind::Request),
        9 if name == b"productId" => Form::Id(IdKind::Product),
        10 if name == b"circuit_id" => Form::Id(IdKind::Circuit),
        10 if name == b"request_id" => Form::Id(IdKind::Request),
        10 if name == b"product_id" => Form::Id(IdKind::Product),
        10 if name == b"resourceId" => Form::Id(IdKind::Resource),
        11 if name == b"resource_id" => Form::Id(IdKind::Resource),
        14 if name == b"resourceTypeId" => Form::Id(IdKind::ResourceType),
        16 if name == b"resource_type_id" => Form::Id(IdKind::ResourceType),
        _ => return None,
    })
}

/// Whether what stands before `id` ends as one of the stems does.
fn may_end_a_stem(name: &[u8]) -> bool {
    let mut before = name.iter().rev().skip(2);
    let last = before.next().filter(|b| b.is_ascii_alphanumeric()).or_else(|| before.next());
    last.is_some_and(|b| matches!(b | 0x20, b'e' | b'n' | b't' | b'q'))
}

/// What a field of this name holds; `None` for no id.
pub(super) fn form_of(name: &[u8]) -> Option<Form> {
    let &[.., before_last, last] = name else { return None };
    if !may_end(before_last, last) || name.len() > NAME_BYTES_MAX {
        return None;
    }
    if let Some(form) = usual(name) {
        return Some(form);
    }
    if last | 0x20 == b'd' && !may_end_a_stem(name) {
        return None;
    }
    let mut plain = [0u8; NAME_BYTES_MAX];
    let mut bytes = 0;
    for &byte in name {
        if byte.is_ascii_alphanumeric() {
            *plain.get_mut(bytes)? = byte.to_ascii_lowercase();
            bytes += 1;
        }
    }
    of_plain(plain.get(..bytes)?, name)
}

/// `plain` is the name in lower case, letters and digits alone.
fn of_plain(plain: &[u8], name: &[u8]) -> Option<Form> {
    let Some(stem) = plain.strip_suffix(b"id") else { return of_header(plain) };
    let stems: &[(&[u8], IdKind)] = match stem.last()? {
        b'e' => &[(b"trace", IdKind::Trace), (b"resourcetype", IdKind::ResourceType), (b"resource", IdKind::Resource)],
        b'n' => &[(b"span", IdKind::Span), (b"correlation", IdKind::Request)],
        b't' => &[(b"request", IdKind::Request), (b"circuit", IdKind::Circuit), (b"product", IdKind::Product)],
        b'q' => &[(b"req", IdKind::Request)],
        _ => return None,
    };
    let (before, kind) = stems.iter().find_map(|(word, kind)| Some((stem.strip_suffix(*word)?, *kind)))?;
    match (before, kind) {
        (b"", _) => Some(Form::Id(kind)),
        (b"uber", IdKind::Trace) => Some(Form::Uber),
        (b"xamzn", IdKind::Trace) => Some(Form::Amazon),
        (_, IdKind::Trace | IdKind::Span) if is_datadog(before) => Some(Form::Datadog(kind)),
        _ => may_precede(before, plain, name).then_some(Form::Id(kind)),
    }
}

fn is_datadog(before: &[u8]) -> bool {
    before.strip_suffix(b"dd").or_else(|| before.strip_suffix(b"datadog")).is_some_and(all_around)
}

fn of_header(plain: &[u8]) -> Option<Form> {
    let headers: [(&[u8], Form); 4] = [
        (b"traceparent", Form::TraceParent),
        (b"xcloudtracecontext", Form::CloudTrace),
        (b"b3", Form::B3),
        (b"googleapiscomtrace", Form::Trace),
    ];
    let (before, form) = headers.iter().find_map(|(word, form)| Some((plain.strip_suffix(*word)?, *form)))?;
    (form == Form::Trace || all_around(before)).then_some(form)
}

/// Whether a stem that follows `before` is still the item's own.
fn may_precede(before: &[u8], plain: &[u8], name: &[u8]) -> bool {
    if all_around(before) {
        return true;
    }
    let Some(namespace) = namespace(plain.len().saturating_sub(before.len()), name) else { return false };
    let last = namespace.rsplit(|b| !b.is_ascii_alphanumeric()).next().unwrap_or_default();
    !last.is_empty() && !OTHERS.iter().any(|other| last.eq_ignore_ascii_case(other))
}

/// What stands before the dot or slash that precedes the last `stem` letters of the name.
fn namespace(stem: usize, name: &[u8]) -> Option<&[u8]> {
    let mut letters = name.iter().enumerate().rev().filter(|(_, b)| b.is_ascii_alphanumeric());
    let (start, _) = letters.nth(stem.checked_sub(1)?)?;
    let before = name.get(..start)?;
    // `x-` belongs to a header: `vendor.x-request-id`.
    let before = before.strip_suffix(b"x-").or_else(|| before.strip_suffix(b"X-")).unwrap_or(before);
    before.strip_suffix(b".").or_else(|| before.strip_suffix(b"/"))
}

/// Whether all of it is words that may stand before a stem.
fn all_around(mut before: &[u8]) -> bool {
    while !before.is_empty() && !FIRST.contains(&before) {
        let Some(rest) = AROUND.iter().find_map(|word| before.strip_suffix(*word)) else { return false };
        before = rest;
    }
    true
}
