//! Documents: generated parts are current, and every command they name exists.

use crate::{file, root};
use std::collections::BTreeSet;

/// Compares the part of `path` between `<!-- generated: NAME -->` and `<!-- end -->` with `text`; with `UPDATE_DOCS` set,
/// writes it instead.
pub(crate) fn generated(path: &str, name: &str, text: &str) {
    let (begin, end) = (format!("<!-- generated: {name} -->\n"), "<!-- end -->");
    let old = file(path);
    let from = old.find(&begin).unwrap_or_else(|| panic!("{path} has no {begin}")) + begin.len();
    let to = from + old[from..].find(end).unwrap_or_else(|| panic!("{path}: {begin} does not end"));
    if &old[from..to] == text {
        return;
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(root().join(path), format!("{}{text}{}", &old[..from], &old[to..])).unwrap();
        return;
    }
    panic!("{path}, \"{name}\" is stale: run `make docs` and commit it. It should be:\n{text}");
}

/// The documents that people follow.
const FOLLOWED: [&str; 19] = [
    "README.md",
    "docs/guide.md",
    "docs/board.md",
    "docs/buildroot.md",
    "docs/cluster.md",
    "docs/collecting.md",
    "docs/compatibility.md",
    "docs/forwarding.md",
    "docs/image.md",
    "docs/install.md",
    "docs/k3s/README.md",
    "docs/pipelines.md",
    "docs/security.md",
    "docs/storage.md",
    "docs/updates.md",
    "docs/runbook.md",
    "docs/benchmarks.md",
    "docs/correlation.md",
    "docs/grafana/README.md",
];

/// A heading as the anchor of a link: in lower case, words joined by hyphens, without punctuation.
fn anchor(heading: &str) -> String {
    let lower = heading.to_lowercase().replace(' ', "-");
    lower.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let mut checked = 0;
    for document in FOLLOWED {
        let text = file(document);
        let folder = document.rsplit_once('/').map_or("", |(folder, _)| folder);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link) {
            if link.contains("://") || link.contains(char::is_whitespace) {
                continue;
            }
            let (path, wanted) = link.split_once('#').unwrap_or((link, ""));
            let target = root().join(folder).join(path);
            let there = if path.is_empty() { root().join(document) } else { target };
            assert!(there.exists(), "{document} links to {link}, which is not there");
            if !wanted.is_empty() {
                let text = std::fs::read_to_string(&there).unwrap();
                let headings = text.lines().filter(|line| line.starts_with('#'));
                let found = headings.map(|line| anchor(line.trim_start_matches('#').trim())).any(|a| a == wanted);
                assert!(found, "{document} links to {link}, where no such heading is");
            }
            checked += 1;
        }
    }
    assert!(checked >= 20, "only {checked} links found: are the documents read?");
}

/// Every text in backticks and every line of an `sh` block.
fn commands(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut block = None;
    for line in text.lines() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            block = if block.is_some() { None } else { Some(language.to_owned()) };
        } else if block.as_deref() == Some("sh") {
            found.push(line.trim().to_owned());
        } else if block.is_none() {
            found.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    found
}

#[test]
fn every_make_target_and_subcommand_in_the_documents_exists() {
    let makefile = file("Makefile");
    let targets: BTreeSet<&str> = makefile
        .lines()
        .filter(|line| !line.starts_with(['\t', '#', '.']))
        .filter_map(|line| line.split_once(':').map(|(target, _)| target))
        .collect();
    // Declared in the binary's `enum Command`, whose variants clap turns into kebab-case.
    let main = file("firmware/bramble/src/main.rs");
    let declared = main.split("enum Command {").nth(1).unwrap().split("\n}").next().unwrap();
    let subcommands: BTreeSet<String> = declared
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with(char::is_uppercase))
        .map(|line| {
            let name = line.split(['(', ',']).next().unwrap();
            let mut kebab = String::new();
            for (i, c) in name.chars().enumerate() {
                if c.is_uppercase() && i > 0 {
                    kebab.push('-');
                }
                kebab.extend(c.to_lowercase());
            }
            kebab
        })
        .collect();
    assert!(subcommands.contains("print-config"), "subcommands were not read: {subcommands:?}");
    let mut checked = 0;
    for document in FOLLOWED {
        for command in commands(&file(document)) {
            let mut words = command.split_whitespace();
            let known: bool = match (words.next(), words.next()) {
                (Some("make"), Some(target)) => targets.contains(target),
                (Some("bramble" | "target/release/bramble"), Some(word)) if !word.starts_with(['-', '<']) => {
                    subcommands.contains(word)
                }
                (Some(script), _) if script.starts_with("scripts/") || script.starts_with("tests/") => {
                    root().join(script).exists()
                }
                _ => continue,
            };
            assert!(known, "{document} names `{command}`, which does not exist");
            checked += 1;
        }
    }
    assert!(checked >= 10, "only {checked} commands found: are the documents read?");
}

/// The settings in `firmware/bramble/src/config/mod.rs`, as the guide's table shows them.
#[test]
fn the_guide_lists_every_setting() {
    let source = file("firmware/bramble/src/config/mod.rs");
    let declared = source.split("\nsettings! {").nth(1).unwrap();
    let (mut section, mut doc, mut count) = (String::new(), String::new(), 0);
    let mut text = String::from("| setting | default | what |\n| --- | --- | --- |\n");
    for line in declared.lines().map(str::trim) {
        if let Some(more) = line.strip_prefix("///") {
            doc = more.trim().to_owned();
        } else if line.ends_with('{') {
            section = line.split(':').next().unwrap().trim().to_owned();
        } else if let Some((key, rest)) = line.split_once(": ")
            && let Some((_, value)) = rest.split_once(" = ")
        {
            let shown = shown(value.trim_end_matches(';').trim());
            text.push_str(&format!("| `{section}.{key}` | {shown} | {doc} |\n"));
            count += 1;
        }
    }
    assert!(count > 30, "only {count} settings read");
    generated("docs/guide.md", "settings", &text);
}

/// A default's Rust expression as a person would write it in the file.
fn shown(expression: &str) -> String {
    let inside = |prefix: &str| {
        expression.find(prefix).map(|at| {
            let rest = &expression[at + prefix.len()..];
            rest[..rest.find([')', ',']).unwrap_or(rest.len())].trim_matches('"').replace('_', "")
        })
    };
    if expression == "Optional(None)" {
        return "auto".to_owned();
    }
    if expression.starts_with("Names") {
        // A list is told by the program, where it is longer than a cell.
        let none = expression == "Names::default()";
        return if none { "none" } else { "a list, see `bramble print-config`" }.to_owned();
    }
    let units = [
        ("seconds(", " s"),
        ("hours(", " h"),
        ("days(", " d"),
        ("mib(", " MiB"),
        ("kib(", " KiB"),
        ("port(", ""),
        ("Share(", ""),
    ];
    for (prefix, unit) in units {
        if let Some(value) = inside(prefix) {
            return value + unit;
        }
    }
    match inside("Words::of(").or_else(|| inside("LogLevel::")) {
        Some(word) if word.is_empty() || word == "info(" => "info".to_owned(),
        Some(word) => word,
        None if expression.contains("Auto") => "auto".to_owned(),
        None if expression.contains("FilterAndDelete") => "filter-and-delete".to_owned(),
        None => expression.trim_end_matches(".to_owned()").trim_matches('"').to_owned(),
    }
}
