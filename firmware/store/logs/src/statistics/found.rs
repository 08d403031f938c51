//! Patterns found in one stream, and what was counted of each.

use super::pattern::pattern;
use crate::dictionary::LineStatistics;
use bramble_signal::Labels;
use bramble_storage::{QueryContext, ReadError, TemplateCounts};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::cmp::Reverse;

/// Most patterns, and most templates, of one stream at once; lines of further ones are left out, with a warning.
const PATTERNS_MAX: usize = 20_000;
/// Longest example, bytes.
const EXAMPLE_BYTES_MAX: usize = 4096;
/// What a pattern costs beside its texts and samples.
const PATTERN_BYTES: usize = 224;
const SAMPLE_BYTES: usize = 2 * size_of::<(i64, u64)>();

/// A pattern.
pub(super) struct Found {
    pattern: String,
    example: Vec<u8>,
    first_ns: i64,
    last_ns: i64,
    count: u64,
    /// (start of step, lines), ascending.
    samples: Vec<(i64, u64)>,
    /// Whether its first time before the range is still looked for.
    expected: bool,
}

impl Found {
    /// What the query was charged for it.
    fn charged_bytes(&self) -> usize {
        PATTERN_BYTES + self.pattern.len() * 2 + self.example.len() + self.samples.len() * SAMPLE_BYTES
    }

    /// Counts lines of one step; whether it is the first time for this step.
    fn add(&mut self, lines: u64, (first_ns, last_ns): (i64, i64), step_start_ns: i64) -> bool {
        self.first_ns = self.first_ns.min(first_ns);
        self.last_ns = self.last_ns.max(last_ns);
        self.count += lines;
        if let Some(last) = self.samples.last_mut().filter(|last| last.0 == step_start_ns) {
            last.1 += lines;
            return false;
        }
        match self.samples.binary_search_by_key(&step_start_ns, |sample| sample.0) {
            Ok(at) => {
                if let Some(sample) = self.samples.get_mut(at) {
                    sample.1 += lines;
                }
                false
            }
            Err(at) => {
                self.samples.insert(at, (step_start_ns, lines));
                true
            }
        }
    }

    /// The answer's form.
    pub(super) fn counts(self, labels: Labels) -> TemplateCounts {
        TemplateCounts {
            labels,
            pattern: self.pattern,
            example: self.example,
            first_ns: self.first_ns,
            last_ns: self.last_ns,
            count: self.count,
            samples: self.samples,
        }
    }
}

fn step_start(time_ns: i64, step_ns: i64) -> i64 {
    time_ns.saturating_sub(time_ns.rem_euclid(step_ns))
}

/// Keeps the `most` that have the most lines and gives back what the others were charged.
pub(super) fn keep_most<T>(all: &mut Vec<T>, most: usize, of: impl Fn(&T) -> &Found, context: &QueryContext) {
    if all.len() <= most {
        return;
    }
    if most > 0 {
        all.select_nth_unstable_by_key(most - 1, |item| Reverse(of(item).count));
    }
    context.release(all.drain(most..).map(|item| of(&item).charged_bytes()).sum());
}

/// The patterns of one stream.
pub(super) struct Patterns<'a> {
    step_ns: i64,
    context: &'a QueryContext,
    all: Vec<Found>,
    /// By pattern.
    index: HashMap<String, u32, FixedState>,
    /// By template: several may be one pattern; `None` counts for none.
    templates: HashMap<Box<[u8]>, Option<u32>, FixedState>,
    template_bytes: usize,
}

impl<'a> Patterns<'a> {
    /// None yet.
    pub(super) fn new(step_ns: i64, context: &'a QueryContext) -> Self {
        Patterns {
            step_ns: step_ns.max(1),
            context,
            all: Vec::new(),
            index: HashMap::default(),
            templates: HashMap::default(),
            template_bytes: 0,
        }
    }

    /// The pattern that a template counts for, entered with an example if it is new.
    pub(super) fn of_template(
        &mut self,
        template: &[u8],
        example: impl FnOnce() -> Vec<u8>,
    ) -> Result<Option<u32>, ReadError> {
        if let Some(&known) = self.templates.get(template) {
            return Ok(known);
        }
        let found = match pattern(template) {
            Some(pattern) => self.enter(pattern, example)?,
            None => None,
        };
        if self.templates.len() < PATTERNS_MAX {
            let bytes = template.len() + 64;
            self.context.reserve(bytes)?;
            self.template_bytes += bytes;
            self.templates.insert(template.into(), found);
        }
        Ok(found)
    }

    fn enter(&mut self, pattern: String, example: impl FnOnce() -> Vec<u8>) -> Result<Option<u32>, ReadError> {
        if let Some(&at) = self.index.get(&pattern) {
            return Ok(Some(at));
        }
        if self.all.len() >= PATTERNS_MAX {
            self.context
                .warn(format!("a stream has more than {PATTERNS_MAX} templates; lines of others are not counted"));
            return Ok(None);
        }
        let mut example = example();
        example.truncate(EXAMPLE_BYTES_MAX);
        let at = self.all.len() as u32;
        let found = Found {
            pattern: pattern.clone(),
            example,
            first_ns: i64::MAX,
            last_ns: i64::MIN,
            count: 0,
            samples: Vec::new(),
            expected: false,
        };
        self.context.reserve(found.charged_bytes())?;
        self.all.push(found);
        self.index.insert(pattern, at);
        Ok(Some(at))
    }

    /// Counts a line.
    pub(super) fn add(&mut self, found: u32, time_ns: i64) -> Result<(), ReadError> {
        let Some(found) = self.all.get_mut(found as usize) else { return Ok(()) };
        if found.add(1, (time_ns, time_ns), step_start(time_ns, self.step_ns)) {
            self.context.reserve(SAMPLE_BYTES)?;
        }
        Ok(())
    }

    /// Forgets all but the `most` with the most lines. Nothing can be counted after that.
    pub(super) fn keep_most(&mut self, most: usize) {
        keep_most(&mut self.all, most, |found| found, self.context);
        self.templates.clear();
        self.index.clear();
        self.context.release(std::mem::take(&mut self.template_bytes));
        self.index.extend((0u32..).zip(&self.all).map(|(at, found)| (found.pattern.clone(), at)));
    }

    /// Counts lines of which only a sum is known, all in one step.
    pub(super) fn add_all(&mut self, found: u32, lines: &LineStatistics) -> Result<(), ReadError> {
        let Some(found) = self.all.get_mut(found as usize).filter(|_| lines.lines > 0) else { return Ok(()) };
        let step_start_ns = step_start(lines.first_ns, self.step_ns);
        let fresh = found.add(lines.lines, (lines.first_ns, lines.last_ns), step_start_ns);
        if fresh {
            self.context.reserve(SAMPLE_BYTES)?;
        }
        Ok(())
    }

    /// Whether all these lines are of one step.
    pub(super) fn in_one_step(&self, lines: &LineStatistics) -> bool {
        step_start(lines.first_ns, self.step_ns) == step_start(lines.last_ns, self.step_ns)
    }

    /// Begins to look for times before the range; how many patterns are looked for.
    pub(super) fn expect_earlier(&mut self) -> usize {
        self.all.iter_mut().for_each(|found| found.expected = true);
        self.all.len()
    }

    /// A line of `template` was met at `time_ns`, before the range; whether it is the first one of its pattern.
    pub(super) fn met(&mut self, template: &[u8], time_ns: i64) -> bool {
        let known = match self.templates.get(template) {
            Some(&known) => known,
            None => {
                let known = pattern(template).and_then(|pattern| self.index.get(&pattern).copied());
                // Memory for this is a convenience: without it patterns are built again.
                let bytes = template.len() + 64;
                if self.templates.len() < PATTERNS_MAX && self.context.try_reserve(bytes).is_ok() {
                    self.template_bytes += bytes;
                    self.templates.insert(template.into(), known);
                }
                known
            }
        };
        let Some(found) = known.and_then(|at| self.all.get_mut(at as usize)).filter(|found| found.expected) else {
            return false;
        };
        found.expected = false;
        found.first_ns = found.first_ns.min(time_ns);
        true
    }

    /// The patterns, in no certain order.
    pub(super) fn finish(self) -> Vec<Found> {
        self.context.release(self.template_bytes);
        self.all
    }
}
