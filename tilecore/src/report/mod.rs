//! One self-contained HTML page about a render: what it looks like, where its time went, who did what.
//!
//! [`html`] needs nothing but a [`ReportData`]: no network, no script from elsewhere. Every text in it is escaped.

mod account;
mod escape;
mod page;
mod picture;
mod tables;
mod timeline;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use account::{Account, Share};
pub use page::{LivePage, Section, html, live_page, sections};

use crate::geometry::{Frame, Rect};
use crate::heatmap::Block;

/// How it stands with the job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It goes on.
    #[default]
    Running,
    /// The picture is written.
    Done,
    /// Stopped on request; the same command goes on with it.
    Interrupted,
    /// It could not be completed, and why.
    Failed(String),
}

/// What goes on at this moment, for a page that is looked at meanwhile.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Now {
    /// Part of the cost that is done, 0 to 1.
    pub done: f64,
    /// Expected seconds to the end, in words: one figure, or a range while little is known.
    pub left: Option<String>,
    /// In words: what is done now, or what a person should do.
    pub words: String,
    /// What every node does.
    pub nodes: Vec<Busy>,
}

/// What a node does at this moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Busy {
    /// Its name.
    pub name: String,
    /// What it does, in words.
    pub words: String,
    /// For how long it has had its tile in hand, seconds.
    pub for_s: Option<f64>,
    /// How much of that it has rendered, and not built the scene, seconds.
    pub rendering_s: f64,
    /// The part of the frame that it renders, where that is the picture's.
    pub region: Option<Rect>,
}

/// Everything the page shows. Times on the time line are seconds since the job began; `pauses` are part of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReportData {
    /// What was rendered: the file's name.
    pub scene_file: String,
    /// Frame number.
    pub frame_number: i32,
    /// Size of the picture.
    pub size: Option<Frame>,
    /// Samples per pixel; 0 when not known.
    pub samples: u32,
    /// How it stands.
    pub outcome: Outcome,
    /// When it began, seconds since 1970.
    pub began_at: f64,
    /// From its begin to its end or until now, seconds, pauses included.
    pub elapsed_s: f64,
    /// When no controller ran: from, to.
    pub pauses: Vec<(f64, f64)>,
    /// What the plan expected from begin to end, seconds.
    pub predicted_s: Option<f64>,
    /// What the fastest node alone would have needed, seconds, where that is known better than from the rates.
    pub alone_s: Option<f64>,
    /// Stitching and finishing on this machine: from, to.
    pub closing: Option<(f64, f64)>,
    /// Who took part.
    pub nodes: Vec<NodeReport>,
    /// What every finished part of the frame took.
    pub blocks: Vec<Block>,
    /// The stitched picture, a PNG file.
    pub picture: Option<PathBuf>,
    /// What is there of it so far, a smaller PNG file; shown where there is no picture.
    pub preview: Option<PathBuf>,
    /// What goes on now, where the page is looked at during the render.
    pub now: Option<Now>,
    /// What had to be said during the render.
    pub warnings: Vec<String>,
    /// Settings in effect, name and value.
    pub settings: Vec<(String, String)>,
    /// Versions of everything that took part, name and value.
    pub versions: Vec<(String, String)>,
}

/// One Blender on one node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeReport {
    /// Its name.
    pub name: String,
    /// Where it is: `local`, `me@host`.
    pub place: String,
    /// Blender's version and build hash.
    pub blender: String,
    /// What it computes on.
    pub device: String,
    /// Logical cores.
    pub cores: u32,
    /// How fast it is, cost units a second; the same unit for all nodes.
    pub rate: Option<f64>,
    /// What its rate promised for the tiles it rendered, seconds.
    pub expected_s: Option<f64>,
    /// What it did when, in order of time.
    pub spans: Vec<Span>,
    /// Why it was not used to the end, if so.
    pub trouble: Option<String>,
}

/// What a node did for a while.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// What.
    pub kind: SpanKind,
    /// From, seconds since the job began.
    pub from_s: f64,
    /// To, seconds since the job began.
    pub to_s: f64,
    /// Which part of the frame.
    pub region: Option<Rect>,
    /// More about it: a reason, a file.
    pub note: Option<String>,
}

/// Kinds of what a node does. What no span covers is idle time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpanKind {
    /// Connecting and starting Blender.
    Start,
    /// Receiving files, opening the scene, building what rays are traced against, measuring its rate.
    Sync,
    /// Rendering a tile that is part of the picture.
    Tile,
    /// Rendering a tile that is not finished yet.
    Working,
    /// Rendering a tile that somebody else finished first, or that was given up.
    Spare,
    /// Rendering a tile that failed.
    Failed,
    /// Not reachable or set aside.
    Away,
    /// The finish: denoising, compositing, saving.
    Finish,
}

impl SpanKind {
    /// All kinds, in the order the legend has them.
    pub const ALL: [Self; 8] = [
        Self::Start,
        Self::Sync,
        Self::Tile,
        Self::Working,
        Self::Finish,
        Self::Spare,
        Self::Failed,
        Self::Away,
    ];

    /// Its CSS class.
    fn class(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Sync => "sync",
            Self::Tile => "tile",
            Self::Working => "working",
            Self::Spare => "spare",
            Self::Failed => "failed",
            Self::Away => "away",
            Self::Finish => "finish",
        }
    }

    /// What people read.
    fn label(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Sync => "sync",
            Self::Tile => "tiles",
            Self::Working => "in work",
            Self::Spare => "not needed",
            Self::Failed => "failed",
            Self::Away => "away",
            Self::Finish => "finish",
        }
    }
}

impl ReportData {
    /// With what the nodes have in hand now on the time line: a node that renders its first tile is not idle.
    #[must_use]
    pub fn with_work_in_hand(mut self) -> Self {
        let Some(now) = &self.now else { return self };
        let elapsed = self.elapsed_s;
        for busy in &now.nodes {
            let at = self.nodes.iter().position(|n| n.name == busy.name).unwrap_or_else(|| {
                self.nodes.push(NodeReport { name: busy.name.clone(), ..NodeReport::default() });
                self.nodes.len() - 1
            });
            let Some(for_s) = busy.for_s.filter(|s| s.is_finite() && *s >= 0.0) else { continue };
            let spans = &mut self.nodes[at].spans;
            let before = spans.last().map_or(0.0, |s| s.to_s);
            let from = (elapsed - for_s).max(before);
            let rendering = (elapsed - busy.rendering_s.clamp(0.0, for_s)).max(from);
            let mut add = |kind, from_s: f64, to_s: f64| {
                if to_s > from_s {
                    spans.push(Span { kind, from_s, to_s, region: busy.region, note: None });
                }
            };
            add(SpanKind::Sync, from, rendering);
            add(SpanKind::Working, rendering, elapsed);
        }
        self
    }
}
