//! Exact distributed rendering of Blender frames.
//!
//! The modules stand in layers: each uses only those of its own layer and of the layers before, and no two use each other,
//! directly or around a corner (`tests/layers.rs` keeps it so). A reader who follows them has followed a tile:
//!
//! 1. **Plain values.** [`error`]; [`geometry`]: frames, regions, borders; [`frames`]: ranges of frame numbers; [`formats`] of
//!    tiles and pictures; [`header`] of a .blend; [`text`] for people, [`hash`], [`random`].
//! 2. **Nodes.** [`node`]: a machine and its shell (this one, SSH, a command); [`environment`]: what besides the scene decides
//!    pixels; [`blender`]: the warm worker and its messages; [`discovery`] of machines on the network.
//! 3. **Files and pixels.** [`sync`]: a scene's files, found and sent; [`stitch`]: tiles to one picture.
//! 4. **Scheduling.** [`cost`]: cost map (summed-area table) and node model; [`schedule`]: the scheduler, a state machine
//!    without clock; [`simulate`]: the scheduler on a virtual clock; [`plan`]: who renders what, foretold by simulation.
//! 5. **Jobs.** [`job`]: request and identity; [`naming`] of picture files; [`config`]; [`mod@bench`]: measured rates, kept;
//!    [`proof`]: comparison with Blender's own frame; [`state`]: the durable record of a job.
//! 6. **Results.** [`heatmap`], [`report`] and [`analysis`]: what a finished job's records say.
//! 7. **The run.** [`events`]: what happens, told; [`render`]: the coordinator, where it all comes together.
//! 8. **Around it.** [`farm`]: a picture in few lines for programs; [`check`] of nodes; [`verify`] of finished jobs; [`queue`]
//!    of jobs.
//!
//! In the repository, `tilecore/docs/` explains the whole: `architecture.md` (a tile's path, layers, where to add what),
//! `protocol.md` (the worker's messages), `state.md` (files and records), `exactness.md` (the facts F1, F2, … that comments
//! cite) and `glossary.md`.

// 1. Plain values.
pub mod error;
pub mod formats;
pub mod frames;
pub mod geometry;
pub mod hash;
pub mod header;
pub mod random;
pub mod text;

// 2. Nodes.
pub mod blender;
pub mod discovery;
pub mod environment;
pub mod node;

// 3. Files and pixels.
pub mod stitch;
pub mod sync;

// 4. Scheduling.
pub mod cost;
pub mod plan;
pub mod schedule;
pub mod simulate;

// 5. Jobs.
pub mod bench;
pub mod config;
pub mod job;
pub mod naming;
pub mod proof;
pub mod state;

// 6. Results.
pub mod analysis;
pub mod heatmap;
pub mod report;

// 7. The run.
pub mod events;
pub mod render;

// 8. Around it.
pub mod check;
pub mod farm;
pub mod queue;
pub mod verify;

pub use error::{Error, Result};
