//! What a configuration file may say, with every value checked where it stands, so that an error knows its place.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};

use crate::formats::TileFormat;
use crate::geometry::MAX_SIDE;
use crate::node::{Device, NodeSpec, Place};
use crate::stitch::Compression;

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    #[serde(deserialize_with = "nodes")]
    pub(super) nodes: Vec<NodeSpec>,
    pub(super) defaults: Defaults,
}

/// What the flags of `tilectl render` are when they are not given.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Defaults {
    /// Render threads of each node that does not say.
    #[serde(deserialize_with = "threads")]
    pub threads: Option<u32>,
    /// Seed of the sampling pattern.
    pub seed: Option<i32>,
    /// Samples per pixel.
    #[serde(deserialize_with = "samples")]
    pub samples: Option<u32>,
    /// Resolution in pixels, width and height.
    #[serde(deserialize_with = "size")]
    pub resolution: Option<(u32, u32)>,
    /// Resolution percentage.
    #[serde(deserialize_with = "percentage")]
    pub percentage: Option<u32>,
    /// A uniform grid of this many tiles.
    #[serde(deserialize_with = "tiles")]
    pub tiles: Option<u32>,
    /// Tiles of at most this size in pixels, width and height.
    #[serde(deserialize_with = "size")]
    pub tile_size: Option<(u32, u32)>,
    /// What tiles are saved as; read from the scene when absent.
    #[serde(deserialize_with = "tile_format")]
    pub tile_format: Option<TileFormat>,
    /// Overlap of tiles in pixels.
    #[serde(deserialize_with = "overlap")]
    pub overlap: Option<u32>,
    /// How much time goes into a smaller PNG.
    #[serde(deserialize_with = "word")]
    pub compression: Option<Compression>,
    /// Whether the work directory is kept after success.
    pub keep: Option<bool>,
    /// Whether Blender keeps the scene between tiles.
    pub persistent_data: Option<bool>,
    /// Whether nodes with other Blender versions may take part.
    pub mixed_versions: Option<bool>,
    /// Whether files that the scene refers to may be missing.
    pub allow_missing: Option<bool>,
    /// Whether a frame that cannot be exact in tiles is cut all the same.
    pub force_tiles: Option<bool>,
}

/// One node as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Node {
    #[serde(deserialize_with = "name")]
    name: Option<String>,
    #[serde(deserialize_with = "host")]
    host: Option<Place>,
    #[serde(deserialize_with = "command")]
    command: Option<Vec<String>>,
    #[serde(deserialize_with = "text")]
    blender: Option<String>,
    #[serde(deserialize_with = "threads")]
    threads: Option<u32>,
    #[serde(deserialize_with = "word")]
    device: Option<Device>,
    #[serde(deserialize_with = "slots")]
    slots: Option<u32>,
    #[serde(deserialize_with = "nice")]
    nice: Option<i32>,
    #[serde(deserialize_with = "patience")]
    patience: Option<u32>,
    #[serde(deserialize_with = "text")]
    cache_dir: Option<String>,
    #[serde(deserialize_with = "text")]
    shared_dir: Option<String>,
    #[serde(deserialize_with = "variables")]
    env: BTreeMap<String, String>,
    enabled: Option<bool>,
}

impl Node {
    /// The node as the rest of the library knows it, or what is wrong with it as a whole.
    fn spec(self) -> Result<NodeSpec, String> {
        let (name, place) = match (self.name, self.host, self.command) {
            (_, Some(_), Some(_)) => {
                return Err("a node has a host or a command, not both".to_owned());
            }
            (name, Some(host), None) => {
                let shown = match &host {
                    Place::Ssh(place) => place.clone(),
                    _ => "local".to_owned(),
                };
                (name.unwrap_or(shown), host)
            }
            (Some(name), None, Some(command)) => (name, Place::Command(command)),
            (None, None, Some(_)) => return Err("a node with a command needs a name".to_owned()),
            // A name alone is the host's name, too.
            (Some(name), None, None) => {
                let place = place(&name).map_err(|e| format!("{e}; give the node `{name}` a host"))?;
                (name, place)
            }
            (None, None, None) => return Err("a node needs a name, a host or a command".to_owned()),
        };
        let mut spec = NodeSpec::new(name, place);
        spec.blender = self.blender;
        spec.threads = self.threads;
        spec.device = self.device.unwrap_or_default();
        spec.slots = self.slots.unwrap_or(spec.slots);
        spec.nice = self.nice;
        spec.patience = self.patience;
        if self.cache_dir.is_some() && self.shared_dir.is_some() {
            return Err("a node has a cache_dir of its own or a shared_dir, not both".to_owned());
        }
        // A cache is made to be shared: content has one name everywhere, and runs have names with their host's in it.
        spec.cache_dir = self.cache_dir.or(self.shared_dir);
        spec.env = self.env;
        spec.enabled = self.enabled.unwrap_or(true);
        Ok(spec)
    }
}

/// `local` or `[user@]host[:port]`.
pub(super) fn place(text: &str) -> Result<Place, String> {
    if text.contains(',') {
        return Err("a host has no options after commas here; they are fields of the node".to_owned());
    }
    text.parse::<NodeSpec>().map(|spec| spec.place).map_err(|e| e.to_string())
}

/// The nodes one after the other, so that what is wrong with one is found where it ends.
fn nodes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<NodeSpec>, D::Error> {
    struct Nodes;

    impl<'de> Visitor<'de> for Nodes {
        type Value = Vec<NodeSpec>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of nodes")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut nodes: Vec<NodeSpec> = Vec::new();
            let mut names = BTreeSet::new();
            while let Some(node) = seq.next_element::<Checked>()? {
                if !names.insert(node.0.name.clone()) {
                    return Err(A::Error::custom(format!("there are two nodes called `{}`", node.0.name)));
                }
                nodes.push(node.0);
            }
            Ok(nodes)
        }
    }

    deserializer.deserialize_seq(Nodes)
}

/// A node that makes sense as a whole.
struct Checked(NodeSpec);

impl<'de> Deserialize<'de> for Checked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Node::deserialize(deserializer)?.spec().map(Checked).map_err(D::Error::custom)
    }
}

/// A value that must pass a check.
fn checked<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
    check: impl FnOnce(&T) -> Result<(), String>,
) -> Result<Option<T>, D::Error> {
    let value = Option::<T>::deserialize(deserializer)?;
    if let Some(value) = &value {
        check(value).map_err(D::Error::custom)?;
    }
    Ok(value)
}

fn within<'de, D, T>(deserializer: D, what: &str, range: RangeInclusive<T>) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + PartialOrd + fmt::Display,
{
    checked(deserializer, |value: &T| {
        if range.contains(value) {
            return Ok(());
        }
        Err(format!("{what} is {} to {}, not {value}", range.start(), range.end()))
    })
}

fn threads<'de, D: Deserializer<'de>>(d: D) -> Result<Option<u32>, D::Error> {
    within(d, "the number of threads", 1..=4096)
}

fn slots<'de, D: Deserializer<'de>>(d: D) -> Result<Option<u32>, D::Error> {
    within(d, "the number of slots", 1..=4096)
}

fn samples<'de, D: Deserializer<'de>>(d: D) -> Result<Option<u32>, D::Error> {
    within(d, "the number of samples", 1..=16_777_216)
}

fn percentage<'de, D: Deserializer<'de>>(d: D) -> Result<Option<u32>, D::Error> {
    within(d, "the percentage", 1..=32_767)
}

fn tiles<'de, D: Deserializer<'de>>(d: D) -> Result<Option<u32>, D::Error> {
    within(d, "the number of tiles", 1..=u32::MAX)
}

fn overlap<'de, D: Deserializer<'de>>(d: D) -> Result<Option<u32>, D::Error> {
    within(d, "the overlap", 0..=4096)
}

fn nice<'de, D: Deserializer<'de>>(d: D) -> Result<Option<i32>, D::Error> {
    within(d, "the scheduling priority", -20..=19)
}

fn patience<'de, D: Deserializer<'de>>(d: D) -> Result<Option<u32>, D::Error> {
    within(d, "the patience in seconds", 1..=u32::MAX)
}

fn size<'de, D: Deserializer<'de>>(d: D) -> Result<Option<(u32, u32)>, D::Error> {
    checked(d, |(width, height): &(u32, u32)| {
        let fits = |side: &u32| (1..=MAX_SIDE).contains(side);
        if fits(width) && fits(height) {
            return Ok(());
        }
        Err(format!("a size is (width, height) in pixels, each 1 to {MAX_SIDE}"))
    })
}

/// Text that will be part of a command line or a path there.
fn text<'de, D: Deserializer<'de>>(d: D) -> Result<Option<String>, D::Error> {
    checked(d, |text: &String| sane(text))
}

fn sane(text: &str) -> Result<(), String> {
    if text.is_empty() || text.contains(['\0', '\n', '\r']) {
        return Err("this text must be one line and not empty".to_owned());
    }
    Ok(())
}

fn name<'de, D: Deserializer<'de>>(d: D) -> Result<Option<String>, D::Error> {
    checked(d, |name: &String| {
        if name.trim() != name || name.is_empty() || name.contains(|c: char| c.is_control() || c == ',') {
            return Err(
                "a node's name is not empty and has no comma, line break or space around it".to_owned()
            );
        }
        Ok(())
    })
}

fn command<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Vec<String>>, D::Error> {
    checked(d, |argv: &Vec<String>| {
        if argv.first().is_none_or(String::is_empty) || argv.iter().any(|word| word.contains('\0')) {
            return Err("a command is a list of words, the program first: [\"srun\", \"-n1\"]".to_owned());
        }
        Ok(())
    })
}

fn host<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Place>, D::Error> {
    let text = Option::<String>::deserialize(d)?;
    text.map(|text| place(&text)).transpose().map_err(D::Error::custom)
}

/// One of a few words.
fn word<'de, D, T>(d: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err = crate::Error>,
{
    let Some(word) = Option::<String>::deserialize(d)? else { return Ok(None) };
    word.parse().map(Some).map_err(|e: crate::Error| {
        let hint = e.hint().unwrap_or_default();
        D::Error::custom(format!("{e}. {hint}"))
    })
}

fn tile_format<'de, D: Deserializer<'de>>(d: D) -> Result<Option<TileFormat>, D::Error> {
    match Option::<String>::deserialize(d)?.as_deref() {
        None | Some("auto") => Ok(None),
        Some("png") => Ok(Some(TileFormat::Png)),
        Some("exr") => Ok(Some(TileFormat::Exr)),
        Some(other) => {
            Err(D::Error::custom(format!("a tile format is \"auto\", \"png\" or \"exr\", not {other:?}")))
        }
    }
}

fn variables<'de, D: Deserializer<'de>>(d: D) -> Result<BTreeMap<String, String>, D::Error> {
    let variables = BTreeMap::<String, String>::deserialize(d)?;
    for (name, value) in &variables {
        if !crate::node::is_variable(name) || value.contains(['\0', '\n', '\r']) {
            return Err(D::Error::custom(format!("{name:?} cannot be set as an environment variable")));
        }
    }
    Ok(variables)
}
