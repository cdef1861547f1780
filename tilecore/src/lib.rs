//! Exact distributed rendering of Blender frames.
//!
//! A tile's way through the system: [`geometry`] says where it is, [`job`] what it is a tile of ([`frames`] which ones, [`naming`] what their files
//! are called), [`node`] is the place
//! that renders it with the [`blender`] there, which has the scene's files from [`sync`] and is no older than what
//! their [`header`] names; [`environment`] is what else counts; [`mod@bench`] remembers how
//! fast a node was, [`plan`] cuts the frame,
//! [`dispatch`] decides who renders what when, [`state`] remembers what is finished, [`stitch`] makes one picture of
//! all. [`render`] is where it all comes together; it tells what happens as [`events`]. A program that wants a picture
//! and no more begins at [`farm`].
//!
//! In the repository, `tilecore/docs/` explains the whole: `architecture.md` (a tile's path, layers, where to add what),
//! `protocol.md` (the worker's messages), `state.md` (files and records), `exactness.md` (the facts F1, F2, … that comments
//! cite) and `glossary.md`.

pub mod bench;
pub mod blender;
pub mod check;
pub mod config;
pub mod discovery;
pub mod dispatch;
pub mod environment;
pub mod error;
pub mod events;
pub mod farm;
pub mod frames;
pub mod geometry;
pub mod header;
pub mod heatmap;
pub mod hindsight;
pub mod job;
pub mod naming;
pub mod node;
pub mod plan;
pub mod proof;
pub mod queue;
pub mod render;
pub mod report;
pub mod spelling;
pub mod state;
pub mod stitch;
pub mod sync;
pub mod verify;

pub use error::{Error, Result};
