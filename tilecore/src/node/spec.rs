//! What the user says about a node: `local`, `[user@]host[:port]` or a name, with options after commas.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::text::closest;

/// Where the shell is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// This machine.
    Local,
    /// A machine behind SSH: `[user@]host[:port]`, where `host` may be an alias of `~/.ssh/config`.
    Ssh(String),
    /// A command line that carries standard input and output to where Blender runs; `/bin/sh` is appended.
    Command(Vec<String>),
}

/// What Cycles computes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Device {
    /// What the scene asks for: as [`Device::Auto`] where that is the GPU, else the processor.
    #[default]
    Scene,
    /// The best kind of GPU that works there, or the processor where none does.
    Auto,
    /// The best kind of GPU that works there, and nothing else.
    Gpu,
    /// The processor.
    Cpu,
    /// NVIDIA GPUs through CUDA.
    Cuda,
    /// NVIDIA GPUs through `OptiX`.
    Optix,
    /// AMD GPUs.
    Hip,
    /// Intel GPUs.
    Oneapi,
    /// Apple GPUs.
    Metal,
}

impl Device {
    /// Every device that can be asked for, in the order they are listed to people.
    pub const ALL: [Device; 8] = [
        Device::Auto,
        Device::Gpu,
        Device::Cpu,
        Device::Cuda,
        Device::Optix,
        Device::Hip,
        Device::Oneapi,
        Device::Metal,
    ];

    /// Whether it is one kind of device, and not a wish that a node has to answer.
    pub fn is_kind(self) -> bool {
        !matches!(self, Device::Scene | Device::Auto | Device::Gpu)
    }

    /// The name Blender uses; for wishes, the name here.
    pub fn as_str(self) -> &'static str {
        match self {
            Device::Scene => "SCENE",
            Device::Auto => "AUTO",
            Device::Gpu => "GPU",
            Device::Cpu => "CPU",
            Device::Cuda => "CUDA",
            Device::Optix => "OPTIX",
            Device::Hip => "HIP",
            Device::Oneapi => "ONEAPI",
            Device::Metal => "METAL",
        }
    }
}

impl std::str::FromStr for Device {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self> {
        Device::ALL.into_iter().find(|d| d.as_str().eq_ignore_ascii_case(s)).ok_or_else(|| {
            Error::input(format!("`{s}` is not a render device"))
                .remedy("Choose auto, GPU, CPU, CUDA, OPTIX, HIP, ONEAPI or METAL.")
        })
    }
}

/// One node as the user described it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeSpec {
    /// Unique name, shown everywhere.
    pub name: String,
    /// Where its shell is.
    pub place: Place,
    /// Path of Blender there, or of a Python that has `bpy`, or `bpy`; found by itself when absent.
    pub blender: Option<String>,
    /// Render threads per slot; Blender's own choice when absent.
    pub threads: Option<u32>,
    /// What Cycles computes on.
    pub device: Device,
    /// How many Blenders run there at once.
    pub slots: u32,
    /// Scheduling priority, as `nice -n`.
    pub nice: Option<i32>,
    /// How long its shell may take to answer, seconds, time in a queue included. When absent: without end for a
    /// command, which may lead to a cluster, a minute elsewhere.
    pub patience: Option<u32>,
    /// The node's cache directory; several nodes may share one. `$XDG_CACHE_HOME/tilectl` or `~/.cache/tilectl` there when absent.
    pub cache_dir: Option<String>,
    /// Environment variables for Blender.
    pub env: BTreeMap<String, String>,
    /// Whether it takes part.
    pub enabled: bool,
}

impl NodeSpec {
    /// A node at `place` with everything else at its default.
    pub fn new(name: impl Into<String>, place: Place) -> Self {
        Self {
            name: name.into(),
            place,
            blender: None,
            threads: None,
            device: Device::default(),
            slots: 1,
            nice: None,
            patience: None,
            cache_dir: None,
            env: BTreeMap::new(),
            enabled: true,
        }
    }

    /// How long its shell may take to answer; `None` is without end.
    pub fn patience(&self) -> Option<Duration> {
        match (self.patience, &self.place) {
            (Some(seconds), _) => Some(Duration::from_secs(seconds.into())),
            (None, Place::Command(_)) => None,
            (None, _) => Some(Duration::from_secs(60)),
        }
    }

    /// Sets the `key=value` options in `options`, which commas separate.
    pub fn set_all(&mut self, options: &str) -> Result<()> {
        for option in options.split(',').filter(|_| !options.is_empty()) {
            let (key, value) = option.split_once('=').ok_or_else(|| {
                Error::input(format!("`{option}` is not an option of a node"))
                    .remedy("Options are written key=value, after commas.")
            })?;
            self.set(key.trim(), value)?;
        }
        Ok(())
    }

    /// Sets one `key=value` option of the command line.
    pub fn set(&mut self, key: &str, value: &str) -> Result<()> {
        const KEYS: [&str; 9] =
            ["name", "blender", "threads", "device", "slots", "nice", "patience", "cache", "env"];
        let number = |what: &str| {
            value.parse::<u32>().ok().filter(|n| (1..=4096).contains(n)).ok_or_else(|| {
                Error::input(format!("`{value}` is not a number of {what}"))
                    .remedy(format!("Write {key}=1 to {key}=4096."))
            })
        };
        if value.contains(['\n', '\0']) {
            return Err(Error::input(format!("the value of `{key}` contains a line break"))
                .remedy("Write it on one line."));
        }
        match key {
            "name" if !value.is_empty() => value.clone_into(&mut self.name),
            "blender" if !value.is_empty() => self.blender = Some(value.to_owned()),
            "threads" => self.threads = Some(number("threads")?),
            "slots" => self.slots = number("slots")?,
            "device" => self.device = value.parse()?,
            // The configuration calls it by either of these names.
            "cache" | "cache_dir" | "shared_dir" if !value.is_empty() => {
                self.cache_dir = Some(value.to_owned());
            }
            "nice" => {
                let nice = value.parse().ok().filter(|n| (-20..=19).contains(n)).ok_or_else(|| {
                    Error::input(format!("`{value}` is not a scheduling priority"))
                        .remedy("Write nice=0 (normal) to nice=19 (lowest).")
                })?;
                self.nice = Some(nice);
            }
            "patience" => {
                self.patience = Some(value.parse().ok().filter(|s| *s > 0).ok_or_else(|| {
                    Error::input(format!("`{value}` is not a number of seconds"))
                        .remedy("Write patience=60 to wait a minute for the node's shell.")
                })?);
            }
            "env" => {
                let (name, val) = value.split_once(':').filter(|(n, _)| is_variable(n)).ok_or_else(|| {
                    Error::input(format!("`env={value}` does not set an environment variable"))
                        .remedy("Write env=NAME:value.")
                })?;
                self.env.insert(name.to_owned(), val.to_owned());
            }
            _ if KEYS.contains(&key) => {
                return Err(Error::input(format!("the option `{key}` has no value"))
                    .remedy(format!("Write {key}=VALUE.")));
            }
            _ => {
                let meant = closest(key, &KEYS).map_or_else(String::new, |k| format!("Did you mean `{k}`? "));
                return Err(Error::input(format!("a node has no option `{key}`"))
                    .remedy(format!("{meant}The options are {}.", KEYS.join(", "))));
            }
        }
        Ok(())
    }
}

/// Whether `name` can be the name of an environment variable.
pub(crate) fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

impl std::str::FromStr for NodeSpec {
    type Err = Error;

    /// Reads `PLACE[,key=value]...`; a place is `local` or `[user@]host[:port]`.
    fn from_str(text: &str) -> Result<Self> {
        let (place, options) = text.split_once(',').unwrap_or((text, ""));
        let place = place.trim();
        let odd = |c: char| c.is_whitespace() || c.is_control() || "'\"$`;|&<>()".contains(c);
        // A user may belong to a Windows domain: `CORP\me@host`.
        let host = place.rsplit_once('@').map_or(place, |(_, host)| host);
        if place.is_empty()
            || place.contains(odd)
            || host.contains('\\')
            || place.starts_with('-')
            || place.contains('=')
        {
            return Err(Error::input(format!("`{}` does not name a node", text.escape_debug())).remedy(
                "Write `local`, `[user@]host[:port]` or a name from the config, then options after commas.",
            ));
        }
        let mut spec = if place == "local" {
            Self::new("local", Place::Local)
        } else {
            Self::new(place, Place::Ssh(place.to_owned()))
        };
        spec.set_all(options)?;
        Ok(spec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_follow_after_commas() {
        let spec: NodeSpec = "local,threads=1,blender=/opt/b/blender,name=a".parse().unwrap();
        assert_eq!(spec.name, "a");
        assert_eq!(spec.threads, Some(1));
        assert_eq!(spec.blender.as_deref(), Some("/opt/b/blender"));
        assert_eq!(spec.place, Place::Local);
        let spec: NodeSpec =
            "me@host:2222,device=optix,slots=2,nice=10,patience=90,env=A:b:c".parse().unwrap();
        assert_eq!(spec.place, Place::Ssh("me@host:2222".into()));
        assert_eq!(spec.device, Device::Optix);
        assert_eq!((spec.slots, spec.nice), (2, Some(10)));
        assert_eq!(spec.env["A"], "b:c");
        assert_eq!("local,device=gpu".parse::<NodeSpec>().unwrap().device, Device::Gpu);
        assert_eq!("local,device=auto".parse::<NodeSpec>().unwrap().device, Device::Auto);
        assert_eq!("local".parse::<NodeSpec>().unwrap().device, Device::Scene);
        assert!("local,device=scene".parse::<NodeSpec>().is_err());
        let domain: NodeSpec = "CORP\\me@host".parse().unwrap();
        assert_eq!(domain.place, Place::Ssh("CORP\\me@host".into()));
        assert_eq!(spec.patience(), Some(Duration::from_secs(90)));
        assert_eq!(NodeSpec::new("q", Place::Command(vec!["srun".into()])).patience(), None);
    }

    #[test]
    fn wrong_specs_say_what_to_write() {
        for wrong in [
            "",
            ",threads=1",
            "local,threads",
            "local,threads=0",
            "local,thread=1",
            "-oProxyCommand=x",
            "a b",
            "me@a\\b",
            "a\\b",
            "local,device=TPU",
            "local,patience=0",
            "local,patience=for ever",
            "local,name=",
        ] {
            let error = wrong.parse::<NodeSpec>().unwrap_err();
            assert!(error.hint().is_some(), "{wrong}");
        }
        let error = "local,thread=1".parse::<NodeSpec>().unwrap_err();
        assert!(error.hint().unwrap().contains("`threads`"));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_node_or_an_error(
            text in "(local|me@host:22|\\PC{0,20})(,(name|blender|threads|device|slots|nice|env|cache|\\PC{0,6})(=\\PC{0,12})?){0,4}",
        ) {
            if let Ok(spec) = text.parse::<NodeSpec>() {
                proptest::prop_assert!(!spec.name.is_empty() && spec.slots > 0);
            }
        }
    }
}
