//! One seed's story: a card, several lives of the process, power cuts between and within them.

use crate::deletions::{CANCEL_PERIOD_MS, delete_logs, delete_metrics, take_back};
use crate::delivering::Delivering;
use crate::load::{Batch, Senders};
use crate::machine::{Hardware, Machine, options};
use crate::model::{Item, Model};
use crate::observe::everything;
use bramble_disk::{Disk, SimulatedDisk, SimulatedOptions};
use bramble_ingest::Progress;
use bramble_runtime::{ManualClock, Rng};
use bramble_storage::{DeletionState, Done, LogAdmin, MetricAdmin, Urgency, Writer};
use parking_lot::Mutex;
use std::sync::Arc;

/// 2026-11-18T00:00:00Z.
const BASE_NS: i64 = 1_794_960_000_000_000_000;
const HOUR_NS: u64 = 3_600_000_000_000;
/// Memory cap of the simulated process.
const MEMORY_BYTES: usize = 24 << 20;

/// What kind of trouble a world has, beside power cuts.
#[derive(Clone)]
pub(crate) struct Trouble {
    /// The card's faults.
    pub(crate) faults: SimulatedOptions,
    /// A stored byte flips between two lives with this chance: damage must be reported, never served.
    pub(crate) rot_chance: f64,
    /// Power cuts while starting, per start.
    pub(crate) cut_recovery_chance: f64,
    /// Flushes and merges per hundred steps; the rest is ingest.
    pub(crate) maintenance_percent: u64,
    /// Deletions, and steps of them, per hundred steps.
    pub(crate) delete_percent: u64,
    /// Steps of a life, if the power does not go before.
    pub(crate) steps: u32,
    /// Chance that a batch is large.
    pub(crate) large_chance: f64,
    /// Whether some batches are numbered deliveries of a source.
    pub(crate) delivers: bool,
    /// Whether something is derived from spans. Nothing is sent twice then: what is journalled twice counts twice.
    pub(crate) observed: bool,
}

impl Default for Trouble {
    fn default() -> Self {
        Trouble {
            faults: SimulatedOptions::default(),
            rot_chance: 0.0,
            cut_recovery_chance: 0.3,
            maintenance_percent: 20,
            delete_percent: 4,
            steps: 60,
            large_chance: 0.015,
            observed: false,
            delivers: false,
        }
    }
}

impl Trouble {
    /// Whether operations may fail while the power is on.
    fn is_faulty(&self) -> bool {
        let faults = &self.faults;
        faults.read_error_chance + faults.write_error_chance + faults.sync_error_chance > 0.0
            || faults.capacity_bytes < SimulatedOptions::default().capacity_bytes
    }
}

/// What happened, summed over worlds.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) cuts: u64,
    pub(crate) cuts_in_recovery: u64,
    pub(crate) recoveries: u64,
    pub(crate) checked: u64,
    pub(crate) acknowledged: u64,
    pub(crate) refused_batches: u64,
    pub(crate) flushes: u64,
    pub(crate) merges: u64,
    pub(crate) deleted: u64,
    pub(crate) operations: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Tally) {
        self.cuts += other.cuts;
        self.cuts_in_recovery += other.cuts_in_recovery;
        self.recoveries += other.recoveries;
        self.checked += other.checked;
        self.acknowledged += other.acknowledged;
        self.refused_batches += other.refused_batches;
        self.flushes += other.flushes;
        self.merges += other.merges;
        self.deleted += other.deleted;
        self.operations += other.operations;
    }
}

/// Promised items, how many of them an answer counts, and the answer.
type Answers = Arc<Mutex<Vec<(Vec<Item>, usize, Result<u64, String>)>>>;

/// A card and everything that was ever sent to it.
pub(crate) struct World {
    rng: Rng,
    hardware: Hardware,
    trouble: Trouble,
    model: Model,
    senders: Senders,
    answers: Answers,
    delivering: Delivering,
    /// Batches that were not answered yet.
    waiting: u64,
    rotten: bool,
    pub(crate) tally: Tally,
}

impl World {
    pub(crate) fn new(seed: u64, trouble: &Trouble) -> Self {
        let mut rng = Rng::new(seed);
        let disk = Arc::new(SimulatedDisk::new(rng.next_u64(), trouble.faults.clone()));
        let clock = Arc::new(ManualClock::new(BASE_NS + rng.below(24 * HOUR_NS) as i64));
        let mut options = options(64 << 10 << rng.below(3), 4 + rng.below(4) as u32);
        if trouble.observed {
            // Who derives is not waited for when the ring is nearly full; here it never is.
            options.journal.extents_max *= 8;
        }
        World {
            hardware: Hardware {
                disk,
                clock,
                options,
                memory_bytes: MEMORY_BYTES,
                observed: trouble.observed,
                joining: None,
            },
            rng,
            trouble: trouble.clone(),
            model: Model::default(),
            senders: Senders::new(trouble.large_chance, if trouble.observed { 0.0 } else { 0.15 }),
            answers: Answers::default(),
            delivering: Delivering::default(),
            waiting: 0,
            rotten: false,
            tally: Tally::default(),
        }
    }

    /// Lives `lives` lives, each ended by a power cut, then one without, which flushes and merges everything.
    pub(crate) fn run(&mut self, lives: u32) -> Result<(), String> {
        for life in 0..lives {
            let told = |e| format!("life {life}: {e}");
            tracing::info!(life, operations = self.hardware.disk.operations(), "the process starts");
            let machine = self.start(life > 0).map_err(told)?;
            self.live(&machine).map_err(told)?;
            drop(machine);
            self.cut();
            self.rot();
        }
        let told = |e| format!("last life: {e}");
        if self.trouble.is_faulty() {
            // A new card with the old one's content.
            self.hardware.disk.configure(|options| *options = SimulatedOptions::default());
        }
        let machine = self.start(false).map_err(told)?;
        if !self.rotten {
            machine.maintenance.force_flush().map_err(|e| told(format!("flush: {e}")))?;
            self.collect_answers()?;
            self.verify(&machine, "after a flush").map_err(told)?;
            machine.maintenance.force_merge().map_err(|e| told(format!("merge: {e}")))?;
            self.verify(&machine, "after a merge").map_err(told)?;
            self.finish_deletions(&machine).map_err(told)?;
            self.verify(&machine, "after what was deleted was removed").map_err(told)?;
        }
        self.tally.acknowledged = self.model.promises();
        self.tally.deleted = self.model.deleted;
        self.tally.operations = self.hardware.disk.operations();
        Ok(())
    }

    fn cut(&mut self) {
        self.tally.cuts += 1;
        // Whoever waited for an answer never hears one.
        self.waiting = 0;
        self.delivering.cut();
        // Cuts the power if it is still on.
        self.hardware.disk.reboot();
    }

    /// Bits flip while the power is off.
    fn rot(&mut self) {
        if !self.rng.chance(self.trouble.rot_chance) {
            return;
        }
        let disk = &self.hardware.disk;
        let files: Vec<_> = disk
            .list("")
            .unwrap_or_default()
            .into_iter()
            .filter(|f| f.bytes > 0 && (f.name.starts_with("blocks/") || f.name.starts_with("journal/")))
            .collect();
        if files.is_empty() {
            return;
        }
        let file = &files[self.rng.below(files.len() as u64) as usize];
        // Frames stand at the beginning of an extent, and most of it is zeros.
        let within = if file.name.starts_with("journal/") { file.bytes.min(16 << 10) } else { file.bytes };
        for _ in 0..1 + self.rng.below(3) {
            let flipped = disk.corrupt(&file.name, self.rng.below(within), 1 << self.rng.below(8));
            self.rotten |= flipped.is_ok();
        }
    }

    /// Starts the process, however often the power goes meanwhile.
    fn start(&mut self, may_cut: bool) -> Result<Machine, String> {
        for attempt in 0.. {
            if may_cut && attempt < 5 && self.rng.chance(self.trouble.cut_recovery_chance) {
                let reach = 1u64 << self.rng.below(5);
                self.hardware.disk.cut_after_ops(1 + self.rng.below(reach));
            }
            // A journal page that cannot be read is damage, and reported as such; here it would be indistinguishable from a
            // bug, so cards read well while the process starts.
            let disk = self.hardware.disk.clone();
            let mut read_error_chance = 0.0;
            disk.configure(|options| std::mem::swap(&mut options.read_error_chance, &mut read_error_chance));
            let booted = Machine::boot(&self.hardware);
            disk.configure(|options| options.read_error_chance = read_error_chance);
            match booted {
                Ok(machine) => {
                    self.tally.recoveries += 1;
                    self.examine(&machine)?;
                    if !self.rotten {
                        self.delivering.check(&machine.path)?;
                    }
                    self.verify(&machine, "after recovery")?;
                    return Ok(machine);
                }
                Err(_) if !self.hardware.disk.is_powered() => {
                    self.tally.cuts_in_recovery += 1;
                    self.cut();
                }
                // The card fails on the way: not started, and nothing may have been harmed by the attempt.
                Err(_) if self.trouble.is_faulty() && attempt < 20 => {
                    if attempt == 10 {
                        let healthy = SimulatedOptions::default();
                        self.hardware.disk.configure(|options| *options = healthy);
                    }
                }
                Err(error) => return Err(format!("does not start: {error}")),
            }
        }
        Err("does not start".into())
    }

    /// Nothing but rot may look like damage.
    fn examine(&self, machine: &Machine) -> Result<(), String> {
        let (rebuilt, recovered) = (&machine.rebuilt, &machine.recovered);
        let damage = rebuilt.damaged + rebuilt.missing + recovered.damaged > 0 || rebuilt.catalog_lost;
        if damage && !self.rotten {
            return Err(format!("damage after a power cut: {rebuilt:?}, {recovered:?}"));
        }
        Ok(())
    }

    /// Reads everything and holds it against the model, with a card that works meanwhile.
    fn verify(&mut self, machine: &Machine, when: &str) -> Result<(), String> {
        let mut faults = SimulatedOptions::default();
        self.hardware.disk.configure(|options| std::mem::swap(options, &mut faults));
        let backward = self.rng.chance(0.5);
        let outcome = everything(machine, backward);
        self.hardware.disk.configure(|options| *options = faults);
        match outcome {
            Ok((_, warnings)) if !warnings.is_empty() && !self.rotten => Err(format!("{when}: warnings {warnings:?}")),
            Ok((found, _)) => {
                self.tally.checked += self.model.promises();
                self.check_count(machine, &found).map_err(|e| format!("{when}: {e}"))?;
                self.model.check(found, self.rotten).map_err(|e| format!("{when}: {e}"))
            }
            Err(error) if self.rotten => {
                drop(error);
                Ok(())
            }
            Err(error) => Err(format!("{when}: cannot be read: {error}")),
        }
    }

    /// What was derived from spans is of all that are there. A refused batch may be in the journal in part, and is found
    /// there by the next start.
    fn check_count(&self, machine: &Machine, found: &[Item]) -> Result<(), String> {
        let Some(counter) = &machine.counter else { return Ok(()) };
        let there = found.iter().filter(|item| item.key.starts_with("span ")).count() as u64;
        let counted = counter.spans();
        if counted != there && self.tally.refused_batches == 0 {
            return Err(format!("{there} spans are there, {counted} were counted"));
        }
        Ok(())
    }

    /// Random steps until the power goes.
    fn live(&mut self, machine: &Machine) -> Result<(), String> {
        let reach = 2u64 << self.rng.below(8);
        self.hardware.disk.cut_after_ops(1 + self.rng.below(reach * u64::from(self.trouble.steps) / 60));
        for _ in 0..self.trouble.steps {
            self.step(machine)?;
            self.collect_answers()?;
            if !self.hardware.disk.is_powered() {
                break;
            }
        }
        Ok(())
    }

    fn step(&mut self, machine: &Machine) -> Result<(), String> {
        if let Some(counter) = machine.counter.as_ref().filter(|_| self.rng.chance(0.1)) {
            let counted = counter.batch(self.now_ms());
            self.model.sent(&Batch::Metrics(counted.0.clone()).items());
            counter.write(&machine.path, &machine.receive, counted);
            return Ok(());
        }
        if self.rng.below(100) < self.trouble.maintenance_percent {
            return self.maintain(machine);
        }
        if self.rng.below(100) < self.trouble.delete_percent {
            return self.delete(machine);
        }
        match self.rng.below(20) {
            0..11 => {
                let now_ms = self.now_ms();
                let batch = self.senders.next(&mut self.rng, now_ms);
                self.send(machine, batch);
            }
            11..18 => _ = machine.path.commit_step(),
            18 => {
                machine.path.commit_all();
                self.collect_answers()?;
                if self.waiting > 0 {
                    return Err(format!("{} batches were never answered", self.waiting));
                }
            }
            _ => self.pass_time(),
        }
        Ok(())
    }

    fn now_ms(&self) -> i64 {
        bramble_runtime::Clock::wall_ms(&*self.hardware.clock)
    }

    fn pass_time(&mut self) {
        let ns = match self.rng.below(30) {
            0 => 24 * HOUR_NS,
            1..4 => self.rng.below(3 * HOUR_NS),
            _ => self.rng.below(5_000_000_000),
        };
        self.hardware.clock.advance_ns(ns);
    }

    fn maintain(&mut self, machine: &Machine) -> Result<(), String> {
        let maintenance = &machine.maintenance;
        let outcome = match self.rng.below(10) {
            0..4 => {
                for _ in 0..1 + self.rng.below(3) {
                    maintenance.step();
                    machine.log_deletions.step();
                }
                Ok(())
            }
            4..7 => {
                self.tally.flushes += 1;
                maintenance.force_flush()
            }
            7 => {
                self.tally.merges += 1;
                maintenance.force_merge()
            }
            8 => {
                maintenance.trim();
                Ok(())
            }
            _ => return self.verify_if_powered(machine),
        };
        match outcome {
            Err(error) if self.hardware.disk.is_powered() && !self.trouble.is_faulty() && !self.rotten => {
                Err(format!("maintenance failed on a healthy card: {error}"))
            }
            _ => Ok(()),
        }
    }

    /// Deletes something, takes a deletion back, or removes what was deleted.
    fn delete(&mut self, machine: &Machine) -> Result<(), String> {
        // Whoever waits has an answer first, so that the model knows what comes before the deletion and what after.
        machine.path.commit_all();
        self.collect_answers()?;
        let now_ms = self.now_ms();
        let (model, rng) = (&mut self.model, &mut self.rng);
        let done = match rng.below(10) {
            0..3 => delete_metrics(machine, model, rng, now_ms),
            3..6 => delete_logs(machine, model, rng, now_ms),
            6 => take_back(machine, model, rng),
            7 => machine.admin.clean_tombstones().ok(),
            _ => {
                for _ in 0..1 + rng.below(4) {
                    machine.log_deletions.step();
                }
                Some(())
            }
        };
        if done.is_none() && self.hardware.disk.is_powered() && !self.trouble.is_faulty() && !self.rotten {
            return Err("a deletion failed on a healthy card".to_owned());
        }
        if self.rng.chance(0.5) { self.verify_if_powered(machine) } else { Ok(()) }
    }

    /// When no deletion can be taken back any more, all are carried out.
    fn finish_deletions(&mut self, machine: &Machine) -> Result<(), String> {
        self.hardware.clock.advance_ns(CANCEL_PERIOD_MS as u64 * 1_000_000 + HOUR_NS);
        machine.admin.clean_tombstones().map_err(|e| format!("metrics that were deleted are not removed: {e}"))?;
        for _ in 0..10 {
            while machine.log_deletions.step() == Progress::Worked {}
            // What failed on the old card is tried again after a while.
            self.hardware.clock.advance_ns(HOUR_NS);
        }
        let requests = machine.log_deletions.requests();
        let left = requests.iter().filter(|request| request.state != DeletionState::Processed).count();
        if left > 0 { Err(format!("{left} deletions of logs are not carried out: {requests:?}")) } else { Ok(()) }
    }

    fn verify_if_powered(&mut self, machine: &Machine) -> Result<(), String> {
        if self.hardware.disk.is_powered() { self.verify(machine, "while running") } else { Ok(()) }
    }

    fn send(&mut self, machine: &Machine, batch: Batch) {
        let Ok(held) = machine.receive.reserve(batch.memory_bytes()) else { return };
        let mut items = batch.items();
        let counted = items.len();
        items.extend(batch.uncounted());
        self.model.sent(&items);
        self.waiting += 1;
        let answers = self.answers.clone();
        let done: Done = Box::new(move |outcome| {
            let outcome = match outcome {
                Ok(written) if written.rejections.is_empty() => Ok(written.accepted),
                Ok(written) => Err(format!("rejected: {}", written.rejections.first())),
                Err(error) => Err(error.to_string()),
            };
            answers.lock().push((items, counted, outcome));
        });
        let batch = match batch {
            Batch::Metrics(batch) => bramble_storage::Batch::Metrics(batch),
            Batch::Logs(batch) => bramble_storage::Batch::Logs(batch),
            Batch::Spans(batch) => bramble_storage::Batch::Spans(batch),
        };
        if self.trouble.delivers && self.delivering.is_free() && self.rng.chance(0.3) {
            self.delivering.send(&machine.path, batch, held, done);
        } else {
            machine.path.write(batch, held, Urgency::SenderWaits, done);
        }
    }

    fn collect_answers(&mut self) -> Result<(), String> {
        for (items, counted, outcome) in std::mem::take(&mut *self.answers.lock()) {
            self.waiting = self.waiting.checked_sub(1).ok_or("a batch was answered twice")?;
            match outcome {
                Ok(accepted) if accepted == counted as u64 => self.model.acknowledged(&items),
                Ok(accepted) => return Err(format!("{accepted} of {counted} items accepted, none rejected")),
                Err(why) if why.starts_with("rejected") => return Err(why),
                Err(_) => self.tally.refused_batches += 1,
            }
        }
        Ok(())
    }
}
