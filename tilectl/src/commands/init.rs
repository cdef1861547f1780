//! `tilectl init`: a configuration file to begin with, every setting explained.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use tilecore::config::{self, FILE_NAME};
use tilecore::node::ssh;
use tilecore::{Error, Result};

use crate::{cli, farm};

pub(crate) fn run(args: &cli::Init) -> Result<ExitCode> {
    let path = match &args.output {
        Some(path) => path.clone(),
        None if args.user => config::user_file()
            .ok_or_else(|| Error::input("HOME is not set").remedy("Name a file with -o."))?,
        None => PathBuf::from(FILE_NAME),
    };
    let mut hosts = Vec::new();
    if args.ssh_hosts {
        let options = farm::ssh()?;
        for probe in config::probe(&ssh::hosts(&options)?, &options) {
            match probe.outcome {
                Ok(()) => hosts.push(probe.host),
                Err(e) => eprintln!("{} is left out: {e}", probe.host),
            }
        }
    }
    let refuse = |e: &std::io::Error| {
        Error::input(format!("cannot write {}: {}", path.display(), tilecore::error::reason(e)))
            .remedy("Choose another place with -o; a file that is there is not written over.")
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|e| refuse(&e))?;
    }
    let mut file = std::fs::File::create_new(&path).map_err(|e| refuse(&e))?;
    file.write_all(config::template(&hosts).as_bytes()).map_err(|e| refuse(&e))?;
    println!("{}", path.display());
    Ok(ExitCode::SUCCESS)
}
