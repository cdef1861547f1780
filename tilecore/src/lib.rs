//! Exact distributed rendering of Blender frames.
//!
//! A tile's way through the system: [`geometry`] says where it is, [`node`] is the place that renders it,
//! [`dispatch`] decides who renders it when, [`stitch`] makes one picture of all.

pub mod dispatch;
pub mod error;
pub mod geometry;
pub mod node;
pub mod stitch;

pub use error::{Error, Result};
