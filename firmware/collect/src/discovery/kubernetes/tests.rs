//! Roles against replayed answers.
