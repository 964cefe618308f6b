//! Parse, run, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    presence_engine::cli::main()
}
