//! The one test binary: every integration test is a module of it, because linking is what costs.

mod agent;
mod capture;
mod captured;
mod certs;
mod cli;
mod compile;
mod control;
mod crds;
mod demo;
mod docs;
mod guides;
mod h2;
mod inject;
mod install;
mod joins;
mod kubernetes;
mod mesh;
mod rules;
mod support;
mod tidy;
mod xds;
