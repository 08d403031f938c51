//! Runs scripts in the grammar of promqltest: our own (`tests/scripts/`), and the shared conformance scripts
//! when they are there. Per file it prints passed/total and compares with a floor that only goes up.
//!
//! They run over the memory store and over the real one, in whose head, or blocks, the data are.
//!
//! Every instant evaluation is also run as a one-step range query where the result is a vector, and must agree.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may fail by panicking, and says how far it is"
)]

mod script;
mod stores;

use bramble_query_promql::{Answer, Engine, EngineOptions, QueryError, Value};
use bramble_signal::{MetricBatch, Sample, SeriesSamples};
use bramble_storage::{MetricSource, QueryContext};
use script::{Command, Eval, Expect, Expected, Point};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where the conformance scripts may be.
fn shared() -> Option<PathBuf> {
    let named = std::env::var_os("BRAMBLE_CONFORMANCE").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/conformance");
    [named, Some(beside)].into_iter().flatten().map(|p| p.join("promql")).find(|p| p.is_dir())
}

struct Runner {
    newest: bool,
    store: Box<dyn stores::Bench>,
    make: fn() -> Box<dyn stores::Bench>,
    engine: Engine,
    passed: usize,
    total: usize,
    failures: Vec<String>,
}

impl Runner {
    /// `newest`: as Prometheus after 3.5.
    fn new(newest: bool, make: fn() -> Box<dyn stores::Bench>) -> Self {
        let store = make();
        let engine = engine(store.source(), newest);
        Runner { newest, engine, store, make, passed: 0, total: 0, failures: Vec::new() }
    }

    fn run(&mut self, name: &str, text: &str) {
        for command in script::parse(text) {
            match command {
                Command::Clear => {
                    self.store = (self.make)();
                    self.engine = engine(self.store.source(), self.newest);
                }
                Command::Load(series) => {
                    self.store.load(batch(&series));
                    self.store.settle();
                }
                Command::Eval(eval) => {
                    self.total += 1;
                    match self.check(&eval) {
                        Ok(()) => self.passed += 1,
                        Err(why) => self.failures.push(format!("{name}:{}: {}: {why}", eval.line, eval.query)),
                    }
                }
                Command::Unknown(line, text) => {
                    self.total += 1;
                    self.failures.push(format!("{name}:{line}: unknown command {text}"));
                }
            }
        }
    }

    fn check(&self, eval: &Eval) -> Result<(), String> {
        let context = QueryContext::unlimited();
        let answer = match eval.step_ms {
            None => self.engine.instant(&eval.query, eval.start_ms, None, &context),
            Some(step) => self.engine.range(&eval.query, eval.start_ms, eval.end_ms, step, None, &context),
        };
        check_answer(eval, answer)?;
        if eval.step_ms.is_none()
            && !eval.expects.iter().any(|e| matches!(e, Expect::Fail(_) | Expect::Text(_) | Expect::Matrix))
        {
            self.check_as_range(eval)?;
        }
        Ok(())
    }

    /// One step of a range query gives what the instant query gives.
    fn check_as_range(&self, eval: &Eval) -> Result<(), String> {
        let context = QueryContext::unlimited();
        if eval.query.contains("sort") || eval.query.contains("topk") || eval.query.contains("bottomk") {
            return Ok(());
        }
        let (start, step) = (eval.start_ms - 60_000, 60_000);
        let text = &eval.query;
        if ["range()", "step()", "start()", "end()", "STEP()"].iter().any(|f| text.contains(f)) {
            return Ok(());
        }
        let Ok(answer) = self.engine.range(text, start, start + 2 * step, step, None, &context) else { return Ok(()) };
        let Value::Matrix(series) = answer.value else { return Err("range query gives no matrix".to_owned()) };
        let at_time = |s: SeriesSamples| {
            let at = s.timestamps_ms.iter().position(|t| *t == eval.start_ms)?;
            let mut one = SeriesSamples { labels: s.labels.clone(), ..SeriesSamples::default() };
            one.push(Sample { timestamp_ms: eval.start_ms, value: s.values[at] }, &s.histograms);
            Some(one)
        };
        let got: Vec<_> = series.into_iter().filter_map(at_time).collect();
        compare(eval, &got, false).map_err(|e| format!("as a range query: {e}"))
    }
}

fn batch(series: &[script::LoadedSeries]) -> MetricBatch {
    let mut batch = MetricBatch::new();
    for (labels, samples) in series {
        // Samples that began at the same time share an entry.
        for run in samples.chunk_by(|a, b| a.start_ms == b.start_ms) {
            let mut pairs: Vec<(&str, &str)> = labels.iter().collect();
            batch.start_series(&mut pairs).unwrap();
            batch.set_start(run[0].start_ms);
            for sample in run {
                match &sample.value {
                    Point::Value(value) => batch.push_sample(sample.time_ms, *value),
                    Point::Histogram(literal) => batch.push_histogram(sample.time_ms, literal.histogram.clone()),
                    Point::Missing => {}
                }
            }
        }
    }
    batch
}

fn engine(source: Arc<dyn MetricSource>, newest: bool) -> Engine {
    let options = EngineOptions {
        max_samples: 10_000,
        delayed_name_removal: true,
        newer_than_3_5: newest,
        ..EngineOptions::default()
    };
    Engine::new(source, options)
}

fn check_answer(eval: &Eval, answer: Result<Answer, QueryError>) -> Result<(), String> {
    let fails = eval.expects.iter().find_map(|e| match e {
        Expect::Fail(text) => Some(text),
        _ => None,
    });
    let answer = match (answer, fails) {
        (Err(error), Some(text)) => {
            return match text.matches(&error.to_string()) {
                true => Ok(()),
                false => Err(format!("failed with {error}, expected {text:?}")),
            };
        }
        (Err(error), None) => return Err(format!("failed: {error}")),
        (Ok(_), Some(_)) => return Err("did not fail".to_owned()),
        (Ok(answer), None) => answer,
    };
    check_annotations(eval, &answer)?;
    let time = eval.start_ms;
    let got = match answer.value {
        Value::String { value, .. } => {
            return match eval.expects.iter().any(|e| matches!(e, Expect::Text(t) if *t == value)) {
                true => Ok(()),
                false => Err(format!("got the text {value:?}")),
            };
        }
        Value::Scalar { value, .. } => {
            vec![SeriesSamples { timestamps_ms: vec![time], values: vec![value], ..SeriesSamples::default() }]
        }
        Value::Vector(series) | Value::Matrix(series) => series,
    };
    compare(eval, &got, eval.expects.iter().any(|e| matches!(e, Expect::Ordered)))
}

fn check_annotations(eval: &Eval, answer: &Answer) -> Result<(), String> {
    for (wanted, got, what) in
        [(eval.wanted(true), &answer.warnings, "warning"), (eval.wanted(false), &answer.infos, "info")]
    {
        let Some(wanted) = wanted else { continue };
        if wanted.is_empty() && !got.is_empty() {
            return Err(format!("unexpected {what}: {got:?}"));
        }
        if let Some(missing) = wanted.iter().find(|w| !got.iter().any(|g| w.matches(g))) {
            return Err(format!("no {what} {missing:?} in {got:?}"));
        }
        if let Some(more) = got.iter().find(|g| !wanted.is_empty() && !wanted.iter().any(|w| w.matches(g))) {
            return Err(format!("unexpected {what}: {more}"));
        }
    }
    Ok(())
}

fn compare(eval: &Eval, got: &[SeriesSamples], ordered: bool) -> Result<(), String> {
    let step = eval.step_ms.or(eval.matrix_step_ms).unwrap_or(0);
    let start = eval.matrix_start_ms.unwrap_or(eval.start_ms);
    let mut expected = Vec::new();
    for Expected { labels, points } in &eval.expected {
        let there = points.iter().enumerate().filter(|(_, p)| **p != Point::Missing);
        let samples: Vec<(i64, &Point)> = there.map(|(i, p)| (start + step * i as i64, p)).collect();
        if !samples.is_empty() {
            expected.push((labels, samples));
        }
    }
    if got.len() != expected.len() {
        return Err(format!("expected {} series, got {}: {got:?}", expected.len(), got.len()));
    }
    for (i, (labels, samples)) in expected.iter().enumerate() {
        let found = match ordered {
            true => got.get(i).filter(|s| s.labels == **labels),
            false => got.iter().find(|s| s.labels == **labels),
        };
        let Some(found) = found else { return Err(format!("no {labels} (place {i}) in {got:?}")) };
        let points = found.timestamps_ms.iter().zip(&found.values);
        let same = found.values.len() == samples.len()
            && points.zip(samples).all(|(got, wanted)| *got.0 == wanted.0 && same_point(wanted.1, *got.1, found));
        if !same {
            return Err(format!("{labels}: expected {samples:?}, got {found:?}"));
        }
    }
    Ok(())
}

fn same_point(wanted: &Point, value: f64, series: &SeriesSamples) -> bool {
    match (wanted, series.histogram(value)) {
        (Point::Value(wanted), None) => script::almost_equal(*wanted, value),
        (Point::Histogram(wanted), Some(histogram)) => script::histogram::same(wanted, histogram),
        _ => false,
    }
}

fn scripts(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|e| e.ok().map(|e| e.path()))
        .filter(|p| p.extension().is_some_and(|e| e == "test"))
        .collect();
    files.sort();
    files
}

#[test]
fn own_scripts_pass() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let files = scripts(&folder);
    assert!(!files.is_empty());
    for make in [stores::memory, stores::real, stores::flushed] {
        for file in &files {
            let mut runner = Runner::new(true, make);
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            runner.run(&name, &std::fs::read_to_string(file).unwrap());
            assert!(runner.total > 0, "{name} evaluates nothing");
            assert!(runner.failures.is_empty(), "{}", runner.failures.join("\n"));
        }
    }
}

/// All shared scripts against one kind of store; `false` when there are none.
fn shared_scripts_over(kind: &str, make_of: impl Fn(usize) -> fn() -> Box<dyn stores::Bench>) {
    let Some(shared) = shared() else {
        println!("skipped: no conformance scripts (BRAMBLE_CONFORMANCE)");
        return;
    };
    let floors = include_str!("promqltest.floor");
    let (mut fallen, mut passed, mut total) = (Vec::new(), 0, 0);
    let only = std::env::var("PROMQLTEST_ONLY").unwrap_or_default();
    for folder in ["testdata-v3.5.3", "testdata-head"] {
        for (i, file) in scripts(&shared.join(folder)).into_iter().enumerate() {
            let mut runner = Runner::new(folder == "testdata-head", make_of(i));
            let name = format!("{folder}/{}", file.file_name().unwrap().to_string_lossy());
            if !name.contains(&only) {
                continue;
            }
            runner.run(&name, &std::fs::read_to_string(&file).unwrap());
            println!("{kind} {name} {}/{}", runner.passed, runner.total);
            if std::env::var_os("PROMQLTEST_VERBOSE").is_some() {
                runner.failures.iter().for_each(|f| println!("  {f}"));
            }
            let floor = floors.lines().filter_map(|l| l.split_once(' ')).find(|(n, _)| *n == name);
            let floor: usize = floor.map_or(0, |(_, n)| n.trim().parse().unwrap());
            if runner.passed < floor {
                fallen.push(format!("{name}: {} < {floor}", runner.passed));
            }
            (passed, total) = (passed + runner.passed, total + runner.total);
        }
    }
    println!("{kind} all {passed}/{total}");
    assert!(fallen.is_empty(), "{fallen:?}");
}

#[test]
fn shared_scripts_do_not_fall_below_their_floor() {
    shared_scripts_over("memory", |_| stores::memory);
}

#[test]
fn shared_scripts_over_the_real_store() {
    // Every other file reads from blocks, the others from the head.
    shared_scripts_over("store", |i| if i % 2 == 0 { stores::flushed } else { stores::real });
}
