//! The client against servers of the tests.
