//! Runs seeds, counts, and says how to replay the one that failed.

use crate::world::{Tally, Trouble, World};
use parking_lot::Mutex;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Power cuts that each test makes; `BRAMBLE_SIM_CUTS` changes it.
const CUTS: u64 = 260;
/// Lives of a world that end with a power cut.
const LIVES: u32 = 8;

static TOTAL: Mutex<(Tally, u32)> = Mutex::new((
    Tally {
        cuts: 0,
        cuts_in_recovery: 0,
        recoveries: 0,
        checked: 0,
        acknowledged: 0,
        refused_batches: 0,
        flushes: 0,
        merges: 0,
        deleted: 0,
        operations: 0,
    },
    0,
));

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.trim().parse().unwrap_or_else(|_| panic!("{name}={text}: not a number")))
}

/// One world; the complaint if something is wrong, a panic of the code under test included.
pub(crate) fn story(seed: u64, trouble: &Trouble) -> Result<Tally, String> {
    let mut world = World::new(seed, trouble);
    match catch_unwind(AssertUnwindSafe(|| world.run(LIVES))) {
        Ok(outcome) => outcome.map(|()| world.tally),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_string()));
            Err(format!("panic: {}", text.unwrap_or_default()))
        }
    }
}

/// Worlds of successive seeds until enough power cuts were made. `test` is the test's own name.
pub(crate) fn survive(test: &str, first_seed: u64, trouble: &Trouble) {
    let run = |seed| {
        story(seed, trouble).unwrap_or_else(|complaint| {
            panic!(
                "seed {seed}: {complaint}\n\nreplay: BRAMBLE_SIM_SEED={seed} cargo test -p bramble-tests-crash \
                 --test simulation {test} -- --exact --nocapture\n"
            )
        })
    };
    let mut sum = Tally::default();
    if let Some(seed) = from_environment("BRAMBLE_SIM_SEED") {
        // A replay is for looking at it: what the code says goes to stderr.
        _ = tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).try_init();
        sum.add(&run(seed));
    } else {
        let cuts = from_environment("BRAMBLE_SIM_CUTS").unwrap_or(CUTS);
        for seed in first_seed.. {
            sum.add(&run(seed));
            if sum.cuts >= cuts {
                break;
            }
        }
    }
    let deletes = trouble.delete_percent < 10 || sum.deleted > 0;
    assert!(
        sum.acknowledged > 0 && sum.flushes > 0 && deletes,
        "a world in which nothing happens proves nothing: {sum:?}"
    );
    report(test, &sum);
}

/// Says what was done, past the test harness' capture, so that a log of CI has it.
fn report(test: &str, sum: &Tally) {
    let mut total = TOTAL.lock();
    total.0.add(sum);
    total.1 += 1;
    let (t, tests) = (&total.0, total.1);
    let text = format!(
        "{test}: {sum:?}\nsimulation: {} power cuts ({} in recovery), {} recoveries, {} acknowledged items checked ({} distinct), {tests} tests\n",
        t.cuts, t.cuts_in_recovery, t.recoveries, t.checked, t.acknowledged
    );
    _ = std::io::stderr().write_all(text.as_bytes());
}
