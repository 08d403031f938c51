//! Home of the simulation test, `tests/simulation`: ingest, journal, heads, blocks, catalog and recovery, the production
//! code whole, on one thread over `bramble_disk::SimulatedDisk`, with thousands of power cuts drawn from seeds.
//!
//! `cargo test -p bramble-tests-crash` runs it. `BRAMBLE_SIM_SEED=n` with a test's name replays one seed,
//! `BRAMBLE_SIM_CUTS=n` sets how many power cuts each test makes.
