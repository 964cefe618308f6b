//! Parse, run, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    presence::cli::main()
}
