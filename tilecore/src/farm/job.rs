//! One frame to render, described step by step.

use std::path::PathBuf;

use crate::cost::Tiling;
use crate::job::{Cameras, Request};
use crate::stitch::Compression;

/// One frame of one scene. What is not said stays as the file has it.
#[derive(Clone, Debug)]
#[must_use]
pub struct Job {
    pub(super) request: Request,
    pub(super) work_dir: Option<PathBuf>,
    pub(super) compression: Compression,
}

impl Job {
    /// Frame number `frame` of the scene in a .blend file.
    pub fn new(blend: impl Into<PathBuf>, frame: i32) -> Self {
        Request::new(blend, frame).into()
    }

    /// Another scene of the file than its active one.
    pub fn scene(mut self, name: impl Into<String>) -> Self {
        self.request.scenes = vec![name.into()];
        self
    }

    /// Another camera than the scene's.
    pub fn camera(mut self, name: impl Into<String>) -> Self {
        self.request.cameras = Cameras::Named(vec![name.into()]);
        self
    }

    /// Seed of the sampling pattern.
    pub fn seed(mut self, seed: i32) -> Self {
        self.request.seed = Some(seed);
        self
    }

    /// Samples per pixel.
    pub fn samples(mut self, samples: u32) -> Self {
        self.request.samples = Some(samples);
        self
    }

    /// Width and height in pixels, before the percentage.
    pub fn resolution(mut self, width: u32, height: u32) -> Self {
        self.request.resolution = Some((width, height));
        self
    }

    /// Resolution percentage: 50 is a quarter of the pixels.
    pub fn percentage(mut self, percentage: u32) -> Self {
        self.request.percentage = Some(percentage);
        self
    }

    /// How the frame is cut; by cost when this is not said.
    pub fn tiling(mut self, tiling: Tiling) -> Self {
        self.request.tiling = tiling;
        self
    }

    /// Where tiles and state are kept, also after success: a render that was stopped goes on from there.
    pub fn work_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.work_dir = Some(dir.into());
        self
    }

    /// How much time goes into a smaller PNG.
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Everything that can be said about what is rendered.
    pub fn request(&mut self) -> &mut Request {
        &mut self.request
    }
}

impl From<Request> for Job {
    fn from(request: Request) -> Self {
        Self { request, work_dir: None, compression: Compression::default() }
    }
}
