//! The admin API on the Unix socket of the home directory.

pub mod shapes;
