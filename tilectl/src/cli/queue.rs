//! What is typed after `tilectl queue`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{OutputStyle, examples};

/// Where the queue is.
#[derive(Debug, Args)]
pub(crate) struct QueueDir {
    /// Directory of the queue, if not ~/.local/state/tilectl/queue
    #[arg(long, value_name = "DIR")]
    pub(crate) queue: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum QueueCommand {
    /// Add a job: what would follow `tilectl render`
    #[command(after_help = examples::QUEUE_ADD)]
    Add(QueueAdd),
    /// List the jobs in the order in which they are rendered
    #[command(after_help = examples::QUEUE_LIST)]
    List(QueueList),
    /// Render the jobs, one after the other; those of a higher priority take the nodes at once
    #[command(after_help = examples::QUEUE_RUN)]
    Run(QueueRun),
    /// Stop a job after the tiles that run, and let the others go on
    #[command(after_help = examples::QUEUE_SUSPEND)]
    Suspend(QueueJob),
    /// Let a suspended or failed job wait for its turn again
    #[command(after_help = examples::QUEUE_RESUME)]
    Resume(QueueJob),
    /// Give a job another priority: higher ones come first
    #[command(after_help = examples::QUEUE_PRIORITY)]
    Priority(QueuePriority),
    /// Take a job, or all that are done, out of the queue
    #[command(after_help = examples::QUEUE_REMOVE)]
    Remove(QueueRemove),
}

#[derive(Debug, Args)]
pub(crate) struct QueueAdd {
    #[command(flatten)]
    pub(crate) at: QueueDir,
    /// Higher ones are rendered first, and at once
    #[arg(long, value_name = "P", default_value_t = 0, allow_negative_numbers = true)]
    pub(crate) priority: i32,
    /// The .blend file and flags as for `tilectl render`
    #[arg(value_name = "FILE.blend", trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    pub(crate) words: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct QueueList {
    #[command(flatten)]
    pub(crate) at: QueueDir,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct QueueRun {
    #[command(flatten)]
    pub(crate) at: QueueDir,
    /// Wait for jobs that are dropped into this directory as files, until stopped
    #[arg(long, value_name = "DIR")]
    pub(crate) watch: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output_style: OutputStyle,
}

#[derive(Debug, Args)]
pub(crate) struct QueueJob {
    #[command(flatten)]
    pub(crate) at: QueueDir,
    /// Number of the job
    #[arg(value_name = "N")]
    pub(crate) id: u64,
}

#[derive(Debug, Args)]
pub(crate) struct QueuePriority {
    #[command(flatten)]
    pub(crate) job: QueueJob,
    /// Its priority
    #[arg(value_name = "P", allow_negative_numbers = true)]
    pub(crate) priority: i32,
}

#[derive(Debug, Args)]
pub(crate) struct QueueRemove {
    #[command(flatten)]
    pub(crate) at: QueueDir,
    /// Number of the job
    #[arg(value_name = "N", required_unless_present = "done")]
    pub(crate) id: Option<u64>,
    /// All jobs that are done; a week after their end they go by themselves
    #[arg(long, conflicts_with = "id")]
    pub(crate) done: bool,
}
