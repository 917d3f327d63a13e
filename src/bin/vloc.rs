//! The command line of vloc: parse, run, map the error to an exit code.

use std::process::ExitCode;

use clap::Parser;
use vloc::cli::Cli;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vloc: error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
