//! `tilectl status`: how far a job is, once or until it ends.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tilecore::Result;
use tilecore::text::duration;

use crate::cli;
use crate::say;
use crate::show::Countdown;
use crate::standing::{Stage, Standing, Watched};

/// How often the state file is looked at.
const EVERY: Duration = Duration::from_millis(400);
/// Reading it may take this part of the time at most: one in so many.
const SHARE: u32 = 10;

pub(crate) fn run(args: &cli::Status) -> Result<ExitCode> {
    let mut job = Watched::open(&args.dir)?;
    if args.watch {
        return watch(&mut job, args.json);
    }
    let standing = job.standing()?;
    if args.json {
        println!("{}", crate::say::json(&standing));
    } else {
        println!("{}", line(&standing));
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows every change until the job ends; 1 when it ended without the picture.
fn watch(job: &mut Watched, json: bool) -> Result<ExitCode> {
    let began = Instant::now();
    let mut left = Countdown::default();
    let mut bar = Bar::new(!json && std::io::stdout().is_terminal());
    let mut last: Option<Standing> = None;
    loop {
        let asked = Instant::now();
        let changed = job.has_changed()?;
        if changed {
            last = Some(job.standing()?);
        }
        let Some(standing) = &last else { continue };
        if json && changed {
            println!("{}", crate::say::json(standing));
        } else if !json {
            let to_go = left.show(began.elapsed().as_secs_f64(), standing.left.filter(|_| changed));
            bar.show(standing, to_go, changed);
        }
        if standing.stage != Stage::Running {
            bar.end(standing, json);
            return Ok(ExitCode::from(u8::from(standing.stage != Stage::Done)));
        }
        std::thread::sleep(EVERY.max(asked.elapsed() * SHARE));
    }
}

/// In a terminal one line that changes, elsewhere a line for every change.
struct Bar(Option<ProgressBar>);

impl Bar {
    fn new(in_place: bool) -> Self {
        Self(in_place.then(|| {
            let bar = ProgressBar::new(1000);
            bar.set_style(
                ProgressStyle::with_template("{bar:32} {percent:>3} %  {msg}")
                    .unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
            bar
        }))
    }

    fn show(&self, standing: &Standing, left: Option<f64>, changed: bool) {
        if let Some(bar) = &self.0 {
            bar.set_position((standing.done * 1000.0) as u64);
            let left = left.map_or_else(String::new, |s| format!(", {} to go", duration(s)));
            bar.set_message(format!("{} tiles{left}{}", standing.tiles, shares(standing)));
        } else if changed && standing.stage == Stage::Running {
            println!("{}", line(standing));
        }
    }

    fn end(&mut self, standing: &Standing, json: bool) {
        if let Some(bar) = self.0.take() {
            bar.finish_and_clear();
        }
        if !json {
            println!("{}", line(standing));
        }
    }
}

/// How the tiles are shared out.
fn shares(standing: &Standing) -> String {
    if standing.nodes.len() < 2 {
        return String::new();
    }
    let nodes: Vec<String> = standing.nodes.iter().map(|(name, tiles)| format!("{name} {tiles}")).collect();
    format!(" ({})", nodes.join(", "))
}

/// All of it in one line.
fn line(standing: &Standing) -> String {
    say::shown(&words(standing))
}

fn words(standing: &Standing) -> String {
    let tiles = if standing.tiles == 1 { "tile" } else { "tiles" };
    let mut text = format!(
        "{} frame {}{}, {}: {:.1} % in {} {tiles}{}",
        say::name(&standing.scene),
        standing.frame,
        if standing.pictures > 1 {
            format!(" and others, {} of {} pictures written", standing.pictures_done, standing.pictures)
        } else {
            String::new()
        },
        standing.size,
        100.0 * standing.done,
        standing.tiles,
        shares(standing)
    );
    if standing.failures + standing.losses > 0 {
        let (failures, losses) = (standing.failures, standing.losses);
        text += &format!(", {failures} failed attempts, {losses} lost connections");
    }
    let after = duration(standing.seconds);
    match (standing.stage, &standing.finished, &standing.reason) {
        (Stage::Running, ..) => {
            text += &format!(", running for {after}");
            if let Some(left) = standing.left {
                text += &format!(", {} to go", duration(left));
            }
        }
        (Stage::Done, Some(file), _) => text += &format!(", written to {file} after {after}"),
        (Stage::Done, None, _) => text += &format!(", done after {after}"),
        (Stage::Stopped, _, Some(reason)) => text += &format!(", ended after {after}: {reason}"),
        (Stage::Stopped | Stage::Abandoned, ..) => {
            text += ", not running; the render command goes on from here";
        }
    }
    if let Some(proof) = &standing.proof {
        text += &format!(". {}", proof.trim_end_matches('.'));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_it_stands() {
        let mut standing = Standing {
            stage: Stage::Running,
            frame: 7,
            scene: "Scene".into(),
            size: "1920x1080".into(),
            tiles: 12,
            pixels_done: 1,
            pixels: 2,
            pictures: 1,
            pictures_done: 0,
            done: 0.5,
            failures: 0,
            losses: 1,
            seconds: 61.0,
            left: Some(60.0),
            nodes: [("a".to_owned(), 8), ("b".to_owned(), 4)].into(),
            reason: None,
            finished: None,
            proof: None,
        };
        assert_eq!(
            line(&standing),
            "Scene frame 7, 1920x1080: 50.0 % in 12 tiles (a 8, b 4), 0 failed attempts, 1 lost connections, \
             running for 61 s, 60 s to go"
        );
        (standing.losses, standing.stage, standing.left) = (0, Stage::Abandoned, None);
        assert!(line(&standing).ends_with("(a 8, b 4), not running; the render command goes on from here"));
        (standing.stage, standing.finished) = (Stage::Done, Some("a.png".into()));
        assert!(line(&standing).ends_with(", written to a.png after 61 s"));
        standing.proof = Some("Exact on this scene: 9 tiles.".into());
        assert!(line(&standing).ends_with(" after 61 s. Exact on this scene: 9 tiles"));
    }
}
