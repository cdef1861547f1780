//! A first configuration with every setting explained, and which machines to put into it.

use std::fmt::Write;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::node::{Link, NodeSpec, Place, Received, SshOptions, from_spec};
use crate::text::printable;

/// More machines at a time are not tried.
const AT_ONCE: usize = 16;
/// How long a shell may take to answer.
const PATIENCE: Duration = Duration::from_secs(15);

const HEAD: &str = r#"// Which machines render, and what the flags of tilectl are when they are not given.
// As tilectl.ron beside the .blend or in the working directory it counts for one project; as
// ~/.config/tilectl/config.ron for everything you render. The first one found counts, alone.
// A machine needs an SSH login without a password and Blender, nothing else.
(
    nodes: [
        // A name alone: "local" is this machine, anything else a machine of ~/.ssh/config or the network.
        (name: "local"),
"#;

const TAIL: &str = r#"
        // Every setting of a node. What is left out is found by itself or stays as Blender has it.
        // (
        //     name: "attic",                      // shown everywhere; the host's name when left out
        //     host: "me@attic.lan:2222",          // [user@]host[:port], or an alias of ~/.ssh/config
        //     blender: "/opt/blender/blender",    // where Blender is there
        //     threads: 8,                         // render threads of each Blender
        //     device: "OPTIX",                    // auto, GPU, CPU, CUDA, OPTIX, HIP, ONEAPI or METAL
        //     slots: 1,                           // how many Blenders run there at once
        //     nice: 10,                           // scheduling priority: 0 is normal, 19 the lowest
        //     patience: 60,                       // seconds that its shell may take to answer
        //     cache_dir: "/fast/tilectl",         // where scenes and tiles are kept; ~/.cache/tilectl
        //     env: {"OCIO": "/opt/ocio/config.ocio"},
        //     enabled: true,                      // false: takes part only when named with --node
        // ),

        // Any command line that leads to a shell elsewhere: each slot is a Slurm job step of its own.
        // A slot may wait in the queue for as long as it takes, unless patience says otherwise.
        // (
        //     name: "slurm",
        //     command: ["srun", "-n1", "-c4"],
        //     slots: 8,
        //     threads: 4,
        //     shared_dir: "/scratch/me/tilectl",  // a cache_dir that all slots see: the scene is sent once
        // ),
    ],

    // The flags of tilectl render.
    defaults: (
        // threads: 4,                  // of each node that does not say
        // seed: 0,
        // samples: 128,
        // resolution: (1920, 1080),
        // percentage: 100,
        // tiles: 16,                   // a uniform grid of so many tiles, or
        // tile_size: (512, 512),       // tiles of at most this size
        // tile_format: "auto",         // "png", "exr", or what the scene needs
        // overlap: 8,                  // pixels
        // compression: "default",      // "fast", "default" or "small"
        // keep: false,                 // keep tiles and state after success
        // persistent_data: true,       // Blender keeps the scene between tiles
        // mixed_versions: false,       // other Blender versions may take part
        // allow_missing: false,        // files that the scene refers to may be missing
        // force_tiles: false,          // cut frames that cannot be exact in tiles, too
    ),
)
"#;

/// The text of a first configuration with this machine and `hosts`: names or aliases of `~/.ssh/config`.
pub fn template(hosts: &[impl AsRef<str>]) -> String {
    let mut text = HEAD.to_owned();
    // A name that could not be read back is left out.
    for host in hosts.iter().map(AsRef::as_ref).filter(|host| super::file::place(host).is_ok()) {
        // RON and Rust agree on how text is escaped.
        let _ = writeln!(text, "        (name: {host:?}),");
    }
    text.push_str(TAIL);
    text
}

/// Whether one machine can be used.
#[derive(Debug)]
#[non_exhaustive]
pub struct Probe {
    /// The machine, as it was asked for.
    pub host: String,
    /// A shell answered there, or why not.
    pub outcome: Result<()>,
}

/// Tries to get a shell on each of `hosts`, many at a time, and says how it went, in the same order.
pub fn probe(hosts: &[String], options: &SshOptions) -> Vec<Probe> {
    let mut probes = Vec::new();
    for group in hosts.chunks(AT_ONCE) {
        std::thread::scope(|scope| {
            let running: Vec<_> =
                group.iter().map(|host| (host, scope.spawn(|| answers(host, options)))).collect();
            for (host, thread) in running {
                let outcome = thread.join().unwrap_or_else(|_| {
                    Err(Error::node(format!("trying `{host}` failed")).remedy("Try it with `ssh`."))
                });
                probes.push(Probe { host: host.clone(), outcome });
            }
        });
    }
    probes
}

/// Whether a shell answers on `host`; some servers let one in and run nothing.
fn answers(host: &str, options: &SshOptions) -> Result<()> {
    let place = Place::Ssh(host.to_owned());
    let mut link = from_spec(&NodeSpec::new(host, place), options)?.link()?;
    let start = Instant::now();
    let mut heard = Vec::new();
    let mut buffer = [0; 1024];
    link.send(b"echo tilectl-$((6*7))\n")?;
    while heard.len() < 64 << 10 && start.elapsed() < PATIENCE {
        match link.recv(&mut buffer, Duration::from_secs(1))? {
            Received::Bytes(n) => heard.extend_from_slice(buffer.get(..n).unwrap_or_default()),
            Received::Nothing => {}
            Received::Closed => break,
        }
        if heard.windows(11).any(|part| part == b"tilectl-42\n") {
            return Ok(());
        }
    }
    Err(silent(host, &mut *link))
}

fn silent(host: &str, link: &mut dyn Link) -> Error {
    Error::node(format!("no shell answers on `{host}`"))
        .remedy(format!("`ssh {host} /bin/sh` must give you a shell."))
        .log(printable(&link.diagnosis(), 4000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use std::path::Path;

    /// The template with every explained setting switched on.
    fn everything(text: &str) -> String {
        let lines = text.lines().skip_while(|line| line.starts_with("//"));
        let prose = |rest: &str| !rest.contains(['(', ')', ':']) || rest.ends_with('.');
        lines
            .map(|line| match line.trim_start().strip_prefix("// ") {
                Some(rest) if !prose(rest.split("//").next().unwrap_or("").trim_end()) => rest,
                _ => line,
            })
            .fold(String::new(), |all, line| all + line + "\n")
    }

    #[test]
    fn the_template_is_a_configuration() {
        let config = Config::parse(&template(&["render1", "odd name", "a,b"]), Path::new("c.ron")).unwrap();
        let names: Vec<_> = config.nodes.iter().map(|n| n.name.as_str()).collect();
        assert_eq!(names, ["local", "render1"]);
        assert_eq!(config.defaults, crate::config::Defaults::default());
    }

    #[test]
    fn the_template_explains_every_setting_and_each_works() {
        let text = everything(&template(&[""; 0]));
        let config = Config::parse(&text, Path::new("c.ron")).unwrap_or_else(|e| panic!("{e}\n{text}"));
        assert_eq!(config.nodes.len(), 3);
        assert_eq!(config.defaults.tile_size, Some((512, 512)));
        for wrong in ["(nodes: [(zzz: 1)])", "(defaults: (zzz: 1))"] {
            let error = Config::parse(wrong, Path::new("c.ron")).unwrap_err();
            let list = error.hint().unwrap().split(" are ").nth(1).unwrap().trim_end_matches('.').to_owned();
            for field in list.split(", ") {
                assert!(text.contains(&format!("{field}: ")), "{field} is not explained");
            }
        }
    }

    #[test]
    fn machines_that_cannot_be_reached_say_why() {
        let home = tempfile::tempdir().unwrap();
        let hosts = ["no-such-host.invalid".to_owned(), "-x".to_owned()];
        let probes = probe(&hosts, &SshOptions::new(home.path(), "me"));
        assert_eq!(probes.len(), 2);
        for (probe, host) in probes.iter().zip(&hosts) {
            assert_eq!(&probe.host, host);
            assert!(probe.outcome.as_ref().unwrap_err().hint().is_some());
        }
    }
}
