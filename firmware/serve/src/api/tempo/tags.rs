//! Names and values of tags, in two generations of the API. Asked over HTTP or gRPC.

use super::answer::{ApiError, Gaps, Statistics, protobuf, wants_protobuf};
use super::grpc::{Message, Work};
use super::later::{names_in, values_in};
use super::limits::TempoLimits;
use super::times::{now_s, range_of, whole};
use crate::api::json;
use crate::params::Params;
use crate::run::run;
use crate::state::ApiState;
use axum::extract::{Path, State};
use axum::response::Response;
use bramble_query_traceql::syntax::ast::INTRINSICS;
use bramble_query_traceql::tags::Tags;
use bramble_query_traceql::{Field, Intrinsic, Query, Scope, Value as TraceValue, parse, parse_field};
use bramble_storage::{QueryContext, ReadError};
use bramble_wire::protobuf::Writer;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Fixed fields that completion does not offer: they mean little to a person.
const HIDDEN: [Intrinsic; 4] =
    [Intrinsic::ChildCount, Intrinsic::NestedSetLeft, Intrinsic::NestedSetRight, Intrinsic::NestedSetParent];

/// Most names or values of an answer.
const LIMIT_MAX: usize = 10_000;

/// Generation of the API.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// Texts without scope and type.
    V1,
    /// Names by scope, values with their type.
    V2,
}

/// The spans whose tags are asked for. What cannot be read is a query that is still being typed: then all spans.
fn query_of(text: Option<&str>, limits: &TempoLimits) -> Result<Query, ApiError> {
    limits.check_query(text.unwrap_or(""))?;
    let typed = text.and_then(|q| parse(q).ok()).filter(|q| q.metrics.is_none());
    typed.map_or_else(|| parse("{ }").map_err(|e| ApiError::bad(e.to_string())), Ok)
}

fn limit_of(asked: Option<u64>) -> usize {
    asked.filter(|n| *n > 0).map_or(LIMIT_MAX, |n| usize::try_from(n).unwrap_or(LIMIT_MAX).min(LIMIT_MAX))
}

fn intrinsic_names() -> Vec<String> {
    let shown = INTRINSICS.iter().filter(|(i, _)| !HIDDEN.contains(i));
    let mut names: Vec<String> = shown.flat_map(|(_, words)| words.iter().map(|w| (*w).to_owned())).collect();
    names.sort_unstable();
    names
}

/// Names that are asked for.
#[derive(Default, Debug)]
pub(super) struct NamesAsked {
    pub(super) scope: Option<String>,
    pub(super) query: Option<String>,
    pub(super) limit: Option<u64>,
    /// Nanoseconds, both inclusive.
    pub(super) range_ns: (u64, u64),
}

impl NamesAsked {
    fn of_params(params: &Params, now_s: u64) -> Result<Self, ApiError> {
        whole(params, "maxStaleValues")?;
        Ok(NamesAsked {
            scope: params.get("scope").map(str::to_owned),
            query: params.get("q").map(str::to_owned),
            limit: whole(params, "limit")?,
            range_ns: range_of(params, now_s)?,
        })
    }

    /// # Errors
    /// When there is no such scope.
    pub(super) fn of(self, limits: &TempoLimits) -> Result<Names, ApiError> {
        let (intrinsic, attributes, scope) = match self.scope.as_deref() {
            None | Some("none" | "all") => (true, true, None),
            Some("intrinsic") => (true, false, None),
            Some(word) => {
                let scope = Scope::parse(word).ok_or_else(|| ApiError::bad(format!("invalid scope: {word}")))?;
                (false, true, Some(scope))
            }
        };
        let query = query_of(self.query.as_deref(), limits)?;
        let limit = limit_of(self.limit);
        Ok(Names {
            query,
            intrinsic,
            attributes,
            scope,
            limit,
            range_ns: self.range_ns,
            packet_bytes: limits.packet_bytes(),
        })
    }
}

/// A question for names.
pub(super) struct Names {
    query: Query,
    /// Whether fixed fields, and whether attributes are asked for.
    intrinsic: bool,
    attributes: bool,
    scope: Option<Scope>,
    limit: usize,
    range_ns: (u64, u64),
    packet_bytes: usize,
}

/// Names by scope.
type Scopes = Vec<(&'static str, Vec<String>)>;

impl Names {
    fn find(&self, state: &ApiState, context: &QueryContext) -> Result<(Scopes, Gaps, Statistics), ReadError> {
        let (mut scopes, mut partial) = (Scopes::new(), false);
        if self.intrinsic {
            scopes.push(("intrinsic", intrinsic_names()));
        }
        if self.attributes {
            let source = state.traces.as_ref();
            // The limit is one of each scope.
            let tags = names_in(&self.query, self.scope, source, self.range_ns, LIMIT_MAX, context)?;
            partial = tags.partial;
            for (scope, keys) in tags.found {
                if self.scope.is_none_or(|wanted| wanted == scope) {
                    scopes.push((scope.as_str(), keys.into_iter().take(self.limit).collect()));
                }
            }
        }
        Ok((scopes, gaps(context, partial), Statistics::ended(context, !partial)))
    }

    /// Names of any scope, each once. Fixed fields are named only when they are asked for.
    fn merged(&self, scopes: Scopes) -> BTreeSet<String> {
        let wanted = scopes.into_iter().filter(|(name, _)| !self.attributes || *name != "intrinsic");
        wanted.flat_map(|(_, names)| names).collect()
    }

    /// `SearchTagsResponse{tagNames=1, metrics=2}` or
    /// `SearchTagsV2Response{scopes=1{name=1, tags=2}, metrics=2}`.
    fn messages(&self, form: Form, scopes: Scopes) -> Messages {
        let mut out = Messages::new(self.packet_bytes);
        match form {
            Form::V1 => self.merged(scopes).iter().for_each(|name| {
                out.room(name.len());
                out.writer().bytes(1, name);
            }),
            Form::V2 => {
                for (scope, names) in scopes {
                    for names in names.chunks(NAMES_AT_ONCE) {
                        out.room(names.iter().map(|n| n.len() + 8).sum());
                        out.writer().message(1, |w| {
                            w.bytes(1, scope);
                            names.iter().for_each(|name| w.bytes(2, name));
                        });
                    }
                }
            }
        }
        out
    }

    pub(super) fn streamed(self, form: Form) -> Work {
        Box::new(move |state, context, outbox| {
            let (scopes, gaps, statistics) = self.find(state, context)?;
            self.messages(form, scopes).finish(&statistics).into_iter().for_each(|m| outbox.push(m));
            Ok(gaps)
        })
    }
}

/// Names of a scope in one piece, so that all of them fit a message.
const NAMES_AT_ONCE: usize = 10_000;

/// Fields of one or more messages, none larger than it may be.
struct Messages {
    done: Vec<Message>,
    now: Message,
    bytes_max: usize,
}

impl Messages {
    fn new(bytes_max: usize) -> Self {
        Messages { done: Vec::new(), now: Message::new(), bytes_max }
    }

    /// Begins another message when `bytes` more are too many for this one.
    fn room(&mut self, bytes: usize) {
        if self.now.len() > 0 && self.now.len() + bytes + 64 > self.bytes_max {
            self.done.push(std::mem::take(&mut self.now));
        }
    }

    fn writer(&mut self) -> Writer<'_> {
        Writer::new(self.now.fields())
    }

    fn finish(mut self, statistics: &Statistics) -> Vec<Message> {
        statistics.write_metadata(2, self.now.fields());
        self.done.push(self.now);
        self.done
    }

    /// All of it as one message without a frame.
    fn whole(self, statistics: &Statistics) -> Vec<u8> {
        self.finish(statistics).into_iter().flat_map(Message::into_fields).collect()
    }
}

fn gaps(context: &QueryContext, partial: bool) -> Gaps {
    let mut gaps = Gaps::of(context, None);
    if partial && gaps.is_whole() {
        gaps.add("partial: not all spans of the range were read for names and values".to_owned());
    }
    gaps
}

fn answer(mut body: Value, statistics: &Statistics, gaps: &Gaps) -> Response {
    body["metrics"] = statistics.metadata_json();
    gaps.mark(&mut body);
    json(StatusCode::OK, &body)
}

async fn names(state: Arc<ApiState>, headers: HeaderMap, params: Params, form: Form) -> Result<Response, ApiError> {
    let names = NamesAsked::of_params(&params, now_s(&state))?.of(&state.tempo_limits)?;
    let work =
        move |state: &Arc<ApiState>, context: &QueryContext| names.find(state, context).map(|found| (found, names));
    let ((scopes, gaps, statistics), names) = run(&state, None, work).await??;
    if wants_protobuf(&headers) {
        return Ok(protobuf(names.messages(form, scopes).whole(&statistics)));
    }
    let body = match form {
        Form::V1 => json!({"tagNames": names.merged(scopes)}),
        Form::V2 => {
            let scopes: Vec<Value> = scopes.iter().map(|(name, tags)| json!({"name": name, "tags": tags})).collect();
            json!({ "scopes": scopes })
        }
    };
    Ok(answer(body, &statistics, &gaps))
}

/// `{"tagNames": […]}`: keys of all scopes.
pub(super) async fn names_v1(
    State(state): State<Arc<ApiState>>,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, ApiError> {
    names(state, headers, params, Form::V1).await
}

/// `{"scopes": [{"name": …, "tags": […]}]}`.
pub(super) async fn names_v2(
    State(state): State<Arc<ApiState>>,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, ApiError> {
    names(state, headers, params, Form::V2).await
}

/// Values that are asked for.
#[derive(Default, Debug)]
pub(super) struct ValuesAsked {
    pub(super) tag: String,
    pub(super) query: Option<String>,
    pub(super) limit: Option<u64>,
    /// Nanoseconds, both inclusive.
    pub(super) range_ns: (u64, u64),
}

impl ValuesAsked {
    fn of_params(tag: String, params: &Params, now_s: u64) -> Result<Self, ApiError> {
        whole(params, "maxStaleValues")?;
        Ok(ValuesAsked {
            tag,
            query: params.get("q").map(str::to_owned),
            limit: whole(params, "limit")?,
            range_ns: range_of(params, now_s)?,
        })
    }

    /// # Errors
    /// When the tag is not a field of TraceQL (second generation); in the first it is a key of any scope, or one of the
    /// few old fixed fields.
    pub(super) fn of(self, limits: &TempoLimits, form: Form) -> Result<Values, ApiError> {
        let tag = self.tag;
        let field = match (form, tag.as_str()) {
            (Form::V2, _) => parse_field(&tag).map_err(|e| {
                ApiError::bad(format!("please provide a valid tagName: failed to parse identifier {tag}: {e}"))
            })?,
            (Form::V1, "name") => Field::Intrinsic(Intrinsic::Name),
            (Form::V1, "rootName" | "root.name") => Field::Intrinsic(Intrinsic::RootName),
            (Form::V1, "rootServiceName" | "root.service.name") => Field::Intrinsic(Intrinsic::RootService),
            (Form::V1, _) => Field::Attribute(Scope::Any, tag),
        };
        let query = query_of(self.query.as_deref(), limits)?;
        let limit = limit_of(self.limit);
        Ok(Values { query, field, limit, range_ns: self.range_ns, packet_bytes: limits.packet_bytes() })
    }
}

/// A question for values.
pub(super) struct Values {
    query: Query,
    field: Field,
    limit: usize,
    range_ns: (u64, u64),
    packet_bytes: usize,
}

/// Type and text of a value.
fn typed(value: &TraceValue<'_>) -> (&'static str, String) {
    match value {
        TraceValue::Bool(b) => ("bool", b.to_string()),
        TraceValue::Int(i) => ("int", i.to_string()),
        TraceValue::Float(d) => ("float", d.to_string()),
        TraceValue::Duration(ns) => ("duration", bramble_query_traceql::duration_text(*ns)),
        TraceValue::Text(text) => ("string", text.clone().into_owned()),
        TraceValue::Status(status) => ("keyword", status.as_str().to_owned()),
        TraceValue::Kind(kind) => ("keyword", kind.as_str().to_owned()),
        TraceValue::Nil | TraceValue::Many(_) => ("string", String::new()),
    }
}

type Typed = Vec<(&'static str, String)>;

fn texts(found: Typed) -> BTreeSet<String> {
    found.into_iter().map(|(_, text)| text).collect()
}

impl Values {
    fn find(&self, state: &ApiState, context: &QueryContext) -> Result<(Typed, Gaps, Statistics), ReadError> {
        let tags: Tags<Vec<TraceValue<'static>>> =
            values_in(&self.query, &self.field, state.traces.as_ref(), self.range_ns, self.limit, context)?;
        let found = tags.found.iter().take(self.limit).map(typed).collect();
        Ok((found, gaps(context, tags.partial), Statistics::ended(context, !tags.partial)))
    }

    /// `SearchTagValuesResponse{tagValues=1, metrics=2}` or
    /// `SearchTagValuesV2Response{tagValues=1{type=1, value=2}, metrics=2}`.
    fn messages(&self, form: Form, found: Typed) -> Messages {
        let mut out = Messages::new(self.packet_bytes);
        match form {
            Form::V1 => texts(found).iter().for_each(|text| {
                out.room(text.len());
                out.writer().bytes(1, text);
            }),
            Form::V2 => found.iter().for_each(|(kind, text)| {
                out.room(text.len() + 32);
                out.writer().message(1, |w| {
                    w.bytes(1, kind);
                    w.bytes(2, text);
                });
            }),
        }
        out
    }

    pub(super) fn streamed(self, form: Form) -> Work {
        Box::new(move |state, context, outbox| {
            let (found, gaps, statistics) = self.find(state, context)?;
            self.messages(form, found).finish(&statistics).into_iter().for_each(|m| outbox.push(m));
            Ok(gaps)
        })
    }
}

async fn values(
    state: Arc<ApiState>,
    headers: HeaderMap,
    (tag, params): (String, Params),
    form: Form,
) -> Result<Response, ApiError> {
    let values = ValuesAsked::of_params(tag, &params, now_s(&state))?.of(&state.tempo_limits, form)?;
    let work =
        move |state: &Arc<ApiState>, context: &QueryContext| values.find(state, context).map(|found| (found, values));
    let ((found, gaps, statistics), values) = run(&state, None, work).await??;
    if wants_protobuf(&headers) {
        return Ok(protobuf(values.messages(form, found).whole(&statistics)));
    }
    let list: Vec<Value> = match form {
        Form::V1 => texts(found).into_iter().map(Value::from).collect(),
        Form::V2 => found.iter().map(|(kind, value)| json!({"type": kind, "value": value})).collect(),
    };
    Ok(answer(json!({ "tagValues": list }), &statistics, &gaps))
}

/// `{"tagValues": ["…"]}`: as text.
pub(super) async fn values_v1(
    State(state): State<Arc<ApiState>>,
    Path(tag): Path<String>,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, ApiError> {
    values(state, headers, (tag, params), Form::V1).await
}

/// `{"tagValues": [{"type": …, "value": …}]}`.
pub(super) async fn values_v2(
    State(state): State<Arc<ApiState>>,
    Path(tag): Path<String>,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, ApiError> {
    values(state, headers, (tag, params), Form::V2).await
}
