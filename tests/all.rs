//! The one test binary: every integration test is a module of it, because linking is what costs.

mod compile;
mod control;
