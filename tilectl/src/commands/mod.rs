//! One file per verb: flags in, a call of the library, words out.

mod bench;
mod clean;
mod discover;
mod extension;
mod init;
mod man;
mod map;
mod nodes;
mod plan;
mod prove;
pub(crate) mod queue;
pub(crate) mod render;
mod selftest;
mod status;
mod stitch;
mod verify;

use std::process::ExitCode;

use tilecore::Result;
use tilecore::stitch::Compression;

use crate::cli::Command;

/// Carries out the command.
pub(crate) fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Render(args) => render::run(&args),
        Command::Queue(command) => queue::run(&command),
        Command::Status(args) => status::run(&args),
        Command::Stitch(args) => stitch::run(&args),
        Command::Map(args) => map::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Prove(args) => prove::run(&args),
        Command::Selftest(args) => selftest::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Init(args) => init::run(&args),
        Command::Nodes(command) => nodes::run(&command),
        Command::Extension(command) => extension::run(&command),
        Command::Clean(args) => clean::run(&args),
        Command::Completions { shell } => Ok(crate::completion::script(shell)),
        Command::Man { dir } => man::run(dir.as_deref()),
    }
}

fn compression(name: &str) -> Compression {
    match name {
        "fast" => Compression::Fast,
        "small" => Compression::Small,
        _ => Compression::Default,
    }
}

/// Writes a file, with an error that says which.
fn write(path: &std::path::Path, bytes: &[u8]) -> Result<()> {
    use tilecore::error::IoContext;
    std::fs::write(path, bytes).at("write", path)
}
