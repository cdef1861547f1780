//! What the worker says, as types; what it says is checked, not believed.

use serde::{Deserialize, Serialize};

use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::formats::TileFormat;
use crate::geometry::{Frame, Rect};

/// The worker's first words.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Hello {
    /// Protocol version, must be ours.
    pub protocol: u32,
    /// Blender's version, as it writes it (`3.4.1`, `4.2.0 LTS`).
    pub version: String,
    /// Blender's build hash.
    pub hash: String,
    /// Path of the program.
    pub blender: String,
    /// Path of what was started in its place, where the controller said or found it: a program or a launcher.
    #[serde(default)]
    pub program: String,
    /// Logical processor cores.
    pub cores: u32,
    /// Memory not in use, bytes.
    pub memory: Option<u64>,
    /// Whether this build has `OpenImageDenoise`.
    pub oidn: bool,
    /// Free space in the cache directory, bytes.
    pub free: u64,
    /// The node's clock, seconds since 1970.
    pub time: f64,
    /// The node's own name for itself.
    #[serde(default)]
    pub host: String,
    /// Operating system, as Python names it.
    #[serde(default)]
    pub system: String,
    /// The cache directory.
    #[serde(default)]
    pub cache: String,
    /// What else than the scene decides what its pixels are.
    #[serde(default)]
    pub environment: Environment,
}

/// What the worker answers when it has opened the scene.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Opened {
    /// As in [`Hello`], with this scene open.
    pub(crate) environment: Environment,
    /// Displays, views, looks and colour spaces that the scene wants and that the colour configuration does not have, in
    /// Blender's words.
    pub(crate) lacked: Vec<String>,
}

/// Which picture of the file is rendered, and how: applied before each tile, read back after it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Picture {
    /// Scene; the file's active one when absent.
    pub scene: Option<String>,
    /// Camera; the scene's own, followed through markers as Blender does, when absent.
    pub camera: Option<String>,
    /// Frame number.
    pub frame: i32,
    /// Override of the seed.
    pub seed: Option<i32>,
    /// Override of the samples per pixel.
    pub samples: Option<u32>,
    /// Override of the resolution, pixels, before the percentage.
    pub resolution: Option<(u32, u32)>,
    /// Override of the resolution percentage.
    pub percentage: Option<u32>,
    /// Render threads; Blender's choice when absent.
    pub threads: Option<u32>,
    /// Cycles device.
    pub device: crate::node::Device,
    /// Whether Blender keeps the synced scene between tiles (F7).
    pub persistent: bool,
    /// Tile format, `png` or `exr`.
    pub format: TileFormat,
    /// Whether it is rendered in one piece: then Cycles denoises it itself.
    pub whole: bool,
    /// Whether its passes are wanted, and nothing that is made of them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub passes: bool,
}

#[cfg(test)]
impl Picture {
    /// Frame 1 of the active scene as it is.
    pub(crate) fn plain() -> Self {
        Self {
            scene: None,
            camera: None,
            frame: 1,
            seed: None,
            samples: None,
            resolution: None,
            percentage: None,
            threads: None,
            device: crate::node::Device::Cpu,
            persistent: true,
            format: TileFormat::Png,
            whole: false,
            passes: false,
        }
    }
}

/// A reason, with a code for programs and a text for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// Short name of the reason.
    pub code: String,
    /// One sentence or clause.
    pub text: String,
    /// What to do about it.
    #[serde(default)]
    pub remedy: Option<String>,
}

/// A scene that must be rendered for the picture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// Its name.
    pub scene: String,
    /// Frame, where it is not the picture's own.
    #[serde(default)]
    pub frame: Option<i32>,
    /// Camera, where it is not the scene's own.
    #[serde(default)]
    pub camera: Option<String>,
    /// Resolution before the percentage, where it is not the scene's own.
    #[serde(default)]
    pub resolution: Option<(u32, u32)>,
    /// Resolution percentage, where it is not the scene's own.
    #[serde(default)]
    pub percentage: Option<u32>,
}

impl Need {
    /// A scene as it is.
    pub fn of(scene: &str) -> Self {
        Self { scene: scene.to_owned(), frame: None, camera: None, resolution: None, percentage: None }
    }
}

/// What a scene needs to come out exact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needs {
    /// The tile format that suffices.
    pub tile_format: TileFormat,
    /// Why stitched PNG tiles alone would differ.
    #[serde(default)]
    pub reasons: Vec<Reason>,
    /// Overlap in pixels.
    #[serde(default)]
    pub overlap: u32,
    /// Scenes to render; empty means the scene itself.
    #[serde(default)]
    pub pictures: Vec<Need>,
    /// Why the frame can only be rendered whole (F12).
    #[serde(default)]
    pub whole: Option<String>,
    /// Why only a Blender that renders by itself, without anything of tiles, makes it.
    #[serde(default)]
    pub alone: Option<String>,
    /// Why it cannot be rendered exactly at all.
    #[serde(default)]
    pub refuse: Vec<Reason>,
    /// Worth knowing.
    #[serde(default)]
    pub notes: Vec<String>,
    /// What is simulated while it renders, because it is not baked; `None` where that is not known.
    #[serde(default)]
    pub simulated: Option<Vec<String>>,
    /// Format of the scene's picture, as Blender names it; a movie counts as PNG.
    #[serde(default)]
    pub format: Option<String>,
}

/// A render region that is set in the file.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SceneBorder {
    /// Whether the image is cropped to it.
    pub crop: bool,
    /// Left edge, fraction of the width.
    pub min_x: f32,
    /// Right edge.
    pub max_x: f32,
    /// Bottom edge, fraction of the height, from the bottom.
    pub min_y: f32,
    /// Top edge.
    pub max_y: f32,
}

impl SceneBorder {
    /// The pixels Blender renders for it: float32 products, truncated (F2).
    pub fn rect(&self, frame: Frame) -> Result<Rect> {
        let at = |edge: f32, side: u32| ((edge * side as f32) as i64).clamp(0, i64::from(side)) as u32;
        let (x0, x1) = (at(self.min_x, frame.width()), at(self.max_x, frame.width()));
        let (y0, y1) = (at(self.min_y, frame.height()), at(self.max_y, frame.height()));
        Rect::new(x0, frame.height() - y1, x1.saturating_sub(x0), y1.saturating_sub(y0)).map_err(|_| {
            Error::input("the render region that is set in the file has no pixels").remedy(
                "Clear or enlarge the render region in Blender (Ctrl-Alt-B clears it) and save the file.",
            )
        })
    }
}

/// Everything the controller has to know about one scene of the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Facts {
    /// The scene's name.
    pub scene: String,
    /// The scene's active camera.
    pub camera: Option<String>,
    /// All cameras of the scene.
    pub cameras: Vec<String>,
    /// Frame and camera of every timeline marker that brings one in, by frame.
    #[serde(default)]
    pub bound: Vec<(i32, String)>,
    /// Render engine, as Blender identifies it.
    pub engine: String,
    /// Resolution before the percentage, pixels.
    pub resolution: (u32, u32),
    /// Resolution percentage.
    pub percentage: u32,
    /// Current frame of the file.
    pub frame: i32,
    /// First frame, last frame, step.
    pub frames: (i32, i32, i32),
    /// Samples per pixel.
    pub samples: u32,
    /// Seed.
    pub seed: i64,
    /// Render region set in the file.
    pub border: Option<SceneBorder>,
    /// Whether it asks for the GPU.
    #[serde(default)]
    pub gpu: bool,
    /// Output path of the file, as it stands there.
    #[serde(default)]
    pub path: String,
    /// Output format of the file (`PNG`, `OPEN_EXR` …).
    pub format: String,
    /// What the files of its views have before the extension, where there are several.
    #[serde(default)]
    pub views: Vec<String>,
    /// What it takes to come out exact.
    pub needs: Needs,
}

impl Facts {
    /// Whether the scene would write a movie.
    pub fn is_movie(&self) -> bool {
        matches!(self.format.as_str(), "FFMPEG" | "AVI_JPEG" | "AVI_RAW")
    }

    /// The camera in effect at a frame: that of the last marker up to there, or of the first one after it, or the
    /// scene's own (`BKE_scene_camera_switch_find` in Blender's source).
    pub fn camera_at(&self, frame: i32) -> Option<&str> {
        let before = self.bound.iter().take_while(|b| b.0 <= frame).last();
        before.or(self.bound.first()).map(|b| b.1.as_str()).or(self.camera.as_deref())
    }
}

/// Settings the worker read back from Blender after applying a [`Picture`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effective {
    /// Scene.
    pub scene: String,
    /// Camera in effect at this frame.
    pub camera: Option<String>,
    /// Frame number.
    pub frame: i32,
    /// Resolution before the percentage.
    pub resolution: (u32, u32),
    /// Resolution percentage.
    pub percentage: u32,
    /// Samples per pixel.
    pub samples: u32,
    /// Seed before the frame is mixed in.
    pub seed: i64,
    /// Render engine.
    pub engine: String,
    /// Device in effect.
    pub device: String,
}

/// What a worker answers when it is asked for the best device that works.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct BestDevice {
    /// A kind of GPU; none where only the processor works.
    pub(crate) device: Option<String>,
    /// Names of its devices.
    pub(crate) names: Vec<String>,
    /// Why kinds that are there do not work.
    pub(crate) faults: Vec<String>,
}

/// A finished tile in the node's spool.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct TileDone {
    /// The name that was asked for.
    pub name: String,
    /// File size.
    pub bytes: u64,
    /// SHA-256 in hexadecimal.
    pub sha256: String,
    /// Time the render took.
    pub seconds: f64,
    /// How much of that went into building the scene.
    #[serde(default)]
    pub sync: f64,
    /// What was in effect.
    pub effective: Effective,
}

/// A tile that an earlier connection left in the node's spool.
#[derive(Clone, Debug, Deserialize)]
pub struct Spooled {
    /// Its name.
    pub name: String,
    /// File size.
    pub bytes: u64,
    /// SHA-256 in hexadecimal.
    pub sha256: String,
}
