//! What holds of exemplars in every protocol.

use bramble_signal::Exemplar;

/// Most characters of all names and values of an exemplar's labels (OpenMetrics 1.0, "Exemplars").
pub(crate) const EXEMPLAR_CHARACTERS_MAX: usize = 128;

/// Memory of an exemplar in a batch beside its labels: itself, its place, and the header of its labels.
pub(crate) const EXEMPLAR_BYTES: usize = size_of::<Exemplar>() + 32;
