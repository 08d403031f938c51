//! Any sequence of writing, rotating, restarting and power cuts: every line exactly once.
//!
//! The tailer is given the time to see what it promises to see: what is written is read before it is truncated away without a
//! copy, and a file is looked at before its place is taken twice. Everything else happens at any time, most of it while
//! nobody reads.

use super::*;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

#[derive(Clone, Debug)]
enum Step {
    /// So many lines.
    Write(u8),
    /// A line without its end, which comes with the next lines.
    WritePart,
    Rename,
    /// Copy, then truncate.
    CopyTruncate,
    /// The newest rotated file is compressed.
    Compress,
    /// Removes the file once it is read.
    Remove,
    Restart,
    /// The process ends with deliveries under way and not done.
    PowerCut,
    /// Until everything is read.
    Settle,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..20u8).prop_map(Step::Write),
        2 => Just(Step::WritePart),
        3 => Just(Step::Rename),
        3 => Just(Step::CopyTruncate),
        2 => Just(Step::Compress),
        1 => Just(Step::Remove),
        3 => Just(Step::Restart),
        3 => Just(Step::PowerCut),
        3 => Just(Step::Settle),
    ]
}

struct Model {
    world: World,
    written: usize,
    has_part: bool,
    /// Whether rotated names match too.
    all: bool,
    /// Lines in the log now, and whether one of them was read, so that the file is known.
    in_log: usize,
    is_seen: bool,
    /// Rotations since everything was read: the last of the names goes with one too many.
    rotations: usize,
}

/// Rotated files that are kept.
const KEPT: usize = 8;

impl Model {
    fn line(&mut self) -> String {
        self.written += 1;
        self.in_log += 1;
        let sep = if std::mem::take(&mut self.has_part) { "" } else { "line " };
        format!("{sep}{} {}\n", self.written, "x".repeat(self.written % 50))
    }

    fn settle(&mut self) {
        if self.world.life.is_none() {
            self.world.start();
        }
        let wanted = self.written;
        self.world.until("all lines", |world| distinct(world.writer.lines()).len() >= wanted);
        self.is_seen = self.in_log > 0;
        self.rotations = 0;
    }

    /// A part that was begun is ended, since its file is given away.
    fn end_part(&mut self) {
        if self.has_part {
            let line = self.line();
            self.world.append("a.log", line);
        }
    }

    /// A file whose name never led to it while somebody looked is not known, unless its new name matches.
    fn rotate_names(&mut self) {
        self.end_part();
        if !self.all && !self.is_seen || self.rotations + 1 >= KEPT {
            self.settle();
        }
        self.rotations += 1;
        (self.is_seen, self.in_log) = (false, 0);
        for n in (1..KEPT).rev() {
            for suffix in ["", ".gz"] {
                let (from, to) = (format!("a.log.{n}{suffix}"), format!("a.log.{}{suffix}", n + 1));
                _ = fs::rename(self.world.path(&from), self.world.path(&to));
            }
        }
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Write(count) => {
                let lines: String = (0..*count).map(|_| self.line()).collect();
                self.world.append("a.log", lines);
            }
            Step::WritePart if !self.has_part => {
                self.has_part = true;
                self.world.append("a.log", "line ");
            }
            Step::WritePart => {}
            Step::Rename => {
                self.rotate_names();
                _ = fs::rename(self.world.path("a.log"), self.world.path("a.log.1"));
            }
            Step::CopyTruncate => {
                self.rotate_names();
                if fs::copy(self.world.path("a.log"), self.world.path("a.log.1")).is_ok() {
                    OpenOptions::new().write(true).truncate(true).open(self.world.path("a.log")).unwrap();
                }
            }
            Step::Compress => {
                if let Ok(text) = fs::read(self.world.path("a.log.1")) {
                    fs::write(self.world.path("a.log.1.gz"), gzip(&text)).unwrap();
                    fs::remove_file(self.world.path("a.log.1")).unwrap();
                }
            }
            Step::Remove => {
                self.end_part();
                self.settle();
                _ = fs::remove_file(self.world.path("a.log"));
                (self.is_seen, self.in_log) = (false, 0);
            }
            Step::Restart => {
                self.world.stop();
                self.world.start();
            }
            Step::PowerCut => {
                // Nothing more is durable from here on.
                *self.world.writer.is_cut.lock() = true;
                self.world.stop();
                *self.world.writer.is_cut.lock() = false;
            }
            Step::Settle => self.settle(),
        }
    }
}

/// Each line once.
fn distinct(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines.dedup();
    lines
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 32,
        max_shrink_iters: 12,
        rng_seed: RngSeed::Fixed(7),
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_line_exactly_once(steps in prop::collection::vec(step(), 1..25), all in any::<bool>(), few in any::<bool>()) {
        let mut world = World::new(if all { "a.log*" } else { "a.log" });
        world.config.start = FileStart::Beginning;
        world.handles_max = if few { 1 } else { 16 };
        world.stop_wait = Duration::from_millis(20);
        world.append("a.log", "line 1 first\n");
        world.start();
        let mut model = Model { world, written: 1, has_part: false, all, in_log: 1, is_seen: false, rotations: 0 };
        for step in &steps {
            model.apply(step);
        }
        model.end_part();
        model.settle();
        let mut lines = model.world.writer.lines();
        lines.sort();
        let once = distinct(lines.clone());
        prop_assert_eq!(once.len(), model.written);
        prop_assert_eq!(lines.len(), once.len(), "doubled: {:?}", lines);
        prop_assert!(lines.iter().all(|line| line.starts_with("line ")));
    }
}
