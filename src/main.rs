//! The thin shell around the library: crypto provider, `cli::run`, exit code.

fn main() {}
