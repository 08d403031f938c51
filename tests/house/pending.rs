//! Answers that are empty until a feature lands: each is listed in docs/compatibility.md, and once the feature's code is
//! there, its handler must have something to answer from.

use crate::{file, root};

/// A path of Prometheus' API, its handler, and where the code of its feature will be: a part of a directory's name
/// below `firmware` (a crate, or a module of `collect`).
const PENDING: [(&str, &str, &str); 6] = [
    ("/api/v1/targets", "targets::targets", "scrape"),
    ("/api/v1/targets/metadata", "targets::metadata", "scrape"),
    ("/api/v1/scrape_pools", "targets::scrape_pools", "scrape"),
    ("/api/v1/rules", "rules::rules", "alert"),
    ("/api/v1/alerts", "rules::alerts", "alert"),
    ("/api/v1/alertmanagers", "rules::alertmanagers", "alert"),
];

const API: &str = "firmware/serve/src/api/prometheus";

/// Whether a crate or a module whose name contains `part` is below `firmware`.
fn exists(part: &str) -> bool {
    let places = ["firmware", "firmware/collect/src", "firmware/collect/src/sources"];
    places.iter().any(|place| {
        let entries = std::fs::read_dir(root().join(place)).unwrap();
        entries.filter_map(Result::ok).any(|entry| entry.file_name().to_string_lossy().contains(part))
    })
}

/// The parameters of a handler, from its source.
fn parameters(handler: &str) -> String {
    let (module, function) = handler.split_once("::").unwrap();
    let source = file(&format!("{API}/{module}.rs"));
    let start = source.find(&format!("async fn {function}(")).unwrap_or_else(|| panic!("{handler} is gone"));
    source[start..].split(") ->").next().unwrap().to_owned()
}

/// What is wrong with one entry of [`PENDING`], given whether its feature is there.
fn complaint(path: &str, handler: &str, there: bool, documented: bool) -> Option<String> {
    let answers_from_something = parameters(handler).contains("State(");
    match (there, answers_from_something) {
        (true, false) => Some(format!("{path}: its feature is there, and {handler} still answers without looking")),
        (false, false) if !documented => Some(format!("{path} is empty and docs/compatibility.md does not say so")),
        _ => None,
    }
}

#[test]
fn empty_answers_are_listed_and_end_with_their_feature() {
    let document = file("docs/compatibility.md");
    let routes = file(&format!("{API}/mod.rs"));
    let listed =
        |path: &str| document.lines().any(|line| line.contains(&format!("`{path}`")) && line.contains("empty"));
    let complaints: Vec<String> = PENDING
        .iter()
        .inspect(|(path, handler, _)| {
            assert!(routes.contains(&format!("\"{path}\", get({handler})")), "{path} is answered by something else");
        })
        .filter_map(|(path, handler, feature)| complaint(path, handler, exists(feature), listed(path)))
        .collect();
    assert!(complaints.is_empty(), "{complaints:#?}");
}

#[test]
fn the_check_notices() {
    assert!(complaint("/api/v1/rules", "rules::rules", true, true).is_some(), "the feature is there");
    assert!(complaint("/api/v1/rules", "rules::rules", false, false).is_some(), "nobody is told");
    assert!(complaint("/api/v1/status/tsdb", "tsdb::tsdb", true, false).is_none(), "it looks");
    assert!(exists("serve") && !exists("no such thing"));
}
