//! Black-box tests of the built binary live in `tests/`.
