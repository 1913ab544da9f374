//! The binary as its users meet it: exact standard output, standard error and exit code.
//!
//! Every run has a home directory of its own and an environment that holds nothing else.

mod binary;
mod diff;
mod errors;
mod explain;
mod gate;
mod generated;
mod help;
mod inputs;
mod installed;
mod limits;
mod manifests;
mod mesh;
mod offline;
mod refused;
mod take_over;
mod validate;
mod workload;
