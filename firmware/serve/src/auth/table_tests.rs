use super::*;
use regex::Regex;
use std::path::Path;

fn of(method: Method, path: &str) -> Need {
    need(&method, path)
}

#[test]
fn routes_need_what_they_do() {
    for (method, path, expected) in [
        (Method::GET, "/-/healthy", Need::Public),
        (Method::GET, "/prometheus/-/healthy", Need::Public),
        (Method::GET, "/", Need::Page),
        (Method::GET, "/assets/index-abc.js", Need::Public),
        (Method::GET, "/assets/", ADMIN),
        (Method::GET, "/prometheus/api/v1/query", READ),
        (Method::POST, "/api/v1/query", READ),
        (Method::HEAD, "/metrics", READ),
        (Method::POST, "/prometheus/api/v1/write", INGEST),
        (Method::POST, "/loki/loki/api/v1/push", INGEST),
        (Method::POST, "/loki/api/v1/push", INGEST),
        (Method::GET, "/loki/api/v1/push", ADMIN),
        (Method::GET, "/api/logs", READ),
        (Method::POST, "/api/logs", INGEST),
        (Method::DELETE, "/loki/api/v1/delete", ADMIN),
        (Method::POST, "/loki/loki/api/v1/delete", ADMIN),
        (Method::GET, "/api/traces", READ),
        (Method::POST, "/api/traces", INGEST),
        (Method::GET, "/tempo/api/traces/0af7", READ),
        (Method::GET, "/flush", ADMIN),
        (Method::POST, "/api/v1/admin/tsdb/delete_series", ADMIN),
        (Method::POST, "/api/v1/owner", Need::Public),
        (Method::PUT, "/api/v1/tokens", ADMIN),
        (Method::PATCH, "/api/v1/owner", ADMIN),
        (Method::DELETE, "/api/v1/owner", ADMIN),
        (Method::GET, "/api/v1/system", READ),
        (Method::POST, "/api/v1/system/update", ADMIN),
        (Method::GET, "/api/nodes", READ),
        (Method::POST, "/api/nodes/tokens", ADMIN),
        (Method::DELETE, "/api/nodes/abc", ADMIN),
        (Method::POST, "/bramble.node.v1.Node/Deliver", Need::Own),
        (Method::POST, "/opentelemetry.proto.collector.trace.v1.TraceService/Export", INGEST),
        (Method::POST, "/tempopb.StreamingQuerier/Search", READ),
        (Method::GET, "/nowhere", ADMIN),
        (Method::GET, "/prometheusx/-/healthy", ADMIN),
        (Method::GET, "//-/healthy", ADMIN),
        (Method::GET, "/prometheus/prometheus/-/healthy", ADMIN),
        (Method::DELETE, "/api/v1/query", ADMIN),
    ] {
        assert_eq!(of(method.clone(), path), expected, "{method} {path}");
    }
}

proptest::proptest! {
    /// What is public is what the table says, however a path is written.
    #[test]
    fn no_path_is_public_by_accident(path in "/[a-z/.%-]{0,24}") {
        let public = ["/health", "/-/healthy", "/-/ready", "/ready", "/api/health", "/setup", "/login"];
        let rest = without_prefix(&path).unwrap_or(&path);
        let known = public.contains(&path.as_str()) || public.contains(&rest) || rest.starts_with("/assets/");
        proptest::prop_assert!(known || of(Method::GET, &path) != Need::Public, "{}", path);
    }
}

/// Every line can be reached: none stands behind a wider one.
#[test]
fn no_line_is_hidden_by_an_earlier_one() {
    for (at, (by, pattern, need)) in TABLE.iter().enumerate() {
        let path = pattern.replace("{*", "{").replace(['{', '}'], "");
        let method = match by {
            By::Change => Method::DELETE,
            By::Post => Method::PUT,
            By::Ask => Method::POST,
            _ => Method::GET,
        };
        let first = TABLE.iter().position(|(by, pattern, _)| by.has(&method) && fits(pattern, &path));
        let first = first.unwrap_or_else(|| panic!("{pattern} does not fit itself"));
        assert!(first == at || TABLE[first].2 == *need, "{pattern} is hidden by {}", TABLE[first].1);
    }
}

/// A route in a source file: where it is nested, what is said of methods.
struct Route {
    path: String,
    method: Method,
}

/// Routes of a source, by the text `.route("…", …)`; those of a nested router with its prefix.
fn routes(text: &str, nests: &[(&str, &str)]) -> Vec<Route> {
    let route = Regex::new(r#"\.route\(\s*(?:&format!\()?"([^"]+)"\)?,\s*([^\n]*)"#).unwrap();
    let mut found = Vec::new();
    for captured in route.captures_iter(text) {
        let at = captured.get(0).unwrap().start();
        let before = &text[..at];
        // The last `let name = Router::new()` before the route says which router it belongs to.
        let prefix = nests
            .iter()
            .filter_map(|(name, prefix)| Some((before.rfind(&format!("let {name} = Router::new()"))?, *prefix)));
        let other = before.rfind("\n    Router::new()").map(|at| (at, ""));
        let prefix = prefix.chain(other).max_by_key(|(at, _)| *at).map_or("", |(_, prefix)| prefix);
        let methods = &captured[2];
        for (word, method) in
            [("get(", Method::GET), ("post(", Method::POST), ("put(", Method::PUT), ("delete(", Method::DELETE)]
        {
            let said = methods
                .match_indices(word)
                .any(|(at, _)| !methods[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'));
            // Handlers that are no plain call of a method: both ways of asking must be listed.
            let any = !["get(", "post(", "put(", "delete("].iter().any(|word| methods.contains(word));
            if said || (any && matches!(method, Method::POST)) {
                found.push(Route { path: format!("{prefix}{}", &captured[1]), method });
            }
        }
    }
    found
}

#[test]
fn every_route_of_the_sources_is_listed() {
    let firmware = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut count = 0;
    let mut missing = Vec::new();
    for folder in ["serve/src", "collect/src/receivers", "bramble/src"] {
        let mut folders = vec![firmware.join(folder)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let name = path.to_string_lossy().into_owned();
                // Tests have routers of their own.
                if !name.ends_with(".rs") || name.contains("tests") || name.contains("/auth/") {
                    continue;
                }
                let text = std::fs::read_to_string(&path).unwrap();
                let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
                let nests: &[(&str, &str)] = match () {
                    () if name.ends_with("api/loki/mod.rs") => &[("v1", "/loki/api/v1"), ("old", "/api/prom")],
                    () if name.ends_with("api/jaeger/v3.rs") => &[("", "")],
                    () => &[],
                };
                let under = if name.ends_with("api/jaeger/v3.rs") { "/api/v3" } else { "" };
                for route in routes(text, nests) {
                    count += 1;
                    let path = format!("{under}{}", route.path);
                    // Names that the sources put in, and answers to what is not there.
                    if path.contains("{*rest}") {
                        continue;
                    }
                    let path = filled(&path);
                    if path.iter().any(|path| listed(&route.method, path).is_none()) {
                        missing.push(format!("{} {path:?} in {name}", route.method));
                    }
                }
            }
        }
    }
    assert!(missing.is_empty(), "routes without a line in auth/table.rs:\n{}", missing.join("\n"));
    assert!(count > 120, "only {count} routes were found: is the search still right?");
}

/// The path with what `format!` puts into it.
fn filled(path: &str) -> Vec<String> {
    const PUT: [(&str, &[&str]); 8] = [
        ("{}", &["grpc.health.v1.Health"]),
        ("{prefix}", &["", "/zipkin"]),
        ("{version}", &["v1", "v2"]),
        ("{HEALTH}", &["grpc.health.v1.Health"]),
        ("{COLLECTOR}", &["jaeger.api_v2.CollectorService"]),
        ("{SAMPLING}", &["jaeger.api_v2.SamplingManager"]),
        ("{SERVICE}", &["bramble.node.v1.Node", "tempopb.StreamingQuerier"]),
        ("{service}", &["opentelemetry.proto.collector.logs.v1.LogsService", "jaeger.api_v2.CollectorService"]),
    ];
    let mut paths = vec![path.replace("{{", "{").replace("}}", "}")];
    for (name, values) in PUT {
        if paths[0].contains(name) && !paths[0].starts_with("/api/services/") {
            paths = paths.iter().flat_map(|path| values.iter().map(|value| path.replace(name, value))).collect();
        }
    }
    paths
}
