//! `tilectl verify`: some of a finished job is rendered again and compared.

use std::path::PathBuf;
use std::process::ExitCode;

use tilecore::render::Cancel;
use tilecore::state::WorkDirLayout;
use tilecore::verify::{Check, verify};
use tilecore::{Error, Result};

use crate::farm::Farm;
use crate::{cli, show};

pub(crate) fn run(args: &cli::Verify) -> Result<ExitCode> {
    let dir = work_dir(&args.job)?;
    let farm = Farm::new(&args.nodes, None, None)?;
    let seed = args.seed.unwrap_or_else(|| tilecore::state::now().to_bits());
    let check = Check { rects: args.rects as usize, seed, whole: args.whole };
    let cancel = Cancel::new();
    crate::signals::stop(&cancel)?;
    let mut show = show::alone(&args.output_style);
    let verdict = verify(&dir, &farm.nodes()?, &check, &cancel, &mut |event| show.event(&event));
    show.end();
    let verdict = verdict?;
    if args.output_style.json {
        println!("{}", crate::say::json(&verdict));
    } else {
        let places = if check.whole {
            "the whole frame".into()
        } else {
            format!("{} rectangles", verdict.rects.len())
        };
        println!("{} of {} pixels differ ({places}, seed {seed})", verdict.differing, verdict.pixels);
        if verdict.unrepeatable > 0 {
            println!(
                "{} of these are pixels in which Blender does not repeat itself: two renders by it alone differ in up to {}",
                verdict.unrepeatable, verdict.varying
            );
        }
    }
    Ok(if verdict.holds() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// A work directory, or the one beside a picture.
fn work_dir(job: &std::path::Path) -> Result<PathBuf> {
    let beside = PathBuf::from(format!("{}.tiles", job.display()));
    [job.to_owned(), beside].into_iter().find(|d| WorkDirLayout::new(d).state().is_file()).ok_or_else(|| {
        Error::input(format!(
            "{} is neither a work directory nor a picture with one beside it",
            job.display()
        ))
        .remedy("Render with --keep, so that the tiles stay, and name the picture or its .tiles directory.")
    })
}
