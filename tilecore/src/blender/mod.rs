//! Blender on a node: finding and starting it, and talking to the warm worker inside it.

mod boot;
mod fetch;
mod message;
mod wire;
mod worker;

pub(crate) use boot::worker_files;
pub use fetch::Fetch;
pub(crate) use message::{BestDevice, Opened};
pub use message::{Effective, Facts, Hello, Need, Needs, Picture, Reason, SceneBorder, Spooled, TileDone};
pub use wire::Message;
pub use worker::{Booted, Worker};
