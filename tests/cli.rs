//! The binary as its users meet it: exact standard output, standard error and exit code.
//!
//! Every run has a home directory of its own and an environment that holds nothing else.

mod backup;
mod binary;
mod diff;
mod errors;
mod explain;
mod full;
mod gate;
mod generated;
mod help;
mod history;
mod inputs;
mod installed;
mod killed;
mod limits;
mod manifests;
mod mesh;
mod offline;
mod refused;
mod report;
mod soak;
mod surroundings;
mod take_over;
mod upgrade;
mod validate;
mod workload;
