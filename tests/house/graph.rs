//! The crate graph: a crate uses only crates of lower storeys (docs/architecture.md, "Crates").
//!
//! Derived from `cargo metadata`, so that it is what cargo builds. Test-only dependencies are left out: a simulation may
//! look at everything.

use crate::{file, root};
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::Command;

/// Name, storey, path below the root, and names of the workspace crates it is built from.
struct Crate {
    storey: Option<u64>,
    path: String,
    uses: Vec<String>,
}

/// Reads the output of `cargo metadata --no-deps`.
fn graph(metadata: &Value) -> BTreeMap<String, Crate> {
    let root = metadata["workspace_root"].as_str().unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let names: Vec<&str> = packages.iter().filter_map(|p| p["name"].as_str()).collect();
    packages
        .iter()
        .map(|package| {
            let manifest = package["manifest_path"].as_str().unwrap();
            let path = manifest.trim_start_matches(root).trim_matches('/').trim_end_matches("/Cargo.toml");
            let mut uses: Vec<String> = package["dependencies"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|d| d["kind"] != "dev")
                .filter_map(|d| d["name"].as_str())
                .filter(|name| names.contains(name))
                .map(str::to_owned)
                .collect();
            uses.sort();
            uses.dedup();
            let one = Crate { storey: package["metadata"]["bramble"]["storey"].as_u64(), path: path.to_owned(), uses };
            (package["name"].as_str().unwrap().to_owned(), one)
        })
        .collect()
}

/// What is wrong with the graph, one line each.
fn complaints(crates: &BTreeMap<String, Crate>) -> Vec<String> {
    let mut found = Vec::new();
    for (name, one) in crates {
        let Some(storey) = one.storey else {
            found.push(format!("{name}: no [package.metadata.bramble] storey"));
            continue;
        };
        let expected = match one.path.as_str() {
            "firmware/bramble" => "bramble".to_owned(),
            path => format!("bramble-{}", path.trim_start_matches("firmware/").replace('/', "-")),
        };
        if *name != expected {
            found.push(format!("{name}: a crate in {} is called {expected}", one.path));
        }
        for used in &one.uses {
            if let Some(lower) = crates[used].storey
                && lower >= storey
            {
                found.push(format!("{name} ({storey}) -> {used} ({lower})"));
            }
        }
    }
    found
}

/// The graph as the document shows it: a line per crate, storey by storey.
fn drawn(crates: &BTreeMap<String, Crate>) -> String {
    let mut rows: Vec<(u64, &str, &Crate)> =
        crates.iter().map(|(name, one)| (one.storey.unwrap_or(u64::MAX), name.as_str(), one)).collect();
    rows.sort_by_key(|(storey, name, _)| (*storey, *name));
    let mut text = String::from("```text\n");
    for (storey, name, one) in rows {
        let uses: Vec<&str> = one.uses.iter().map(|u| u.trim_start_matches("bramble-")).collect();
        let line = format!("{storey}  {:<16} -> {}", name.trim_start_matches("bramble-"), uses.join(", "));
        text.push_str(line.trim_end_matches(" -> ").trim_end());
        text.push('\n');
    }
    text + "```\n"
}

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn crates_use_only_lower_storeys() {
    let crates = graph(&metadata());
    assert!(crates.len() > 15, "the graph was not read: {} crates", crates.len());
    assert!(crates["bramble"].uses.len() > 5, "edges were not read");
    let found = complaints(&crates);
    assert!(found.is_empty(), "edges that the storeys do not allow, or misnamed crates:\n{}", found.join("\n"));
}

#[test]
fn a_planted_edge_is_refused_and_named() {
    let mut metadata = metadata();
    let packages = metadata["packages"].as_array_mut().unwrap();
    let storage = packages.iter_mut().find(|p| p["name"] == "bramble-storage").unwrap();
    let planted = serde_json::json!([{"name": "bramble-disk", "kind": null}, {"name": "bramble-ingest", "kind": "build"},
        {"name": "bramble-serve", "kind": "dev"}]);
    storage["dependencies"] = planted;
    let found = complaints(&graph(&metadata));
    assert_eq!(found, ["bramble-storage (1) -> bramble-disk (1)", "bramble-storage (1) -> bramble-ingest (3)"]);
}

#[test]
fn a_crate_without_storey_or_with_another_name_is_refused() {
    let mut metadata = metadata();
    let packages = metadata["packages"].as_array_mut().unwrap();
    let disk = packages.iter_mut().find(|p| p["name"] == "bramble-disk").unwrap();
    disk["metadata"] = Value::Null;
    let wire = packages.iter_mut().find(|p| p["name"] == "bramble-wire").unwrap();
    let elsewhere = wire["manifest_path"].as_str().unwrap().replace("firmware/wire", "firmware/store/wire");
    wire["manifest_path"] = elsewhere.into();
    let found = complaints(&graph(&metadata));
    let expected = [
        "bramble-disk: no [package.metadata.bramble] storey",
        "bramble-wire: a crate in firmware/store/wire is called bramble-store-wire",
    ];
    assert_eq!(found, expected);
}

#[test]
fn members_are_listed_in_storey_order() {
    let manifest: toml_edit::DocumentMut = file("Cargo.toml").parse().unwrap();
    let crates = graph(&metadata());
    let members = manifest["workspace"]["members"].as_array().unwrap();
    let storeys: Vec<(u64, &str)> = members
        .iter()
        .filter_map(|member| member.as_str())
        .map(|path| {
            let one = crates.values().find(|one| one.path == path);
            (one.unwrap_or_else(|| panic!("{path}: listed, but not found")).storey.unwrap(), path)
        })
        .collect();
    assert!(storeys.is_sorted_by_key(|(storey, _)| *storey), "Cargo.toml lists members out of order: {storeys:?}");
    assert_eq!(storeys.len(), crates.len(), "a member is not listed by hand");
}

/// `UPDATE_DOCS=1 cargo test -p bramble-tests` writes it.
#[test]
fn the_document_shows_the_graph() {
    crate::documents::generated("docs/architecture.md", "crate graph", &drawn(&graph(&metadata())));
}
