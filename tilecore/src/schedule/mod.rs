//! Who renders what, when: a state machine that owns all scheduling state and touches no thread, clock or wire.
//!
//! The render loop feeds it [`Input`]s with the time they happened and carries out the [`Action`]s it answers with;
//! [`simulate`](crate::simulate) does the same on a virtual clock. Times are seconds since the job began.
//!
//! The render loop starts every slot whose plan does not leave it out, and reports [`Input::Ready`] or
//! [`Input::Lost`] for it. After [`Action::Reconnect`] it does so again; after [`Action::Retire`] nothing more is
//! asked of the slot. A slot's own reports arrive in the order they happened; reports about pieces that no longer
//! matter are welcome and ignored.

mod assign;
mod backoff;
mod cost_model;
mod fair;
mod faults;
mod members;
mod pace;
mod ready_queue;
mod region_tree;
mod scheduler;
mod slot;
mod speed;
mod stragglers;
#[cfg(test)]
mod tests;

pub use assign::MOST_OVERHEAD;
pub use scheduler::{Options, Progress, Scheduler, SlotStart, Start};

use serde::Serialize;

use crate::cost::NodeModel;
use crate::error::Error;
use crate::geometry::Rect;

/// Index of a slot: one Blender on one node.
pub type SlotId = usize;

/// One request to render: a region of one picture. Ids are never used twice within a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Piece {
    /// Unique within this run.
    pub id: u64,
    /// Which of the job's pictures it belongs to.
    pub picture: u32,
    /// The region it contributes, top-left origin, without overlap.
    pub region: Rect,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// The slot's Blender is warm: the scene is open and it can render.
    Ready(SlotId),
    /// The slot reported how far its piece is, 0 to 1.
    Progress(SlotId, u64, f64),
    /// The slot's worker answers, and its Blender is at work.
    Alive(SlotId),
    /// The slot finished rendering; the result is not here yet, the slot can take another piece.
    Rendered(SlotId, u64),
    /// The slot is about to report that it rendered the piece, and spent this many seconds on building the scene for
    /// a picture that it did not have in memory.
    Built(SlotId, u64, f64),
    /// The slot has something else to do for about so many seconds, as soon as it renders nothing.
    Lent(SlotId, f64),
    /// It has done that.
    Returned(SlotId),
    /// The piece's file is on the controller's disk, verified.
    Stored(SlotId, u64),
    /// The slot says that it gave the piece up because it was asked to.
    Cancelled(SlotId, u64),
    /// The piece failed, the slot lives on.
    Failed(SlotId, u64, Error),
    /// The slot's connection or Blender is gone, with everything it had not delivered.
    Lost(SlotId, Error),
    /// Time passed.
    Tick,
    /// Stop handing out; finish what runs.
    Drain,
    /// A slot was added and is being started; its index is the number of slots before.
    Joined(NodeModel),
    /// The slot could not be reached before the plan was made; it is tried again, but not counted on.
    Away(SlotId, Error),
    /// The slot shall take no further part once it has finished what it renders.
    Leave(SlotId),
    /// The slot shall wait once it has finished what it renders.
    Hold(SlotId),
    /// The slot shall render again.
    Release(SlotId),
}

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Action {
    /// Hand the piece to the slot.
    Render(SlotId, Piece),
    /// Ask the slot to give the piece up; its result is no longer needed. The slot answers with
    /// [`Input::Cancelled`], or with the result if it was faster.
    Cancel(SlotId, u64),
    /// The stored piece is covered by others: its file can go. It takes no part in the finished cover.
    Discard(u64),
    /// Drop the slot's connection (if any) and connect again after this many seconds.
    Reconnect(SlotId, f64),
    /// The slot takes no further part; tell it to stop.
    Retire(SlotId, String),
    /// Every pixel is stored (or, when draining, everything that ran is).
    Complete,
    /// The job cannot be completed.
    Fail(Error),
}
