//! Parse, run, exit code.

use std::process::ExitCode;

/// In a storm of transitions two fifths of the engine's time went into the system's allocator: an event is some thirty
/// small allocations, made by one thread and given back by another.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    presence_engine::cli::main()
}
