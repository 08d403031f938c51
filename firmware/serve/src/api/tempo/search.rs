//! Search for traces: by TraceQL, or by tags in logfmt.

use super::answer::{ApiError, attribute, seconds_range, whole};
use crate::api::json;
use crate::params::Params;
use crate::run::run;
use crate::state::ApiState;
use axum::extract::State;
use axum::response::Response;
use bramble_query_traceql::{FoundSet, FoundTrace, Query, SearchOptions, duration_ns, parse, search};
use bramble_storage::{QueryContext, ReadError};
use http::StatusCode;
use serde_json::{Map, Value, json};
use std::sync::Arc;

const LIMIT_DEFAULT: u64 = 20;
const SPANS_PER_SET_DEFAULT: u64 = 3;

/// Most traces that one answer may hold.
const LIMIT_MAX: u64 = 10_000;

fn set_json(set: &FoundSet) -> Value {
    let spans: Vec<Value> = set
        .spans
        .iter()
        .map(|span| {
            let mut out = Map::new();
            out.insert("spanID".to_owned(), span.span_id.to_string().into());
            if let Some(name) = span.name.as_ref().filter(|n| !n.is_empty()) {
                out.insert("name".to_owned(), name.as_str().into());
            }
            out.insert("startTimeUnixNano".to_owned(), span.start_ns.to_string().into());
            out.insert("durationNanos".to_owned(), span.duration_ns.to_string().into());
            if !span.attributes.is_empty() {
                out.insert("attributes".to_owned(), span.attributes.iter().map(|(k, v)| attribute(k, v)).collect());
            }
            Value::Object(out)
        })
        .collect();
    let mut out = json!({"spans": spans, "matched": set.matched});
    if !set.attributes.is_empty() {
        out["attributes"] = set.attributes.iter().map(|(k, v)| attribute(k, v)).collect();
    }
    out
}

fn trace_json(trace: &FoundTrace, with_sets: bool) -> Value {
    let mut out = Map::new();
    out.insert("traceID".to_owned(), trace.trace_id.to_string().into());
    match &trace.root {
        Some((service, name)) => {
            out.insert("rootServiceName".to_owned(), service.as_str().into());
            out.insert("rootTraceName".to_owned(), name.as_str().into());
        }
        None => {
            out.insert("rootServiceName".to_owned(), "<root span not yet received>".into());
        }
    }
    out.insert("startTimeUnixNano".to_owned(), trace.start_ns.to_string().into());
    // The default of its type is left out, as protobuf's JSON does.
    if trace.duration_ns >= 1_000_000 {
        out.insert("durationMs".to_owned(), (trace.duration_ns / 1_000_000).into());
    }
    if with_sets {
        let sets: Vec<Value> = trace.sets.iter().map(set_json).collect();
        // Older clients read only the first.
        out.insert("spanSet".to_owned(), sets.first().cloned().unwrap_or_default());
        out.insert("spanSets".to_owned(), sets.into());
        let services = trace.services.iter().map(|(name, (spans, errors))| {
            (
                name.clone(),
                if *errors > 0 {
                    json!({"spanCount": spans, "errorCount": errors})
                } else {
                    json!({"spanCount": spans})
                },
            )
        });
        out.insert("serviceStats".to_owned(), Value::Object(services.collect()));
    }
    Value::Object(out)
}

/// Keys and values of logfmt: `a=b c="d e"`; words without a value are keys of nothing.
fn logfmt(text: &str) -> Vec<(String, String)> {
    let (mut out, mut chars) = (Vec::new(), text.chars().peekable());
    loop {
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        if chars.peek().is_none() {
            return out;
        }
        let (mut key, mut value) = (String::new(), String::new());
        while let Some(c) = chars.next_if(|c| *c != '=' && !c.is_whitespace()) {
            key.push(c);
        }
        if chars.next_if_eq(&'=').is_some() {
            if chars.next_if_eq(&'"').is_some() {
                while let Some(c) = chars.next().filter(|c| *c != '"') {
                    value.push(if c == '\\' { chars.next().unwrap_or(c) } else { c });
                }
            } else {
                while let Some(c) = chars.next_if(|c| !c.is_whitespace()) {
                    value.push(c);
                }
            }
        }
        out.push((key, value));
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

/// One tag as a test. Values have no types in logfmt: what reads as a number or truth value matches both.
fn tag_test(key: &str, value: &str) -> String {
    let text = quoted(value);
    match key {
        "name" => format!("name = {text}"),
        "root.name" => format!("rootName = {text}"),
        "root.service.name" => format!("rootServiceName = {text}"),
        _ => {
            let field = format!(".{}", quoted(key));
            let is_typed = value.parse::<i64>().is_ok_and(|i| i >= 0) || value == "true" || value == "false";
            if is_typed { format!("({field} = {text} || {field} = {value})") } else { format!("{field} = {text}") }
        }
    }
}

/// The TraceQL of a search by tags: one span passes all of them, and lasts so long.
fn tags_query(params: &Params) -> Result<Option<String>, ApiError> {
    let mut tests: Vec<String> = logfmt(params.get("tags").unwrap_or("")).iter().map(|(k, v)| tag_test(k, v)).collect();
    for (name, sign) in [("minDuration", ">="), ("maxDuration", "<=")] {
        let Some(text) = params.get(name) else { continue };
        let ns = duration_ns(text)
            .ok_or_else(|| ApiError::bad(format!("invalid {name}: time: invalid duration {text:?}")))?;
        tests.push(format!("duration {sign} {ns}ns"));
    }
    Ok((!tests.is_empty()).then(|| format!("{{ {} }}", tests.join(" && "))))
}

struct Search {
    query: Query,
    options: SearchOptions,
    with_sets: bool,
}

fn search_of(params: &Params, now_s: u64) -> Result<Search, ApiError> {
    let limit = whole(params, "limit")?.unwrap_or(LIMIT_DEFAULT);
    let spans_per_set = whole(params, "spss")?.unwrap_or(SPANS_PER_SET_DEFAULT);
    let (start_ns, end_ns) = seconds_range(params, now_s)?;
    if limit == 0 || limit > LIMIT_MAX {
        return Err(ApiError::bad(format!("invalid limit: must be from 1 to {LIMIT_MAX}")));
    }
    let tags = tags_query(params)?.filter(|_| params.get("q").is_none());
    let with_sets = tags.is_none();
    let text = params.get("q").map(str::to_owned).or(tags).unwrap_or_else(|| "{ }".to_owned());
    let query = parse(&text).map_err(|e| ApiError::bad(format!("invalid TraceQL query: {e}")))?;
    let spans_per_set = if spans_per_set == 0 { usize::MAX } else { spans_per_set as usize };
    Ok(Search { query, options: SearchOptions { start_ns, end_ns, limit: limit as usize, spans_per_set }, with_sets })
}

pub(super) async fn traces(State(state): State<Arc<ApiState>>, params: Params) -> Result<Response, ApiError> {
    let Search { query, options, with_sets } = search_of(&params, (state.clock.wall_ns() / 1_000_000_000) as u64)?;
    let work = move |state: &Arc<ApiState>, context: &QueryContext| -> Result<Value, ReadError> {
        let found = search(&query, state.traces.as_ref(), &options, context)?;
        let traces: Vec<Value> = found.iter().map(|t| trace_json(t, with_sets)).collect();
        Ok(json!({"traces": traces, "metrics": super::answer::statistics(context)}))
    };
    let body = run(&state, None, work).await??;
    Ok(json(StatusCode::OK, &body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_as_logfmt() {
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(
            logfmt("a=b  c=\"d \\\"e\" f g="),
            [pair("a", "b"), pair("c", "d \"e"), pair("f", ""), pair("g", "")]
        );
        let params = Params::parse("tags=http.status_code%3D500+name%3D%22a+b%22&minDuration=2s");
        let query = tags_query(&params).unwrap().unwrap();
        assert_eq!(
            query,
            "{ (.\"http.status_code\" = \"500\" || .\"http.status_code\" = 500) && name = \"a b\" && duration >= 2000000000ns }"
        );
        assert!(parse(&query).is_ok());
    }

    #[test]
    fn bad_parameters_are_named() {
        for (query, word) in [
            ("limit=abc", "limit"),
            ("limit=-1", "limit"),
            ("spss=-1", "spss"),
            ("start=x", "start"),
            ("start=5&end=4", "start=5 end=4"),
            ("q=%7B", "col 2"),
            ("minDuration=5", "minDuration"),
        ] {
            let error = search_of(&Params::parse(query), 10).err().unwrap();
            assert!(error.1.contains(word), "{query}: {}", error.1);
        }
    }
}
