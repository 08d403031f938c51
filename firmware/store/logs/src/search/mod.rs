//! Finding lines without rebuilding them: what templates ([`needle`], [`outlook`]), columns and, last, lines
//! ([`examine`]) say of a query's tests ([`selection`]).

pub(crate) mod ahead;
pub(crate) mod cursor;
pub(crate) mod examine;
mod fields;
pub(crate) mod literals;
pub(crate) mod mentions;
pub(crate) mod needle;
pub(crate) mod origin;
pub(crate) mod outlook;
pub(crate) mod seen;
pub(crate) mod selection;
pub(crate) mod shape;
