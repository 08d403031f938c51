//! Relabelling rules as the prometheus operator makes them.

use super::objects::{Endpoint, Relabeling, Selector};
use crate::discovery::group::sanitize;
use serde_json::{Value, json};

const META: &str = "__meta_kubernetes_";

/// Rules in the making.
pub(super) struct Rules(pub(super) Vec<Value>);

impl Rules {
    pub(super) fn new() -> Self {
        Rules(vec![json!({"source_labels": ["job"], "target_label": "__tmp_prometheus_job_name"})])
    }

    /// Copies a meta label as it is.
    pub(super) fn copy(&mut self, meta: &str, target: &str) {
        self.0.push(json!({"source_labels": [format!("{META}{meta}")], "target_label": target}));
    }

    pub(super) fn keep(&mut self, meta: &str, regex: &str) {
        self.0.push(json!({"action": "keep", "source_labels": [format!("{META}{meta}")], "regex": regex}));
    }

    /// Copies a meta label that is not empty.
    pub(super) fn copy_present(&mut self, meta: &str, target: &str) {
        self.0.push(json!({
            "source_labels": [format!("{META}{meta}")],
            "target_label": target,
            "regex": "(.+)",
            "replacement": "${1}",
        }));
    }

    pub(super) fn set(&mut self, target: &str, value: &str) {
        self.0.push(json!({"target_label": target, "replacement": value}));
    }

    /// Pods that will not run again have nothing to scrape.
    pub(super) fn drop_finished(&mut self, endpoint: &Endpoint) {
        if endpoint.filter_running.unwrap_or(true) {
            self.0.push(json!({
                "action": "drop",
                "source_labels": [format!("{META}pod_phase")],
                "regex": "(Failed|Succeeded)",
            }));
        }
    }

    /// The objects that a selector means. `kind`: `service` or `pod`.
    pub(super) fn select(&mut self, kind: &str, selector: &Selector) -> Result<(), String> {
        let both = |key: &str| {
            let key = sanitize(key);
            [format!("{META}{kind}_label_{key}"), format!("{META}{kind}_labelpresent_{key}")]
        };
        for (key, value) in selector.match_labels.iter().flatten() {
            let regex = format!("({value});true");
            self.0.push(json!({"action": "keep", "source_labels": both(key), "regex": regex}));
        }
        for expression in selector.match_expressions.iter().flatten() {
            let values = expression.values.as_deref().unwrap_or_default().join("|");
            let (action, regex) = match expression.operator.as_str() {
                "In" => ("keep", Some(format!("({values});true"))),
                "NotIn" => ("drop", Some(format!("({values});true"))),
                "Exists" => ("keep", None),
                "DoesNotExist" => ("drop", None),
                other => return Err(format!("operator \"{other}\" is no operator of a selector")),
            };
            let [label, present] = both(&expression.key);
            self.0.push(match regex {
                Some(regex) => json!({"action": action, "source_labels": [label, present], "regex": regex}),
                None => json!({"action": action, "source_labels": [present], "regex": "true"}),
            });
        }
        Ok(())
    }

    /// The pod or node behind an address of a service.
    pub(super) fn name_behind_address(&mut self) {
        for (kind, target) in [("Node", "node"), ("Pod", "pod")] {
            self.0.push(json!({
                "source_labels": [
                    format!("{META}endpoint_address_target_kind"),
                    format!("{META}endpoint_address_target_name"),
                ],
                "separator": ";",
                "regex": format!("{kind};(.*)"),
                "replacement": "${1}",
                "target_label": target,
            }));
        }
    }

    /// Labels of the service or pod that are carried over.
    pub(super) fn carry(&mut self, kind: &str, names: Option<&Vec<String>>) {
        for name in names.into_iter().flatten() {
            let name = sanitize(name);
            self.copy_present(&format!("{kind}_label_{name}"), &name);
        }
    }
}

/// A rule of the object itself, in the configuration's names.
pub(super) fn written(rule: &Relabeling) -> Value {
    let mut fields = serde_json::Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            fields.insert(name.to_owned(), value);
        }
    };
    let text = |value: &Option<String>| value.clone().map(Value::from);
    let some = |value: &Option<String>| value.clone().filter(|value| !value.is_empty()).map(Value::from);
    put("source_labels", rule.source_labels.clone().filter(|labels| !labels.is_empty()).map(Value::from));
    put("separator", text(&rule.separator));
    put("target_label", some(&rule.target_label));
    put("regex", some(&rule.regex));
    put("modulus", rule.modulus.filter(|modulus| *modulus != 0).map(Value::from));
    put("replacement", text(&rule.replacement));
    put("action", some(&rule.action).map(|action| Value::from(action.as_str().unwrap_or_default().to_lowercase())));
    Value::Object(fields)
}
