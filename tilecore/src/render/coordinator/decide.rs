//! From what the scenes are and what is wished to the shots: which pictures are rendered how, and what their files are.

use super::Coordinator;
use crate::blender::{Facts, Need, Picture, Reason};
use crate::cost::Tiling;
use crate::error::{Error, Result};
use crate::events::Event;
use crate::formats::{self, Format, TileFormat};
use crate::geometry::{Frame, Overlap, Rect};
use crate::job::{Cameras, Request};
use crate::naming::{Pattern, Places};
use crate::node::Device;
use crate::render::canvas::Canvas;
use crate::render::options::{Names, Options};
use crate::render::shot::{self, Shot};
use crate::text::{did_you_mean, printable};

/// Code of the reason to refuse that holds for EXR tiles alone: names that EXR cannot hold.
const ONLY_EXR: &str = "names";

/// Code of the reason that stands for those that could not be read.
const UNREAD: &str = "unread";

/// Code of the reason to refuse that holds for any tiles: what is simulated and differs from Blender to Blender.
const SIMULATED: &str = "simulated";

/// What the pictures of one scene are made of.
struct Recipe {
    tiles: TileFormat,
    /// The file's format, where it is not the scene's own.
    written_as: Option<Format>,
    /// Its extension.
    extension: &'static str,
    /// What to render for each.
    sources: Vec<Need>,
    names: Option<Pattern>,
}

impl Coordinator<'_, '_> {
    /// From facts and wishes to pictures.
    pub(super) fn decide(&mut self) -> Result<()> {
        let asked: Vec<Facts> = self.setup.facts[..self.setup.asked()].to_vec();
        let (mut shots, mut canvases): (Vec<Shot>, Vec<Canvas>) = (Vec::new(), Vec::new());
        self.setup.overlap = Overlap(0);
        for first in &asked {
            engine(self.request, first)?;
            let frames = self.request.frames.of(first.frames, first.frame)?;
            let cameras = cameras(self.request, first)?;
            if frames.len() > 1 && first.needs.reasons.iter().any(|r| r.code == "sequencer") {
                return Err(Error::input(format!(
                    "the sequencer makes the pictures of the scene {}, and what it shows changes from frame to frame",
                    printable(&first.scene, 100)
                ))
                .remedy("Render such frames one by one with --frame, or turn the sequencer off in the output properties."));
            }
            if frames.len() > 1
                && let Some(error) = not_by_themselves(first)
            {
                return Err(error);
            }
            let recipe = self.recipe(first)?;
            for frame in frames {
                for camera in &cameras {
                    let from = canvases.len() as u32;
                    let own = Need::of(&first.scene);
                    let picture =
                        canvas(self.request, first, first, &own, camera.as_deref(), frame, recipe.tiles)?
                            .picture;
                    for need in &recipe.sources {
                        if let Some(facts) = self.setup.facts.iter().find(|f| f.scene == need.scene) {
                            let camera = camera.as_deref().filter(|_| facts.scene == first.scene);
                            let made = canvas(self.request, facts, first, need, camera, frame, recipe.tiles)?;
                            canvases.push(made);
                        }
                    }
                    let shown = camera.as_deref().or_else(|| first.camera_at(frame)).map(str::to_owned);
                    let places = Places {
                        scene: &first.scene,
                        camera: shown.as_deref().unwrap_or("none"),
                        frame,
                        extension: recipe.extension,
                    };
                    let path = match &recipe.names {
                        Some(names) => names.path(places),
                        None => self.target.path.clone(),
                    };
                    shots.push(Shot {
                        scene: first.scene.clone(),
                        picture,
                        camera: camera.clone(),
                        shown,
                        frame,
                        canvases: from..canvases.len() as u32,
                        format: recipe.tiles,
                        written_as: recipe.written_as,
                        path,
                        written: false,
                    });
                }
            }
        }
        if shots.len() > 1 || self.options.names.is_some() {
            shot::check_paths(&mut shots)?;
            let o = self.options;
            if shots.len() > 1 && (o.map.is_some() || o.report.is_some() || o.preview) {
                let what = "maps, reports and the live page are of one picture, and this job has several";
                return Err(Error::input(what).remedy(
                    "Leave --map, --report and --serve out (tilectl status --watch follows any job), or render one frame by itself with them.",
                ));
            }
        }
        (self.setup.shots, self.setup.canvases) = (shots, canvases);
        Ok(())
    }

    /// How the pictures of a scene are rendered and written.
    fn recipe(&mut self, facts: &Facts) -> Result<Recipe> {
        let needs = &facts.needs;
        let names = names(self.request, self.options, facts)?;
        if let Some(text) = names.1 {
            self.emit(Event::Warning { text });
        }
        let names = names.0;
        let typed = match &names {
            Some(pattern) => pattern.extension(),
            None => self
                .options
                .output
                .extension()
                .map(|e| e.to_string_lossy().into_owned())
                .filter(|_| !self.options.named_by_format),
        };
        if names.is_some() && typed.is_none() && self.options.format.is_none() && facts.is_movie() {
            return Err(formats::movie(&format!(
                "the output format of the scene {} is a movie",
                printable(&facts.scene, 100)
            )));
        }
        let own = needs.format.as_deref().unwrap_or("PNG");
        let (tiles, written_as, picture) = formats(self.request, self.options, facts, own, typed.as_deref())?;
        let by_hand = self.request.tile_format == Some(TileFormat::Png);
        if let Some(reason) = needs.refuse.iter().find(|reason| counts(reason, tiles, by_hand)) {
            return Err(Error::input(printable(&reason.text, 500)).remedy(
                reason.remedy.as_deref().map_or_else(
                    || "Change the scene, or accept a difference with --tile-format png.".into(),
                    |r| printable(r, 500),
                ),
            ));
        }
        if by_hand && tiles == TileFormat::Png && !needs.reasons.is_empty() {
            let lost: Vec<&str> = needs.reasons.iter().take(20).map(|reason| reason.text.as_str()).collect();
            self.emit(Event::Warning {
                text: format!(
                    "PNG tiles are asked for, so the picture is not the one that Blender makes: {}.",
                    printable(&lost.join("; "), 1500)
                ),
            });
        }
        let overlap = self.request.overlap.unwrap_or(needs.overlap).min(4096);
        self.setup.overlap = Overlap(self.setup.overlap.0.max(overlap));
        if let Some(why) = needs.whole.as_ref().filter(|_| !self.request.force_tiles) {
            self.setup.tiling = Tiling::Count(1);
            let why = printable(why, 500);
            self.emit(Event::Warning {
                text: format!(
                    "The frame is rendered whole on one node: {why}. --force-tiles cuts it all the same."
                ),
            });
        }
        for note in needs.notes.iter().take(20) {
            self.emit(Event::Warning { text: printable(note, 500) });
        }
        let named = if tiles == TileFormat::Png { Some(Format::Png) } else { picture };
        if let Some(format) = named.filter(|_| self.options.named_by_format) {
            self.target.extension(format.extension());
        }
        let sources = if tiles == TileFormat::Exr && !needs.pictures.is_empty() {
            needs.pictures.clone()
        } else {
            vec![Need::of(&facts.scene)]
        };
        Ok(Recipe { tiles, written_as, extension: named.map_or("png", Format::extension), sources, names })
    }
}

/// Whether a reason to refuse holds for tiles of this format. Whoever asks for PNG tiles by name goes without all that is
/// made of EXR tiles, and is told so.
fn counts(reason: &Reason, tiles: TileFormat, by_hand: bool) -> bool {
    tiles == TileFormat::Exr || reason.code == SIMULATED || !by_hand && reason.code != ONLY_EXR
}

/// Why frames of this scene cannot be rendered each by itself: they follow from one another, or nobody knows whether
/// they do.
fn not_by_themselves(facts: &Facts) -> Option<Error> {
    let needs = &facts.needs;
    let scene = printable(&facts.scene, 100);
    let Some(found) = needs.simulated.as_ref().filter(|_| !needs.reasons.iter().any(|r| r.code == UNREAD))
    else {
        let why = needs.whole.as_deref().map(|why| format!(": {}", printable(why, 300))).unwrap_or_default();
        return Some(
            Error::input(format!(
                "it is not known whether frames of the scene {scene} can be rendered each by itself{why}"
            ))
            .remedy("Render them one by one with --frame, or such an animation with Blender itself."),
        );
    };
    let names: Vec<String> = found.iter().take(3).map(|name| printable(name, 100)).collect();
    let more = found.len() - names.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!found.is_empty()).then(|| {
        Error::input(format!(
            "{}{more} in the scene {scene} would be simulated while it renders, and each frame hangs on all before it",
            names.join(", ")
        ))
        .remedy("Bake it in Blender (for a disk cache send its folder along) and save the file, or render such an animation with Blender itself.")
    })
}

/// What was probably meant by a name that the scene does not have, as a question to begin with.
fn meant(name: &str, names: &[String]) -> String {
    did_you_mean(name, &names.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Refuses a scene that renders with another engine than the one that was named. Nothing gives a scene another one: what
/// it looks like with that is nobody's choice.
fn engine(request: &Request, facts: &Facts) -> Result<()> {
    let Some(asked) = &request.engine else { return Ok(()) };
    // What versions of Blender called the same one.
    let plain = |name: &str| {
        let name = name.to_ascii_uppercase();
        name.trim_start_matches("BLENDER_").trim_end_matches("_NEXT").to_owned()
    };
    if plain(asked) == plain(&facts.engine) {
        return Ok(());
    }
    Err(Error::input(format!(
        "the scene {} renders with {}, not with {}",
        printable(&facts.scene, 100),
        printable(&facts.engine, 60),
        printable(asked, 60)
    ))
    .remedy("Leave -E out, or choose the engine in Blender and save the file."))
}

/// The cameras of a scene that are asked for.
fn cameras(request: &Request, facts: &Facts) -> Result<Vec<Option<String>>> {
    let have = || {
        let names: Vec<String> = facts.cameras.iter().map(|c| format!("'{}'", printable(c, 60))).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    };
    let scene = printable(&facts.scene, 100);
    match &request.cameras {
        Cameras::Own => Ok(vec![None]),
        Cameras::All if facts.cameras.is_empty() => {
            Err(Error::input(format!("the scene {scene} has no camera"))
                .remedy("Add one in Blender and save the file."))
        }
        Cameras::All => Ok(facts.cameras.iter().cloned().map(Some).collect()),
        Cameras::Named(names) => {
            let mut wanted: Vec<Option<String>> = Vec::new();
            for name in names {
                if !facts.cameras.contains(name) {
                    return Err(Error::input(format!(
                        "the scene '{scene}' has no camera '{}'; it has {}",
                        printable(name, 60),
                        have()
                    ))
                    .remedy(format!(
                        "{}Name a camera of the scene with --camera, or set one in Blender.",
                        meant(name, &facts.cameras)
                    )));
                }
                if !wanted.contains(&Some(name.clone())) {
                    wanted.push(Some(name.clone()));
                }
            }
            Ok(wanted)
        }
    }
}

/// What the files of a scene's pictures are called, and what is to be said about it; nothing where there is only one.
fn names(request: &Request, options: &Options, facts: &Facts) -> Result<(Option<Pattern>, Option<String>)> {
    let cameras = match &request.cameras {
        Cameras::Own => false,
        Cameras::Named(names) => names.len() > 1,
        Cameras::All => true,
    };
    let scenes = request.scenes.len() > 1;
    let several = cameras || scenes || request.frames.of(facts.frames, facts.frame)?.len() > 1;
    match &options.names {
        Some(Names::Pattern(pattern)) => return Ok((Some(pattern.clone()), None)),
        None if !several => return Ok((None, None)),
        Some(Names::Scene) | None => {}
    }
    if let Some(pattern) = Pattern::of_scene(&facts.path, &request.blend, cameras, scenes) {
        return Ok((Some(pattern), None));
    }
    // What Blender gives every new file is nobody's choice.
    let chosen = !matches!(facts.path.as_str(), "" | "/tmp/" | "/tmp\\" | "//");
    let note = chosen.then(|| {
        format!(
            "The scene's output path, {}, is not below the folder of the .blend, so the pictures go to the working directory; -o chooses another place.",
            printable(&facts.path, 200)
        )
    });
    Ok((Some(Pattern::usual(&request.blend, cameras, scenes)), note))
}

/// The tiles' format, the file's where it is not the scene's own, and the file's in any case: what the flags or the
/// name of the output say, else the scene's own.
fn formats(
    request: &Request,
    options: &Options,
    facts: &Facts,
    own: &str,
    typed: Option<&str>,
) -> Result<(TileFormat, Option<Format>, Option<Format>)> {
    if request.passes {
        let format = Some(Format::OpenExrMultilayer);
        return Ok((TileFormat::Exr, format, format));
    }
    let by_name = typed
        .filter(|e| !Format::named(own).is_some_and(|f| f.has_extension(e)))
        .and_then(Format::of_extension);
    let wanted = options.format.or(by_name);
    let picture = wanted.or(Format::named(own));
    let chosen = match (request.tile_format, picture) {
        (Some(TileFormat::Png), Some(Format::Png) | None) => TileFormat::Png,
        (Some(TileFormat::Png), Some(other)) if wanted.is_some() => {
            return Err(Error::input(format!("PNG tiles alone cannot become {}", other.name()))
                .remedy("Leave --tile-format out, or write a .png."));
        }
        (Some(format), _) => format,
        (None, Some(Format::Png)) if own != "PNG" => TileFormat::Exr,
        (None, Some(Format::Png)) => facts.needs.tile_format,
        (None, _) => TileFormat::Exr,
    };
    Ok((chosen, wanted, picture))
}

/// One picture to render. `camera` and `frame` are those asked for; what is needed may be another.
fn canvas(
    request: &Request,
    facts: &Facts,
    first: &Facts,
    need: &Need,
    camera: Option<&str>,
    frame: i32,
    format: TileFormat,
) -> Result<Canvas> {
    let main = facts.scene == first.scene;
    let (resolution, percentage) =
        if main { (request.resolution, request.percentage) } else { (need.resolution, need.percentage) };
    let (width, height) = resolution.unwrap_or(facts.resolution);
    let size = Frame::scaled(width, height, percentage.unwrap_or(facts.percentage))?;
    let region: Rect = match &facts.border {
        Some(border) => border.rect(size)?,
        None => size.rect(),
    };
    Ok(Canvas {
        picture: Picture {
            scene: Some(facts.scene.clone()),
            camera: need.camera.as_deref().or(camera).map(str::to_owned),
            frame: need.frame.unwrap_or(frame),
            seed: request.seed,
            samples: request.samples,
            resolution,
            percentage,
            threads: None,
            device: Device::Cpu,
            persistent: request.persistent,
            format,
            whole: first.needs.whole.is_some() && !request.force_tiles,
            passes: request.passes,
        },
        frame: size,
        region,
    })
}
