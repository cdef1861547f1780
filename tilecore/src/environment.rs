//! What else than the .blend and its files decides what a Blender's pixels are: its colour configuration, the kernel
//! that Cycles takes on its processor, variables that reach into Cycles, scripts that run at every start.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::text::printable;

/// What a worker says about it, at its start and whenever it has opened a scene (a project has colours of its own).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Environment {
    /// SHA-256 over the colour configuration and all files that it reads.
    pub colour: String,
    /// Where that comes from, for people.
    pub colour_from: String,
    /// SHA-256 over the displays, views, looks and colour spaces that Blender offers at its start.
    pub shown: String,
    /// The kernel that Cycles takes on this processor (F9).
    pub cpu: String,
    /// Variables that reach into Cycles.
    pub variables: BTreeMap<String, String>,
    /// SHA-256 over the scripts that Blender runs at its start.
    pub startup: String,
    /// The colour configuration that the node's own login names, which does not count.
    pub ignored_ocio: String,
}

impl Environment {
    /// The same with nothing in it that could steer a terminal or be too much to keep.
    #[must_use]
    pub fn tamed(&self) -> Self {
        let short = |text: &str| printable(text, 100);
        Self {
            colour: short(&self.colour),
            colour_from: short(&self.colour_from),
            shown: short(&self.shown),
            cpu: short(&self.cpu),
            variables: self.variables.iter().take(50).map(|(k, v)| (short(k), short(v))).collect(),
            startup: short(&self.startup),
            ignored_ocio: printable(&self.ignored_ocio, 300),
        }
    }

    /// What came of opening a scene, beside what was known at the start.
    #[must_use]
    pub fn with_scene(&self, opened: &Self) -> Self {
        Self {
            colour: opened.colour.clone(),
            colour_from: opened.colour_from.clone(),
            cpu: opened.cpu.clone(),
            variables: opened.variables.clone(),
            ..self.clone()
        }
    }

    /// The variables as one text.
    fn variables_shown(&self) -> String {
        if self.variables.is_empty() {
            return "none".to_owned();
        }
        self.variables.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(" ")
    }

    /// How `other` differs from this one so that their tiles would not fit: what it is, what this one has, what the
    /// other has. `cpu` says whether both compute on the processor.
    pub fn difference(&self, other: &Self, cpu: bool) -> Option<Difference> {
        let said = |what, mine: &str, others: &str| {
            Some(Difference { what, mine: mine.to_owned(), others: others.to_owned() })
        };
        if (&self.colour, &self.shown) != (&other.colour, &other.shown) {
            let words = |e: &Self| format!("{} ({:.12})", e.colour_from, e.colour);
            return said(What::Colour, &words(self), &words(other));
        }
        if self.startup != other.startup {
            let words = |e: &Self| format!("{:.12}", e.startup);
            return said(What::Startup, &words(self), &words(other));
        }
        if self.variables != other.variables {
            return said(What::Variables, &self.variables_shown(), &other.variables_shown());
        }
        if cpu && self.cpu != other.cpu {
            return said(What::Cpu, &self.cpu, &other.cpu);
        }
        None
    }
}

/// What of it a job is known by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobEnvironment {
    /// As [`Environment::colour`], with the scene open.
    pub colour: String,
    /// As [`Environment::shown`].
    pub shown: String,
    /// As [`Environment::startup`].
    pub startup: String,
    /// As [`Environment::variables`].
    pub variables: BTreeMap<String, String>,
    /// As [`Environment::cpu`]; empty where nothing was computed on a processor, or on unlike ones.
    pub cpu: String,
}

impl JobEnvironment {
    /// What differs in `now`, for people.
    pub fn changes(&self, now: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        if (&self.colour, &self.shown) != (&now.colour, &now.shown) {
            changes.push(
                "the colour configuration has changed (OCIO, a project, or that of Blender)".to_owned(),
            );
        }
        if self.startup != now.startup {
            changes.push("the scripts that Blender runs at its start have changed".to_owned());
        }
        if self.variables != now.variables {
            changes.push("the variables that reach into Cycles (CYCLES_…, OIDN_…) have changed".to_owned());
        }
        if self.cpu != now.cpu && !self.cpu.is_empty() && !now.cpu.is_empty() {
            changes.push(format!("the processors were {}, now {}", self.cpu, now.cpu));
        }
        changes
    }
}

/// In what two nodes differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Their colour configurations.
    Colour,
    /// The scripts that their Blenders run at every start.
    Startup,
    /// Variables that reach into Cycles.
    Variables,
    /// The kernels that Cycles takes on their processors.
    Cpu,
}

/// A difference between two nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// In what.
    pub what: What,
    /// What the first one has.
    pub mine: String,
    /// What the other one has.
    pub others: String,
}

impl Difference {
    /// What is different, for people.
    pub fn words(&self) -> &'static str {
        match self.what {
            What::Colour => "colour configurations",
            What::Startup => "scripts that Blender runs at its start",
            What::Variables => "variables that reach into Cycles",
            What::Cpu => "processors for which Cycles computes differently",
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self.what {
            What::Colour => {
                "They make other colours of one scene: give all nodes the same OCIO, or none, and leave the data folder of Blender as it was installed."
            }
            What::Startup => {
                "Remove what was added to the startup scripts of one of them, or leave one node out."
            }
            What::Variables => "Set them everywhere or nowhere, or leave one node out.",
            What::Cpu => {
                "Their pixels differ in the last bits: leave one node out, set CYCLES_CPU_NO_AVX2=1 for all (env=CYCLES_CPU_NO_AVX2:1), or accept seams with --mixed-versions."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_difference_is_told_by_name() {
        let one =
            Environment { colour: "a".repeat(64), cpu: "x86-64 with AVX2".into(), ..Environment::default() };
        assert_eq!(one.difference(&one.clone(), true), None);
        let what = |other: Environment, cpu| one.difference(&other, cpu).map(|d| d.what);
        assert_eq!(what(Environment { colour: "b".repeat(64), ..one.clone() }, true), Some(What::Colour));
        assert_eq!(what(Environment { shown: "b".into(), ..one.clone() }, true), Some(What::Colour));
        assert_eq!(what(Environment { startup: "b".into(), ..one.clone() }, true), Some(What::Startup));
        let variables = BTreeMap::from([("CYCLES_X".to_owned(), "1".to_owned())]);
        assert_eq!(what(Environment { variables, ..one.clone() }, true), Some(What::Variables));
        let old = Environment { cpu: "x86-64 with SSE4.2".into(), ..one.clone() };
        assert_eq!(what(old.clone(), true), Some(What::Cpu));
        assert_eq!(what(old, false), None, "on a GPU the processor's kernel does not count");
        // Where it lies does not count, nor what a login has that does not come into effect.
        let elsewhere = Environment { colour_from: "OCIO".into(), ignored_ocio: "/x".into(), ..one.clone() };
        assert_eq!(one.difference(&elsewhere, true), None);
    }
}
