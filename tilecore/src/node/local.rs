//! Nodes whose shell is a child process here: this machine itself, or a command line that leads elsewhere.

use super::process::Process;
use super::{Link, Node, NodeSpec};
use crate::error::{Error, Result};

/// This machine.
#[derive(Debug)]
pub struct Local {
    spec: NodeSpec,
}

impl Local {
    /// A node that runs Blender on this machine.
    pub fn new(spec: NodeSpec) -> Self {
        Self { spec }
    }
}

impl Node for Local {
    fn name(&self) -> &str {
        &self.spec.name
    }

    fn spec(&self) -> &NodeSpec {
        &self.spec
    }

    fn link(&self) -> Result<Box<dyn Link>> {
        Ok(Box::new(Process::shell()?))
    }
}

/// A place behind a command line that carries standard input and output to it: `srun`, a container, another login.
#[derive(Debug)]
pub struct Command {
    spec: NodeSpec,
    argv: Vec<String>,
}

impl Command {
    /// A node behind `argv`, to which `/bin/sh` is appended. `argv` must not be empty.
    pub fn new(spec: NodeSpec, argv: Vec<String>) -> Result<Self> {
        if argv.first().is_none_or(String::is_empty) {
            return Err(Error::input(format!("the command of node `{}` is empty", spec.name))
                .remedy("Write the command line as a list, for example [\"srun\", \"-n1\"]."));
        }
        Ok(Self { spec, argv })
    }
}

impl Node for Command {
    fn name(&self) -> &str {
        &self.spec.name
    }

    fn spec(&self) -> &NodeSpec {
        &self.spec
    }

    fn link(&self) -> Result<Box<dyn Link>> {
        let mut argv = self.argv.clone();
        argv.push("/bin/sh".to_owned());
        Ok(Box::new(Process::command(&argv)?))
    }
}
