//! Whatever is typed, the parser answers; and what it prints means the same.

use bramble_query_promql::syntax::print;
use bramble_query_promql::{Engine, EngineOptions, format_query, parse};
use bramble_storage::QueryContext;
use bramble_storage::memory::MemoryMetrics;
use proptest::prelude::*;
use std::sync::Arc;

const PIECES: [&str; 44] = [
    "foo",
    "sum",
    "by",
    "without",
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    "5m",
    ":",
    "1",
    "-",
    "+",
    "*",
    "^",
    "and",
    "or",
    "unless",
    "==",
    "bool",
    "on",
    "group_left",
    "offset",
    "@",
    "start()",
    "\"a\"",
    "a=\"b\"",
    ",",
    "rate",
    "topk",
    "le",
    "=~",
    "'x'",
    "NaN",
    "0x1f",
    "1e3",
    "anchored",
    "fill(0)",
    "step()",
    "histogram_quantile",
    "#",
    "\u{e9}",
];

/// Expressions that are right by construction.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("1.5".to_owned()),
        Just("foo".to_owned()),
        Just("foo{a=\"b\",c!~\"d|e\"} offset -5m".to_owned()),
        Just("rate(foo[5m] @ 100)".to_owned()),
        Just("max_over_time(foo[1h:5m])".to_owned()),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone(), prop_oneof!["\\+", "-", "\\^", "%", "atan2"])
                .prop_map(|(a, b, op)| format!("{a} {op} {b}")),
            inner.clone().prop_map(|e| format!("-{e}")),
            inner.clone().prop_map(|e| format!("({e})")),
            inner.clone().prop_map(|e| format!("sum by (a) (vector(1) * ({e}))")),
            inner.prop_map(|e| format!("abs(vector(1) + {e})")),
        ]
    })
}

proptest! {
    #[test]
    fn any_text_is_answered(text in ".{0,60}") {
        let _ = parse(&text);
    }

    #[test]
    fn any_pieces_are_answered_and_evaluated(pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..14)) {
        let text = pieces.join(" ");
        if let Err(error) = parse(&text) {
            prop_assert!(error.message.contains("parse error: "), "{}", error.message);
            prop_assert!(error.start <= text.len() && error.start <= error.end);
        }
        let options = EngineOptions { newer_than_3_5: true, ..EngineOptions::default() };
        let engine = Engine::new(Arc::new(MemoryMetrics::new()), options);
        let _ = engine.range(&text, i64::MIN / 4, i64::MIN / 4 + 1000, 500, None, &QueryContext::unlimited());
    }

    #[test]
    fn printing_keeps_the_meaning(text in expression()) {
        let expr = parse(&text).unwrap();
        let once = print(&expr);
        prop_assert_eq!(print(&parse(&once).unwrap()), once.clone(), "{}", text);
        prop_assert_eq!(print(&parse(&format_query(&text).unwrap()).unwrap()), once);
    }
}
