//! What is rendered: what the user asked for, and the identity by which a job is known again.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::cost::Tiling;
use crate::environment::JobEnvironment;
use crate::error::{Error, IoContext, Result};
use crate::formats::TileFormat;
use crate::frames::Frames;
use crate::geometry::{Frame, Rect};

/// Through which cameras every frame is rendered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Cameras {
    /// The scene's own; where timeline markers have cameras, those in turn, as Blender does.
    #[default]
    Own,
    /// These, one picture each.
    Named(Vec<String>),
    /// All that the scene has.
    All,
}

/// What the user asked for: every frame of every scene through every camera is a picture.
#[derive(Clone, Debug)]
pub struct Request {
    /// The .blend file.
    pub blend: PathBuf,
    /// Frames.
    pub frames: Frames,
    /// Scenes; the file's active one when there are none.
    pub scenes: Vec<String>,
    /// Cameras.
    pub cameras: Cameras,
    /// Seed; the scene's own when absent.
    pub seed: Option<i32>,
    /// Samples per pixel; the scene's own when absent.
    pub samples: Option<u32>,
    /// Resolution before the percentage; the scene's own when absent.
    pub resolution: Option<(u32, u32)>,
    /// Resolution percentage; the scene's own when absent.
    pub percentage: Option<u32>,
    /// Tile format; what the scene needs when absent.
    pub tile_format: Option<TileFormat>,
    /// Overlap in pixels; what the scene needs when absent.
    pub overlap: Option<u32>,
    /// How the frame is cut.
    pub tiling: Tiling,
    /// Whether Blender keeps the scene between tiles (F7).
    pub persistent: bool,
    /// Whether scripts in the file may run on the nodes.
    pub scripts: bool,
    /// Whether files that the scene refers to may be missing.
    pub allow_missing: bool,
    /// Folders beside the .blend's own whose files may be sent to the nodes, and single files.
    pub roots: Vec<PathBuf>,
    /// Whether nodes with other Blender versions may take part.
    pub mixed_versions: bool,
    /// Whether nodes that compute on another kind of device than the first one take no part (F14).
    pub same_device: bool,
    /// Whether a frame that cannot be exact in tiles is cut all the same.
    pub force_tiles: bool,
    /// Whether the passes of the render are wanted, before compositor, sequencer and view transform: a multilayer
    /// `OpenEXR` file with what Cycles itself would have handed to Blender.
    pub passes: bool,
    /// The render engine that every scene must have, in Blender's words; any when absent.
    pub engine: Option<String>,
    /// Why frames are rendered by Blender alone, in one piece, without anything of tiles; they are not where absent.
    pub native: Option<String>,
}

impl Request {
    /// A request for one frame with everything else as the scene has it.
    pub fn new(blend: impl Into<PathBuf>, frame: i32) -> Self {
        Self {
            blend: blend.into(),
            frames: Frames::one(frame),
            scenes: Vec::new(),
            cameras: Cameras::Own,
            seed: None,
            samples: None,
            resolution: None,
            percentage: None,
            tile_format: None,
            overlap: None,
            tiling: Tiling::Auto,
            persistent: true,
            scripts: false,
            allow_missing: false,
            roots: Vec::new(),
            mixed_versions: false,
            same_device: false,
            force_tiles: false,
            passes: false,
            engine: None,
            native: None,
        }
    }

    /// Whether a single picture is asked for, as far as that is known without the scene.
    pub fn is_one(&self) -> bool {
        let cameras = match &self.cameras {
            Cameras::Own => 1,
            Cameras::Named(names) => names.len(),
            Cameras::All => 2,
        };
        let frames = match &self.frames {
            Frames::These(frames) => frames.len() == 1,
            Frames::Current => true,
            Frames::All | Frames::Part { .. } => false,
        };
        frames && cameras < 2 && self.scenes.len() < 2
    }

    /// Looks at the .blend file before anything starts.
    pub fn check(&self) -> Result<()> {
        use std::io::Read;
        let path = &self.blend;
        let shown = path.display();
        let choose = "Name a .blend file that Blender saved.";
        let meta = std::fs::metadata(path).map_err(|e| {
            Error::input(format!("cannot read {shown}: {}", crate::error::reason(&e)))
                .remedy("Check the path.")
        })?;
        if meta.is_dir() {
            return Err(Error::input(format!("{shown} is a directory")).remedy(choose));
        }
        let mut head = Vec::new();
        std::fs::File::open(path)
            .and_then(|f| f.take(12).read_to_end(&mut head))
            .at("read", path)
            .map_err(|e| Error::input(e.to_string()).remedy("Make the file readable for yourself."))?;
        if head.is_empty() {
            return Err(Error::input(format!("{shown} is empty")).remedy(choose));
        }
        // Plain, gzip (to 2.9x) and Zstandard (from 3.0).
        let known = head.starts_with(b"BLENDER")
            || head.starts_with(&[0x1f, 0x8b])
            || head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]);
        if !known {
            return Err(Error::input(format!("{shown} is not a .blend file")).remedy(choose));
        }
        Ok(())
    }
}

/// One input file by what is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputFile {
    /// Its path, as the scene's folder sees it where that is possible.
    pub path: String,
    /// SHA-256 of its content.
    pub sha256: String,
}

/// One picture of a job of several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShotIdentity {
    /// Scene.
    pub scene: String,
    /// Camera that was asked for; the scene's own when absent.
    pub camera: Option<String>,
    /// Frame number.
    pub frame: i32,
    /// The part of the frame that is rendered.
    pub region: Rect,
    /// Tile format.
    pub format: TileFormat,
    /// How many scenes are rendered for it, one picture each.
    pub pictures: u32,
}

impl ShotIdentity {
    /// How many scenes are rendered for it, within reason: state files can say anything.
    pub fn count(&self) -> u32 {
        self.pictures.clamp(1, 64)
    }
}

/// Everything that decides what the pixels are. Two jobs with equal identity have equal tiles.
///
/// Where a job has several shots, what is said of scene, camera, frame, size, region and format is that of the first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The .blend first, then everything it refers to.
    pub files: Vec<InputFile>,
    /// Scene.
    pub scene: String,
    /// Camera in effect.
    pub camera: Option<String>,
    /// Frame number.
    pub frame: i32,
    /// Seed before the frame is mixed in.
    pub seed: i64,
    /// Samples per pixel.
    pub samples: u32,
    /// Resolution before the percentage.
    pub resolution: (u32, u32),
    /// Resolution percentage.
    pub percentage: u32,
    /// Size of the whole frame.
    pub size: Frame,
    /// The part of it that is rendered.
    pub region: Rect,
    /// Tile format.
    pub format: TileFormat,
    /// Overlap in pixels.
    pub overlap: u32,
    /// Scenes that are rendered for it, one picture each.
    pub pictures: Vec<String>,
    /// Blender's version.
    pub blender: String,
    /// Blender's build hash.
    pub hash: String,
    /// Whether scripts in the file ran.
    pub scripts: bool,
    /// Whether Cycles rendered it in one piece and denoised it itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub whole: bool,
    /// What else than the files decided what the pixels are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<JobEnvironment>,
    /// All shots, where there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shots: Vec<ShotIdentity>,
}

impl Identity {
    /// Region of every picture that is rendered, in order.
    pub fn regions(&self) -> Vec<Rect> {
        if self.shots.is_empty() {
            return vec![self.region; self.pictures.len().max(1)];
        }
        self.shots.iter().flat_map(|s| vec![s.region; s.count() as usize]).collect()
    }

    /// A name for it: 32 hexadecimal digits.
    pub fn id(&self) -> String {
        let text = ron::to_string(self).unwrap_or_default();
        crate::hash::hex(&Sha256::digest(text.as_bytes())[..16])
    }

    /// What differs in `now` from what this one was, for people; empty when nothing does.
    pub fn differences(&self, now: &Identity) -> Vec<String> {
        let mut changes = Vec::new();
        for file in &now.files {
            match self.files.iter().find(|f| f.path == file.path) {
                Some(before) if before.sha256 == file.sha256 => {}
                Some(_) => changes.push(format!("{} has changed", file.path)),
                None => changes.push(format!("{} is new", file.path)),
            }
        }
        for file in &self.files {
            if !now.files.iter().any(|f| f.path == file.path) {
                changes.push(format!("{} is gone", file.path));
            }
        }
        changes.truncate(8);
        let none = || "none".to_owned();
        let mut compare = |what: &str, before: String, after: String| {
            if before != after {
                changes.push(format!("{what} was {before}, now {after}"));
            }
        };
        compare("the scene", self.scene.clone(), now.scene.clone());
        compare(
            "the camera",
            self.camera.clone().unwrap_or_else(none),
            now.camera.clone().unwrap_or_else(none),
        );
        compare("the frame", self.frame.to_string(), now.frame.to_string());
        compare("the seed", self.seed.to_string(), now.seed.to_string());
        compare("the number of samples", self.samples.to_string(), now.samples.to_string());
        compare("the size", self.size.to_string(), now.size.to_string());
        compare("the region", self.region.to_string(), now.region.to_string());
        compare("the tile format", self.format.extension().into(), now.format.extension().into());
        compare("the overlap", self.overlap.to_string(), now.overlap.to_string());
        compare("rendering whole", self.whole.to_string(), now.whole.to_string());
        compare("the scenes to render", self.pictures.join(", "), now.pictures.join(", "));
        compare(
            "Blender",
            format!("{} ({})", self.blender, self.hash),
            format!("{} ({})", now.blender, now.hash),
        );
        if changes.is_empty() && self.shots != now.shots {
            let count = |i: &Identity| i.shots.len().max(1).to_string();
            let (before, after) = (count(self), count(now));
            changes.push(if before == after {
                "scenes, cameras or frames are others".to_owned()
            } else {
                format!("the number of pictures was {before}, now {after}")
            });
        }
        let mut compare = |what: &str, before: String, after: String| {
            if before != after {
                changes.push(format!("{what} was {before}, now {after}"));
            }
        };
        compare("the running of scripts", self.scripts.to_string(), now.scripts.to_string());
        if let (Some(before), Some(now)) = (&self.environment, &now.environment) {
            changes.extend(before.changes(now));
        }
        changes
    }
}
