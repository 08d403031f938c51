//! What a Raspberry Pi says of itself beyond other machines, and how its card wears. Part of the rounds of
//! [`host`](super::host); on other machines the board's part is empty.
//!
//! | metric | meaning | where from |
//! | --- | --- | --- |
//! | `rpi_info{model,revision}` | 1 | device tree, `/proc/cpuinfo` |
//! | `rpi_soc_temperature_celsius` | | the first thermal zone |
//! | `rpi_throttled_flags` | all flags as the firmware has them | `get_throttled` |
//! | `rpi_under_voltage`, `rpi_frequency_capped`, `rpi_throttled`, `rpi_soft_temperature_limit` | now, 0 or 1 | the same; under-voltage also from the chip `rpi_volt` |
//! | the same with `_occurred` | since the start, or since the flags were read before | the same |
//! | `rpi_clock_hertz{clock}` | | `fw-clk-*` of debugfs, where it may be read |
//! | `rpi_regulator_volts{regulator}` | | regulators of the device tree |
//! | `bramble_storage_*{device}` | see [`storage`] | `/sys/block` |

mod board;
mod storage;

pub(super) use board::board;
pub(super) use storage::storage;
