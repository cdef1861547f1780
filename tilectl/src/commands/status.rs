//! `tilectl status`: how far a job is, once or until it ends.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tilecore::Result;
use tilecore::text::duration;

use crate::cli;
use crate::now::Account;
use crate::say;
use crate::show::{Countdown, counted};
use crate::standing::{Stage, Standing, Watched};

/// How often the state file is looked at.
const EVERY: Duration = Duration::from_millis(400);
/// How long a work directory that is not there yet is waited for: once, and by who watches.
const SOON: Duration = Duration::from_secs(3);
const COMES: Duration = Duration::from_secs(15);
/// Reading it may take this part of the time at most: one in so many.
const SHARE: u32 = 10;

pub(crate) fn run(args: &cli::Status) -> Result<ExitCode> {
    let mut job = Watched::open(&args.dir, if args.watch { COMES } else { SOON })?;
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
        let Some(standing) = &mut last else { continue };
        let account = job.account().filter(|_| !changed);
        if let Some(account) = &account {
            standing.take(account);
        }
        let standing = &*standing;
        if json && changed {
            println!("{}", crate::say::json(standing));
        } else if !json {
            let counted = left.show(began.elapsed().as_secs_f64(), standing.left.filter(|_| changed));
            let own = standing.phase.is_some();
            bar.show(standing, if own { to_go(standing) } else { counted.map(duration) }, changed);
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

    fn show(&self, standing: &Standing, left: Option<String>, changed: bool) {
        if let Some(bar) = &self.0 {
            bar.set_position((standing.done * 1000.0) as u64);
            let left = left.map_or_else(String::new, |left| format!(", {left} to go"));
            let phase =
                standing.phase.as_ref().map_or_else(String::new, |_| format!("{}, ", phase(standing)));
            bar.set_message(say::name(&format!(
                "{phase}{}{left}{}",
                counted(standing.tiles, "tile"),
                shares(standing)
            )));
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

/// What is going on, with the time it has taken.
fn phase(standing: &Standing) -> String {
    let phase = standing.phase.as_deref().unwrap_or("running");
    match standing.phase_s {
        Some(s) if s >= 1.0 && phase != "rendering" => format!("{phase}, {}", duration(s.floor())),
        _ => phase.to_owned(),
    }
}

/// What is left, as the run's own screen says it.
fn to_go(standing: &Standing) -> Option<String> {
    let account = Account { left: standing.left, left_range: standing.left_range, ..Account::default() };
    account.to_go()
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
    if standing.size.is_empty() {
        return format!("{}; running for {}", phase(standing), duration(standing.seconds));
    }
    let mut text = format!(
        "{} frame {}{}, {}: {:.1} % in {}{}",
        say::name(&standing.scene),
        standing.frame,
        if standing.pictures > 1 {
            format!(" and others, {} of {} pictures written", standing.pictures_done, standing.pictures)
        } else {
            String::new()
        },
        standing.size,
        100.0 * standing.done,
        counted(standing.tiles, "tile"),
        shares(standing)
    );
    for (n, what) in [(standing.failures, "failed attempt"), (standing.losses, "lost connection")] {
        if n > 0 {
            text += &format!(", {}", counted(n, what));
        }
    }
    let after = duration(standing.seconds);
    match (standing.stage, &standing.finished, &standing.reason) {
        (Stage::Running, ..) => {
            if standing.phase.is_some() {
                text += &format!(", {}", phase(standing));
            }
            text += &format!(", running for {after}");
            if let Some(left) = to_go(standing) {
                text += &format!(", {left} to go");
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
            left_range: None,
            phase: None,
            phase_s: None,
            now: Vec::new(),
            nodes: [("a".to_owned(), 8), ("b".to_owned(), 4)].into(),
            reason: None,
            finished: None,
            proof: None,
        };
        assert_eq!(
            line(&standing),
            "Scene frame 7, 1920x1080: 50.0 % in 12 tiles (a 8, b 4), 1 lost connection, \
             running for 61 s, 60 s to go"
        );
        (standing.losses, standing.stage, standing.left) = (0, Stage::Abandoned, None);
        assert!(line(&standing).ends_with("(a 8, b 4), not running; the render command goes on from here"));
        (standing.stage, standing.finished) = (Stage::Done, Some("a.png".into()));
        assert!(line(&standing).ends_with(", written to a.png after 61 s"));
        let mut running = Standing { stage: Stage::Running, finished: None, ..standing.clone() };
        (running.phase, running.phase_s) = (Some("building the scene".into()), Some(35.2));
        running.left_range = Some((60.0, 180.0));
        assert!(line(&running).contains(", building the scene, 35 s, running for"), "{}", line(&running));
        assert!(line(&running).ends_with(", 1 to 3 min to go"), "{}", line(&running));
        running.size.clear();
        assert_eq!(line(&running), "building the scene, 35 s; running for 61 s");
        standing.proof = Some("Exact on this scene: 9 tiles.".into());
        assert!(line(&standing).ends_with(" after 61 s. Exact on this scene: 9 tiles"));
    }
}
