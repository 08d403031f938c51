//! Calls about what is evaluated: `/rules`, `/alerts`, `/alertmanagers`, `/notifications`.
//!
//! Nothing is evaluated yet, so the lists are empty; parameters are judged as Prometheus judges them. `tests/house` fails
//! once there is such a part and these answers have not been connected to it.

use super::answer::{ApiError, success};
use super::asked::selectors_of;
use crate::params::Params;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;

pub(super) async fn rules(params: Params) -> Result<Response, ApiError> {
    if let Some(kind) = params.get("type")
        && !matches!(kind.to_ascii_lowercase().as_str(), "alert" | "record")
    {
        return Err(ApiError::parameter("type", format!("not supported value \"{}\"", kind.to_ascii_lowercase())));
    }
    if let Some(text) = params.get("exclude_alerts") {
        truth(text).ok_or_else(|| {
            let why = format!("error converting exclude_alerts: strconv.ParseBool: parsing \"{text}\": invalid syntax");
            ApiError::parameter("exclude_alerts", why)
        })?;
    }
    selectors_of(&params).map_err(ApiError::bad_data)?;
    page_of(&params)?;
    Ok(success(json!({"groups": []})))
}

/// What Prometheus takes for a truth value.
pub(super) fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// Judges `group_limit` and `group_next_token`; among no groups any token is one of a group that is gone.
fn page_of(params: &Params) -> Result<(), ApiError> {
    let token = params.get("group_next_token");
    match params.get("group_limit").map(str::parse::<i32>) {
        None if token.is_some() => Err(ApiError::parameter(
            "group_next_token",
            "group_limit needs to be present in order to paginate over the groups",
        )),
        Some(Err(e)) => Err(ApiError::parameter("group_limit", format!("group_limit needs to be a valid number: {e}"))),
        Some(Ok(n)) if n <= 0 => Err(ApiError::parameter("group_limit", "group_limit needs to be greater than 0")),
        _ => match token {
            Some(token) => Err(ApiError::parameter(
                "group_next_token",
                format!("invalid group_next_token '{token}'. were rule groups changed?"),
            )),
            None => Ok(()),
        },
    }
}

pub(super) async fn alerts() -> Response {
    success(json!({"alerts": []}))
}

pub(super) async fn alertmanagers() -> Response {
    success(json!({"activeAlertmanagers": [], "droppedAlertmanagers": []}))
}

pub(super) async fn notifications() -> Response {
    success(json!([]))
}

/// Prometheus says so when it takes no more subscribers; we take none.
pub(super) async fn live_notifications() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn asked(query: &str) -> u16 {
        match rules(Params::parse(query)).await {
            Ok(response) => response.status().as_u16(),
            Err(error) => error.into_response().status().as_u16(),
        }
    }

    #[tokio::test]
    async fn parameters_of_rules_are_judged() {
        for fine in ["", "type=Alert", "exclude_alerts=T", "group_limit=1", "rule_name[]=x&match[]=up"] {
            assert_eq!(asked(fine).await, 200, "{fine}");
        }
        for bad in [
            "type=bad",
            "exclude_alerts=yes",
            "group_limit=0",
            "group_limit=x",
            "group_next_token=abc",
            "group_limit=2&group_next_token=abc",
            "match[]={",
        ] {
            assert_eq!(asked(bad).await, 400, "{bad}");
        }
    }
}
