//! The `berth` program. Everything is in the library; see its `cli`.

#![forbid(unsafe_code)]

use std::process::ExitCode;

/// Decoding objects is mostly allocating; this allocator is faster at that than glibc's, and far
/// faster than musl's, which the static builds would use.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    berth::cli::main()
}
