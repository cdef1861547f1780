//! What happens during a render, as typed events: the library reports, somebody else shows.

use serde::Serialize;

use crate::geometry::{Frame, Rect};

/// One thing that happened.
///
/// As JSON: one object with the field `event` and the fields below; times are in seconds, sizes in bytes.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A node is being reached.
    Connecting {
        /// Slot, as in all events: one Blender on one node.
        slot: usize,
        /// The slot's name: the node's, with a number where it has several.
        node: String,
    },
    /// A node's shell has not started yet: it waits in a cluster's queue, or the way there is long.
    Queued {
        /// Slot.
        slot: usize,
        /// Slot's name.
        node: String,
        /// The last line that the place has said about it, or nothing.
        words: String,
    },
    /// Blender is up on a node.
    Connected {
        /// Slot.
        slot: usize,
        /// Slot's name.
        node: String,
        /// Blender's version.
        blender: String,
        /// Its build hash.
        hash: String,
        /// Logical cores of the machine.
        cores: u32,
        /// From the first packet to Blender's first word.
        seconds: f64,
    },
    /// The scene's files are read on this machine, to know them by content.
    Reading {
        /// Bytes read so far.
        read: u64,
        /// Bytes to read in all.
        of: u64,
    },
    /// Files are going to a node.
    Sending {
        /// Slot.
        slot: usize,
        /// Bytes sent so far.
        sent: u64,
        /// Bytes to send in all; 0 when the node had everything.
        of: u64,
        /// Bytes per second of late, once there are any.
        per_second: Option<f64>,
    },
    /// The scene is open on a node.
    Opened {
        /// Slot.
        slot: usize,
        /// Time it took to open.
        seconds: f64,
    },
    /// What a slot renders on, where it was asked for the best that works.
    Device {
        /// Slot.
        slot: usize,
        /// Slot's name.
        node: String,
        /// `CPU`, or a kind of GPU.
        device: String,
        /// Names of its devices.
        names: Vec<String>,
    },
    /// What the scene is and needs.
    Scene {
        /// Scene's name.
        scene: String,
        /// Camera in effect.
        camera: Option<String>,
        /// Render engine.
        engine: String,
        /// Size of the picture.
        size: Frame,
        /// Frame number.
        frame: i32,
        /// Samples per pixel.
        samples: u32,
        /// `png` or `exr`.
        tile_format: &'static str,
        /// Overlap, pixels.
        overlap: u32,
        /// Why the finish is needed, if it is.
        reasons: Vec<String>,
    },
    /// The job has several pictures: frames, cameras, scenes.
    Shots {
        /// How many.
        of: usize,
        /// Those that are there already.
        done: usize,
    },
    /// One picture of several is there.
    Shot {
        /// Scene.
        scene: String,
        /// Camera.
        camera: Option<String>,
        /// Frame number.
        frame: i32,
        /// Where.
        output: std::path::PathBuf,
        /// Pictures that are there by now, those from before included.
        done: usize,
        /// Pictures in all.
        of: usize,
    },
    /// Tiles of an earlier run that are still good.
    Adopted {
        /// How many.
        tiles: usize,
        /// Their pixels.
        pixels: u64,
    },
    /// What will be done.
    Planned {
        /// Tiles to render; 0 where they are cut by times that are not known yet.
        tiles: usize,
        /// Expected time, where rates are known.
        seconds: Option<f64>,
        /// The plan's table, for people.
        table: String,
    },
    /// A slot can render.
    Ready {
        /// Slot.
        slot: usize,
    },
    /// A slot begins a tile.
    Began {
        /// Slot.
        slot: usize,
        /// Tile.
        tile: u64,
        /// Its region.
        region: Rect,
    },
    /// A slot builds the scene.
    Stage {
        /// Slot.
        slot: usize,
        /// What Blender is at, in its own words.
        words: String,
    },
    /// A slot finishes its tile and waits then, because the user wants it so.
    Paused {
        /// Slot.
        slot: usize,
        /// Slot's name.
        node: String,
    },
    /// A slot that was to wait goes on.
    Resumed {
        /// Slot.
        slot: usize,
        /// Slot's name.
        node: String,
    },
    /// A slot is this far in its tile.
    Sample {
        /// Slot.
        slot: usize,
        /// Tile.
        tile: u64,
        /// Samples done.
        done: u32,
        /// Samples in all.
        of: u32,
    },
    /// A slot has rendered its tile; its file is on the way.
    Rendered {
        /// Slot.
        slot: usize,
        /// Tile.
        tile: u64,
        /// Render time.
        seconds: f64,
    },
    /// A tile is here, verified and recorded.
    Stored {
        /// Slot.
        slot: usize,
        /// Tile.
        tile: u64,
        /// Its region.
        region: Rect,
        /// File size.
        bytes: u64,
        /// Render time.
        seconds: f64,
    },
    /// A tile failed on a slot and is tried elsewhere.
    Failed {
        /// Slot.
        slot: usize,
        /// Tile.
        tile: u64,
        /// Why.
        reason: String,
    },
    /// A slot gave up a tile that another had finished.
    Cancelled {
        /// Slot.
        slot: usize,
        /// Tile.
        tile: u64,
    },
    /// A node is gone and is tried again.
    Lost {
        /// Slot.
        slot: usize,
        /// Slot's name.
        node: String,
        /// Why.
        reason: String,
        /// What to do about it.
        remedy: Option<String>,
        /// When it is tried again.
        again_in: f64,
    },
    /// A node takes no further part.
    Retired {
        /// Slot.
        slot: usize,
        /// Slot's name.
        node: String,
        /// Why.
        reason: String,
        /// What to do about it.
        remedy: Option<String>,
    },
    /// How far the frame is.
    Progress {
        /// Part of the cost that is done, 0 to 1.
        done: f64,
        /// Tiles finished, adopted ones included.
        tiles: usize,
        /// Tiles in all, as cut so far.
        of: usize,
        /// Expected seconds to the end.
        eta: Option<f64>,
        /// Pictures that are written, those from before included.
        frames: usize,
        /// Pictures in all.
        of_frames: usize,
    },
    /// Something a person should know.
    Warning {
        /// One or two sentences.
        text: String,
    },
    /// It is being proved that tiles are exact on this scene.
    Proving {
        /// Small pictures that are rendered for it.
        pictures: usize,
        /// Their tiles.
        tiles: usize,
    },
    /// What the proof found out.
    Proof {
        /// For programs.
        verdict: crate::proof::Verdict,
        /// For people.
        sentence: String,
    },
    /// Places where tiles meet were rendered once more, and are the same.
    Checked {
        /// How many.
        places: usize,
    },
    /// Tiles that run are finished and kept, no new ones begin.
    Draining,
    /// The tiles become one picture.
    Stitching,
    /// Denoising, compositing, view transform and output format are applied on a node.
    Finishing {
        /// Slot's name.
        node: String,
    },
    /// The picture is there.
    Done {
        /// Where.
        output: std::path::PathBuf,
        /// Everything this took.
        seconds: f64,
        /// Tiles rendered in this run.
        tiles: usize,
        /// Tiles taken over from earlier runs.
        adopted: usize,
        /// Times faster than the fastest node alone would have been, by what the tiles took; where two nodes or more
        /// rendered and their rates are known.
        speedup: Option<f64>,
    },
}

/// Takes events as they happen; called from the render loop's thread, must not block.
pub type Sink<'a> = dyn FnMut(Event) + 'a;
