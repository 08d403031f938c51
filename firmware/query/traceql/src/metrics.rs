//! Measures over time: spans that a query accepts, counted or aggregated in steps.
