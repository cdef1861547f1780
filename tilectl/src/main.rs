//! tilectl: one Blender frame on every machine you own.

mod cli;
mod commands;
mod completion;
mod farm;
mod fault;
mod members;
mod now;
mod runner;
mod say;
mod serve;
mod show;
mod signals;
mod standing;
mod target;
mod warnings;
mod zip;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    if completion::answer(std::env::args_os()) {
        return ExitCode::SUCCESS;
    }
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            // Help and version go to standard output with 0, wrong usage to standard error with 2.
            let _ = e.print();
            return ExitCode::from(u8::try_from(e.exit_code()).unwrap_or(2));
        }
    };
    warnings::show();
    match commands::run(cli.command) {
        Ok(code) => code,
        Err(error) => fault::report(&error),
    }
}
