//! The one test binary: every integration test is a module of it, because linking is what costs.

mod certs;
mod cli;
mod compile;
mod control;
mod docs;
mod install;
mod rules;
mod tidy;
mod xds;
