//! The command line as it is typed: raw values, validated in `commands`.

mod examples;
mod extension;
mod nodes;
mod queue;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use tilecore::frames::Frames;

pub(crate) use self::extension::{ExtensionBuild, ExtensionCommand, ExtensionInto};
pub(crate) use self::nodes::{NodesCommand, NodesDiscover, NodesQuery};
pub(crate) use self::queue::{QueueAdd, QueueCommand, QueueDir, QueueList, QueueRun};
use crate::serve::Address;

/// One Blender frame, rendered by every machine you own, bit for bit the file one machine would have made.
#[derive(Debug, Parser)]
#[command(
    name = "tilectl",
    version,
    max_term_width = 100,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    after_help = examples::TOP
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Render frames of a .blend file on all nodes
    #[command(after_help = examples::RENDER)]
    Render(Render),
    /// Show where the time of a frame goes: the relative cost of every block
    #[command(after_help = examples::MAP)]
    Map(Map),
    /// Say what a render would do and how long it would take
    #[command(after_help = examples::PLAN)]
    Plan(Plan),
    /// Measure how fast the nodes are
    #[command(after_help = examples::BENCH)]
    Bench(Bench),
    /// Let jobs wait for the nodes: add, list, run, suspend, resume, priority, remove
    #[command(subcommand, after_help = examples::QUEUE)]
    Queue(QueueCommand),
    /// Say how far a job is, from its work directory
    #[command(after_help = examples::STATUS)]
    Status(Status),
    /// Stitch the tiles of a work directory, or loose tiles, into one picture
    #[command(after_help = examples::STITCH)]
    Stitch(Stitch),
    /// Render parts of a finished job again and count the pixels that differ
    #[command(after_help = examples::VERIFY)]
    Verify(Verify),
    /// Show on this scene, these Blenders and these nodes that what is made from tiles is exact
    #[command(after_help = examples::PROVE)]
    Prove(Prove),
    /// Render built-in scenes in tiles and in one piece on your own nodes, and print the table
    #[command(after_help = examples::SELFTEST)]
    Selftest(Selftest),
    /// Write a configuration file to begin with
    #[command(after_help = examples::INIT)]
    Init(Init),
    /// Look at the nodes: what each is like, or what it needs
    #[command(subcommand, after_help = examples::NODES)]
    Nodes(NodesCommand),
    /// Put a panel and F12 on all nodes into your Blender
    #[command(subcommand, after_help = examples::EXTENSION)]
    Extension(ExtensionCommand),
    /// Drop what nodes keep of earlier renders
    #[command(after_help = examples::CLEAN)]
    Clean(Clean),
    /// Print a completion script for a shell
    #[command(after_help = examples::COMPLETIONS)]
    Completions {
        /// bash, zsh, fish, elvish or powershell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write one for every command
    #[command(after_help = examples::MAN)]
    Man {
        /// Folder to write them to; it is made
        #[arg(value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

/// Which nodes take part.
#[derive(Debug, Args)]
#[command(next_help_heading = "Nodes")]
pub(crate) struct Nodes {
    /// A node: local, [user@]host[:port] or a name from the config; options after commas (threads=4, blender=PATH, device=OPTIX, slots=2, name=a, cache=DIR, nice=10, patience=SECONDS, env=NAME:VALUE)
    #[arg(long = "node", value_name = "SPEC")]
    pub(crate) nodes: Vec<String>,
    /// Configuration file, if not tilectl.ron beside the .blend or here, or ~/.config/tilectl/config.ron
    #[arg(long, value_name = "FILE.ron")]
    pub(crate) config: Option<PathBuf>,
}

/// What of the scene is rendered, where it differs from what is saved in it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Scene")]
pub(crate) struct Scene {
    /// The .blend file
    #[arg(value_name = "FILE.blend", help_heading = None::<&str>)]
    pub(crate) file: PathBuf,
    /// Frame number, or several as Blender takes them (1,3,5..9); without any of these flags the file's current frame
    #[arg(short = 'f', long, visible_alias = "render-frame", value_name = "N", help_heading = None::<&str>, display_order = 0, allow_negative_numbers = true, value_parser = frame)]
    pub(crate) frame: Option<Frames>,
    /// Several frames: 1-250, 1-250x5 (every fifth), 1,7,90-95, or all that the scene has
    #[arg(long, value_name = "FRAMES", help_heading = None::<&str>, display_order = 0, allow_hyphen_values = true, conflicts_with = "frame")]
    pub(crate) frames: Option<String>,
    /// All frames of the scene, as --frames all
    #[arg(short = 'a', long = "render-anim", help_heading = None::<&str>, display_order = 0, conflicts_with_all = ["frame", "frames"])]
    pub(crate) animation: bool,
    /// First frame, where it is not the scene's
    #[arg(short = 's', long = "frame-start", value_name = "N", help_heading = None::<&str>, display_order = 0, allow_negative_numbers = true, conflicts_with_all = ["frame", "frames"])]
    pub(crate) start: Option<i32>,
    /// Last frame, where it is not the scene's
    #[arg(short = 'e', long = "frame-end", value_name = "N", help_heading = None::<&str>, display_order = 0, allow_negative_numbers = true, conflicts_with_all = ["frame", "frames"])]
    pub(crate) end: Option<i32>,
    /// Frames from one to the next, where that is not the scene's step
    #[arg(short = 'j', long = "frame-jump", value_name = "N", help_heading = None::<&str>, display_order = 0, conflicts_with_all = ["frame", "frames"], value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) jump: Option<u32>,
    /// Scene, if not the one that was active when the file was saved; several are rendered one by one
    #[arg(short = 'S', long = "scene", value_name = "S")]
    pub(crate) scenes: Vec<String>,
    /// Camera, if not the scene's own; several make a picture each
    #[arg(long, value_name = "C")]
    pub(crate) camera: Vec<String>,
    /// Every camera of the scene makes a picture
    #[arg(long, value_name = "all", value_parser = ["all"], conflicts_with = "camera")]
    pub(crate) cameras: Option<String>,
    /// Seed of the sampling pattern
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<i32>,
    /// Samples per pixel
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=16_777_216))]
    pub(crate) samples: Option<u32>,
    /// Resolution in pixels
    #[arg(long, value_name = "WxH", value_parser = size)]
    pub(crate) resolution: Option<(u32, u32)>,
    /// Resolution percentage
    #[arg(long, value_name = "P", value_parser = clap::value_parser!(u32).range(1..=32_767))]
    pub(crate) percentage: Option<u32>,
    /// Engine that the scene must have: it renders with its own, and another one is refused
    #[arg(short = 'E', long, value_name = "ENGINE")]
    pub(crate) engine: Option<String>,
    /// Let scripts and drivers inside the .blend run on the nodes
    #[arg(short = 'y', long, visible_alias = "enable-autoexec")]
    pub(crate) allow_scripts: bool,
    /// Go on although files that the scene refers to are missing
    #[arg(long)]
    pub(crate) allow_missing: bool,
    /// Let files below this folder, or this one file, be sent to the nodes; without it only those in the .blend's folder and below, hidden ones left out
    #[arg(long = "root", value_name = "PATH")]
    pub(crate) roots: Vec<PathBuf>,
}

/// How the frame is cut into tiles.
#[derive(Debug, Args)]
#[command(next_help_heading = "Tiles")]
pub(crate) struct Tiling {
    /// Cut the frame into a uniform grid of this many tiles
    #[arg(long, value_name = "N", conflicts_with = "tile_size", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) tiles: Option<u32>,
    /// Cut the frame into tiles of at most this size in pixels
    #[arg(long, value_name = "WxH", value_parser = size)]
    pub(crate) tile_size: Option<(u32, u32)>,
    /// What tiles are saved as; auto reads it from the scene
    #[arg(long, value_name = "FORMAT", value_parser = ["auto", "png", "exr"])]
    pub(crate) tile_format: Option<String>,
    /// Pixels rendered beyond each tile on every side and cropped away; read from the scene when absent
    #[arg(long, value_name = "PX", value_parser = clap::value_parser!(u32).range(0..=4096))]
    pub(crate) overlap: Option<u32>,
    /// Cut the frame into tiles even where the engine is not tile-exact
    #[arg(long)]
    pub(crate) force_tiles: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Render {
    /// Where the picture goes; <stem>_<frame>.png in the current directory when absent. A name without the extension
    /// of a picture takes that of the format. For several pictures with #### or {frame}, {camera}, {scene} in it; when absent, by the scene's own output path
    #[arg(short, long, visible_alias = "render-output", value_name = "OUT")]
    pub(crate) output: Option<PathBuf>,
    /// Where tiles and state are kept; <OUT>.tiles when absent, and then removed after success
    #[arg(long, value_name = "DIR")]
    pub(crate) work_dir: Option<PathBuf>,
    /// Start over, even if the work directory holds finished tiles
    #[arg(long)]
    pub(crate) fresh: bool,
    /// Leave out pictures whose file is there
    #[arg(long)]
    pub(crate) skip_existing: bool,
    /// Keep the work directory after success
    #[arg(long)]
    pub(crate) keep: bool,
    /// Also draw where the time went, as a PNG
    #[arg(long, value_name = "HEAT.png")]
    pub(crate) map: Option<PathBuf>,
    /// Also write a report of the render, as one HTML file
    #[arg(long, value_name = "REPORT.html")]
    pub(crate) report: Option<PathBuf>,
    /// Serve a page that shows the render while it goes on; its address is printed. Without ADDRESS on a free port of
    /// 127.0.0.1, for this machine alone
    #[arg(long, value_name = "ADDRESS:PORT", num_args = 0..=1, default_missing_value = "127.0.0.1:0")]
    pub(crate) serve: Option<Address>,
    /// Render threads per node; Blender's own choice when absent or 0
    #[arg(short = 't', long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1024))]
    pub(crate) threads: Option<u32>,
    /// Let nodes with different Blender versions work together; seams are likely
    #[arg(long)]
    pub(crate) mixed_versions: bool,
    /// Leave out nodes that compute on another kind of device than the first one: no seams at the last bit
    #[arg(long)]
    pub(crate) same_device: bool,
    /// Let Blender forget the scene between tiles: slower, needs less memory
    #[arg(long)]
    pub(crate) no_persistent_data: bool,
    /// Format of the picture (png, jpeg, tiff, webp, exr, exr-multilayer ...), if not the scene's or that of OUT's name
    #[arg(short = 'F', long, visible_alias = "render-format", value_name = "FORMAT")]
    pub(crate) format: Option<String>,
    /// Time spent on a smaller PNG
    #[arg(long, value_name = "LEVEL", value_parser = ["fast", "default", "small"])]
    pub(crate) compression: Option<String>,
    /// Write the passes of the scene's own render, denoised, as multilayer EXR: no compositor, no sequencer
    #[arg(long, conflicts_with_all = ["format", "tile_format"])]
    pub(crate) passes: bool,
    /// Belong to the program that started it: a line on standard input is a Ctrl-C, its end stops at once
    #[arg(long)]
    pub(crate) attached: bool,
    /// When to prove on a small version of the frame that tiles are exact on this scene; auto: when that costs less
    /// than 3 % of the render, and always with a Blender newer than the tested ones
    #[arg(long, value_name = "WHEN", value_parser = ["always", "auto", "never"], default_value = "auto")]
    pub(crate) proof: String,
    #[command(flatten)]
    pub(crate) scene: Scene,
    #[command(flatten)]
    pub(crate) nodes: Nodes,
    #[command(flatten)]
    pub(crate) tiling: Tiling,
    #[command(flatten)]
    pub(crate) output_style: OutputStyle,
}

/// How much is said, and to whom.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Messages")]
pub(crate) struct OutputStyle {
    /// Print one JSON object per event on standard output
    #[arg(long)]
    pub(crate) json: bool,
    /// Say nothing but errors
    #[arg(short, long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say more: why tiles are made the way they are, every tile, the plan
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Map {
    /// A .blend file, the work directory of a render, or its picture
    #[arg(value_name = "FILE.blend|DIR")]
    pub(crate) file: PathBuf,
    /// Frame number, for a .blend file; its current frame when absent
    #[arg(short = 'f', long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) frame: Option<i32>,
    /// Where the picture goes, a PNG
    #[arg(short, long, value_name = "HEAT.png")]
    pub(crate) output: Option<PathBuf>,
    /// Render with a few samples only: seconds instead of a whole render, but blind to adaptive sampling
    #[arg(long, conflicts_with = "samples")]
    pub(crate) quick: bool,
    /// Samples per pixel to measure with
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=16_777_216))]
    pub(crate) samples: Option<u32>,
    /// Size of a block in pixels
    #[arg(long, value_name = "WxH", value_parser = size)]
    pub(crate) detail: Option<(u32, u32)>,
    /// Colours: grey (black fastest, white slowest), viridis or turbo
    #[arg(long, value_name = "STYLE", value_parser = ["grey", "viridis", "turbo"], default_value = "viridis")]
    pub(crate) style: String,
    /// Colours by orders of magnitude
    #[arg(long)]
    pub(crate) log: bool,
    /// Lay the map over the finished picture
    #[arg(long)]
    pub(crate) overlay: bool,
    /// Also write the blocks as a table
    #[arg(long, value_name = "FILE.csv")]
    pub(crate) csv: Option<PathBuf>,
    /// Scene, if not the one that was active when the file was saved
    #[arg(long, value_name = "S")]
    pub(crate) scene: Option<String>,
    /// Camera, if not the scene's own
    #[arg(long, value_name = "C")]
    pub(crate) camera: Option<String>,
    /// Resolution percentage
    #[arg(long, value_name = "P", value_parser = clap::value_parser!(u32).range(1..=32_767))]
    pub(crate) percentage: Option<u32>,
    /// Render threads per node; 0 is Blender's own choice
    #[arg(short = 't', long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1024))]
    pub(crate) threads: Option<u32>,
    #[command(flatten)]
    pub(crate) nodes: Nodes,
    #[command(flatten)]
    pub(crate) output_style: OutputStyle,
}

#[derive(Debug, Args)]
pub(crate) struct Plan {
    /// Draw the tiles over what they cost
    #[arg(short, long, value_name = "PLAN.png")]
    pub(crate) output: Option<PathBuf>,
    /// Render threads per node; 0 is Blender's own choice
    #[arg(short = 't', long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1024))]
    pub(crate) threads: Option<u32>,
    #[command(flatten)]
    pub(crate) scene: Scene,
    #[command(flatten)]
    pub(crate) nodes: Nodes,
    #[command(flatten)]
    pub(crate) tiling: Tiling,
    #[command(flatten)]
    pub(crate) output_style: OutputStyle,
}

#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// A .blend file to measure with, instead of the built-in scene
    #[arg(value_name = "FILE.blend")]
    pub(crate) file: Option<PathBuf>,
    /// Frame number; the file's current frame when absent
    #[arg(short = 'f', long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) frame: Option<i32>,
    /// Show what was measured before
    #[arg(long)]
    pub(crate) show: bool,
    /// Forget what was measured before
    #[arg(long, conflicts_with = "show")]
    pub(crate) clear: bool,
    /// Render threads per node; 0 is Blender's own choice
    #[arg(short = 't', long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1024))]
    pub(crate) threads: Option<u32>,
    #[command(flatten)]
    pub(crate) nodes: Nodes,
    #[command(flatten)]
    pub(crate) output_style: OutputStyle,
}

#[derive(Debug, Args)]
pub(crate) struct Prove {
    /// The .blend file
    #[arg(value_name = "FILE.blend")]
    pub(crate) file: PathBuf,
    /// Frame number; the file's current one when absent
    #[arg(short = 'f', long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) frame: Option<i32>,
    /// Scene, if not the one that was active when the file was saved
    #[arg(long, value_name = "S")]
    pub(crate) scene: Option<String>,
    /// Camera, if not the scene's own
    #[arg(long, value_name = "C")]
    pub(crate) camera: Option<String>,
    /// Let scripts and drivers in the .blend run, here and on the nodes
    #[arg(long)]
    pub(crate) allow_scripts: bool,
    /// Go on without files that the scene refers to and that are missing
    #[arg(long)]
    pub(crate) allow_missing: bool,
    /// A folder whose files may be sent to the nodes, beside the .blend's own; or a file
    #[arg(long = "root", value_name = "PATH")]
    pub(crate) roots: Vec<PathBuf>,
    /// Render threads per node; 0 is Blender's own choice
    #[arg(short = 't', long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1024))]
    pub(crate) threads: Option<u32>,
    #[command(flatten)]
    pub(crate) nodes: Nodes,
    #[command(flatten)]
    pub(crate) output_style: OutputStyle,
}

#[derive(Debug, Args)]
pub(crate) struct Selftest {
    /// Only these of the built-in scenes
    #[arg(value_name = "SCENE")]
    pub(crate) scenes: Vec<String>,
    /// Render threads per node; 0 is Blender's own choice
    #[arg(short = 't', long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1024))]
    pub(crate) threads: Option<u32>,
    #[command(flatten)]
    pub(crate) nodes: Nodes,
    #[command(flatten)]
    pub(crate) output_style: OutputStyle,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// A work directory, or a picture with its work directory beside it (render with --keep)
    #[arg(value_name = "DIR|IMAGE")]
    pub(crate) job: PathBuf,
    /// How many rectangles, chosen at random
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rects: u32,
    /// Check the whole frame, rendered in one piece
    #[arg(long)]
    pub(crate) whole: bool,
    /// Seed of the choice, to repeat a check
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    #[command(flatten)]
    pub(crate) nodes: Nodes,
    #[command(flatten)]
    pub(crate) output_style: OutputStyle,
}

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Where to write it; tilectl.ron here when absent
    #[arg(short, long, value_name = "FILE.ron")]
    pub(crate) output: Option<PathBuf>,
    /// Write it as your own configuration, for every scene
    #[arg(long, conflicts_with = "output")]
    pub(crate) user: bool,
    /// Fill in the hosts of ~/.ssh/config that can be reached
    #[arg(long)]
    pub(crate) ssh_hosts: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Clean {
    /// Drop what was not used for this many days
    #[arg(long, value_name = "N", default_value_t = 30)]
    pub(crate) days: u32,
    /// Drop also the longest unused until at most this much is left, for example 20GB
    #[arg(long, value_name = "SIZE", value_parser = amount)]
    pub(crate) keep: Option<u64>,
    /// Drop everything that is not in use
    #[arg(long, conflicts_with_all = ["days", "keep"])]
    pub(crate) all: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) nodes: Nodes,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    /// A work directory; one that a render is about to make is waited for
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Stay and show every change until the job ends; exits with 1 if that is without the picture
    #[arg(short, long)]
    pub(crate) watch: bool,
    /// Print JSON; with --watch one object per change, one a line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Stitch {
    /// A work directory, or loose tiles with --grid
    #[arg(value_name = "DIR|TILE", required_unless_present = "pattern")]
    pub(crate) tiles: Vec<PathBuf>,
    /// The tiles lie so many side by side and one above the other, in the order of their names
    #[arg(long, value_name = "COLUMNSxROWS")]
    pub(crate) grid: Option<String>,
    /// The tiles' names say where they belong: {x} and {y} stand for columns and rows, or for pixels
    #[arg(long, value_name = "PATTERN", conflicts_with_all = ["grid", "tiles"])]
    pub(crate) pattern: Option<String>,
    /// Where the picture goes
    #[arg(short, long, value_name = "OUT")]
    pub(crate) output: PathBuf,
    /// Write what is there, with holes, and exit with 1
    #[arg(long)]
    pub(crate) partial: bool,
    /// Time spent on a smaller PNG
    #[arg(long, value_name = "LEVEL", value_parser = ["fast", "default", "small"], default_value = "default")]
    pub(crate) compression: String,
}

/// What Blender takes after `-f`: a frame, or several with commas and `..` between the ends of ranges.
fn frame(text: &str) -> Result<Frames, String> {
    if text.starts_with('+') {
        return Err(
            "write the number itself: frames counted from the scene's first or last one are not known here"
                .to_owned(),
        );
    }
    let frames = if text.contains([',', '.']) {
        text.replace("..", "-").parse::<Frames>()
    } else {
        return text.parse().map(Frames::one).map_err(|_| "write it as a number, or as 1,3,5..9".to_owned());
    };
    frames.map_err(|_| "write it as a number, or as 1,3,5..9".to_owned())
}

/// `WIDTHxHEIGHT` in pixels.
fn size(text: &str) -> Result<(u32, u32), String> {
    let parse = || {
        let (w, h) = text.split_once(['x', 'X'])?;
        let side =
            |s: &str| s.trim().parse::<u32>().ok().filter(|n| (1..=tilecore::geometry::MAX_SIDE).contains(n));
        Some((side(w)?, side(h)?))
    };
    parse().ok_or_else(|| "write it as WIDTHxHEIGHT in pixels, for example 1920x1080".to_owned())
}

/// Bytes with a unit: `500MB`, `1.5 GB`.
fn amount(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let unit = match text[at..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "t" | "tb" => 1e12,
        _ => f64::NAN,
    };
    let bytes = text[..at].parse::<f64>().unwrap_or(f64::NAN) * unit;
    if bytes.is_finite() && bytes < 1e18 {
        Ok(bytes as u64)
    } else {
        Err("write it as a number with B, kB, MB, GB or TB, for example 20GB".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn amounts_have_units() {
        assert_eq!(amount("20GB"), Ok(20_000_000_000));
        assert_eq!(amount("1.5 mb"), Ok(1_500_000));
        assert_eq!(amount("7"), Ok(7));
        for wrong in ["", "GB", "1.2.3", "5 apples", "-1", "1e30"] {
            assert!(amount(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn frames_are_named_as_blender_takes_them() {
        assert_eq!(frame("-3"), Ok(Frames::one(-3)));
        assert_eq!(frame("1,3,5..7"), Ok(Frames::These(vec![1, 3, 5, 6, 7])));
        for wrong in ["one", "", "+1", "1..", "1-3", "9..1", "0.5"] {
            assert!(frame(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_are_two_numbers() {
        assert_eq!(size("1920x1080"), Ok((1920, 1080)));
        for wrong in ["", "1920", "x", "0x1", "-1x5", "99999999999x1", "1x70000"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
