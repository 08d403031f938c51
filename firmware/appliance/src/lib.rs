//! The machine around Bramble, where the machine is ours: the flashed appliance.
//!
//! Two slots, A and B, each a read-only root and a directory of boot files; one runs, the other takes updates. What this
//! crate promises:
//!
//! * **A complete slot boots, whenever the power goes.** Every decision is one sector overwritten in place and synced
//!   ([`slot`]); `power_cut_tests` cuts after every write, with any part of what was not synced lost.
//! * **Nothing unsigned is installed**, and nothing that cannot read what is stored ([`bundle`], [`install`]).
//! * **Bramble itself stays without privileges**: one small helper does what needs root, and talks to nobody but Bramble
//!   and root ([`helper`]).
//! * **What people put on the boot partition never stops the boot** ([`first_boot`]): it is read, never executed, and what
//!   is wrong with it is told on the [`console`].
//!
//! Everything is synchronous, and reaches the machine through [`medium::Medium`] and [`layout::Layout`], so that tests
//! run it in a directory or on a simulated card. *Knows no HTTP, no store, no configuration of Bramble but as a text.*

pub mod bundle;
pub mod confirm;
pub mod console;
pub mod durable;
pub mod first_boot;
pub mod helper;
pub mod install;
pub mod layout;
pub mod medium;
pub mod release;
pub mod slot;
