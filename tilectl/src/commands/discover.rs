//! `tilectl nodes discover`: machines that could be nodes, from the network and from `~/.ssh/config`.

use std::io::{IsTerminal, Write};
use std::net::ToSocketAddrs;
use std::process::ExitCode;
use std::time::Duration;

use tilecore::check::{self, Health};
use tilecore::discovery::{self, Machine};
use tilecore::node::{self, NodeSpec, ssh};
use tilecore::render::Cancel;
use tilecore::{Error, Result};

use crate::{cli, farm};

/// A machine that could be a node.
#[derive(serde::Serialize)]
struct Found {
    name: String,
    /// As `--node` takes it.
    place: String,
    /// Where it was found.
    by: &'static str,
    /// What a check said, where one was made.
    health: Option<Health>,
}

pub(crate) fn run(args: &cli::NodesDiscover) -> Result<ExitCode> {
    let options = farm::ssh()?;
    let mut found: Vec<Found> = Vec::new();
    for host in ssh::hosts(&options)? {
        found.push(Found { name: host.clone(), place: host, by: "~/.ssh/config", health: None });
    }
    if !args.no_dns {
        match discovery::announced(Duration::from_secs_f64(args.wait.clamp(0.1, 60.0))) {
            Ok(machines) => {
                for machine in machines {
                    let place = place(&machine);
                    let name = name(&machine);
                    if !found.iter().any(|f| f.place == place || f.name == name) {
                        found.push(Found { name, place, by: "announced nearby", health: None });
                    }
                }
            }
            Err(e) => eprintln!("tilectl: {e}."),
        }
    }
    found.retain(|f| f.place.parse::<NodeSpec>().is_ok());
    if found.is_empty() {
        return Err(Error::node("no machine announces SSH nearby, and ~/.ssh/config has no hosts")
            .remedy("Name one by hand, for example --node me@192.168.1.20."));
    }
    if args.check || (!args.json && asked(found.len())) {
        check(&mut found, &options)?;
    }
    if args.json {
        println!("{}", crate::say::json(&found));
        return Ok(ExitCode::SUCCESS);
    }
    show(&found);
    Ok(ExitCode::SUCCESS)
}

/// What it calls itself, where that can be a node's name.
fn name(machine: &Machine) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !machine.name.is_empty() && machine.name.chars().all(plain) {
        return machine.name.clone();
    }
    machine.host.trim_end_matches(".local").to_owned()
}

/// The host's name where it can be resolved here, else its address.
fn place(machine: &Machine) -> String {
    let named = (machine.host.as_str(), machine.port).to_socket_addrs().is_ok_and(|mut a| a.next().is_some());
    let host = match machine.addresses.first() {
        Some(address) if !named => address.to_string(),
        _ => machine.host.clone(),
    };
    if machine.port == 22 { host } else { format!("{host}:{}", machine.port) }
}

/// Whether to log in to them; on a terminal only, and no is the usual answer.
fn asked(count: usize) -> bool {
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        return false;
    }
    eprint!("Log in to these {count} machines and see which have Blender? [y/N] ");
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).is_ok() && answer.trim().eq_ignore_ascii_case("y")
}

/// Logs in where that works without a question, and looks for Blender.
fn check(found: &mut [Found], options: &node::SshOptions) -> Result<()> {
    let nodes =
        found.iter().map(|f| node::from_spec(&f.place.parse()?, options)).collect::<Result<Vec<_>>>()?;
    let cancel = Cancel::new();
    crate::signals::stop(&cancel)?;
    let all = check::check(&nodes, &|| !cancel.drains());
    if cancel.drains() {
        return Err(Error::interrupted("stopped"));
    }
    for (one, health) in found.iter_mut().zip(all) {
        one.health = Some(health);
    }
    Ok(())
}

fn show(found: &[Found]) {
    let width = found.iter().map(|f| f.place.chars().count()).max().unwrap_or(0);
    for one in found {
        let said = match &one.health {
            None => String::new(),
            Some(Health { usable: true, blender, .. }) => {
                format!(", Blender {}", blender.as_deref().unwrap_or("there"))
            }
            Some(health) => {
                let why = health.trouble.as_ref().map_or("it cannot be used", |t| t.reason.as_str());
                format!(", not usable: {why}")
            }
        };
        println!("{:width$}  {}{said}", one.place, one.by);
    }
    let wanted: Vec<&Found> = found.iter().filter(|f| f.health.as_ref().is_none_or(|h| h.usable)).collect();
    if wanted.is_empty() {
        return;
    }
    println!("\nFor the nodes in tilectl.ron (`tilectl init` writes one):");
    for one in wanted {
        let line = if one.name == one.place {
            format!("(name: {:?}),", one.name)
        } else {
            format!("(name: {:?}, host: {:?}),", one.name, one.place)
        };
        println!("    {line}");
    }
}
