//! What is typed after `tilectl nodes`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Nodes, examples};

#[derive(Debug, Subcommand)]
pub(crate) enum NodesCommand {
    /// Reach all nodes at once, start Blender, try the device: one line each, and what to do about a failure
    #[command(after_help = examples::CHECK)]
    Check(NodesQuery),
    /// Print the nodes that take part, without reaching them
    #[command(after_help = examples::LIST)]
    List(NodesQuery),
    /// Find machines that could be nodes: those that announce SSH nearby, and the hosts of ~/.ssh/config
    #[command(after_help = examples::DISCOVER)]
    Discover(NodesDiscover),
    /// List a node in the configuration; with --job, have it join a render that is running
    #[command(after_help = examples::ADD)]
    Add(NodesChange),
    /// Take a node out of the configuration; with --job, have it leave a render once it has finished its tiles
    #[command(after_help = examples::REMOVE)]
    Remove(NodesChange),
    /// Let a node of the configuration take part in every render
    #[command(after_help = examples::ENABLE)]
    Enable(NodesChoice),
    /// Keep a node in the configuration without its taking part
    #[command(after_help = examples::DISABLE)]
    Disable(NodesChoice),
    /// Have a node, or all, finish their tiles and wait
    #[command(after_help = examples::PAUSE)]
    Pause(NodesHold),
    /// Have a node, or all, go on
    #[command(after_help = examples::RESUME)]
    Resume(NodesHold),
}

#[derive(Debug, Args)]
pub(crate) struct NodesDiscover {
    /// Also log in, where that works by itself, and see which have Blender
    #[arg(long)]
    pub(crate) check: bool,
    /// Seconds to wait for answers from the network
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0)]
    pub(crate) wait: f64,
    /// Ask nobody nearby, only read ~/.ssh/config
    #[arg(long)]
    pub(crate) no_dns: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct NodesQuery {
    /// Nodes, as --node takes them; all of the configuration when absent
    #[arg(value_name = "NODE")]
    pub(crate) named: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Say more of every node: login, build, clock, cache
    #[arg(short, long, conflicts_with = "json")]
    pub(crate) verbose: bool,
    #[command(flatten)]
    pub(crate) nodes: Nodes,
}

impl NodesQuery {
    /// Those that are named either way.
    pub(crate) fn asked(&self) -> Nodes {
        let nodes = self.named.iter().chain(&self.nodes.nodes).cloned().collect();
        Nodes { nodes, config: self.nodes.config.clone() }
    }
}

#[derive(Debug, Args)]
pub(crate) struct NodesChange {
    /// The node's name; to add one, whatever --node takes
    #[arg(value_name = "NODE")]
    pub(crate) node: String,
    /// Work directory of a render that is running, usually <output>.tiles; the configuration when absent
    #[arg(long, value_name = "DIR")]
    pub(crate) job: Option<PathBuf>,
    /// Configuration file, if not tilectl.ron here or ~/.config/tilectl/config.ron, which is made when there is none
    #[arg(long, value_name = "FILE.ron", conflicts_with = "job")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct NodesChoice {
    /// The node's name
    #[arg(value_name = "NODE")]
    pub(crate) node: String,
    /// Configuration file, if not tilectl.ron here or ~/.config/tilectl/config.ron
    #[arg(long, value_name = "FILE.ron")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct NodesHold {
    /// The node's name; all nodes when absent
    #[arg(value_name = "NODE")]
    pub(crate) node: Option<String>,
    /// Work directory of the render, usually <output>.tiles
    #[arg(long, value_name = "DIR")]
    pub(crate) job: PathBuf,
}
