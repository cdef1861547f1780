//! `tilectl queue`: jobs that wait for the nodes.

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use tilecore::queue::{Job, Queue, Stage};
use tilecore::{Error, Result};

use super::render;
use crate::cli::{self, Cli, Command, QueueCommand};
use crate::runner;

pub(crate) fn run(command: &QueueCommand) -> Result<ExitCode> {
    match command {
        QueueCommand::Add(args) => add(args)?,
        QueueCommand::List(args) => list(args)?,
        QueueCommand::Run(args) => return runner::run(&open(&args.at)?, args),
        QueueCommand::Suspend(args) => open(&args.at)?.set(args.id, |j| j.suspended = true)?,
        QueueCommand::Resume(args) => open(&args.at)?.set(args.id, |j| {
            j.suspended = false;
            if matches!(j.stage, Stage::Failed(_)) {
                j.stage = Stage::Waiting;
            }
        })?,
        QueueCommand::Priority(args) => {
            open(&args.job.at)?.set(args.job.id, |j| j.priority = args.priority)?;
        }
        QueueCommand::Remove(args) => match args.id {
            Some(id) => drop(open(&args.at)?.remove(id)?),
            None => match open(&args.at)?.remove_done()? {
                0 => eprintln!("tilectl: no job is done."),
                1 => eprintln!("tilectl: 1 job is taken out."),
                n => eprintln!("tilectl: {n} jobs are taken out."),
            },
        },
    }
    Ok(ExitCode::SUCCESS)
}

fn open(at: &cli::QueueDir) -> Result<Queue> {
    let dir = at.queue.clone().or_else(Queue::default_dir).ok_or_else(|| {
        Error::input("where the queue is cannot be known without a home directory")
            .remedy("Set HOME, or name a directory with --queue DIR.")
    })?;
    Queue::open(&dir)
}

fn add(args: &cli::QueueAdd) -> Result<()> {
    let dir = std::env::current_dir().map_err(|e| {
        Error::input(format!("the working directory is not there: {}", tilecore::error::reason(&e)))
    })?;
    let job = Job { words: args.words.clone(), dir, priority: args.priority, ..Job::default() };
    check(&job)?;
    println!("{}", open(&args.at)?.add(job)?);
    Ok(())
}

/// Whether the words make a job, as far as that can be said before it is rendered.
pub(crate) fn check(job: &Job) -> Result<()> {
    let typed = parsed(job)?;
    tilecore::job::Request::new(job.dir.join(&typed.scene.file), 0).check()?;
    render::request(&typed.scene, &typed.tiling, &tilecore::config::Defaults::default())?;
    Ok(())
}

/// The words of a job as the flags they are.
pub(crate) fn parsed(job: &Job) -> Result<Box<cli::Render>> {
    let words = ["tilectl", "render"].into_iter().chain(job.words.iter().map(String::as_str));
    match Cli::try_parse_from(words) {
        Ok(Cli { command: Command::Render(render) }) => Ok(Box::new(render)),
        Ok(_) => Err(Error::input("only renders can wait in the queue")
            .remedy("Add what would follow `tilectl render`.")),
        Err(e) => {
            // What is missing or wrong stands on the lines that follow the first one.
            let text = e.to_string();
            let what: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
            let what = tilecore::text::printable(what.join(" ").trim_start_matches("error: "), 300);
            Err(Error::input(format!("these are no flags of a render: {what}"))
                .remedy("Add what would follow `tilectl render`; its --help lists the flags."))
        }
    }
}

fn list(args: &cli::QueueList) -> Result<()> {
    let (jobs, running) = open(&args.at)?.jobs()?;
    if args.json {
        let all: Vec<_> =
            jobs.iter().map(|j| serde_json::json!({"state": state(j, running), "job": j})).collect();
        println!("{}", crate::say::json(&all));
        return Ok(());
    }
    if jobs.is_empty() {
        eprintln!("tilectl: the queue is empty.");
    }
    for job in &jobs {
        let words = tilecore::text::printable(&job.words.join(" "), 300);
        let why = match &job.stage {
            Stage::Failed(reason) => format!("\n      {}", tilecore::text::printable(reason, 500)),
            _ => String::new(),
        };
        println!("{:4}  {:9}  {:4}  {words}{why}", job.id, state(job, running), job.priority);
    }
    Ok(())
}

fn state(job: &Job, running: Option<u64>) -> &'static str {
    match &job.stage {
        Stage::Done => "done",
        Stage::Failed(_) => "failed",
        Stage::Waiting if running == Some(job.id) => "running",
        Stage::Waiting if job.is_ready() => "waiting",
        Stage::Waiting => "suspended",
    }
}

/// What a job is called in messages.
pub(crate) fn name(job: &Job) -> String {
    let file = job.words.first().map(Path::new).and_then(Path::file_name).unwrap_or_default();
    tilecore::text::printable(&format!("job {} ({})", job.id, file.to_string_lossy()), 200)
}
