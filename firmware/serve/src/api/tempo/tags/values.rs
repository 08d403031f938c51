//! Values of a tag.

use super::super::answer::{ApiError, Gaps, Statistics, protobuf, wants_protobuf};
use super::super::grpc::Work;
use super::super::limits::TempoLimits;
use super::super::times::{now_s, range_of, whole};
use super::{Form, Messages, answer, gaps, limit_of, query_of};
use crate::params::Params;
use crate::run::run;
use crate::state::ApiState;
use axum::extract::{Path, State};
use axum::response::Response;
use bramble_query_traceql::tags::{Tags, values_in};
use bramble_query_traceql::{Field, Intrinsic, Query, Scope, Value as TraceValue, parse_field};
use bramble_storage::{QueryContext, ReadError};
use http::HeaderMap;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Values that are asked for.
#[derive(Default, Debug)]
pub(in super::super) struct ValuesAsked {
    pub(in super::super) tag: String,
    pub(in super::super) query: Option<String>,
    pub(in super::super) limit: Option<u64>,
    /// Nanoseconds, both inclusive.
    pub(in super::super) range_ns: (u64, u64),
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
    pub(in super::super) fn of(self, limits: &TempoLimits, form: Form) -> Result<Values, ApiError> {
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
pub(in super::super) struct Values {
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

    pub(in super::super) fn streamed(self, form: Form) -> Work {
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
pub(in super::super) async fn values_v1(
    State(state): State<Arc<ApiState>>,
    Path(tag): Path<String>,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, ApiError> {
    values(state, headers, (tag, params), Form::V1).await
}

/// `{"tagValues": [{"type": …, "value": …}]}`.
pub(in super::super) async fn values_v2(
    State(state): State<Arc<ApiState>>,
    Path(tag): Path<String>,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, ApiError> {
    values(state, headers, (tag, params), Form::V2).await
}
