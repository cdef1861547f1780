//! One picture that is rendered for the job: a scene through a camera at a frame, and what of it.

use crate::blender::Picture;
use crate::geometry::{Frame, Rect};

/// One picture to render: a scene through a camera at a frame.
#[derive(Clone, Debug)]
pub(super) struct Canvas {
    pub(super) picture: Picture,
    /// The whole frame.
    pub(super) frame: Frame,
    /// What of it is rendered: all, or the region set in the file.
    pub(super) region: Rect,
}
