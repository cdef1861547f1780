//! The proof: whether what is made from tiles is, on this scene and in these Blenders, what one Blender makes alone.
//!
//! The reference is a small version of the frame as the artist's own Blender renders the file as it lies
//! ([`mod@reference`]); the candidate goes the way of every job: sent files, tiles on several nodes, stitch, finish. Both
//! are decoded and compared ([`compare`]). Where they differ, the nodes render the small frame whole by themselves,
//! which tells what is to blame. What was proved is remembered ([`Cache`]).

mod cache;
pub mod compare;
pub(crate) mod places;
pub mod reference;

use serde::{Deserialize, Serialize};

pub use cache::Cache;

/// Blender versions that the rules of this program were tested with, oldest first.
pub const TESTED: [(u32, u32); 7] = [(3, 4), (4, 2), (4, 5), (5, 0), (5, 1), (5, 2), (5, 3)];

/// Whether a Blender is newer than every tested one: its rules are not known.
pub fn is_untested(version: &str) -> bool {
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse::<u32>().unwrap_or(0));
    let mine = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    TESTED.last().is_none_or(|newest| mine > *newest)
}

/// When a job is proved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Every time, unless it was proved before.
    Always,
    /// When it costs next to nothing beside the job, or when something about the scene or Blender is not known.
    #[default]
    Auto,
    /// Not at all.
    Never,
}

impl std::str::FromStr for Mode {
    type Err = crate::Error;
    fn from_str(text: &str) -> crate::Result<Self> {
        match text {
            "always" => Ok(Self::Always),
            "auto" => Ok(Self::Auto),
            "never" => Ok(Self::Never),
            _ => Err(crate::Error::input(format!("`{text}` says not when to prove a job"))
                .remedy("Choose always, auto or never.")),
        }
    }
}

/// What the tiles were compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strength {
    /// What this machine's Blender makes of the file as it lies.
    FileInPlace,
    /// What a node's Blender makes of the files that were sent to it: what was not sent is missing on both sides.
    NodesFiles,
}

/// What came of a proof.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Finding {
    /// Nothing differs.
    Exact,
    /// Tiles differ no more from the reference than one render by Blender alone differs from the next.
    Unrepeatable {
        /// Pixels in which Blender differs from itself.
        pixels: usize,
    },
    /// Whole frames on the nodes are right, what is made from tiles is not.
    Cut,
    /// Some nodes make other pictures than this machine, by name.
    Nodes(Vec<String>),
    /// No node makes the picture that this machine makes.
    Foreign,
}

/// A proof's result, for people, reports and programs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// What came of it.
    pub finding: Finding,
    /// What it was compared with.
    pub strength: Strength,
    /// Why the reference is the weaker kind, if it is.
    pub weaker: Option<String>,
    /// Tiles that were compared.
    pub tiles: usize,
    /// Channels that were compared.
    pub channels: usize,
    /// Pictures that were proved: frames and cameras.
    pub pictures: usize,
    /// Nodes that rendered tiles.
    pub nodes: Vec<String>,
    /// Blender's version.
    pub blender: String,
    /// What differs, if anything does; metadata at most where it holds.
    pub differs: Option<String>,
    /// Seconds from its begin to its end.
    pub seconds: f64,
    /// Whether it was remembered from an earlier job.
    pub remembered: bool,
    /// Whether the small pictures show nothing at all, so that they prove little.
    #[serde(default)]
    pub black: bool,
}

impl Verdict {
    /// Whether tiles are right.
    pub fn holds(&self) -> bool {
        matches!(self.finding, Finding::Exact | Finding::Unrepeatable { .. })
    }

    /// One sentence for people.
    pub fn sentence(&self) -> String {
        let against = match self.strength {
            Strength::FileInPlace => String::new(),
            Strength::NodesFiles => {
                format!(
                    " The reference is the weaker kind, a node's own render of the files sent to it{}.",
                    self.weaker.as_ref().map_or(String::new(), |why| format!(": {why}"))
                )
            }
        };
        let black = if self.black { " But the small picture is black, which proves little." } else { "" };
        let tiles = plural(self.tiles, "tile");
        let took =
            if self.remembered { "proved before".to_owned() } else { format!("{:.1} s", self.seconds) };
        let what = self.differs.as_deref().unwrap_or("nothing differs");
        let of = if self.pictures > 1 { format!(" of {} pictures", self.pictures) } else { String::new() };
        match &self.finding {
            Finding::Exact => format!(
                "Exact on this scene: {tiles}{of}, {} compared, {took}.{against}{black}{}",
                plural(self.channels, "channel"),
                self.differs.as_ref().map_or(String::new(), |d| format!(" But {d}."))
            ),
            Finding::Unrepeatable { pixels } => format!(
                "As exact as Blender is on this scene, which does not repeat itself in {}: {tiles}{of}, {} compared, {took}.{against}",
                plural(*pixels, "pixel"),
                plural(self.channels, "channel")
            ),
            Finding::Cut => {
                format!("Not exact in tiles: {what}, and whole frames on the nodes are right.{against}")
            }
            Finding::Nodes(names) => format!(
                "{} another picture than this machine: {what}.{against}",
                if names.len() == 1 {
                    format!("The node {} makes", names[0])
                } else {
                    format!("The nodes {} make", names.join(", "))
                }
            ),
            Finding::Foreign => format!(
                "No node makes the picture that this machine's Blender makes of the file: {what}.{against}"
            ),
        }
    }

    /// What to do where it does not hold.
    pub fn remedy(&self) -> &'static str {
        match self.finding {
            Finding::Exact | Finding::Unrepeatable { .. } => "Nothing is to be done.",
            Finding::Cut => "The frame is rendered whole; --force-tiles cuts it all the same.",
            Finding::Nodes(_) => {
                "Look there for another Blender build, colour configuration or add-on; --proof never takes the node along all the same."
            }
            Finding::Foreign => {
                "Look for files or settings that only this machine has (textures, colour configuration, preferences, add-ons); --proof never goes ahead all the same."
            }
        }
    }
}

/// `1 tile`, `2 tiles`.
fn plural(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_newer_than_all_tested_is_untested() {
        for (version, untested) in
            [("3.4.1", false), ("5.3.0", false), ("5.3.9 LTS", false), ("5.4.0 Alpha", true), ("6.0.0", true)]
        {
            assert_eq!(is_untested(version), untested, "{version}");
        }
    }

    #[test]
    fn every_verdict_is_a_sentence() {
        let verdict = |finding| Verdict {
            finding,
            strength: Strength::FileInPlace,
            weaker: None,
            tiles: 9,
            channels: 41,
            pictures: 1,
            nodes: vec!["a".into()],
            blender: "5.3.0".into(),
            differs: Some("the view L differs in 3 of 9 pixels by up to 1 (R)".into()),
            seconds: 2.14,
            remembered: false,
            black: false,
        };
        let exact = Verdict { differs: None, ..verdict(Finding::Exact) };
        assert_eq!(exact.sentence(), "Exact on this scene: 9 tiles, 41 channels compared, 2.1 s.");
        assert!(exact.holds());
        let black = Verdict { black: true, ..exact };
        assert!(black.sentence().ends_with("But the small picture is black, which proves little."));
        for finding in [Finding::Cut, Finding::Nodes(vec!["b".into()]), Finding::Foreign] {
            let bad = verdict(finding);
            assert!(!bad.holds());
            assert!(bad.sentence().contains("the view L differs in 3 of 9 pixels"), "{}", bad.sentence());
        }
    }
}
