//! Power cuts while traces are correlated.
//!
//! A world of its own, with production's correlator: requests come in parts, windows close, rows and synthetic spans go
//! through the write path, the power goes at any operation of the card. In the end each window whose items were
//! acknowledged is there once, as a correlator says that was never interrupted, and on the way none was there twice.

mod requests;
mod sabotage;
mod said;

use crate::machine::{Hardware, Machine, options};
use bramble_correlate::{Correlation, CorrelationId, CorrelatorOptions};
use bramble_disk::{SimulatedDisk, SimulatedOptions};
use bramble_runtime::{Clock, ManualClock, Rng};
use bramble_storage::{Done, Urgency, Writer};
use parking_lot::Mutex;
use requests::{Parts, Request, batches};
pub(crate) use sabotage::Joining;
use said::{by_trace, publish, rows, synthetic, uninterrupted};
use std::collections::BTreeMap;
use std::sync::Arc;

/// 2026-11-18T00:00:00Z.
const BASE_NS: i64 = 1_794_960_000_000_000_000;
const SECOND_NS: u64 = 1_000_000_000;
const WINDOW_NS: u64 = 60 * SECOND_NS;
const LIVES: u32 = 8;
const STEPS: u32 = 90;
/// Power cuts of a test; `BRAMBLE_SIM_CUTS` changes it.
const CUTS: u64 = 160;

/// Windows are kept as long as a world lasts, so that everything that comes late is a revision.
pub(crate) fn correlator_options() -> CorrelatorOptions {
    CorrelatorOptions { window_ns: WINDOW_NS, grace_ns: 240 * 3600 * SECOND_NS, ..CorrelatorOptions::default() }
}

#[derive(Clone, Copy, Default, Debug, PartialEq)]
struct Tally {
    cuts: u64,
    cuts_in_recovery: u64,
    items: u64,
    correlations: u64,
    revised: u64,
    published: u64,
}

/// What was acknowledged, as (request, part).
type Answers = Arc<Mutex<Vec<Vec<(usize, usize)>>>>;

struct World {
    rng: Rng,
    hardware: Hardware,
    is_faulty: bool,
    requests: Vec<Request>,
    answers: Answers,
    /// Highest revision of each that was ever read.
    known: BTreeMap<CorrelationId, u32>,
    tally: Tally,
}

impl World {
    fn new(seed: u64, joining: Joining, faults: &SimulatedOptions) -> Self {
        let mut rng = Rng::new(seed);
        let disk = Arc::new(SimulatedDisk::new(rng.next_u64(), faults.clone()));
        let clock = Arc::new(ManualClock::new(BASE_NS));
        // Who observes is not waited for when the ring is nearly full; here it never is.
        let options = options(64 << 10 << rng.below(3), 48);
        let hardware =
            Hardware { disk, clock, options, memory_bytes: 32 << 20, observed: false, joining: Some(joining) };
        let (requests, answers) = (Vec::new(), Answers::default());
        let is_faulty = faults.write_error_chance + faults.sync_error_chance > 0.0;
        World { rng, hardware, is_faulty, requests, answers, known: BTreeMap::new(), tally: Tally::default() }
    }

    fn run(&mut self) -> Result<(), String> {
        for life in 0..LIVES {
            let told = |e| format!("life {life}: {e}");
            let machine = self.boot(life > 0).map_err(told)?;
            self.look(&machine).map_err(told)?;
            self.live(&machine).map_err(told)?;
            drop(machine);
            self.tally.cuts += 1;
            self.hardware.disk.reboot();
        }
        // A new card with the old one's content.
        self.hardware.disk.configure(|options| *options = SimulatedOptions::default());
        let machine = self.boot(false)?;
        self.finish(&machine).map_err(|e| format!("last life: {e}"))?;
        let (rows, _) = self.compare(&machine).map_err(|e| format!("in the end: {e}"))?;
        machine.maintenance.force_flush().map_err(|e| e.to_string())?;
        machine.maintenance.force_merge().map_err(|e| e.to_string())?;
        self.compare(&machine).map_err(|e| format!("after a merge: {e}"))?;
        drop(machine);
        self.hardware.disk.reboot();
        let machine = self.boot(false)?;
        self.settle(&machine)?;
        let (again, _) = self.compare(&machine).map_err(|e| format!("after one more start: {e}"))?;
        if rows != again {
            return Err(format!("{} rows were {rows} before a start with nothing new", again));
        }
        Ok(())
    }

    fn boot(&mut self, may_cut: bool) -> Result<Machine, String> {
        for attempt in 0..20 {
            if may_cut && attempt < 5 && self.rng.chance(0.4) {
                let reach = 1u64 << self.rng.below(5);
                self.hardware.disk.cut_after_ops(1 + self.rng.below(reach));
            }
            match Machine::boot(&self.hardware) {
                Ok(machine) => return Ok(machine),
                Err(_) if !self.hardware.disk.is_powered() => {
                    self.tally.cuts_in_recovery += 1;
                    self.hardware.disk.reboot();
                }
                // Not started; nothing may have been harmed by the attempt.
                Err(_) if self.is_faulty => {}
                Err(error) => return Err(format!("does not start: {error}")),
            }
        }
        Err("does not start".into())
    }

    fn now_ns(&self) -> u64 {
        self.hardware.clock.wall_ns() as u64
    }

    fn live(&mut self, machine: &Machine) -> Result<(), String> {
        let reach = 8u64 << self.rng.below(7);
        self.hardware.disk.cut_after_ops(1 + self.rng.below(reach));
        for _ in 0..STEPS {
            self.step(machine)?;
            self.note_answers();
            if !self.hardware.disk.is_powered() {
                break;
            }
        }
        Ok(())
    }

    fn step(&mut self, machine: &Machine) -> Result<(), String> {
        match self.rng.below(20) {
            0..2 => {
                let (now_ns, number) = (self.now_ns(), self.requests.len() as u64 + 1);
                self.requests.push(Request::new(&mut self.rng, number, now_ns));
            }
            2..8 => self.send(machine),
            8..12 => _ = machine.path.commit_step(),
            12..16 => publish(machine),
            16 => {
                // A card without power fails at it, and so may what runs into it.
                let flushed = if self.rng.chance(0.3) {
                    machine.maintenance.force_merge()
                } else {
                    machine.maintenance.force_flush()
                };
                if let (Err(error), true) = (flushed, self.hardware.disk.is_powered() && !self.is_faulty) {
                    return Err(format!("maintenance failed on a healthy card: {error}"));
                }
            }
            17 => machine.maintenance.trim(),
            _ => {
                let longest = if self.rng.chance(0.1) { 150 } else { 12 };
                self.hardware.clock.advance_ns(self.rng.below(longest * SECOND_NS));
            }
        }
        Ok(())
    }

    /// Some parts that were not acknowledged yet, and now and then one that was.
    fn send(&mut self, machine: &Machine) {
        let (now_ns, mut chosen) = (self.now_ns(), Vec::new());
        for (of, request) in self.requests.iter().enumerate() {
            for part in request.written(now_ns) {
                let chance = if request.parts[part].is_acknowledged { 0.01 } else { 0.3 };
                if self.rng.chance(chance) {
                    chosen.push((of, part));
                }
            }
        }
        self.send_parts(machine, &chosen);
    }

    fn send_parts(&mut self, machine: &Machine, chosen: &[(usize, usize)]) {
        for (batch, parts) in batches(&self.requests, chosen) {
            let answers = self.answers.clone();
            let done: Done = Box::new(move |outcome| {
                if outcome.is_ok_and(|written| written.rejections.is_empty()) {
                    answers.lock().push(parts);
                }
            });
            match batch {
                Parts::Logs(batch) => {
                    let Ok(held) = machine.receive.reserve(batch.memory_bytes()) else { continue };
                    machine.path.write_logs(batch, held, Urgency::SenderWaits, done);
                }
                Parts::Spans(batch) => {
                    let Ok(held) = machine.receive.reserve(batch.memory_bytes()) else { continue };
                    machine.path.write_spans(batch, held, Urgency::SenderWaits, done);
                }
            }
        }
    }

    fn note_answers(&mut self) {
        for (of, part) in self.answers.lock().drain(..).flatten() {
            self.requests[of].parts[part].is_acknowledged = true;
        }
    }

    /// Everything is written, sent until it was acknowledged, and published.
    fn finish(&mut self, machine: &Machine) -> Result<(), String> {
        let end_ns = self.requests.iter().map(Request::end_ns).max().unwrap_or(0);
        self.hardware.clock.advance_ns(end_ns.saturating_sub(self.now_ns()) + 1);
        for _ in 0..50 {
            let of = |(of, request): (usize, &Request)| {
                let parts = request.parts.iter().enumerate().filter(|(_, part)| !part.is_acknowledged);
                parts.map(|(part, _)| (of, part)).collect::<Vec<_>>()
            };
            let left: Vec<_> = self.requests.iter().enumerate().flat_map(of).collect();
            if left.is_empty() {
                return self.settle(machine);
            }
            self.send_parts(machine, &left[..left.len().min(200)]);
            machine.path.commit_all();
            self.note_answers();
        }
        Err("senders are never heard".to_owned())
    }

    /// Time goes on until nothing is left to be said.
    fn settle(&mut self, machine: &Machine) -> Result<(), String> {
        for _ in 0..60 {
            self.hardware.clock.advance_ns(5 * SECOND_NS);
            publish(machine);
            machine.path.commit_all();
        }
        self.look(machine).map(drop)
    }

    /// Rows as they are on the card: none twice, none of nothing, none that goes back.
    fn look(&mut self, machine: &Machine) -> Result<BTreeMap<CorrelationId, Correlation>, String> {
        let mut newest: BTreeMap<CorrelationId, Correlation> = BTreeMap::new();
        let mut seen = BTreeMap::new();
        for row in rows(machine)? {
            if seen.insert((row.id, row.revision), ()).is_some() {
                return Err(format!("twice: revision {} of {}", row.revision, row.id));
            }
            let request = self.requests.iter().find(|request| request.trace_id == row.id.trace_id);
            let Some(request) = request else { return Err(format!("invented: {}", row.id)) };
            if (row.logs + row.spans) as usize > request.parts.len() {
                return Err(format!("items count twice: {row:?} of {} items", request.parts.len()));
            }
            if newest.get(&row.id).is_none_or(|known| known.revision < row.revision) {
                newest.insert(row.id, row);
            }
        }
        self.tally.published = self.tally.published.max(seen.len() as u64);
        for (id, correlation) in &newest {
            let known = self.known.insert(*id, correlation.revision).unwrap_or(0);
            if known > correlation.revision {
                return Err(format!("{id} was at revision {known} and is at {}", correlation.revision));
            }
        }
        match self.known.keys().find(|id| !newest.contains_key(id)) {
            Some(id) => Err(format!("lost: {id} was there before")),
            None => Ok(newest),
        }
    }

    /// Holds what is there against a correlator that was never interrupted; number of rows, and of synthetic spans.
    fn compare(&mut self, machine: &Machine) -> Result<(usize, usize), String> {
        let newest = self.look(machine)?;
        let (wanted, got) = (uninterrupted(&self.requests, machine), by_trace(newest.values()));
        for (trace_id, wanted) in &wanted {
            let got = got.get(trace_id).ok_or_else(|| format!("missing: {} windows of {trace_id}", wanted.len()))?;
            if got != wanted {
                return Err(format!("of {trace_id} there is\n{got:#?}\nand should be\n{wanted:#?}"));
            }
        }
        if let Some(trace_id) = got.keys().find(|trace_id| !wanted.contains_key(trace_id)) {
            return Err(format!("{trace_id} should have no correlation: {:#?}", got[trace_id]));
        }
        self.tally.items = self.requests.iter().map(|request| request.parts.len() as u64).sum();
        self.tally.correlations = newest.len() as u64;
        self.tally.revised = newest.values().filter(|c| c.revision > 1).count() as u64;
        // At most one of the first and one of the last revision.
        let spans = synthetic(&self.requests, machine)?;
        if spans > 2 * newest.len() {
            return Err(format!("{spans} synthetic spans of {} correlations", newest.len()));
        }
        Ok((rows(machine)?.len(), spans))
    }
}

/// Worlds of successive seeds until enough power cuts were made. `test` is the test's own name.
fn survive(test: &str, first_seed: u64, faults: &SimulatedOptions) {
    let from_environment = |name| std::env::var(name).ok().and_then(|text| text.trim().parse().ok());
    let only: Option<u64> = from_environment("BRAMBLE_SIM_SEED");
    if only.is_some() {
        // A replay is for looking at it: what the code says goes to stderr.
        _ = tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).try_init();
    }
    let wanted = if only.is_some() { 1 } else { from_environment("BRAMBLE_SIM_CUTS").unwrap_or(CUTS) };
    let mut sum = Tally::default();
    for seed in only.unwrap_or(first_seed).. {
        let mut world = World::new(seed, Joining::Sound, faults);
        world.run().unwrap_or_else(|complaint| {
            panic!(
                "seed {seed}: {complaint}\n\nreplay: BRAMBLE_SIM_SEED={seed} cargo test -p bramble-tests-crash \
                 --test simulation {test} -- --nocapture\n"
            )
        });
        let tally = &world.tally;
        sum.cuts += tally.cuts;
        sum.cuts_in_recovery += tally.cuts_in_recovery;
        sum.items += tally.items;
        sum.correlations += tally.correlations;
        sum.revised += tally.revised;
        sum.published += tally.published;
        if sum.cuts >= wanted {
            break;
        }
    }
    assert!(sum.correlations > 0 && sum.revised > 0, "a world in which nothing happens proves nothing: {sum:?}");
    eprintln!("{test}: {sum:?}");
}

#[test]
fn power_cuts_while_traces_are_correlated() {
    survive("power_cuts_while_traces_are_correlated", 16_000_000, &SimulatedOptions::default());
}

#[test]
fn traces_are_correlated_on_a_failing_card() {
    let faults = SimulatedOptions { write_error_chance: 0.02, sync_error_chance: 0.02, ..SimulatedOptions::default() };
    survive("traces_are_correlated_on_a_failing_card", 16_500_000, &faults);
}

/// What a sabotaged correlator is found out by.
fn complaint(joining: Joining) -> String {
    let found = (17_000_000..17_000_000 + 40)
        .find_map(|seed| World::new(seed, joining, &SimulatedOptions::default()).run().err());
    found.unwrap_or_else(|| panic!("no world noticed {joining:?}"))
}

#[test]
fn a_correlator_that_does_not_see_its_own_rows_is_noticed() {
    let complaint = complaint(Joining::Forgetful);
    assert!(complaint.contains("twice") || complaint.contains("lost"), "{complaint}");
}

#[test]
fn a_journal_that_is_not_kept_for_open_windows_is_noticed() {
    let complaint = complaint(Joining::Careless);
    assert!(complaint.contains("missing") || complaint.contains("there is"), "{complaint}");
}
