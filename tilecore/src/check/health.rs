//! What a node is like: reached or not, its Blender, its devices, its room, its clock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{each, run_name};
use crate::blender::{Booted, Worker};
use crate::error::{Error, Result};
use crate::node::{Device, Node, Place};
use crate::state::now;
use crate::text::printable;

/// How long trying the device may take: the first time, kernels are compiled for it.
const TRIAL: Duration = Duration::from_secs(600);
/// Less room than this is worth a word, bytes.
const TIGHT: u64 = 2 << 30;
/// A clock that is further off than this is worth a word, seconds.
const CLOCK: f64 = 60.0;

/// What is known of a node.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Health {
    /// Its name.
    pub node: String,
    /// Where it is: `local`, the address, or the command line.
    pub place: String,
    /// Whether a render could use it.
    pub usable: bool,
    /// Seconds until Blender was up, or until it was clear that it would not be.
    pub seconds: f64,
    /// How the login worked.
    pub login: Option<String>,
    /// Blender's version.
    pub blender: Option<String>,
    /// Its build hash.
    pub hash: Option<String>,
    /// The program.
    pub program: Option<String>,
    /// Whether it can denoise.
    pub denoiser: Option<bool>,
    /// The device that renders there.
    pub device: String,
    /// All devices there, by kind.
    pub devices: BTreeMap<String, Vec<String>>,
    /// Logical processor cores.
    pub cores: Option<u32>,
    /// Memory not in use, bytes.
    pub memory: Option<u64>,
    /// Room where its cache is, bytes.
    pub free: Option<u64>,
    /// Bytes in its cache.
    pub cached: Option<u64>,
    /// Its cache directory.
    pub cache: Option<String>,
    /// Its clock against ours.
    pub clock: Option<Clock>,
    /// Why it cannot be used.
    pub trouble: Option<Trouble>,
    /// What is worth knowing although it can be used.
    pub notes: Vec<String>,
}

/// A clock against ours.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Clock {
    /// How far it is ahead, seconds.
    pub ahead: f64,
    /// How exactly that is known: half of the time the answer took, seconds.
    pub within: f64,
}

/// Why a node cannot be used, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// What is wrong.
    pub reason: String,
    /// What to do about it.
    pub remedy: Option<String>,
    /// The end of the log of what failed there.
    pub log: Option<String>,
}

impl From<&Error> for Trouble {
    fn from(error: &Error) -> Self {
        Self {
            reason: error.to_string(),
            remedy: error.hint().map(str::to_owned),
            log: error.process_log().map(str::to_owned),
        }
    }
}

/// Looks at all nodes at once. `go_on` is asked five times a second.
pub fn check(nodes: &[Arc<dyn Node>], go_on: &(dyn Fn() -> bool + Sync)) -> Vec<Health> {
    let look = |node: &dyn Node, index: usize| {
        let began = Instant::now();
        let spec = node.spec();
        let mut health = Health {
            node: node.name().to_owned(),
            place: place(&spec.place),
            // Without a wish the scene decides; what is sure to be there is tried.
            device: if spec.device == Device::Scene { Device::Cpu } else { spec.device }.as_str().to_owned(),
            ..Health::default()
        };
        if let Err(e) = ask(node, index, &mut health, go_on) {
            health.trouble = Some(Trouble::from(&e));
        }
        if health.blender.is_none() {
            health.seconds = began.elapsed().as_secs_f64();
        }
        health
    };
    let mut all = each(nodes, look, &mut |_| {});
    compare(&mut all);
    for health in &mut all {
        health.usable = health.trouble.is_none();
    }
    all
}

fn place(place: &Place) -> String {
    match place {
        Place::Local => "local".to_owned(),
        Place::Ssh(address) => address.clone(),
        Place::Command(argv) => argv.join(" "),
    }
}

/// How long a command node may queue.
pub(super) const QUEUE: Duration = Duration::from_secs(60);

fn ask(node: &dyn Node, index: usize, health: &mut Health, go_on: &(dyn Fn() -> bool + Sync)) -> Result<()> {
    #[derive(Deserialize)]
    struct Time {
        time: f64,
    }
    #[derive(Deserialize)]
    struct Disk {
        bytes: u64,
        free: u64,
    }
    #[derive(Deserialize)]
    struct Devices {
        devices: BTreeMap<String, Vec<String>>,
        /// The one that was tried.
        device: Option<String>,
        /// Why the chosen one does not work.
        fault: Option<String>,
    }
    let mut go_on = || go_on();
    // A check does not wait for a queue as a render would.
    let patience = node.spec().patience().unwrap_or(QUEUE);
    let Booted { mut worker, hello, seconds } =
        Worker::start(node, &run_name("check", index), Some(patience), &mut go_on)?;
    health.seconds = seconds;
    health.login = Some(worker.login()).filter(|l| !l.is_empty());
    health.blender = Some(printable(&hello.version, 60));
    health.hash = Some(printable(&hello.hash, 60));
    health.program = Some(printable(&hello.blender, 300));
    health.denoiser = Some(hello.oidn);
    health.cores = Some(hello.cores);
    health.memory = hello.memory;
    health.cache = Some(printable(&hello.cache, 300));

    let asked = (now(), Instant::now());
    let time: Time = worker.call("ping", json!({}), None, &mut go_on)?;
    let within = asked.1.elapsed().as_secs_f64() / 2.0;
    let ahead = time.time - (asked.0 + within);
    health.clock = ahead.is_finite().then_some(Clock { ahead, within });
    if ahead.abs() > CLOCK + within {
        let way = if ahead > 0.0 { "ahead" } else { "behind" };
        health.notes.push(format!("its clock is {:.0} s {way}; that does no harm here", ahead.abs()));
    }

    let disk: Disk = worker.call("disk", json!({}), None, &mut go_on)?;
    health.free = Some(disk.free);
    health.cached = Some(disk.bytes);
    if disk.free < TIGHT {
        health.notes.push(format!("only {} MB are free where its cache is", disk.free >> 20));
    }

    let kind = node.spec().device.as_str();
    let devices: Devices = worker.call("devices", json!({"try": kind}), Some(TRIAL), &mut go_on)?;
    for (kind, names) in devices.devices.into_iter().take(16) {
        let names = names.iter().take(64).map(|name| printable(name, 100)).collect();
        health.devices.insert(printable(&kind, 20), names);
    }
    if let Some(tried) = devices.device {
        health.device = printable(&tried, 20);
    }
    match devices.fault {
        None => Ok(()),
        Some(fault) => {
            let kinds: Vec<&str> = health.devices.keys().map(String::as_str).collect();
            Err(Error::node(format!("{kind} does not render there: {}", printable(&fault, 500))).remedy(
                format!(
                    "Choose a device that it has ({}) with device=…, or install the driver that Blender needs.",
                    kinds.join(", ")
                ),
            ))
        }
    }
}

/// All nodes must have the same Blender (F9): whoever differs from the most cannot work with them.
fn compare(all: &mut [Health]) {
    /// Version and build hash.
    type Build = (Option<String>, Option<String>);
    let version =
        |h: &Health| -> Option<Build> { h.trouble.is_none().then(|| (h.blender.clone(), h.hash.clone())) };
    let mut counts: Vec<(String, Build, usize)> = Vec::new();
    for health in all.iter() {
        let Some(version) = version(health) else { continue };
        match counts.iter_mut().find(|(_, v, _)| *v == version) {
            Some((.., count)) => *count += 1,
            None => counts.push((health.node.clone(), version, 1)),
        }
    }
    // Of equally many, the one that is named first.
    let Some((other, usual, _)) = counts.into_iter().rev().max_by_key(|(.., count)| *count) else { return };
    for health in all.iter_mut() {
        if version(health).is_none_or(|v| v == usual) {
            continue;
        }
        let shown = |v: &Option<String>| v.clone().unwrap_or_default();
        health.trouble = Some(Trouble {
            reason: format!(
                "it has Blender {} ({}), and {other} has {} ({})",
                shown(&health.blender),
                shown(&health.hash),
                shown(&usual.0),
                shown(&usual.1)
            ),
            remedy: Some(
                "Versions render different pixels: install the same one everywhere, leave one of the nodes out, or \
                 accept seams with --mixed-versions."
                    .to_owned(),
            ),
            log: None,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_differs_from_the_most_is_named() {
        let node = |name: &str, version: &str| Health {
            node: name.into(),
            blender: Some(version.into()),
            hash: Some("h".into()),
            ..Health::default()
        };
        let mut lost = node("x", "9.9");
        lost.trouble = Some(Trouble { reason: "it is off".into(), remedy: None, log: None });
        let odd = |all: &[Health]| -> Vec<String> {
            all.iter().filter(|h| h.trouble.is_some()).map(|h| h.node.clone()).collect()
        };
        let mut all = [node("a", "3.4"), lost.clone(), node("b", "5.0"), node("c", "5.0")];
        compare(&mut all);
        assert_eq!(odd(&all), ["a", "x"]);
        assert!(all[0].trouble.as_ref().unwrap().reason.contains("b has 5.0"));
        let mut all = [node("a", "3.4"), node("b", "5.0")];
        compare(&mut all);
        assert_eq!(odd(&all), ["b"]);
        compare(&mut []);
        let mut all = [lost];
        compare(&mut all);
        assert_eq!(all[0].trouble.as_ref().unwrap().reason, "it is off");
    }
}
