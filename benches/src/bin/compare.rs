//! Stitching with tilectl and with what else is installed: libvips, ImageMagick, `OpenImageIO`, Pillow.
//!
//! `cargo run --release -p benches --bin compare [SIDE]... [--rounds N] [--dir DIR]` makes square pictures of noisy
//! 8-bit RGB in tiles of 1024x1024 (8192 and 16384 unless told otherwise) and has every program stitch them, in turn, N
//! times (3). Printed are medians of seconds, processor seconds and peak memory, the size of the file, and how far
//! tilectl is from its limit: decoding the same tiles and encoding the same rows on all cores, and nothing else.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use benches::watch::{Taken, run};
use benches::{median, noise, spread};
use rayon::prelude::*;
use tilecore::stitch::stages::{Segment, decode};
use tilecore::stitch::{self, Compression, PngOptions};

const TILE: u32 = 1024;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        // This program is its own competitor: each run is a process of its own, as for the others.
        ["stitch", folder, side, compression, out] => stitch_once(folder, side, compression, out),
        ["limit", folder, side, compression] => limit(folder, side, compression),
        _ => compare(&words),
    }
}

fn stitch_once(folder: &str, side: &str, compression: &str, out: &str) {
    let side = side.parse().expect("a number");
    let (frame, parts) = noise::parts(Path::new(folder), side, TILE).expect("a frame");
    let options = PngOptions::default().compression(compression.parse().expect("a compression"));
    stitch::png(&parts, frame, Path::new(out), &options).expect("the tiles can be stitched");
}

/// Prints the seconds that decoding all tiles and encoding all rows take.
fn limit(folder: &str, side: &str, compression: &str) {
    let side: u32 = side.parse().expect("a number");
    let compression: Compression = compression.parse().expect("a compression");
    let (_, parts) = noise::parts(Path::new(folder), side, TILE).expect("a frame");
    let began = Instant::now();
    let tiles: Vec<Vec<u8>> = parts.par_iter().map(|p| decode(p).expect("a tile")).collect();
    let decoding = began.elapsed().as_secs_f64();

    let (row_bytes, tile_row) = (side as usize * 3, TILE as usize * 3);
    let mut picture = vec![0; row_bytes * side as usize];
    picture.par_chunks_mut(row_bytes).enumerate().for_each(|(y, row)| {
        let first = y / TILE as usize * (side / TILE) as usize;
        for (place, tile) in row.chunks_mut(tile_row).zip(&tiles[first..]) {
            let start = y % TILE as usize * tile_row;
            place.copy_from_slice(&tile[start..start + tile_row]);
        }
    });
    drop(tiles);
    let segment = Segment::new(row_bytes, 3, compression).bytes();
    let began = Instant::now();
    let bytes: usize = picture
        .par_chunks(segment)
        .map_init(
            || Segment::new(row_bytes, 3, compression),
            |segment, rows| {
                segment.filter(rows);
                segment.deflate()
            },
        )
        .sum();
    let encoding = began.elapsed().as_secs_f64();
    println!("{decoding} {encoding} {bytes}");
}

/// A way to stitch.
struct Way {
    name: &'static str,
    command: Box<dyn Fn(&Path) -> Command>,
    taken: Vec<Taken>,
    bytes: u64,
    problem: Option<String>,
}

fn compare(words: &[String]) {
    let after = |flag: &str| words.iter().skip_while(|w| *w != flag).nth(1);
    let rounds: usize = after("--rounds").map_or(3, |n| n.parse().expect("a number of rounds"));
    let dir = after("--dir").map_or_else(std::env::temp_dir, PathBuf::from);
    let mut sides: Vec<u32> = words.iter().map_while(|w| w.parse().ok()).collect();
    if sides.is_empty() {
        sides = vec![8192, 16384];
    }
    for side in sides {
        let scratch = tempfile::tempdir_in(&dir).expect("a folder for the tiles");
        one_size(side, rounds, scratch.path());
    }
}

fn one_size(side: u32, rounds: usize, folder: &Path) {
    let tiles = folder.join("tiles");
    std::fs::create_dir(&tiles).expect("a folder for the tiles");
    let parts = noise::save(&tiles, side, TILE).expect("tiles can be written");
    let files: Vec<PathBuf> = parts.into_iter().map(|p| p.path).collect();
    let input: u64 = files.iter().filter_map(|f| Some(std::fs::metadata(f).ok()?.len())).sum();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    println!(
        "\n{side}x{side} from {} tiles of {TILE}x{TILE}, 8-bit RGB, {:.0} MB; {cores} cores, {rounds} rounds",
        files.len(),
        input as f64 / 1e6
    );
    let mut ways = ways(&tiles, &files, side);
    let mut limits = Vec::new();
    let out = folder.join("out.png");
    for _ in 0..rounds {
        limits.push(measure_limit(&tiles, side));
        for way in ways.iter_mut().filter(|w| w.problem.is_none()) {
            match run(&mut (way.command)(&out)) {
                Ok(taken) => {
                    way.taken.push(taken);
                    way.bytes = std::fs::metadata(&out).map_or(0, |m| m.len());
                }
                Err(e) => way.problem = Some(e.to_string()),
            }
            let _ = std::fs::remove_file(&out);
        }
    }
    report(&ways, &limits);
}

/// Seconds of the limit, from a process of its own.
fn measure_limit(tiles: &Path, side: u32) -> (f64, f64) {
    let output = Command::new(std::env::current_exe().expect("this program"))
        .arg("limit")
        .arg(tiles)
        .args([&side.to_string(), "default"])
        .output()
        .expect("this program runs again");
    let text = String::from_utf8_lossy(&output.stdout);
    let mut numbers = text.split_whitespace().filter_map(|n| n.parse().ok());
    (numbers.next().unwrap_or(f64::NAN), numbers.next().unwrap_or(f64::NAN))
}

fn ways(tiles: &Path, files: &[PathBuf], side: u32) -> Vec<Way> {
    let across = (side / TILE).to_string();
    let mut ways = Vec::new();
    let mut add = |name, command: Box<dyn Fn(&Path) -> Command>| {
        ways.push(Way { name, command, taken: Vec::new(), bytes: 0, problem: None });
    };
    for (name, compression) in
        [("tilectl", "default"), ("tilectl, fast", "fast"), ("tilectl, small", "small")]
    {
        let tiles = tiles.to_owned();
        add(
            name,
            Box::new(move |out| {
                let mut command = Command::new(std::env::current_exe().expect("this program"));
                command.arg("stitch").arg(&tiles).args([&side.to_string(), compression]).arg(out);
                command
            }),
        );
    }
    let list = files.iter().map(|f| f.display().to_string()).collect::<Vec<_>>();
    for (name, options) in [("libvips", ""), ("libvips, level 1, sub", "[compression=1,filter=sub]")] {
        let (list, across) = (list.join(" "), across.clone());
        add(
            name,
            Box::new(move |out| {
                let mut command = Command::new("vips");
                command.args([
                    "arrayjoin",
                    &list,
                    &format!("{}{options}", out.display()),
                    "--across",
                    &across,
                ]);
                command
            }),
        );
    }
    let (all, grid) = (list.clone(), format!("{across}x{across}"));
    add(
        "ImageMagick",
        Box::new(move |out| {
            let mut command = Command::new("montage");
            command.args(&all).args(["-mode", "concatenate", "-tile", &grid]).arg(out);
            command
        }),
    );
    let (all, grid) = (list.clone(), format!("{across}x{across}"));
    add(
        "OpenImageIO",
        Box::new(move |out| {
            let mut command = Command::new("oiiotool");
            command.args(&all).args(["--mosaic", &grid, "-o"]).arg(out);
            command
        }),
    );
    add(
        "Pillow",
        Box::new(move |out| {
            let python = if Path::new("/usr/bin/python3").exists() { "/usr/bin/python3" } else { "python3" };
            let mut command = Command::new(python);
            let script = "import sys\nfrom PIL import Image\nImage.MAX_IMAGE_PIXELS = None\n\
                          out, across, tile, *files = sys.argv[1:]\nn, t = int(across), int(tile)\n\
                          frame = Image.new('RGB', (n * t, n * t))\n\
                          for i, name in enumerate(files): frame.paste(Image.open(name), (i % n * t, i // n * t))\n\
                          frame.save(out)";
            command.args(["-c", script]).arg(out).args([&across, &TILE.to_string()]).args(&list);
            command
        }),
    );
    ways
}

fn report(ways: &[Way], limits: &[(f64, f64)]) {
    let of = |way: &Way, pick: fn(&Taken) -> f64| way.taken.iter().map(pick).collect::<Vec<_>>();
    let ours = median(&of(&ways[0], |t| t.seconds));
    println!(
        "{:24} {:>8} {:>8} {:>8} {:>9} {:>9} {:>10}",
        "", "seconds", "spread", "cpu s", "peak MB", "file MB", "x tilectl"
    );
    for way in ways {
        if let Some(problem) = &way.problem {
            println!("{:24} {}", way.name, problem.chars().take(90).collect::<String>());
            continue;
        }
        let seconds = of(way, |t| t.seconds);
        println!(
            "{:24} {:8.2} {:8.2} {:8.2} {:9.0} {:9.1} {:10.2}",
            way.name,
            median(&seconds),
            spread(&seconds),
            median(&of(way, |t| t.cpu)),
            median(&of(way, |t| t.memory as f64)) / 1e6,
            way.bytes as f64 / 1e6,
            median(&seconds) / ours,
        );
    }
    let part = |pick: fn(&(f64, f64)) -> f64| median(&limits.iter().map(pick).collect::<Vec<_>>());
    let (decoding, encoding) = (part(|l| l.0), part(|l| l.1));
    let limit = part(|l| l.0 + l.1);
    println!(
        "limit: decoding {decoding:.2} s + encoding {encoding:.2} s; tilectl takes {:.2} times as long",
        ours / limit
    );
}
