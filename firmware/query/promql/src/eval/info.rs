//! `info(v, {selector})`: adds the data labels of info metrics that share `instance` and `job`.

use super::engine::failed;
use super::evaluator::{Evaluator, Outcome, Sink};
use super::names::merge_equal;
use super::rows::{ABSENT, Grid, Row, is_absent};
use super::select::Newest;
use crate::syntax::{AtModifier, DurationExpr, Expr, ExprKind, Selector};
use bramble_signal::{Labels, METRIC_NAME, MatchOp, Matcher};
use std::collections::HashMap;

const IDENTIFYING: [&str; 2] = ["instance", "job"];
const DEFAULT_INFO_METRIC: &str = "target_info";

/// What the second argument asks for.
struct Wanted {
    names: Vec<Matcher>,
    data: Vec<Matcher>,
}

impl Wanted {
    fn new(selector: Option<&Selector>) -> Self {
        let matchers = selector.map(|s| s.matchers.clone()).unwrap_or_default();
        let (mut names, data): (Vec<_>, Vec<_>) = matchers.into_iter().partition(|m| m.name == METRIC_NAME);
        if names.is_empty() {
            names.push(Matcher::equal(METRIC_NAME, DEFAULT_INFO_METRIC));
        }
        // Exclusions alone exclude from all that is called an info metric.
        if !names.iter().any(|m| matches!(m.op, MatchOp::Equal | MatchOp::Regex)) {
            names.extend(Matcher::new(METRIC_NAME, MatchOp::Regex, ".+_info"));
        }
        Wanted { names, data }
    }

    /// Whether a series is itself one of the info metrics asked for.
    fn is_info_metric(&self, name: &str) -> bool {
        self.names.iter().all(|m| m.matches(name))
    }

    fn wants(&self, label: &str) -> bool {
        self.data.is_empty() || self.data.iter().any(|m| m.name == label)
    }

    /// Whether elements without an info metric stay.
    fn accepts_nothing(&self) -> bool {
        self.data.iter().all(Matcher::matches_absent)
    }
}

fn identity(labels: &Labels) -> Labels {
    Labels::from_pairs(labels.iter().filter(|(n, _)| IDENTIFYING.contains(n)))
}

/// The `@` and offset of the first selector in an expression: info metrics are looked up there too.
fn place_of(evaluator: &Evaluator<'_>, expr: &Expr) -> Outcome<Option<(Option<AtModifier>, i64)>> {
    let ms = |offset: &Option<DurationExpr>| offset.as_ref().map_or(Ok(0), |o| evaluator.duration_ms(o));
    let first = |exprs: &[&Expr]| exprs.iter().find_map(|e| place_of(evaluator, e).transpose()).transpose();
    match &expr.kind {
        ExprKind::Selector(s) | ExprKind::Range { selector: s, .. } => Ok(Some((s.at, ms(&s.offset)?))),
        ExprKind::Subquery { at, expr, offset, .. } => {
            let (inner_at, inner_offset) = place_of(evaluator, expr)?.unwrap_or_default();
            let outer = ms(offset)?;
            Ok(Some((inner_at.or(*at), if inner_at.is_some() { inner_offset } else { inner_offset + outer })))
        }
        ExprKind::Call { args, .. } => first(&args.iter().collect::<Vec<_>>()),
        ExprKind::Aggregate { expr, .. } | ExprKind::Unary { expr, .. } | ExprKind::Paren(expr) => first(&[&**expr]),
        ExprKind::Binary { lhs, rhs, .. } => first(&[&**lhs, &**rhs]),
        _ => Ok(None),
    }
}

pub(crate) fn info(evaluator: &Evaluator<'_>, args: &[Expr], grid: Grid, sink: Sink<'_>) -> Outcome<()> {
    let Some(base) = args.first() else { return Ok(()) };
    let wanted = Wanted::new(args.get(1).and_then(|a| match &a.kind {
        ExprKind::Selector(s) => Some(s),
        _ => None,
    }));
    let rows = evaluator.collect(base, grid)?;
    let (at, offset_ms) = place_of(evaluator, base)?.unwrap_or_default();
    let selector = Selector {
        name: None,
        matchers: wanted.names.iter().chain(&wanted.data).cloned().collect(),
        offset: Some(DurationExpr::Literal { seconds: offset_ms as f64 / 1000.0, units: true }),
        at,
        extension: None,
    };
    let mut infos: HashMap<Labels, Vec<Row>> = HashMap::new();
    let mut hold = evaluator.hold();
    // Their values do not matter; their times decide between several.
    evaluator.newest(&selector, grid, Newest::NumberTime, &mut |row| {
        evaluator.charge(&mut hold, row.memory_bytes(), row.samples())?;
        infos.entry(identity(&row.labels)).or_default().push(row);
        Ok(())
    })?;
    let mut out = Vec::new();
    for row in rows.take() {
        let id = identity(&row.labels);
        if wanted.is_info_metric(row.name()) || id.is_empty() {
            out.push(row);
            continue;
        }
        enrich(row, infos.get(&id).map(Vec::as_slice).unwrap_or_default(), &wanted, &mut out)?;
    }
    merge_equal(out)?.into_iter().filter(|r| !r.is_empty()).try_for_each(sink)
}

/// Splits a row by the labels that it gets at each step.
fn enrich(row: Row, infos: &[Row], wanted: &Wanted, out: &mut Vec<Row>) -> Outcome<()> {
    let mut parts: Vec<Row> = Vec::new();
    let mut last: Option<(Vec<usize>, usize)> = None;
    for (i, value) in row.values.iter().enumerate().filter(|(_, v)| !is_absent(**v)) {
        let chosen = newest_of_each(infos, i)?;
        if chosen.is_empty() && !wanted.accepts_nothing() {
            continue;
        }
        let part = match &last {
            Some((same, part)) if *same == chosen => *part,
            _ => {
                let labels = with_data(&row.labels, infos, &chosen, wanted)?;
                let at = parts.iter().position(|p| p.labels == labels).unwrap_or_else(|| {
                    parts.push(Row::floats(labels, row.drop_name, vec![ABSENT; row.values.len()]));
                    parts.len() - 1
                });
                last = Some((chosen, at));
                at
            }
        };
        if let Some(part) = parts.get_mut(part) {
            let kept = row.histogram(i).map_or(*value, |h| part.keep(h.clone()));
            if let Some(slot) = part.values.get_mut(i) {
                *slot = kept;
            }
        }
    }
    out.append(&mut parts);
    Ok(())
}

/// Of each info metric the series with the newest sample at a step.
fn newest_of_each(infos: &[Row], step: usize) -> Outcome<Vec<usize>> {
    let mut chosen: Vec<usize> = Vec::new();
    for (i, info) in infos.iter().enumerate() {
        let Some(time) = info.values.get(step).copied().filter(|v| !is_absent(*v)) else { continue };
        let rival = chosen.iter_mut().find(|c| infos.get(**c).is_some_and(|r| r.name() == info.name()));
        let Some(rival) = rival else {
            chosen.push(i);
            continue;
        };
        let rival_time = infos.get(*rival).and_then(|r| r.values.get(step)).copied().unwrap_or(ABSENT);
        if time == rival_time {
            let first = infos.get(*rival).map(|r| r.labels.to_string()).unwrap_or_default();
            return failed(format!("found duplicate series for info metric: existing {first}, new {}", info.labels));
        }
        if time > rival_time {
            *rival = i;
        }
    }
    Ok(chosen)
}

fn with_data(base: &Labels, infos: &[Row], chosen: &[usize], wanted: &Wanted) -> Outcome<Labels> {
    let mut added: Vec<(&str, &str)> = Vec::new();
    for info in chosen.iter().filter_map(|c| infos.get(*c)) {
        for (name, value) in info.labels.iter() {
            let ours = IDENTIFYING.contains(&name) || name == METRIC_NAME || base.get(name).is_some();
            if ours || !wanted.wants(name) {
                continue;
            }
            match added.iter().find(|(n, _)| *n == name) {
                Some((_, other)) if *other != value => return failed(format!("conflicting label: {name}")),
                Some(_) => {}
                None => added.push((name, value)),
            }
        }
    }
    Ok(Labels::from_pairs(base.iter().chain(added)))
}
