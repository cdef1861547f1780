//! One file per verb: flags in, a call of the library, words out.

mod render;
mod status;
mod stitch;

use std::process::ExitCode;

use clap::CommandFactory;
use tilecore::stitch::Compression;
use tilecore::{Error, Result};

use crate::cli::{Cli, Command};

/// Carries out the command.
pub(crate) fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Render(args) => render::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Stitch(args) => stitch::run(&args),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "tilectl", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
        Command::Man => {
            clap_mangen::Man::new(Cli::command())
                .render(&mut std::io::stdout())
                .map_err(|e| Error::render(format!("cannot write the manual page: {e}")))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn compression(name: &str) -> Compression {
    match name {
        "fast" => Compression::Fast,
        "small" => Compression::Small,
        _ => Compression::Default,
    }
}
