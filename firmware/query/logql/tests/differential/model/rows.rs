//! Rows on their way through stages.

use super::lines::{self, Json, JsonKind};
use crate::data::Entry;
use crate::generate::{Kind, Log, Stage, Test};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Origin {
    Stream,
    Metadata,
    Parsed,
}

#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) time: i64,
    pub(crate) line: Vec<u8>,
    pub(crate) labels: BTreeMap<String, (String, Origin)>,
    /// What the stream is called: parsers keep off these names whatever became of them.
    stream: BTreeSet<String>,
}

const ERROR: &str = "__error__";

fn selected(selector: &str, app: &str) -> bool {
    match selector {
        r#"{app="api"}"# => app == "api",
        r#"{app=~"a.*|web"}"# => app.starts_with('a') || app == "web",
        _ => true,
    }
}

fn label_name(key: &str, at_start: bool) -> String {
    let plain: String = key.trim().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if at_start && plain.starts_with(|c: char| c.is_ascii_digit()) { format!("_{plain}") } else { plain }
}

impl Row {
    fn new(entry: &Entry) -> Self {
        let mut labels = BTreeMap::new();
        for (name, value) in entry.stream.iter().chain(&entry.floating) {
            labels.insert(name.clone(), (value.clone(), Origin::Stream));
        }
        let stream = labels.keys().cloned().collect();
        for (name, value) in &entry.metadata {
            let name = if labels.contains_key(name) { format!("{name}_extracted") } else { name.clone() };
            labels.entry(name).or_insert((value.clone(), Origin::Metadata));
        }
        Row { time: entry.time, line: entry.line.clone(), labels, stream }
    }

    pub(crate) fn get(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", |l| &l.0)
    }

    pub(crate) fn failed(&self) -> bool {
        !self.get(ERROR).is_empty()
    }

    pub(crate) fn shown(&self) -> BTreeMap<String, String> {
        self.labels.iter().map(|(n, (v, _))| (n.clone(), v.clone())).collect()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.line).into_owned()
    }

    fn fail(&mut self, kind: &str) {
        self.labels.insert(ERROR.to_owned(), (kind.to_owned(), Origin::Parsed));
    }

    fn extract(&mut self, name: &str, value: &str) {
        let found = self.labels.get(name).map(|l| l.1);
        let name = match found {
            Some(Origin::Metadata) => format!("{name}_extracted"),
            _ if self.stream.contains(name) => format!("{name}_extracted"),
            Some(_) => return,
            None => name.to_owned(),
        };
        self.labels.entry(name).or_insert((value.to_owned(), Origin::Parsed));
    }

    fn flatten(&mut self, members: &[(String, Json)], prefix: &str) {
        for (key, value) in members {
            let name = label_name(key, prefix.is_empty());
            if name.is_empty() {
                continue;
            }
            let name = if prefix.is_empty() { name } else { format!("{prefix}_{name}") };
            match &value.kind {
                JsonKind::Text(text) => self.extract(&name, text),
                JsonKind::Plain => self.extract(&name, &value.raw),
                JsonKind::Object(inner) => self.flatten(inner, &name),
                JsonKind::Null | JsonKind::List(_) => {}
            }
        }
    }

    /// Whether the row stays; the test may leave an error.
    pub(crate) fn passes(&mut self, test: &Test) -> bool {
        match test {
            Test::Text { name, op, value } => {
                let have = self.get(name);
                let regex = || regex::Regex::new(&format!("^(?s:{value})$")).unwrap();
                match *op {
                    "=" => have == *value,
                    "!=" => have != *value,
                    "=~" => regex().is_match(have),
                    _ => !regex().is_match(have),
                }
            }
            Test::Number { name, op, text, kind } => {
                if !self.labels.contains_key(*name) {
                    return false;
                }
                if self.failed() {
                    return true;
                }
                let read = |text: &str| number(text, *kind);
                let Some(have) = read(self.get(name)) else {
                    self.fail("LabelFilterErr");
                    return true;
                };
                let want = read(text).unwrap();
                match *op {
                    "=" | "==" => have == want,
                    "!=" => have != want,
                    ">" => have > want,
                    ">=" => have >= want,
                    "<" => have < want,
                    _ => have <= want,
                }
            }
            Test::Ip { name, text } => self.failed() || lines::is_ip(text, self.get(name)),
            Test::And(a, b) => self.passes(a) && self.passes(b),
            Test::Or(a, b) => self.passes(a) || self.passes(b),
        }
    }

    /// What a template of [`TEMPLATES`](crate::generate::TEMPLATES) gives.
    fn template(&self, template: &str) -> Option<String> {
        let at = crate::generate::TEMPLATES.iter().position(|t| *t == template).unwrap();
        let get = |name: &str| self.get(name).to_owned();
        let or = |value: String, other: &str| if value.is_empty() { other.to_owned() } else { value };
        Some(match at {
            0 => format!("{}/{}", get("level"), get("app")),
            1 => format!("{} {}", get("user").to_uppercase(), get("msg").to_lowercase()),
            2 if get("level") == "info" => "I".to_owned(),
            2 if !get("status").is_empty() => "S".to_owned(),
            2 => "-".to_owned(),
            3 => self.text().len().to_string(),
            4 if get("took").is_empty() => String::new(),
            4 => format!("t={}", get("took")),
            5 => format!("0{s},1{s},", s = get("status")),
            6 => match lines::bytes(&get("size"))? {
                n if n >= 1e6 => format!("{}e+06", n / 1e6),
                n => n.to_string(),
            },
            _ => format!("<{}>{}", get("host"), or(get("trace_id"), "none")),
        })
    }

    /// Runs the row through a stage; whether it stays.
    fn stage(&mut self, stage: &Stage) -> bool {
        match stage {
            Stage::Line { op, texts } => {
                let one = |text: &&'static str| match *op {
                    "|=" | "!=" => lines::contains(&self.line, text),
                    "|~" | "!~" => regex::bytes::Regex::new(text).unwrap().is_match(&self.line),
                    _ => lines::has_shape(text, &self.line),
                };
                return texts.iter().any(one) != op.starts_with('!');
            }
            Stage::LineIp(text) => return lines::has_ip(text, &self.line),
            Stage::Test(test) => return self.passes(test),
            Stage::Json => {
                let (members, whole) = lines::json(&self.text());
                self.flatten(&members, "");
                if !whole {
                    self.fail("JSONParserErr");
                }
            }
            Stage::JsonSome(paths) => self.json_some(paths),
            Stage::Logfmt { strict, keep_empty } => {
                let (pairs, clean) = lines::logfmt(&self.text(), *strict);
                for (key, value) in pairs {
                    if *keep_empty || !value.is_empty() {
                        self.extract(&label_name(&key, true), &value);
                    }
                }
                if *strict && !clean {
                    self.fail("LogfmtParserErr");
                }
            }
            Stage::LogfmtSome(keys) => {
                let (pairs, _) = lines::logfmt(&self.text(), false);
                for (key, value) in pairs.iter().filter(|p| !p.1.is_empty()) {
                    keys.iter().filter(|k| k.1 == key).for_each(|k| self.extract(k.0, value));
                }
                for (label, _) in keys {
                    if !self.labels.contains_key(*label) {
                        self.extract(label, "");
                    }
                }
            }
            Stage::Regexp(text) => {
                let regex = regex::bytes::Regex::new(text).unwrap();
                let line = self.line.clone();
                if let Some(found) = regex.captures(&line) {
                    for name in regex.capture_names().flatten() {
                        let value = found.name(name).map_or(&b""[..], |m| m.as_bytes());
                        self.extract(name, &String::from_utf8_lossy(value));
                    }
                }
            }
            Stage::Pattern(text) => {
                lines::captures(text, &self.line).iter().for_each(|(name, value)| self.extract(name, value));
            }
            Stage::Unpack => self.unpack(),
            Stage::LineFormat(template) => match self.template(template) {
                Some(line) => self.line = line.into_bytes(),
                None => self.fail("TemplateFormatErr"),
            },
            Stage::LabelFormat { target, from, template: true } => match self.template(from) {
                Some(value) => drop(self.labels.insert((*target).to_owned(), (value, Origin::Parsed))),
                None => self.fail("TemplateFormatErr"),
            },
            Stage::LabelFormat { target, from, .. } => {
                if let Some((value, origin)) = self.labels.remove(*from) {
                    let origin = if origin == Origin::Metadata { origin } else { Origin::Parsed };
                    self.labels.insert((*target).to_owned(), (value, origin));
                }
            }
            Stage::Decolorize => self.line = lines::decolorized(&self.line),
            Stage::Drop(names) => self.labels.retain(|name, l| !named(names, name, &l.0)),
            Stage::Keep(names) => self.labels.retain(|name, l| name.starts_with("__") || named(names, name, &l.0)),
        }
        true
    }

    fn json_some(&mut self, paths: &[(&str, &str)]) {
        let text = self.text();
        if !text.trim_start().starts_with(['{', '[', '"']) {
            return self.fail("JSONParserErr");
        }
        let (members, _) = lines::json(&text);
        let member = |members: &[(String, Json)], key: &str| members.iter().find(|m| m.0 == key).map(|m| m.1.clone());
        for (name, path) in paths {
            let value = match *path {
                "u.id" => match member(&members, "u").map(|v| v.kind) {
                    Some(JsonKind::Object(inner)) => member(&inner, "id"),
                    _ => None,
                },
                "user[1]" => match member(&members, "user").map(|v| v.kind) {
                    Some(JsonKind::List(list)) => list.get(1).cloned(),
                    _ => None,
                },
                path => member(&members, path.trim_matches(['[', ']', '"'])),
            };
            let value = value.map_or(String::new(), |v| match v.kind {
                JsonKind::Text(text) => text,
                JsonKind::Null => String::new(),
                _ => v.raw,
            });
            self.extract(name, &value);
        }
    }

    fn unpack(&mut self) {
        let text = self.text();
        if text.is_empty() {
            return;
        }
        let (members, whole) = lines::json(&text);
        if !whole {
            return self.fail("JSONParserErr");
        }
        let texts: Vec<(&String, &String)> = members
            .iter()
            .filter_map(|(key, value)| if let JsonKind::Text(text) = &value.kind { Some((key, text)) } else { None })
            .collect();
        let Some((_, line)) = texts.iter().find(|(key, _)| *key == "_entry") else { return };
        for (key, value) in texts.iter().filter(|(key, _)| *key != "_entry") {
            self.extract(&label_name(key, true), value);
        }
        self.line = line.as_bytes().to_vec();
    }
}

pub(crate) fn number(text: &str, kind: Kind) -> Option<f64> {
    match kind {
        Kind::Plain => text.parse().ok(),
        Kind::Duration => lines::duration(text),
        Kind::Bytes => lines::bytes(text),
    }
}

fn named(names: &[(&str, Option<&str>)], name: &str, value: &str) -> bool {
    names.iter().any(|(n, v)| *n == name && v.is_none_or(|v| v == value))
}

/// The rows that pass, in order of time.
pub(crate) fn run(log: &Log, entries: &[Entry]) -> Vec<Row> {
    let mut rows: Vec<Row> =
        entries.iter().filter(|e| selected(log.selector, &e.stream["app"])).map(Row::new).collect();
    rows.retain_mut(|row| {
        // Filters of the line stand before everything that leaves it alone; decolorize counts as such.
        let rewrites = |s: &Stage| matches!(s, Stage::LineFormat(_) | Stage::Unpack);
        let first = log.stages.iter().position(rewrites).unwrap_or(log.stages.len());
        let (before, after) = log.stages.split_at(first);
        let is_pushed = |s: &&Stage| matches!(s, Stage::Line { op, .. } if !op.ends_with('>'));
        before.iter().filter(is_pushed).all(|s| row.stage(s))
            && before.iter().filter(|s| !is_pushed(s)).chain(after).all(|s| row.stage(s))
    });
    rows
}
