//! The thin shell around the library: allocator, crypto provider, `cli::run`, exit code.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    meshctl::cli::run()
}
