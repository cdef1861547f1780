//! `tilectl clean`: drops what nodes keep of earlier renders.

use std::process::ExitCode;

use tilecore::check::{self, Keep};
use tilecore::render::Cancel;
use tilecore::{Error, Result};

use crate::cli;
use crate::farm::Farm;
use crate::fault::sentence;
use crate::show::bytes;

pub(crate) fn run(args: &cli::Clean) -> Result<ExitCode> {
    let farm = Farm::new(&args.nodes, None, None)?;
    let nodes = farm.nodes()?;
    let keep = if args.all {
        Keep { days: 0.0, bytes: Some(0) }
    } else {
        Keep { days: f64::from(args.days), bytes: args.keep }
    };
    let cancel = Cancel::new();
    crate::signals::stop(&cancel)?;
    let all = check::clean(&nodes, keep, &|| !cancel.drains(), &mut |cleaned| {
        if args.json {
            return;
        }
        match &cleaned.trouble {
            None => {
                println!(
                    "{}: {} dropped, {} left",
                    cleaned.node,
                    bytes(cleaned.removed),
                    bytes(cleaned.left)
                );
            }
            Some(trouble) => {
                println!("{}: {}", cleaned.node, sentence(&trouble.reason));
                if let Some(remedy) = &trouble.remedy {
                    println!("  {}", sentence(remedy));
                }
            }
        }
    });
    if cancel.drains() {
        return Err(Error::interrupted("stopped"));
    }
    if args.json {
        println!("{}", crate::say::json(&all));
    }
    Ok(if all.iter().all(|c| c.trouble.is_none()) { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
