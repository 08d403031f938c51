//! Rules against the label sets they make; the cases cover Prometheus' documentation of `relabel_config`.

use super::*;

fn rules(yaml: &str) -> Vec<RelabelConfig> {
    serde_saphyr::from_str(yaml).unwrap_or_else(|e| panic!("{yaml}: {e}"))
}

/// Labels `a=1,b=2` through rules: the labels in order of name, or "dropped".
fn through(labels: &str, yaml: &str) -> String {
    let mut pairs: LabelPairs = labels
        .split(',')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    if !relabel(&mut pairs, &rules(yaml)) {
        return "dropped".to_owned();
    }
    pairs.sort();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",")
}

#[test]
fn actions_do_what_the_documentation_says() {
    for (labels, yaml, expected) in [
        (
            "a=foo,b=bar",
            "[{source_labels: [a], regex: 'f(.*)', target_label: d, replacement: 'ch${1}-ch${1}'}]",
            "a=foo,b=bar,d=choo-choo",
        ),
        (
            "a=foo,b=bar",
            "[{source_labels: [a, b], regex: 'f(.*);(.*)r', target_label: a, replacement: 'b${1}${2}m'}]",
            "a=boobam,b=bar",
        ),
        ("a=foo", "[{source_labels: [a], regex: '.*o.*', action: drop}]", "dropped"),
        ("a=foo", "[{source_labels: [a], regex: 'o', action: Drop}]", "a=foo"),
        ("a=foo", "[{source_labels: [a], regex: 'no-match', action: keep}]", "dropped"),
        ("a=foo", "[{source_labels: [b], regex: '', action: keep}]", "a=foo"),
        ("a=foo", "[{source_labels: [a], target_label: a, replacement: '', regex: 'f.*'}]", ""),
        ("a=foo", "[{target_label: b, replacement: plain}]", "a=foo,b=plain"),
        ("a=foo", "[{source_labels: [a], target_label: a, replacement: ''}]", ""),
        ("a=foo", "[{source_labels: [none], target_label: a, regex: '(x)?', replacement: '$1'}]", ""),
        (
            "a=some-name-value",
            "[{source_labels: [a], regex: 'some-([^-]+)-([^,]+)', target_label: '${1}', replacement: '${2}'}]",
            "a=some-name-value,name=value",
        ),
        (
            "a=foo,b=bar,c=baz",
            "[{source_labels: [c], target_label: d, separator: ';', action: hashmod, modulus: 1000}]",
            "a=foo,b=bar,c=baz,d=976",
        ),
        ("a=foo\nbar", "[{source_labels: [a], target_label: d, action: hashmod, modulus: 1000}]", "a=foo\nbar,d=734"),
        (
            "a=foo,b1=bar,b2=baz",
            "[{regex: '(b.*)', replacement: 'bar_${1}', action: labelmap}]",
            "a=foo,b1=bar,b2=baz,bar_b1=bar,bar_b2=baz",
        ),
        (
            "a=foo,__meta_my_bar=aaa",
            "[{regex: '__meta_(my.*)', action: labelmap}]",
            "__meta_my_bar=aaa,a=foo,my_bar=aaa",
        ),
        ("a=foo,b1=bar,b2=baz", "[{regex: '(b.*)', action: labelkeep}]", "b1=bar,b2=baz"),
        ("a=foo,b1=bar,b2=baz", "[{regex: '(b.*)', action: labeldrop}]", "a=foo"),
        (
            "a=FooBar",
            "[{source_labels: [a], target_label: u, action: uppercase}, {source_labels: [a], target_label: l, action: lowercase}]",
            "a=FooBar,l=foobar,u=FOOBAR",
        ),
        ("a=main,b=main", "[{source_labels: [a], target_label: b, action: keepequal}]", "a=main,b=main"),
        ("a=main,b=x", "[{source_labels: [a], target_label: b, action: keepequal}]", "dropped"),
        ("a=main,b=main", "[{source_labels: [a], target_label: b, action: dropequal}]", "dropped"),
        ("a=500", "[{source_labels: [a], regex: 500, target_label: c, replacement: 5}]", "a=500,c=5"),
    ] {
        assert_eq!(through(labels, yaml), expected, "{labels} {yaml}");
    }
}

#[test]
fn bad_rules_are_refused_in_prometheus_words() {
    for (yaml, expected) in [
        ("[{action: keeep}]", "unknown relabel action \"keeep\""),
        ("[{action: hashmod, target_label: a}]", "relabel configuration for hashmod requires non-zero modulus"),
        ("[{regex: a}]", "relabel configuration for replace action requires 'target_label' value"),
        ("[{action: lowercase, target_label: a, replacement: x}]", "'replacement' can not be set for lowercase action"),
        ("[{action: labeldrop, target_label: a}]", "labeldrop action requires only 'regex', and no other fields"),
        (
            "[{action: keepequal, target_label: a, regex: x}]",
            "keepequal action requires only 'source_labels' and `target_label`, and no other fields",
        ),
        ("[{action: drop, regex: '('}]", "error parsing regexp: "),
        ("[{action: drop, regexp: 'x'}]", "unknown field"),
    ] {
        let error = serde_saphyr::from_str::<Vec<RelabelConfig>>(yaml).unwrap_err().to_string();
        assert!(error.contains(expected), "{yaml}: {error}");
    }
}

#[test]
fn rules_are_equal_when_what_is_written_is() {
    let yaml = "[{source_labels: [a], target_label: b}]";
    assert_eq!(rules(yaml), rules(yaml));
    assert_ne!(rules(yaml), rules("[{source_labels: [b], target_label: b}]"));
    assert_eq!(rules(yaml)[0].rule().regex, "(.*)");
}
