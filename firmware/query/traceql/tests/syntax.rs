//! Queries print as they read back, and no text breaks the parser.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use bramble_query_traceql::parse;
use proptest::prelude::*;

fn field() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        ".a",
        "span.a.b",
        "span.\"x y\"",
        "resource.service.name",
        "event.k",
        "link.k",
        "instrumentation.k",
        "span.ünï-code",
    ])
    .prop_map(str::to_owned)
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("duration".to_owned()),
        Just("span:childCount".to_owned()),
        field(),
        any::<u32>().prop_map(|n| n.to_string()),
        (0u32..100_000).prop_map(|n| format!("{}", f64::from(n) / 64.0)),
        (0u64..u64::MAX / 4).prop_map(|ns| format!("{ns}ns")),
        (0u32..500).prop_map(|n| format!("{n}h{n}m1.5s")),
    ]
}

fn value() -> impl Strategy<Value = String> {
    let text = "[a-z`\"\\\\ \n€]{0,5}".prop_map(|s| format!("{:?}", s));
    let leaf = prop_oneof![
        (number(), prop::sample::select(vec!["=", "!=", "<", "<=", ">", ">="]), number())
            .prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        (field(), prop::sample::select(vec!["=", "!=", "<"]), text).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        (field(), prop::sample::select(vec!["=~", "!~"])).prop_map(|(a, op)| format!("{a} {op} \"a.*|`b`\"")),
        Just("status = error".to_owned()),
        Just("kind != server".to_owned()),
        Just("name = nil".to_owned()),
        Just("span.flag".to_owned()),
        Just("true".to_owned()),
    ];
    leaf.prop_recursive(4, 32, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|e| format!("!({e})")),
            (inner.clone(), prop::sample::select(vec!["&&", "||"]), inner.clone(), inner)
                .prop_map(|(a, op, b, c)| format!("({a}) {op} ({b}) && ({c})")),
        ]
    })
}

fn spanset() -> impl Strategy<Value = String> {
    let filter = prop_oneof![Just("{}".to_owned()), value().prop_map(|e| format!("{{ {e} }}"))];
    let signs = vec!["&&", "||", ">", ">>", "<", "<<", "~", "!>", "!>>", "!<", "!<<", "!~", "&>", "&>>", "&<", "&~"];
    filter.prop_recursive(3, 8, 2, move |inner| {
        let signs = signs.clone();
        prop_oneof![
            (inner.clone(), prop::sample::select(signs), inner.clone())
                .prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            (inner, stage()).prop_map(|(a, stage)| format!("({a} | {stage})")),
        ]
    })
}

fn stage() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("coalesce()".to_owned()),
        Just("by(span.a)".to_owned()),
        Just("select(name, span.\"x y\")".to_owned()),
        Just("count() > 2".to_owned()),
        Just("avg(duration) + 1s * 2 >= max(span.a) - -3".to_owned()),
    ]
}

fn end() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "",
        " | rate() by (name, span.a) | topk(3)",
        " | quantile_over_time(duration, 0.5, .99) > 1.5",
        " | histogram_over_time(span.a) with(exemplars=true)",
        " | compare({ status = error }, 5, 100, 200)",
        " with(most_recent=true, a=\"x\", b=word, c=1s)",
    ])
    .prop_map(str::to_owned)
}

proptest! {
    #[test]
    fn prints_as_it_reads_back(set in spanset(), stages in prop::collection::vec(stage(), 0..3), end in end()) {
        let bars: String = stages.iter().map(|s| format!(" | {s}")).collect();
        // Sets with steps stand in brackets, which only other brackets may stand beside.
        if let Ok(query) = parse(&format!("{set}{bars}{end}")) {
            let printed = query.to_string();
            let again = parse(&printed).map_err(|e| TestCaseError::fail(format!("{printed}: {e}")))?;
            prop_assert_eq!(again.to_string(), printed);
        }
    }

    #[test]
    fn sets_and_values_are_understood(e in value(), end in end()) {
        let text = format!("{{ {e} }}{end}");
        // The types of random comparisons may not fit: that is said, with a place.
        if let Err(error) = parse(&text) {
            prop_assert!(error.text.contains("type"), "{}: {}", text, error);
            prop_assert!(error.line >= 1 && error.column >= 1);
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[{}()|&!<>=~a-c.:\"`0-9smh ,+*/^%\\\\-]{0,40}") {
        if let Ok(query) = parse(&text) {
            prop_assert!(parse(&query.to_string()).is_ok(), "{}", query);
        }
    }

    #[test]
    fn any_unicode_is_read_or_refused(text in ".{0,40}") {
        let _ = parse(&text);
        let _ = parse(&format!("{{ span.{text} = `{text}` }}"));
    }
}

#[test]
fn errors_name_line_and_column() {
    for (text, line, column) in [
        ("{ }\n| foo() > 1", 2, 3),
        ("{ .a = 1 &&\n  duration > \"5s\" }", 2, 12),
        ("{ name =\n 5 }", 1, 8),
        ("{ 1 }", 1, 1),
        ("{ } | avg(name) > 1", 1, 7),
        ("{ } | quantile_over_time(duration, 2)", 1, 36),
        ("{ .ü = \"x\" && .b =~ \"(\" }", 1, 21),
        ("{ parent.a = 1 }", 1, 3),
    ] {
        let error = parse(text).unwrap_err();
        assert_eq!((error.line, error.column), (line, column), "{text}: {error}");
    }
}

#[test]
fn what_is_long_or_deep_is_bounded() {
    let ids: Vec<String> = (0..2000).map(|n| format!(".id = \"{n}\"")).collect();
    let long = parse(&format!("{{ {} }}", ids.join(" || "))).unwrap();
    assert_eq!(long.to_string().matches("||").count(), 1999);
    for text in [
        format!("{{ {} }}", vec![".a"; 20_000].join(" + ") + " > 1"),
        format!("{{ {} }}", vec![".a"; 10_000].join(" && .b || ")),
        vec!["{}"; 20_000].join(" && "),
        vec!["{}"; 20_000].join(" | "),
        format!("{{}} | {} > 1", vec!["count()"; 9_000].join(" + ")),
        format!("{{ {} }}", vec![".a =~ \"a{500}\""; 3_000].join(" || ")),
        format!("{{ .a =~ \"{}\" }}", "(a{1000}){1000}"),
        format!("{}{}", "(".repeat(60_000), "{}"),
        format!("{{}} | rate(){}", " > 1".repeat(10_000)),
        format!("{{ {} }}", "a".repeat(200_000)),
    ] {
        assert!(parse(&text).is_err(), "{}", text.get(..60).unwrap());
    }
}
