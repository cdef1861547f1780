//! `tilectl nodes`: which nodes there are, and what each is like or needs.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use tilecore::check::{self, Health};
use tilecore::config::{self, Change, Config};
use tilecore::node::{Device, NodeSpec, Place};
use tilecore::render::Cancel;
use tilecore::state::Errand;
use tilecore::text::duration;
use tilecore::{Error, Result};

use crate::cli;
use crate::farm::Farm;
use crate::fault::sentence;
use crate::show::bytes;

/// Columns of a terminal.
const COLUMNS: usize = 80;
/// Those of the table that do not hang on names, with the gaps between all.
const FIXED: usize = 6 + 5 + 7 + 7 + 6 + 2 * 7;
/// More of a name is not shown.
const LONGEST: usize = 22;
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
    let cancel = Cancel::new();
    crate::signals::stop(&cancel)?;
    let all = check::check(&nodes, &|| !cancel.drains());
    if cancel.drains() {
        return Err(Error::interrupted("stopped"));
    }
    if args.json {
        println!("{}", crate::say::json(&all));
    } else if !all.is_empty() {
        print!("{}", crate::say::shown(&table(&all, args.verbose)));
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
    let account = crate::now::read(job);
    let meant = match errand {
        Errand::Remove(name) => Some(name),
        Errand::Pause(name) | Errand::Resume(name) => name.as_ref(),
        _ => None,
    };
    if let (Some(name), Some(account)) = (meant, &account) {
        // The slots of a node have a number behind its name.
        let is_it = |slot: &str| slot == name || slot.rsplit_once('#').is_some_and(|(node, _)| node == name);
        let there: Vec<&str> =
            account.nodes.iter().filter(|n| n.state != "out").map(|n| n.name.as_str()).collect();
        if !there.iter().any(|slot| is_it(slot)) {
            return Err(Error::input(format!("no node called {name} takes part in {}", job.display()))
                .remedy(format!("These do: {}.", there.join(", "))));
        }
    }
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
    let all = || "all nodes".to_owned();
    match errand {
        Errand::Pause(name) => eprintln!(
            "tilectl: {}: paused, once the tiles that are begun are finished. `tilectl nodes resume` goes on.",
            name.clone().unwrap_or_else(all)
        ),
        Errand::Resume(name) => eprintln!("tilectl: {}: going on.", name.clone().unwrap_or_else(all)),
        Errand::Remove(name) => eprintln!("tilectl: {name} leaves once its tile is finished."),
        Errand::Add(text) => eprintln!("tilectl: {text} joins."),
        _ => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// The nodes as a table of 80 columns; what is wrong and what to do stands below a node's line.
fn table(all: &[Health], verbose: bool) -> String {
    let name = all.iter().map(|h| h.node.chars().count()).max().unwrap_or(0).clamp(4, LONGEST);
    let blender = all.iter().filter_map(|h| h.blender.as_ref()).map(|b| b.chars().count());
    let blender = blender.max().unwrap_or(0).max(7);
    // What the other columns leave.
    let device = COLUMNS.saturating_sub(name + blender + FIXED).max(6);
    let mut text = format!(
        "{:name$}  STATE   {:blender$}  {:device$}  {:>5}  {:>7}  {:>7}  {:>6}\n",
        "NODE", "BLENDER", "DEVICE", "CORES", "MEMORY", "DISK", "UP IN"
    );
    for health in all {
        let known = health.blender.is_some();
        let amount = |n: Option<u64>| n.map(bytes).unwrap_or_default();
        let line = format!(
            "{:name$}  {:6}  {:blender$}  {:device$}  {:>5}  {:>7}  {:>7}  {:>6}",
            cut(&health.node, name),
            if health.usable { "ok" } else { "FAILED" },
            health.blender.as_deref().unwrap_or_default(),
            if known { cut(&renders_on(health), device) } else { String::new() },
            health.cores.map(|n| n.to_string()).unwrap_or_default(),
            amount(health.memory),
            amount(health.free),
            duration(health.seconds),
        );
        text += line.trim_end();
        text += &below(health, verbose);
        text.push('\n');
    }
    text
}

/// As much of a text as fits.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// What a node renders on.
fn renders_on(health: &Health) -> String {
    let chosen = health.devices.get(&health.device).map_or(&[][..], Vec::as_slice);
    match chosen {
        [name] if *name != health.device => format!("{} ({name})", health.device),
        [_, _, ..] => format!("{} ({} devices)", health.device, chosen.len()),
        _ => health.device.clone(),
    }
}

/// What stands below a node's line.
fn below(health: &Health, verbose: bool) -> String {
    let mut lines = Vec::new();
    if let Some(trouble) = &health.trouble {
        lines.push(sentence(&trouble.reason));
        lines.extend(trouble.remedy.as_deref().map(sentence));
        let log: Vec<&str> = trouble.log.iter().flat_map(|log| log.lines()).collect();
        lines.extend(log[log.len().saturating_sub(10)..].iter().map(|line| format!("| {line}")));
    }
    if health.denoiser == Some(false) {
        lines.push("note: this build has no denoiser.".to_owned());
    }
    let others: Vec<&str> =
        health.devices.keys().map(String::as_str).filter(|k| *k != health.device && *k != "CPU").collect();
    if let Some(first) = others.first() {
        lines.push(format!("note: also has {}; device={first} renders on that.", others.join(", ")));
    }
    lines.extend(health.notes.iter().map(|note| format!("note: {}", sentence(note))));
    if verbose {
        lines.extend(health.login.as_ref().map(|login| format!("login with {login}")));
        lines.extend(health.program.as_ref().map(|program| format!("Blender is {program}")));
        lines.extend(health.hash.as_ref().map(|hash| format!("build {hash}")));
        lines.extend(health.cached.map(|n| format!("{} cached", bytes(n))));
        lines.extend(health.clock.map(|c| {
            if c.ahead.abs() <= c.within + 0.5 {
                "clock right".to_owned()
            } else {
                format!("clock {:+.1} s", c.ahead)
            }
        }));
    }
    lines.iter().fold(String::new(), |text, line| text + "\n  " + line)
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
    // Without a wish the scene decides.
    words.extend((spec.device != Device::Scene).then(|| spec.device.as_str().to_owned()));
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
    fn nodes_are_a_table_of_80_columns_and_trouble_has_a_remedy() {
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
        let off = Health {
            node: "b".into(),
            seconds: 5.0,
            trouble: Some(Trouble {
                reason: "it is off".into(),
                remedy: Some("Switch it on.".into()),
                log: None,
            }),
            ..Health::default()
        };
        health.denoiser = Some(false);
        let text = table(&[health.clone(), off.clone()], false);
        assert_eq!(
            text,
            "NODE  STATE   BLENDER  DEVICE                    CORES   MEMORY     DISK   UP IN\n\
             a     ok      4.2.0    OPTIX (RTX 9)                16    17 GB    64 GB   1.8 s\n  \
             note: this build has no denoiser.\n\
             b     FAILED                                                               5.0 s\n  \
             it is off.\n  Switch it on.\n"
        );
        health.node = "me@a-very-long-name.example.com".into();
        health.devices.insert("OPTIX".into(), vec!["RTX 6000 of some generation".into()]);
        health.device = "CPU".into();
        let text = table(&[health, off], true);
        assert!(text.lines().all(|l| l.chars().count() <= 80), "{text}");
        assert!(
            text.contains("note: also has OPTIX; device=OPTIX") && text.contains("clock right"),
            "{text}"
        );
    }
}
