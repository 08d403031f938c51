//! `bramble pipeline test`: runs lines through a log pipeline and shows each stage.

use crate::ConfigArguments;
use anyhow::{Context, bail};
use bramble_collect::pipeline::StepConfig;
use bramble_collect::pipeline::logs::config::stages_of_jobs;
use bramble_collect::pipeline::logs::{
    LogBuilder, LogPipeline, Outcome, RawLine, RedactConfig, Redactor, StageConfig, Step,
};
use bramble_signal::Labels;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Longest line read, bytes; the rest of it is left out.
const LINE_MAX_BYTES: u64 = 1 << 20;

/// Arguments of `bramble pipeline`.
#[derive(Args, Clone)]
pub(crate) struct PipelineArguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Clone)]
enum What {
    /// Show lines, labels, values and times after each stage, and why lines are dropped.
    Test(TestArguments),
}

/// Arguments of `bramble pipeline test`.
#[derive(Args, Clone)]
struct TestArguments {
    #[command(flatten)]
    config: ConfigArguments,
    /// Name of a [[pipeline]] of bramble.toml; its steps `stages` are run.
    #[arg(long, value_name = "NAME", conflicts_with = "promtail")]
    pipeline: Option<String>,
    /// A promtail.yaml, or a list of stages alone.
    #[arg(long, value_name = "FILE")]
    promtail: Option<PathBuf>,
    /// Which of its jobs; the only one if there is one.
    #[arg(long, value_name = "NAME", requires = "promtail")]
    job: Option<String>,
    /// A label of the lines' stream; may be given several times.
    #[arg(long = "label", value_name = "NAME=VALUE")]
    labels: Vec<String>,
    /// One JSON object per line instead of text.
    #[arg(long)]
    json: bool,
    /// Leave out the redaction that follows the last stage.
    #[arg(long)]
    no_redaction: bool,
    /// Lines; standard input if not given.
    file: Option<PathBuf>,
}

/// `bramble pipeline …`.
pub(crate) fn pipeline(arguments: &PipelineArguments) -> anyhow::Result<()> {
    let What::Test(arguments) = &arguments.what;
    let mut pipeline = LogPipeline::compile(&stages(arguments)?)?;
    if !arguments.no_redaction {
        let settings = arguments.config.load()?.config.redaction;
        let names = |names: &crate::config::Names| names.0.clone();
        let config = RedactConfig { also: names(&settings.also), not: names(&settings.not) };
        let redactor = Redactor::new(&config).map_err(anyhow::Error::msg).context("redaction")?;
        pipeline = pipeline.redacting(settings.enabled.then(|| Arc::new(redactor)));
    }
    let mut pairs = Vec::new();
    for label in &arguments.labels {
        let Some(pair) = label.split_once('=') else { bail!("not NAME=VALUE: {label}") };
        pairs.push(pair);
    }
    let lines: Box<dyn Read> = match &arguments.file {
        Some(path) => Box::new(std::fs::File::open(path).with_context(|| path.display().to_string())?),
        None => Box::new(std::io::stdin()),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
    let test = Test { labels: Labels::from_pairs(pairs), json: arguments.json, now_ns: i64::try_from(now)? };
    match test.run(&mut pipeline, lines, &mut std::io::stdout().lock()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

fn stages(arguments: &TestArguments) -> anyhow::Result<Vec<StageConfig>> {
    if let Some(path) = &arguments.promtail {
        let place = path.display();
        let text = std::fs::read_to_string(path).with_context(|| place.to_string())?;
        let jobs = stages_of_jobs(&text).map_err(|e| anyhow::anyhow!("{place}: {e}"))?;
        let names = || jobs.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
        let found = match (&arguments.job, jobs.as_slice()) {
            (None, [one]) => one,
            (None, _) => bail!("{place} has several jobs; say which with --job: {}", names()),
            (Some(job), all) => match all.iter().find(|(name, _)| name == job) {
                Some(found) => found,
                None => bail!("{place} has no job {job}; it has {}", names()),
            },
        };
        return Ok(found.1.clone());
    }
    let Some(name) = &arguments.pipeline else {
        bail!("say which stages to run: --pipeline NAME of bramble.toml, or --promtail FILE");
    };
    let loaded = arguments.config.load()?;
    let all = &loaded.lists.pipeline;
    let Some(found) = all.iter().find(|p| p.name == *name) else {
        let names: Vec<&str> = all.iter().map(|p| p.name.as_str()).collect();
        bail!("there is no [[pipeline]] named {name}; there is {}", names.join(", "));
    };
    let mut stages = Vec::new();
    for step in &found.steps {
        match step {
            StepConfig::Stages(more) => stages.extend(more.iter().cloned()),
            other => eprintln!("bramble: step {} is left out: only stages look at single lines", other.word()),
        }
    }
    Ok(stages)
}

/// A run over lines.
struct Test {
    labels: Labels,
    json: bool,
    now_ns: i64,
}

impl Test {
    fn run(&self, pipeline: &mut LogPipeline, lines: impl Read, to: &mut impl Write) -> std::io::Result<()> {
        let mut lines = BufReader::new(lines);
        let (mut buffer, mut number) = (Vec::new(), 0u64);
        let mut out = LogBuilder::new();
        while read_line(&mut lines, &mut buffer)? {
            number += 1;
            let mut steps = Vec::new();
            let raw = RawLine { mark: number, ..RawLine::new(self.now_ns, self.labels.as_ref(), &buffer) };
            pipeline.trace(raw, &mut out, |step| steps.push(step.clone()));
            self.show(&format!("line {number}"), &steps, &mut out, to)?;
        }
        let mut steps = Vec::new();
        pipeline.trace_flush(self.now_ns, &mut out, |step| steps.push(step.clone()));
        if !steps.is_empty() {
            self.show("end", &steps, &mut out, to)?;
        }
        for count in pipeline.counts().iter().filter(|_| !self.json) {
            let mut text =
                format!("stage {} {}: {} in, {} out", count.place, count.stage, count.lines_in, count.lines_out);
            if count.dropped > 0 {
                text.push_str(&format!(", {} dropped ({})", count.dropped, count.reason));
            }
            if count.errors > 0 {
                text.push_str(&format!(", {} errors", count.errors));
            }
            writeln!(to, "{text}")?;
        }
        Ok(())
    }

    fn show(&self, title: &str, steps: &[Step], out: &mut LogBuilder, to: &mut impl Write) -> std::io::Result<()> {
        let batch = out.finish();
        if self.json {
            let mut entries = Vec::new();
            for stream in batch.streams() {
                for entry in stream.entries() {
                    entries.push(json!({
                        "labels": object(stream.labels().iter()),
                        "structured_metadata": object(entry.metadata.iter()),
                        "timestamp_ns": entry.timestamp_ns.to_string(),
                        "line": String::from_utf8_lossy(entry.line),
                    }));
                }
            }
            let steps: Vec<Value> = steps.iter().map(step_json).collect();
            return writeln!(to, "{}", json!({ "at": title, "steps": steps, "entries": entries }));
        }
        writeln!(to, "{title}: {}", steps.first().map_or_else(String::new, |s| text(&s.line)))?;
        let mut before = None;
        for step in steps {
            if !step.stage.is_empty() {
                writeln!(to, "{}", step_text(step, before))?;
            }
            before = Some(step);
        }
        for stream in batch.streams() {
            for entry in stream.entries() {
                let metadata = if entry.metadata.is_empty() { String::new() } else { format!(" {}", entry.metadata) };
                let at =
                    if entry.timestamp_ns == self.now_ns { "now".to_owned() } else { time(entry.timestamp_ns, steps) };
                writeln!(to, "  => {}{metadata} {at} {}", stream.labels(), text(entry.line))?;
            }
        }
        Ok(())
    }
}

/// The time of an entry as its last step shows it.
fn time(timestamp_ns: i64, steps: &[Step]) -> String {
    let found = steps.iter().rev().find(|step| step.timestamp_ns == timestamp_ns);
    found.map_or_else(|| timestamp_ns.to_string(), Step::time)
}

/// Reads a line without its break; `false` at the end.
fn read_line(lines: &mut impl BufRead, buffer: &mut Vec<u8>) -> std::io::Result<bool> {
    buffer.clear();
    let count = lines.by_ref().take(LINE_MAX_BYTES).read_until(b'\n', buffer)?;
    if buffer.last() == Some(&b'\n') {
        buffer.pop();
    } else if count as u64 == LINE_MAX_BYTES {
        // What is left of an endless line is passed over in pieces.
        let mut rest = Vec::new();
        while lines.by_ref().take(LINE_MAX_BYTES).read_until(b'\n', &mut rest)? > 0 && rest.last() != Some(&b'\n') {
            rest.clear();
        }
    }
    if buffer.last() == Some(&b'\r') {
        buffer.pop();
    }
    Ok(count > 0)
}

/// One line's text: breaks inside are shown as such.
fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line).replace('\n', "\\n")
}

fn object<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Value {
    Value::Object(pairs.map(|(name, value)| (name.to_owned(), Value::from(value))).collect())
}

fn word(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Passed => "passed".to_owned(),
        Outcome::Failed => "failed".to_owned(),
        Outcome::Dropped(reason) => format!("dropped: {reason}"),
        Outcome::DroppedInside => "dropped inside".to_owned(),
        Outcome::Held => "held back".to_owned(),
        Outcome::Released => "released".to_owned(),
    }
}

fn step_json(step: &Step) -> Value {
    let pairs = |pairs: &[(String, String)]| object(pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())));
    json!({
        "place": step.place,
        "stage": step.stage,
        "outcome": word(&step.outcome),
        "line": String::from_utf8_lossy(&step.line),
        "timestamp_ns": step.timestamp_ns.to_string(),
        "labels": pairs(&step.labels),
        "structured_metadata": pairs(&step.metadata),
        "extracted": pairs(&step.values),
    })
}

/// What a stage changed.
fn step_text(step: &Step, before: Option<&Step>) -> String {
    let mut out = format!("  {:<4} {:<20}", step.place, step.stage);
    let mut tell = |text: &str| {
        out.push(' ');
        out.push_str(text);
    };
    if step.outcome != Outcome::Passed {
        tell(&format!("[{}]", word(&step.outcome)));
    }
    // What was held back is another entry than the one shown before.
    let before = before.filter(|_| step.outcome != Outcome::Released);
    let none = Vec::new();
    for (name, of, was) in [
        ("extracted", &step.values, before.map_or(&none, |b| &b.values)),
        ("labels", &step.labels, before.map_or(&none, |b| &b.labels)),
        ("metadata", &step.metadata, before.map_or(&none, |b| &b.metadata)),
    ] {
        let mut changes: Vec<String> =
            of.iter().filter(|pair| !was.contains(pair)).map(|(n, v)| format!("{n}={v:?}")).collect();
        changes.extend(was.iter().filter(|(n, _)| of.iter().all(|(m, _)| m != n)).map(|(n, _)| format!("-{n}")));
        if !changes.is_empty() {
            tell(&format!("{name}: {}", changes.join(" ")));
        }
    }
    if before.is_some_and(|b| b.timestamp_ns != step.timestamp_ns) {
        tell(&format!("time: {}", step.time()));
    }
    if before.is_none_or(|b| b.line != step.line) {
        tell(&format!("line: {}", text(&step.line)));
    }
    out.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAGES: &str = r#"
- json: { expressions: { level: , ts: time, msg: } }
- timestamp: { source: ts, format: RFC3339 }
- labels: { level: }
- match:
    selector: '{level="debug"}'
    action: drop
    drop_counter_reason: debug
- output: { source: msg }
- multiline: { firstline: '^\S' }
"#;
    const LINES: &str = r#"{"level":"info","time":"2024-05-01T10:00:00Z","msg":"signed in, password=hunter2"}
{"level":"debug","time":"2024-05-01T10:00:01Z","msg":"noise"}
not json
"#;

    fn shown(json: bool) -> String {
        let stages = stages_of_jobs(STAGES).unwrap();
        let redactor = Redactor::new(&RedactConfig::default()).unwrap();
        let mut pipeline = LogPipeline::compile(&stages[0].1).unwrap().redacting(Some(Arc::new(redactor)));
        let test = Test { labels: Labels::from_pairs([("app", "web")]), json, now_ns: 1_714_557_700_000_000_000 };
        let mut out = Vec::new();
        test.run(&mut pipeline, LINES.as_bytes(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_stage_is_shown() {
        assert_eq!(shown(false), include_str!("pipeline_test.txt"));
    }

    #[test]
    fn each_line_is_an_object() {
        let text = shown(true);
        let lines: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[1]["steps"][4]["outcome"], "dropped: debug");
        assert_eq!(lines[0]["steps"][1]["extracted"]["level"], "info");
        let entry = &lines[3]["entries"][0];
        assert_eq!((&entry["labels"]["app"], &entry["line"]), (&json!("web"), &json!("not json")));
        let entry = &lines[2]["entries"][0];
        assert_eq!(entry["line"], "signed in, password=<redacted:password>");
    }

    #[test]
    fn long_lines_are_cut() {
        let text = [vec![b'a'; LINE_MAX_BYTES as usize + 10], b"\nb\r\n".to_vec()].concat();
        let (mut lines, mut buffer) = (text.as_slice(), Vec::new());
        assert!(read_line(&mut lines, &mut buffer).unwrap());
        assert_eq!(buffer.len() as u64, LINE_MAX_BYTES);
        assert!(read_line(&mut lines, &mut buffer).unwrap());
        assert_eq!(buffer, b"b");
        assert!(!read_line(&mut lines, &mut buffer).unwrap());
    }
}
