//! The configuration: which nodes there are and what the flags are when they are not given.
//!
//! `tilectl.ron` beside the scene or in the working directory belongs to a project, `tilectl/config.ron` in the user's
//! configuration directory to a person; the first one found counts, alone. A configuration is as trusted as a
//! makefile: it names programs to run here and elsewhere.

mod edit;
mod fault;
mod file;
mod init;

pub use edit::{Change, edit};
pub use file::Defaults;
pub use init::{Probe, probe, template};

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result, reason};
use crate::node::{NodeSpec, Place};

/// The name of a project's configuration.
pub const FILE_NAME: &str = "tilectl.ron";
/// No sane configuration is longer, bytes.
const LONGEST_FILE: u64 = 1 << 20;

/// A configuration that was read and makes sense.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// Where it was found; absent when there is none.
    pub path: Option<PathBuf>,
    /// The nodes, in the order in which they are written; their names are unique.
    pub nodes: Vec<NodeSpec>,
    /// What flags are when they are not given.
    pub defaults: Defaults,
}

impl Config {
    /// Finds and reads the configuration: the file `named`, or the one beside `blend`, in the working directory, or in
    /// the user's configuration directory. An empty one when there is none.
    ///
    /// # Errors
    /// When the file that counts cannot be read or understood.
    pub fn load(named: Option<&Path>, blend: Option<&Path>) -> Result<Self> {
        let place = match named {
            Some(file) => return Self::read(file),
            None => Self::find(blend),
        };
        match place {
            Some(file) => Self::read(&file),
            None => Ok(Self::default()),
        }
    }

    /// Where the configuration is that counts for `blend` when none is named.
    pub fn find(blend: Option<&Path>) -> Option<PathBuf> {
        places(blend, user_dir().as_deref()).into_iter().find(|file| file.exists())
    }

    /// Reads one file.
    pub fn read(path: &Path) -> Result<Self> {
        let mut bytes = Vec::new();
        std::fs::File::open(path).and_then(|f| f.take(LONGEST_FILE + 1).read_to_end(&mut bytes)).map_err(
            |e| {
                Error::input(format!("cannot read {}: {}", path.display(), reason(&e)))
                    .remedy("Check the path; `tilectl init` writes a configuration to begin with.")
            },
        )?;
        if bytes.len() as u64 > LONGEST_FILE {
            return Err(Error::input(format!("{} is too large to be a configuration", path.display()))
                .remedy("Check the path; `tilectl init` writes a configuration to begin with."));
        }
        let text = String::from_utf8(bytes).map_err(|_| {
            Error::input(format!("{} is not text", path.display())).remedy("Save it as UTF-8.")
        })?;
        Self::parse(&text, path)
    }

    /// Reads the text of the file at `path`.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        let options =
            ron::Options::default().with_default_extension(ron::extensions::Extensions::IMPLICIT_SOME);
        // Some editors begin a file with a byte order mark.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let file: file::File = options.from_str(text).map_err(|e| fault::explain(path, text, &e))?;
        Ok(Self { path: Some(path.to_owned()), nodes: file.nodes, defaults: file.defaults })
    }

    /// Every node, those that are disabled too; this machine when none is configured. The default number of threads is
    /// filled in.
    pub fn all(&self) -> Vec<NodeSpec> {
        let mut specs = self.nodes.clone();
        if specs.is_empty() {
            specs.push(NodeSpec::new("local", Place::Local));
        }
        for spec in &mut specs {
            spec.threads = spec.threads.or(self.defaults.threads);
        }
        specs
    }

    /// The nodes that take part when `asked` are the values of `--node`: each a node of this configuration by its name
    /// or a place of its own, with options after commas. None asked for: all that are enabled, or this machine when
    /// none is configured. The default number of threads is filled in.
    ///
    /// # Errors
    /// When one of `asked` makes no sense, when two nodes would have the same name, when every node is disabled.
    pub fn specs(&self, asked: &[impl AsRef<str>]) -> Result<Vec<NodeSpec>> {
        let mut specs = if asked.is_empty() {
            self.nodes.iter().filter(|spec| spec.enabled).cloned().collect()
        } else {
            asked.iter().map(|text| self.spec(text.as_ref())).collect::<Result<Vec<_>>>()?
        };
        if asked.is_empty() && specs.is_empty() {
            if let Some(path) = self.path.as_ref().filter(|_| !self.nodes.is_empty()) {
                return Err(Error::input(format!("every node in {} is disabled", path.display()))
                    .remedy("Enable one, or name one with --node."));
            }
            specs.push(NodeSpec::new("local", Place::Local));
        }
        for (i, spec) in specs.iter().enumerate() {
            if specs.iter().take(i).any(|other| other.name == spec.name) {
                return Err(Error::input(format!("two nodes are called `{}`", spec.name))
                    .remedy("Give one of them another name with the option name=NAME."));
            }
        }
        for spec in &mut specs {
            spec.threads = spec.threads.or(self.defaults.threads);
        }
        Ok(specs)
    }

    /// One value of `--node`.
    fn spec(&self, text: &str) -> Result<NodeSpec> {
        let (name, options) = text.split_once(',').unwrap_or((text, ""));
        let Some(known) = self.nodes.iter().find(|spec| spec.name == name.trim()) else {
            return text.parse();
        };
        // Whoever names a node wants it, whether it is enabled or not.
        let mut spec = NodeSpec { enabled: true, ..known.clone() };
        spec.set_all(options)?;
        Ok(spec)
    }
}

/// Where a configuration may be, the first one that exists counts.
fn places(blend: Option<&Path>, user: Option<&Path>) -> Vec<PathBuf> {
    let beside = blend.and_then(Path::parent).map(|dir| dir.join(FILE_NAME));
    let user = user.map(|dir| dir.join("tilectl").join("config.ron"));
    beside.into_iter().chain([PathBuf::from(FILE_NAME)]).chain(user).collect()
}

/// The user's configuration directory: `$XDG_CONFIG_HOME` or `~/.config`.
fn user_dir() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")))
}

/// Where the user's own configuration is, or would be.
pub fn user_file() -> Option<PathBuf> {
    Some(user_dir()?.join("tilectl").join("config.ron"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::TileFormat;
    use crate::node::Device;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Config> {
        Config::parse(text, Path::new("c.ron"))
    }

    /// Message and remedy of what is wrong.
    fn fault(text: &str) -> (String, String) {
        let error = parse(text).unwrap_err();
        (error.to_string(), error.hint().unwrap().to_owned())
    }

    #[test]
    fn nodes_of_every_kind() {
        let config = parse(
            r#"(
                nodes: [
                    (name: "local", threads: 2),
                    (host: "me@desk:2222", device: "optix", nice: 10, cache_dir: "/fast/cache"),
                    (name: "attic", env: {"OCIO": "/a/b.ocio"}, enabled: false),
                    (name: "here", host: "local", blender: "/opt/b/blender"),
                    (name: "slurm", command: ["srun", "-n1", "-c4"], slots: 8, threads: 4, shared_dir: "/s"),
                ],
                defaults: (threads: 6, tile_format: "exr", resolution: (640, 480), compression: "small", keep: true),
            )"#,
        )
        .unwrap();
        let places: Vec<_> = config.nodes.iter().map(|n| (n.name.as_str(), n.place.clone())).collect();
        let srun = ["srun", "-n1", "-c4"].map(String::from).to_vec();
        assert_eq!(
            places,
            [
                ("local", Place::Local),
                ("me@desk:2222", Place::Ssh("me@desk:2222".into())),
                ("attic", Place::Ssh("attic".into())),
                ("here", Place::Local),
                ("slurm", Place::Command(srun)),
            ]
        );
        let desk = &config.nodes[1];
        assert_eq!(
            (desk.device, desk.nice, desk.cache_dir.as_deref()),
            (Device::Optix, Some(10), Some("/fast/cache"))
        );
        assert_eq!(config.nodes[2].env["OCIO"], "/a/b.ocio");
        assert_eq!((config.nodes[4].slots, config.nodes[4].threads), (8, Some(4)));
        assert_eq!((config.nodes[4].cache_dir.as_deref(), config.nodes[4].patience()), (Some("/s"), None));
        assert_eq!(config.defaults.tile_format, Some(TileFormat::Exr));
        assert_eq!(config.defaults.resolution, Some((640, 480)));
        let names: Vec<_> =
            config.specs(&[""; 0]).unwrap().into_iter().map(|s| (s.name, s.threads)).collect();
        let expected = [("local", 2), ("me@desk:2222", 6), ("here", 6), ("slurm", 4)];
        assert_eq!(names, expected.map(|(n, t)| (n.to_owned(), Some(t))));
    }

    #[test]
    fn nodes_by_name_and_others() {
        let config =
            parse(r#"(nodes: [(name: "a", host: "me@a.lan", threads: 3, enabled: false)])"#).unwrap();
        let specs = config.specs(&["a,slots=2", "other,threads=1"]).unwrap();
        assert_eq!((specs[0].place.clone(), specs[0].slots), (Place::Ssh("me@a.lan".into()), 2));
        assert!(specs[0].enabled && specs[0].threads == Some(3));
        assert_eq!((specs[1].place.clone(), specs[1].threads), (Place::Ssh("other".into()), Some(1)));
        assert!(config.specs(&["a", "a"]).unwrap_err().to_string().contains("two nodes are called `a`"));
        assert_eq!(config.specs(&["a", "a,name=b"]).unwrap()[1].name, "b");
        assert!(config.specs(&["a,slot=2"]).unwrap_err().hint().unwrap().contains("`slots`"));
        assert!(config.specs(&[""; 0]).unwrap_err().to_string().contains("every node in c.ron is disabled"));
        let all = config.all();
        assert!(all.len() == 1 && !all[0].enabled);
        let local = Config::default().specs(&[""; 0]).unwrap();
        assert_eq!(local, [NodeSpec::new("local", Place::Local)]);
        assert_eq!(Config::default().all(), local);
    }

    #[test]
    fn a_wrong_setting_is_found_and_the_closest_named() {
        let (what, remedy) = fault("(\n  nodes: [\n    (name: \"a\", thread: 4),\n  ],\n)");
        assert_eq!(what, "c.ron:3:17: there is no setting `thread`");
        assert!(remedy.starts_with("Did you mean `threads`? The settings here are name, host,"), "{remedy}");
        let (what, remedy) = fault("(node: [])");
        assert_eq!(what, "c.ron:1:2: there is no setting `node`");
        assert!(remedy.contains("`nodes`"));
        let (what, remedy) = fault("(defaults: (\n tile_formt: \"png\"))");
        assert!(what.starts_with("c.ron:2:2: ") && remedy.contains("`tile_format`"), "{what} {remedy}");
        let (what, remedy) = fault("(nodes: [(name: \"a\", qqq: 1)])");
        assert!(what.contains("`qqq`") && !remedy.contains("Did you mean"), "{remedy}");
        assert!(fault("(nodes: [], nodes: [])").0.contains("c.ron:1:13: `nodes` is set twice"));
    }

    #[test]
    fn wrong_values_are_found() {
        for (text, place, words) in [
            ("(nodes: [\n (name: \"a\", threads: 0)])", "c.ron:2:", "1 to 4096, not 0"),
            ("(nodes: [\n (name: \"a\", threads: -1)])", "c.ron:2:", ""),
            ("(nodes: [\n (name: \"a\", threads: \"4\")])", "c.ron:2:", "whole number"),
            ("(nodes: [\n (name: \"a\", threads: 4.5)])", "c.ron:2:", "a whole number"),
            ("(nodes: [\n (name: \"a\", threads: 1e3)])", "c.ron:2:", "a whole number"),
            ("(defaults: (\n resolution: (1.5, 2)))", "c.ron:2:", "a whole number"),
            ("(nodes: [\n (name: \"a\", nice: 40)])", "c.ron:2:", "-20 to 19"),
            ("(nodes: [\n (name: \"a\", device: \"TPU\")])", "c.ron:2:", "`TPU` is not a render device"),
            ("(nodes: [\n (name: \"a\", device: OPTIX)])", "c.ron:2:", "in quotes"),
            ("(nodes: [\n (host: \"-oProxyCommand=x\")])", "c.ron:2:", "does not name a node"),
            ("(nodes: [\n (host: \"a,threads=1\")])", "c.ron:2:", "fields of the node"),
            ("(nodes: [\n (name: \"the attic\")])", "c.ron:2:", "give the node `the attic` a host"),
            ("(nodes: [\n (name: \"a\", command: [])])", "c.ron:2:", "program first"),
            ("(nodes: [\n (command: [\"x\"])])", "c.ron:2:", "needs a name"),
            ("(nodes: [\n (name: \"a\", host: \"a\", command: [\"x\"])])", "c.ron:2:", "not both"),
            ("(nodes: [\n (name: \"a\", cache_dir: \"/a\", shared_dir: \"/b\")])", "c.ron:2:", "not both"),
            ("(nodes: [\n (name: \"a\", patience: 0)])", "c.ron:2:", "not 0"),
            ("(nodes: [\n ()])", "c.ron:2:", "needs a name, a host or a command"),
            ("(nodes: [\n (name: \"a\"),\n (host: \"a\")])", "c.ron:3:", "two nodes called `a`"),
            ("(nodes: [\n (name: \"a\", env: {\"A B\": \"x\"})])", "c.ron:2:", "\"A B\""),
            ("(nodes: [\n (name: \"a\", blender: \"\")])", "c.ron:2:", "not empty"),
            ("(defaults: (\n tile_format: \"tiff\"))", "c.ron:2:", "\"tiff\""),
            ("(defaults: (\n resolution: (0, 5)))", "c.ron:2:", "width"),
            ("(defaults: (\n keep: \"yes\"))", "c.ron:2:", "yes or no"),
            ("(nodes: [\n (name: \"a\")\n (name: \"b\")])", "c.ron:3:", "comma"),
            ("(nodes: [\n (name: \"a\")\n", "c.ron:", ""),
            ("", "c.ron:1:1: ", ""),
        ] {
            let (what, remedy) = fault(text);
            assert!(what.starts_with(place) && what.contains(words), "{text}\n{what}\n{remedy}");
            assert!(!remedy.is_empty());
        }
    }

    #[test]
    fn where_a_configuration_may_be() {
        let found = places(Some(Path::new("/s/a.blend")), Some(Path::new("/h/.config")));
        assert_eq!(
            found,
            ["/s/tilectl.ron", "tilectl.ron", "/h/.config/tilectl/config.ron"].map(PathBuf::from)
        );
        assert_eq!(places(None, None), [PathBuf::from("tilectl.ron")]);
        let dir = tempfile::tempdir().unwrap();
        let blend = dir.path().join("a.blend");
        std::fs::write(dir.path().join(FILE_NAME), "(nodes: [(name: \"beside\")])").unwrap();
        assert_eq!(Config::load(None, Some(&blend)).unwrap().nodes[0].name, "beside");
        let named = dir.path().join("x.ron");
        assert!(Config::load(Some(&named), Some(&blend)).unwrap_err().to_string().contains("cannot read"));
        std::fs::write(&named, [0xff, 0xfe]).unwrap();
        assert!(Config::load(Some(&named), None).unwrap_err().to_string().contains("is not text"));
        std::fs::write(&named, "\u{feff}(nodes: [(name: \"marked\")])").unwrap();
        assert_eq!(Config::load(Some(&named), None).unwrap().nodes[0].name, "marked");
        assert_eq!(Config::find(Some(&blend)), Some(dir.path().join(FILE_NAME)));
    }

    proptest! {
        #[test]
        fn any_text_is_a_configuration_or_an_error(text in "[(){}\\[\\]:,\"a-z0-9 \n.-]{0,80}") {
            let _ = parse(&text);
        }

        #[test]
        fn any_bytes_are_a_configuration_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&String::from_utf8_lossy(&bytes));
        }
    }
}
