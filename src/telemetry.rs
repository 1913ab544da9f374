//! Names, counters, spans and logs: what is measured, and in which words.

pub mod reason;
