//! Names of tags.

use super::super::answer::{ApiError, Gaps, Statistics, protobuf, wants_protobuf};
use super::super::grpc::Work;
use super::super::limits::TempoLimits;
use super::super::times::{now_s, range_of, whole};
use super::{Form, LIMIT_MAX, Messages, answer, bytes_of, gaps, limit_of, query_of};
use crate::params::Params;
use crate::run::run;
use crate::state::ApiState;
use axum::extract::State;
use axum::response::Response;
use bramble_query_traceql::syntax::ast::INTRINSICS;
use bramble_query_traceql::tags::names_in;
use bramble_query_traceql::{Intrinsic, Query, Scope};
use bramble_storage::{QueryContext, ReadError};
use http::HeaderMap;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Fixed fields that completion does not offer: they mean little to a person.
const HIDDEN: [Intrinsic; 4] =
    [Intrinsic::ChildCount, Intrinsic::NestedSetLeft, Intrinsic::NestedSetRight, Intrinsic::NestedSetParent];

fn intrinsic_names() -> Vec<String> {
    let shown = INTRINSICS.iter().filter(|(i, _)| !HIDDEN.contains(i));
    let mut names: Vec<String> = shown.flat_map(|(_, words)| words.iter().map(|w| (*w).to_owned())).collect();
    names.sort_unstable();
    names
}

/// Names that are asked for.
#[derive(Default, Debug)]
pub(in super::super) struct NamesAsked {
    pub(in super::super) scope: Option<String>,
    pub(in super::super) query: Option<String>,
    pub(in super::super) limit: Option<u64>,
    /// Nanoseconds, both inclusive.
    pub(in super::super) range_ns: (u64, u64),
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
    pub(in super::super) fn of(self, limits: &TempoLimits) -> Result<Names, ApiError> {
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
pub(in super::super) struct Names {
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
                    let mut left = names.as_slice();
                    while !left.is_empty() {
                        let (now, later) = left.split_at(out.fitting(left));
                        out.room(bytes_of(now));
                        out.writer().message(1, |w| {
                            w.bytes(1, scope);
                            now.iter().for_each(|name| w.bytes(2, name));
                        });
                        left = later;
                    }
                }
            }
        }
        out
    }

    pub(in super::super) fn streamed(self, form: Form) -> Work {
        Box::new(move |state, context, outbox| {
            let (scopes, gaps, statistics) = self.find(state, context)?;
            self.messages(form, scopes).finish(&statistics).into_iter().for_each(|m| outbox.push(m));
            Ok(gaps)
        })
    }
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
pub(in super::super) async fn names_v1(
    State(state): State<Arc<ApiState>>,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, ApiError> {
    names(state, headers, params, Form::V1).await
}

/// `{"scopes": [{"name": …, "tags": […]}]}`.
pub(in super::super) async fn names_v2(
    State(state): State<Arc<ApiState>>,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, ApiError> {
    names(state, headers, params, Form::V2).await
}
