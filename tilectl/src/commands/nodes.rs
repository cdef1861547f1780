//! `tilectl nodes`: which nodes there are, and what each is like or needs.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use tilecore::check::{self, Health};
use tilecore::config::{self, Change, Config};
use tilecore::node::{NodeSpec, Place};
use tilecore::render::Cancel;
use tilecore::state::Errand;
use tilecore::text::duration;
use tilecore::{Error, Result};

use crate::cli;
use crate::farm::Farm;
use crate::fault::sentence;
use crate::show::bytes;

/// A render looks for errands several times a second.
const TAKEN: Duration = Duration::from_secs(10);

pub(crate) fn run(command: &cli::NodesCommand) -> Result<ExitCode> {
    match command {
        cli::NodesCommand::Check(args) => check(args),
        cli::NodesCommand::List(args) => list(args),
        cli::NodesCommand::Discover(args) => super::discover::run(args),
        cli::NodesCommand::Add(args) => {
            let Some(job) = &args.job else {
                return change(args.config.as_deref(), &Change::Add(args.node.clone()));
            };
            // What cannot be a node is said here, not by the render.
            Config::load(None, None)?.specs(&[&args.node])?;
            leave(job, &Errand::Add(args.node.clone()))
        }
        cli::NodesCommand::Remove(args) => match &args.job {
            Some(job) => leave(job, &Errand::Remove(args.node.clone())),
            None => change(args.config.as_deref(), &Change::Remove(args.node.clone())),
        },
        cli::NodesCommand::Enable(args) => {
            change(args.config.as_deref(), &Change::Enable(args.node.clone(), true))
        }
        cli::NodesCommand::Disable(args) => {
            change(args.config.as_deref(), &Change::Enable(args.node.clone(), false))
        }
        cli::NodesCommand::Pause(args) => leave(&args.job, &Errand::Pause(args.node.clone())),
        cli::NodesCommand::Resume(args) => leave(&args.job, &Errand::Resume(args.node.clone())),
    }
}

fn check(args: &cli::NodesQuery) -> Result<ExitCode> {
    let farm = Farm::new(&args.asked(), None, None)?;
    let nodes = farm.nodes()?;
    let width = farm.specs.iter().map(|s| s.name.chars().count()).max().unwrap_or(0);
    let cancel = Cancel::new();
    crate::signals::stop(&cancel)?;
    let all = check::check(&nodes, &|| !cancel.drains());
    if cancel.drains() {
        return Err(Error::interrupted("stopped"));
    }
    if args.json {
        println!("{}", crate::say::json(&all));
    } else {
        for health in &all {
            println!("{}", line(health, width));
        }
    }
    if all.is_empty() {
        return Err(Error::input("no node takes part")
            .remedy("Name one with --node, for example --node local, or enable one in the configuration."));
    }
    Ok(if all.iter().all(|h| h.usable) { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Changes the configuration that counts; the user's own where there is none yet.
fn change(named: Option<&Path>, change: &Change) -> Result<ExitCode> {
    let place = named.map(Path::to_owned).or_else(|| Config::find(None)).or_else(config::user_file);
    let place = place.ok_or_else(|| {
        Error::input("there is no place for a configuration")
            .remedy("Set HOME, or name a file with --config.")
    })?;
    config::edit(&place, change)?;
    Ok(ExitCode::SUCCESS)
}

/// Leaves an errand for the render and waits until it was taken.
fn leave(job: &Path, errand: &Errand) -> Result<ExitCode> {
    let file = errand.leave(job)?;
    let until = Instant::now() + TAKEN;
    while file.exists() {
        if Instant::now() > until {
            let _ = std::fs::remove_file(&file);
            return Err(Error::render(format!("the render in {} does not answer", job.display()))
                .remedy("See whether it still runs (tilectl status), and try again."));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(ExitCode::SUCCESS)
}

/// One node on one line; what is wrong and what to do on the lines below.
fn line(health: &Health, width: usize) -> String {
    let name = format!("{:width$}", health.node);
    let mut text = if health.blender.is_some() {
        format!("{name}  {}  {}", if health.usable { "ok    " } else { "FAILED" }, facts(health))
    } else {
        format!("{name}  FAILED  after {}", duration(health.seconds))
    };
    let indent = format!("\n{:width$}  ", "");
    if let Some(trouble) = &health.trouble {
        text += &format!("{indent}{}", sentence(&trouble.reason));
        if let Some(remedy) = &trouble.remedy {
            text += &format!("{indent}{}", sentence(remedy));
        }
        let log: Vec<&str> = trouble.log.iter().flat_map(|log| log.lines()).collect();
        for line in &log[log.len().saturating_sub(10)..] {
            text += &format!("{indent}| {line}");
        }
    }
    for note in &health.notes {
        text += &format!("{indent}note: {}", sentence(note));
    }
    text
}

/// What is known of a node that was reached.
fn facts(health: &Health) -> String {
    let mut facts = vec![format!("up in {}", duration(health.seconds))];
    if let Some(login) = &health.login {
        facts.push(format!("login with {login}"));
    }
    if let (Some(blender), Some(hash)) = (&health.blender, &health.hash) {
        facts.push(format!("Blender {blender} ({hash})"));
    }
    if health.denoiser == Some(false) {
        facts.push("no denoiser".to_owned());
    }
    let chosen = health.devices.get(&health.device).map_or(&[][..], Vec::as_slice);
    let named = match chosen {
        [name] if *name != health.device => format!("{} ({name})", health.device),
        [_, _, ..] => format!("{} ({} devices)", health.device, chosen.len()),
        _ => health.device.clone(),
    };
    let others: Vec<&str> =
        health.devices.keys().map(String::as_str).filter(|k| *k != health.device).collect();
    let others = if others.is_empty() { String::new() } else { format!(", also has {}", others.join(", ")) };
    facts.push(format!("{named}{others}"));
    facts.extend(health.cores.map(|n| if n == 1 { "1 core".into() } else { format!("{n} cores") }));
    facts.extend(health.memory.map(|n| format!("{} memory free", bytes(n))));
    facts.extend(health.free.map(|n| format!("{} disk free", bytes(n))));
    facts.extend(health.clock.map(|c| {
        if c.ahead.abs() <= c.within + 0.5 {
            "clock right".to_owned()
        } else {
            format!("clock {:+.1} s", c.ahead)
        }
    }));
    facts.extend(health.cached.map(|n| format!("{} cached", bytes(n))));
    facts.join(", ")
}

/// The nodes as they are known here; nothing is connected.
fn list(args: &cli::NodesQuery) -> Result<ExitCode> {
    let asked = args.asked();
    let specs = if asked.nodes.is_empty() {
        Config::load(asked.config.as_deref(), None)?.all()
    } else {
        Farm::new(&asked, None, None)?.specs
    };
    if args.json {
        let all: Vec<_> = specs.iter().map(object).collect();
        println!("{}", crate::say::json(&all));
        return Ok(ExitCode::SUCCESS);
    }
    let width = specs.iter().map(|s| s.name.chars().count()).max().unwrap_or(0);
    for spec in &specs {
        println!("{:width$}  {}", spec.name, described(spec));
    }
    Ok(ExitCode::SUCCESS)
}

/// For programs. Of the environment only the names: the values may be secrets.
fn object(spec: &NodeSpec) -> serde_json::Value {
    let mut object = serde_json::to_value(spec).unwrap_or_default();
    object["env"] = spec.env.keys().cloned().collect();
    object
}

fn described(spec: &NodeSpec) -> String {
    let mut words = vec![match &spec.place {
        Place::Local => "this machine".to_owned(),
        Place::Ssh(address) => format!("ssh {address}"),
        Place::Command(argv) => format!("command {}", argv.join(" ")),
    }];
    words.push(spec.device.as_str().to_owned());
    words.extend(spec.threads.map(|n| format!("{n} threads")));
    words.extend((spec.slots > 1).then(|| format!("{} slots", spec.slots)));
    words.extend(spec.blender.as_ref().map(|b| format!("Blender at {b}")));
    words.extend(spec.cache_dir.as_ref().map(|c| format!("cache at {c}")));
    words.extend(spec.nice.map(|n| format!("nice {n}")));
    words.extend(spec.env.keys().map(|name| format!("sets {name}")));
    words.extend((!spec.enabled).then(|| "disabled".to_owned()));
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use tilecore::check::{Clock, Trouble};

    #[test]
    fn a_node_is_a_line_and_its_trouble_has_a_remedy() {
        let mut health = Health {
            node: "a".into(),
            usable: true,
            seconds: 1.84,
            login: Some("key ~/.ssh/id_ed25519".into()),
            blender: Some("4.2.0".into()),
            hash: Some("a51f".into()),
            device: "OPTIX".into(),
            devices: [("CPU".into(), vec!["CPU".into()]), ("OPTIX".into(), vec!["RTX 9".into()])].into(),
            cores: Some(16),
            memory: Some(17_000_000_000),
            free: Some(64_000_000_000),
            cached: Some(0),
            clock: Some(Clock { ahead: 0.01, within: 0.02 }),
            ..Health::default()
        };
        assert_eq!(
            line(&health, 3),
            "a    ok      up in 1.8 s, login with key ~/.ssh/id_ed25519, Blender 4.2.0 (a51f), OPTIX (RTX 9), also has \
             CPU, 16 cores, 17 GB memory free, 64 GB disk free, clock right, 0 B cached"
        );
        health = Health {
            node: "b".into(),
            seconds: 5.0,
            trouble: Some(Trouble {
                reason: "it is off".into(),
                remedy: Some("Switch it on.".into()),
                log: None,
            }),
            ..Health::default()
        };
        assert_eq!(line(&health, 3), "b    FAILED  after 5.0 s\n     it is off.\n     Switch it on.");
    }
}
