//! `tilectl man`: the manual pages, made from the command line itself.

use std::path::Path;
use std::process::ExitCode;

use clap::CommandFactory;
use clap_mangen::Man;
use tilecore::error::IoContext;
use tilecore::{Error, Result};

use crate::cli::Cli;

/// Prints the main page, or writes one for every command to a folder.
pub(crate) fn run(dir: Option<&Path>) -> Result<ExitCode> {
    let Some(dir) = dir else {
        let unable = |e| Error::render(format!("cannot write the manual page: {e}")).remedy("Try again.");
        Man::new(Cli::command()).render(&mut std::io::stdout()).map_err(unable)?;
        return Ok(ExitCode::SUCCESS);
    };
    std::fs::create_dir_all(dir).at("create", dir)?;
    let mut top = Cli::command();
    top.build();
    write(top, "tilectl", dir)?;
    Ok(ExitCode::SUCCESS)
}

/// The page of a command, and of those below it: `tilectl-nodes-check.1`.
fn write(command: clap::Command, name: &str, dir: &Path) -> Result<()> {
    for below in command.get_subcommands().filter(|c| !c.is_hide_set()) {
        write(below.clone(), &format!("{name}-{}", below.get_name()), dir)?;
    }
    let path = dir.join(format!("{name}.1"));
    let mut page = Vec::new();
    Man::new(command.display_name(name.to_owned()))
        .title(name.to_uppercase())
        .render(&mut page)
        .at("write", &path)?;
    super::write(&path, &page)?;
    println!("{}", path.display());
    Ok(())
}
