//! Renders a queue: one job after the other, the most urgent one always first.
//!
//! A job is rendered in this process on a thread of its own. When another one is more urgent, or it is suspended or
//! removed, its running tiles are finished and kept; it goes on from there when its turn comes again.

use std::process::ExitCode;
use std::time::Duration;

use tilecore::error::{IoContext, Kind};
use tilecore::queue::{Drops, Job, Queue, Runner, Stage};
use tilecore::render::{Cancel, Outcome};
use tilecore::{Error, Result};

use crate::cli::QueueRun;
use crate::commands::render::Asks;
use crate::commands::{queue, render};

/// How often the queue and the watched directory are looked at.
const LOOK: Duration = Duration::from_millis(500);

/// Renders until nothing is left, or, where a directory is watched, until stopped.
pub(crate) fn run(queue: &Queue, args: &QueueRun) -> Result<ExitCode> {
    let lock = queue.runner()?;
    let mut drops = args.watch.as_deref().map(Drops::new).transpose()?;
    let stop = Cancel::new();
    crate::signals::stop(&stop)?;
    let mut failed = false;
    loop {
        look(queue, drops.as_mut())?;
        if stop.drains() {
            return Err(stopped());
        }
        match queue.next()? {
            Some(job) => {
                queue.running(&lock, Some(job.id))?;
                failed |= !one(queue, drops.as_mut(), &job, args, &stop, &lock)?;
            }
            None if drops.is_some() => std::thread::sleep(LOOK),
            None => break,
        }
    }
    Ok(if failed { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

fn stopped() -> Error {
    Error::interrupted("stopped; what is finished is kept").remedy("`tilectl queue run` goes on from there.")
}

fn look(queue: &Queue, drops: Option<&mut Drops>) -> Result<()> {
    if let Some(drops) = drops {
        for text in drops.look(queue, &queue::check)? {
            eprintln!("tilectl: {}", crate::fault::sentence(&tilecore::text::printable(&text, 1000)));
        }
    }
    Ok(())
}

/// Renders one job as far as it gets; false when it failed.
fn one(
    queue: &Queue,
    mut drops: Option<&mut Drops>,
    job: &Job,
    args: &QueueRun,
    stop: &Cancel,
    lock: &Runner,
) -> Result<bool> {
    let name = queue::name(job);
    say(args, &format!("{name} begins"));
    let cancel = Cancel::new();
    let outcome = std::thread::scope(|scope| -> Result<Result<Outcome>> {
        let thread = std::thread::Builder::new()
            .name("job".into())
            .spawn_scoped(scope, || render_in_its_place(job, args, &cancel))
            .map_err(|e| Error::render(format!("cannot start a thread: {e}")))?;
        let mut asked = 0;
        while !thread.is_finished() {
            std::thread::sleep(LOOK.min(Duration::from_millis(100)));
            let wanted = match (stop.aborts(), stop.drains()) {
                (true, _) => 2,
                (_, true) => 1,
                _ => {
                    // What cannot be read now may be readable later; the job that runs is not stopped for it.
                    let gives_way = look(queue, drops.as_deref_mut()).and_then(|()| gives_way(queue, job));
                    let gives_way = gives_way.unwrap_or(None);
                    if let Some(why) = gives_way.filter(|_| asked == 0) {
                        say(args, &format!("{name} {why}: its running tiles are finished and kept"));
                    }
                    u32::from(gives_way.is_some())
                }
            };
            while asked < wanted {
                asked += 1;
                cancel.stop();
            }
        }
        Ok(thread.join().unwrap_or_else(|_| Err(Error::render("the job ended unexpectedly"))))
    })?;
    queue.running(lock, None)?;
    match outcome {
        Ok(outcome) => {
            queue.end(job.id, Stage::Done)?;
            if !args.output_style.json {
                outcome.pictures.iter().for_each(|p| println!("{}", p.display()));
            }
            say(args, &format!("{name} is done"));
            Ok(true)
        }
        Err(e) if e.kind() == Kind::Interrupted && stop.drains() => Err(stopped()),
        Err(e) if e.kind() == Kind::Interrupted => {
            let how_far = e.to_string();
            let how_far = how_far.strip_prefix("stopped; ").unwrap_or(&how_far);
            say(args, &format!("{name} goes on from there when its turn comes again; {how_far}"));
            Ok(true)
        }
        Err(e) => {
            eprintln!("tilectl: {name} failed.");
            let _ = crate::fault::report(&e);
            let hint = e.hint().map(|h| format!(" {h}")).unwrap_or_default();
            queue.end(job.id, Stage::Failed(format!("{e}.{hint}")))?;
            Ok(false)
        }
    }
}

/// Why the job does not go on for now, if it does not: the nodes are wanted elsewhere, or it is no longer wanted.
fn gives_way(queue: &Queue, job: &Job) -> Result<Option<&'static str>> {
    let now = match queue.job(job.id)? {
        None => return Ok(Some("is removed")),
        Some(now) if !now.is_ready() => return Ok(Some("is suspended")),
        Some(now) => now,
    };
    let urgent = queue.next()?.is_some_and(|next| next.id != job.id && next.priority > now.priority);
    Ok(urgent.then_some("gives way to a more urgent job"))
}

fn render_in_its_place(job: &Job, args: &QueueRun, cancel: &Cancel) -> Result<Outcome> {
    // Paths in its words start there; everything else here is absolute.
    std::env::set_current_dir(&job.dir).at("enter", &job.dir)?;
    render::go(&*queue::parsed(job)?, &args.output_style, cancel, Asks::Queue)
}

fn say(args: &QueueRun, text: &str) {
    if !args.output_style.quiet && !args.output_style.json {
        eprintln!("tilectl: {}", crate::fault::sentence(text));
    }
}
