//! Tests of the house itself are in `tests/house`; black-box tests against the built binary are scripts beside it
//! (conformance, clients, browser, bench), because the clients they drive are not Rust.
