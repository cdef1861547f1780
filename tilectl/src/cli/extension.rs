//! What is typed after `tilectl extension`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum ExtensionCommand {
    /// Write the extension, with this program in it, as a zip file that Blender installs
    #[command(after_help = super::examples::EXTENSION_BUILD)]
    Build(ExtensionBuild),
    /// Install it into your Blender and switch it on
    #[command(after_help = super::examples::EXTENSION_INSTALL)]
    Install(ExtensionInto),
    /// Take it out of your Blender again, with everything that it kept
    #[command(after_help = super::examples::EXTENSION_REMOVE)]
    Remove(ExtensionInto),
}

#[derive(Debug, Args)]
pub(crate) struct ExtensionBuild {
    /// Where it goes
    #[arg(short, long, value_name = "OUT.zip")]
    pub(crate) output: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ExtensionInto {
    /// Your Blender, if not the one in the PATH
    #[arg(long, value_name = "PATH")]
    pub(crate) blender: Option<PathBuf>,
}
